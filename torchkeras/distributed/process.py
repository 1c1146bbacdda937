"""The group of processes that `torchrun` started, joined at the first training call."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from torch import distributed
from torch.distributed.rendezvous import rendezvous

from torchkeras.core import accelerators
from torchkeras.core.tensors import devices
from torchkeras.core.torch_internals import get_default_store
from torchkeras.distributed.attempts import part_of_attempt

_SECONDS_TO_END = 0.2  # seconds
_DEFAULT_TIMEOUT = 600.0  # seconds


class RankError(RuntimeError):
    """Another rank failed, is gone, or is not where it should be."""


class _Own(threading.local):
    is_single = False


_own = _Own()
_goodbyes: list[tuple[Any, str]] = []
_joined: list[Any] = [None]  # the store of the group that this library made
_words: list[Any] = [None, None]  # the store of the group, and the part of it for `words`


@contextmanager
def single_process() -> Iterator[None]:
    """Inside, this process works as if there were no other one: a call needs the other ranks no more.

    For work that is one rank's own, such as a prediction by rank 0 alone, or by each rank for data of its own. Ranks
    that do not enter the context simply go on. Weights that a rank trains inside are its own until the next `fit`
    outside, which begins with rank 0's. Where weights lie in parts on several ranks, no rank can compute alone.

    Example:
        >>> with keras.distributed.single_process():
        ...     keras.distributed.world_size()
        1
    """
    before, _own.is_single = _own.is_single, True
    try:
        yield
    finally:
        _own.is_single = before


def is_single() -> bool:
    """Whether this process works as if there were no other one."""
    return _own.is_single


def join(timeout: float | None = None) -> None:
    """Join the process group of `torchrun`, if this process was started by it and has not joined yet.

    It takes the accelerator with the number `LOCAL_RANK` and its backend (CUDA: NCCL), else the CPU and gloo.

    Args:
        timeout: seconds after which a rank that waits for another one gives up with an error, here and in every
            message later. Default: `None`, the environment variable `TORCHKERAS_TIMEOUT`, else 600.

    Raises:
        RuntimeError: this machine runs more processes than it has accelerators; or the others did not come in time.

    Example:
        >>> keras.distributed.join()  # does nothing in a process of its own
    """
    if not distributed.is_available() or is_single():
        return
    if distributed.is_initialized():
        _promise_goodbye()
        return
    if int(os.environ.get("WORLD_SIZE", "1")) < 2 or "RANK" not in os.environ or "MASTER_ADDR" not in os.environ:
        return
    local = int(os.environ.get("LOCAL_RANK", "0"))
    limit = timedelta(seconds=_timeout(timeout))
    kind, device = accelerators.take_device_of_rank(local)
    if kind.type != "cpu":
        devices.set_default_device(device)
    _init_group(kind.backend, limit, **({"device_id": device} if kind.binds else {}))
    _joined[0] = get_default_store() if is_joined() else None
    atexit.register(_leave)
    _promise_goodbye()


def _timeout(given: float | None) -> float:
    """Seconds to wait for another rank.

    Raises:
        ValueError: the number is not positive.
    """
    found = given if given is not None else float(os.environ.get("TORCHKERAS_TIMEOUT", _DEFAULT_TIMEOUT))
    if not found > 0:
        raise ValueError(f"timeout must be a positive number of seconds; received {found!r}.")
    return found


def _init_group(backend: str, limit: timedelta, **options: Any) -> None:
    try:
        distributed.init_process_group(backend, timeout=limit, **_store_of_attempt(limit), **options)
    except RuntimeError as error:  # of the store, or of gloo
        raise RankError(
            f"Rank {os.environ['RANK']} of {os.environ['WORLD_SIZE']} could not join the others at "
            f"{os.environ['MASTER_ADDR']}:{os.environ.get('MASTER_PORT')} within {limit.total_seconds():.0f} seconds. "
            "Are all of them started, and can they reach that address? A call of fit, evaluate or predict joins them, "
            "so that all ranks must make it."
        ) from error


def _store_of_attempt(limit: timedelta) -> dict[str, Any]:
    """Arguments for `init_process_group` that keep the ranks apart from those before a restart by torchrun."""
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return {}
    store, rank, size = next(rendezvous("env://", timeout=limit))
    own = part_of_attempt(store, rank, size, limit.total_seconds())
    return {"store": own, "rank": rank, "world_size": size}


def words() -> Any:
    """The store in which the ranks leave words for each other."""
    default = get_default_store()
    if _words[0] is not default:
        own = default
        if _joined[0] is not default:  # the user's script made the group, perhaps in a store that is not new
            seconds = default.timeout.total_seconds()
            own = part_of_attempt(default, distributed.get_rank(), distributed.get_world_size(), seconds)
        _words[:] = [default, own]
    return _words[1]


def left(rank: int) -> str:
    """The key in the store at which a rank leaves a word when it ends."""
    return f"torchkeras/left/{rank}"


def _promise_goodbye() -> None:
    if not _goodbyes and is_joined():
        _goodbyes.append((words(), left(distributed.get_rank())))
        atexit.register(say_goodbye)


def say_goodbye() -> None:
    """At the end of the process: leave a word for ranks that wait for this one, now or later."""
    failed = getattr(sys, "last_exc", getattr(sys, "last_value", None)) is not None
    for store, key in _goodbyes:
        try:
            store.set(key, "ended with an error" if failed else "ended")
        except RuntimeError:  # the store is gone, and with it those who could wait
            return


def forget_goodbye() -> None:
    """The store is gone: there is nowhere to leave a word, and to try prints pages of warnings."""
    _goodbyes.clear()


def _leave() -> None:
    # After an error the other processes are not there to agree on the end; torchrun stops them.
    if distributed.is_initialized() and getattr(sys, "last_exc", getattr(sys, "last_value", None)) is None:
        distributed.destroy_process_group()
        # The group's threads may still be letting go of the tensors of the last message, for which they need the
        # interpreter: where it ends meanwhile, the process is aborted though its work is done. Torch has no way to wait
        # for them.
        time.sleep(_SECONDS_TO_END)


def is_joined() -> bool:
    """Whether several processes work together."""
    if is_single() or not distributed.is_available() or not distributed.is_initialized():
        return False
    return distributed.get_world_size() > 1


def world_size() -> int:
    """Return how many processes work together; 1 for a process of its own.

    Example:
        >>> keras.distributed.world_size()
        1
    """
    return distributed.get_world_size() if is_joined() else 1


def rank() -> int:
    """Return the number of this process among them; before joining, the number that `torchrun` gave it.

    Example:
        >>> keras.distributed.rank()
        0
    """
    if is_joined():
        return distributed.get_rank()
    if is_single():
        return 0
    return int(os.environ.get("RANK", "0")) if int(os.environ.get("WORLD_SIZE", "1")) > 1 else 0


def launched_world_size() -> int:
    """How many processes `torchrun` started, also before they have joined."""
    if is_joined() or is_single():
        return world_size()
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main_process() -> bool:
    """Return whether this process prints and writes files: the one of rank 0.

    Example:
        >>> keras.distributed.is_main_process()
        True
    """
    return rank() == 0


def broadcast_object(value: Any) -> Any:
    """Rank 0's value on all ranks, at a place where all of them surely are; `calls.broadcast_object` looks first."""
    if not is_joined():
        return value
    box = [value]
    distributed.broadcast_object_list(box, src=0)
    return box[0]


def gather_objects(value: Any) -> list[Any]:
    """The values of all ranks, at a place where all of them surely are; `calls.gather_objects` looks first."""
    if not is_joined():
        return [value]
    found: list[Any] = [None] * world_size()
    distributed.all_gather_object(found, value)
    return found


def on_main_process(function: Callable[[], Any], name: str) -> Any:
    """Call a function on rank 0 and return its value on every rank.

    Args:
        function: called without arguments. Its value must be picklable.
        name: what it is for, for messages.

    Raises:
        OSError: (on the other ranks) it raised an error on rank 0.
    """
    if not is_joined():
        return function()
    value, problem = None, None
    if is_main_process():
        try:
            value = function()
        except Exception as error:
            problem = error
    value, text = broadcast_object((value, None if problem is None else f"{type(problem).__name__}: {problem}"))
    if problem is not None:
        raise problem
    if text is not None:
        raise OSError(f"{name}: rank 0 failed: {text}")
    return value
