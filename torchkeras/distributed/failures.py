"""Failures of single ranks: the others end with the first one's error, not with that of a lost connection."""

from __future__ import annotations

import re
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from torch import distributed

from torchkeras.distributed import calls, process
from torchkeras.distributed.process import RankError

_TIME_TO_READ = 1.0  # seconds
_PATIENCE = 5.0  # seconds in which the rank that failed has surely said so
_LOST = re.compile(r"gloo|NCCL|[Cc]onnection (closed|reset)|Broken pipe|[Tt]imed? ?out|ProcessGroup|Socket", re.ASCII)


_calls: dict[str, int] = {"begun": 0, "open": 0}  # each rank makes as many calls as the others
_on_batches: set[str] = set()  # methods for single batches in which the ranks have met


@contextmanager
def shared(method: str, on_batch: bool = False) -> Iterator[None]:
    """Inside, an error of this rank is published, and a lost connection becomes the error of the rank that failed.

    The ranks meet before, so that one that is alone learns it.

    Args:
        method: the method that runs, for messages.
        on_batch: whether it is for a single batch: the ranks meet for the first one alone.

    Raises:
        RankError: another rank failed, is gone, or makes another call.
    """
    if process.is_single():
        yield
        return
    process.join()
    meets = not on_batch or method not in _on_batches
    if on_batch:
        _on_batches.add(method)
    _calls["begun"] += not _calls["open"]
    _calls["open"] += 1
    try:
        with calls.made(f"{method}()", meets):
            yield
    except calls.AloneError as error:
        if error.is_published:
            raise
        error.is_published = True
        if (reason := _published()) is not None:
            raise RankError(f"{method}() ended because of another rank. {reason}") from error
        _publish(method, error)
        raise
    except (SystemExit, KeyboardInterrupt, RankError):
        raise
    except Exception as error:
        if not process.is_joined():
            raise
        if not is_lost_connection(error):
            _publish(method, error)
            raise
        raise RankError(_explained(method)) from error
    finally:
        _calls["open"] -= 1


def _key() -> str:
    return f"torchkeras/failed/{_calls['begun']}"


def is_lost_connection(error: Exception) -> bool:
    """Whether an error means that another rank does not answer."""
    if isinstance(error, (distributed.DistBackendError, distributed.DistNetworkError, distributed.DistStoreError)):
        return True
    return isinstance(error, RuntimeError) and _LOST.search(str(error)) is not None


def _publish(method: str, error: Exception) -> None:
    text = "".join(traceback.format_exception(error))
    try:
        process.words().compare_set(_key(), "", f"Rank {process.rank()} failed in {method}():\n{text}")
        if process.is_main_process():
            time.sleep(_TIME_TO_READ)  # the store may end with this process
    except RuntimeError:  # the store is gone, with the rank that had it
        return


def _published() -> str | None:
    """The error of the rank that failed first, if one has failed."""
    try:
        store = process.words()
        return store.get(_key()).decode() if store.check([_key()]) else None
    except RuntimeError:  # the store is gone, with the rank that had it
        process.forget_goodbye()
        return None


def _explained(method: str) -> str:
    """The error of the rank that failed first, as far as it is known."""
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        if (reason := _published()) is not None:
            return f"{method}() ended because of another rank. {reason}"
        time.sleep(0.05)
    return (
        f"{method}() ended on rank {process.rank()}: another rank is gone, or did not answer in time, and has not said "
        f"why. {calls.where_others_are()}Its own output says more; a rank that is killed (by the system for want of "
        "memory, say) says nothing."
    )
