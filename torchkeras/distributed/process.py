"""The group of processes that `torchrun` started, joined at the first training call."""

from __future__ import annotations

import atexit
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

from torch import distributed
from torch.distributed.rendezvous import rendezvous

from torchkeras.core import accelerators
from torchkeras.core.tensors import devices
from torchkeras.core.torch_internals import get_default_store

_writes: Counter[str] = Counter()
_SECONDS_TO_END = 0.2  # seconds
_DEFAULT_TIMEOUT = 600.0  # seconds
_SECONDS_TO_MEET = 30.0  # in which all ranks must come to a place where they meet


class RankError(RuntimeError):
    """Another rank failed, is gone, or is not where it should be."""


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
    if not distributed.is_available() or distributed.is_initialized():
        return
    if int(os.environ.get("WORLD_SIZE", "1")) < 2 or "RANK" not in os.environ or "MASTER_ADDR" not in os.environ:
        return
    local = int(os.environ.get("LOCAL_RANK", "0"))
    limit = timedelta(seconds=_timeout(timeout))
    kind, device = accelerators.take_device_of_rank(local)
    if kind.type != "cpu":
        devices.set_default_device(device)
    _init_group(kind.backend, limit, **({"device_id": device} if kind.binds else {}))
    atexit.register(_leave)


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
            "Are all of them started, and can they reach that address?"
        ) from error


def _store_of_attempt(limit: timedelta) -> dict[str, Any]:
    """Arguments for `init_process_group` that keep the ranks apart from those before a restart by torchrun.

    On one machine torchrun (2.13) gives all attempts the same store, which still has the addresses of the dead ranks:
    gloo connects to these, and the new ranks fail or wait for each other. With several machines the counts of
    restarts may differ among them, so torch's own way is left there.
    """
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    if attempt == "0" or os.environ.get("GROUP_WORLD_SIZE") != "1":
        return {}
    store, rank, size = next(rendezvous("env://", timeout=limit))
    return {"store": distributed.PrefixStore(f"attempt_{attempt}", store), "rank": rank, "world_size": size}


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
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


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
    return int(os.environ.get("RANK", "0")) if int(os.environ.get("WORLD_SIZE", "1")) > 1 else 0


def launched_world_size() -> int:
    """How many processes `torchrun` started, also before they have joined."""
    return distributed.get_world_size() if is_joined() else int(os.environ.get("WORLD_SIZE", "1"))


def is_main_process() -> bool:
    """Return whether this process prints and writes files: the one of rank 0.

    Example:
        >>> keras.distributed.is_main_process()
        True
    """
    return rank() == 0


def barrier() -> None:
    """Wait for all processes.

    Example:
        >>> keras.distributed.barrier()  # does nothing in a process of its own
    """
    if is_joined():
        distributed.barrier()


def broadcast_object(value: Any) -> Any:
    """Return rank 0's value on all ranks.

    Args:
        value: small picklable value; those of other ranks are ignored.

    Returns:
        The value of rank 0.

    Example:
        >>> keras.distributed.broadcast_object({"seed": 3})
        {'seed': 3}
    """
    if not is_joined():
        return value
    box = [value]
    distributed.broadcast_object_list(box, src=0)
    return box[0]


def gather_objects(value: Any) -> list[Any]:
    """Collect the values of all ranks on every rank.

    Args:
        value: small picklable value.

    Returns:
        A list with a value for each rank, in their order.

    Example:
        >>> keras.distributed.gather_objects("mine")
        ['mine']
    """
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


def write_once(path: str, write: Callable[[], None]) -> None:
    """Let rank 0 write a file; the others wait until it is there.

    Rank 0 waits for no other rank, so that scripts in which it alone calls this (`if rank == 0: model.save(...)`) go
    on, too.

    Args:
        path: path of the file, the same on all ranks.
        write: function without arguments that writes it.

    Raises:
        OSError: (on the other ranks) rank 0 failed.
        RankError: (on the other ranks) rank 0 did not begin to write within 30 seconds.

    Example:
        >>> keras.distributed.write_once("a.txt", lambda: open("a.txt", "w").close())
    """
    if not is_joined():
        if is_main_process():
            write()
        return
    _writes[path] += 1
    store = get_default_store()
    key = f"torchkeras/written/{_writes[path]}/{path}"
    if not is_main_process():
        _await_ranks(store, f"{key}/begun", [0], f"Rank {rank()} waits for {path}, which rank 0 writes")
        store.wait([key])
        if problem := store.get(key).decode():
            raise OSError(f"Rank 0 could not write {path}: {problem}")
        return
    store.set(f"{key}/begun/0", "")
    try:
        write()
    except BaseException as error:
        store.set(key, f"{type(error).__name__}: {error}")
        raise
    store.set(key, "")


def meet(place: str) -> None:
    """Wait until every rank is here, for 30 seconds at most.

    Args:
        place: what the ranks are going to do, for messages; the same on all ranks.

    Raises:
        RankError: a rank did not come.

    Example:
        >>> keras.distributed.process.meet("save()")  # does nothing in a process of its own
    """
    if not is_joined():
        return
    _writes[place] += 1
    store = get_default_store()
    key = f"torchkeras/met/{_writes[place]}/{place}"
    store.set(f"{key}/{rank()}", "")
    _await_ranks(store, key, range(world_size()), f"{place} was called on rank {rank()}")


def _await_ranks(store: Any, key: str, ranks: Iterable[int], situation: str) -> None:
    """Wait until ranks have set their keys.

    Raises:
        RankError: some have not, within 30 seconds.
    """
    keys = {other: f"{key}/{other}" for other in ranks}
    end = time.monotonic() + _SECONDS_TO_MEET
    while not store.check(list(keys.values())):
        if time.monotonic() > end:
            missing = [other for other, name in keys.items() if not store.check([name])]
            raise RankError(
                f"{situation}; the rank(s) {missing} did not come within {_SECONDS_TO_MEET:.0f} seconds. All ranks "
                "must call it. If one of them has other work to do before, let the others wait for it: "
                "keras.distributed.barrier()."
            )
        time.sleep(0.005)
