"""The group of processes that `torchrun` started, joined at the first training call."""

from __future__ import annotations

import atexit
import os
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import distributed

from torchkeras.core.tensors import devices
from torchkeras.core.torch_internals import get_default_store

_writes: Counter[str] = Counter()


def join() -> None:
    """Join the process group that torchrun's variables tell of; nothing without them, or when joined already.

    Takes `cuda:LOCAL_RANK` and NCCL where there is CUDA, the CPU and gloo elsewhere.

    Raises:
        RuntimeError: this machine runs more processes than it has GPUs.
    """
    if not distributed.is_available() or distributed.is_initialized():
        return
    if int(os.environ.get("WORLD_SIZE", "1")) < 2 or "RANK" not in os.environ or "MASTER_ADDR" not in os.environ:
        return
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if torch.cuda.is_available():
        if local >= torch.cuda.device_count():
            raise RuntimeError(
                f"Each process needs a GPU of its own: this is process {local + 1} of this machine, which has "
                f"{torch.cuda.device_count()} GPU(s). Start fewer (torchrun --nproc-per-node=N), or hide the GPUs with "
                "CUDA_VISIBLE_DEVICES= to train on the CPU."
            )
        torch.cuda.set_device(local)
        devices.set_default_device(f"cuda:{local}")
        distributed.init_process_group("nccl", device_id=torch.device("cuda", local))
    else:
        distributed.init_process_group("gloo")
    atexit.register(_leave)


def _leave() -> None:
    # After an error the other processes are not there to agree on the end; torchrun stops them.
    if distributed.is_initialized() and getattr(sys, "last_exc", getattr(sys, "last_value", None)) is None:
        distributed.destroy_process_group()


def is_joined() -> bool:
    """Whether several processes work together."""
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


def world_size() -> int:
    """How many processes work together; 1 for a process of its own."""
    return distributed.get_world_size() if is_joined() else 1


def rank() -> int:
    """The number of this process among them; before joining, what torchrun says."""
    if is_joined():
        return distributed.get_rank()
    return int(os.environ.get("RANK", "0")) if int(os.environ.get("WORLD_SIZE", "1")) > 1 else 0


def launched_world_size() -> int:
    """How many processes there will be: before joining, as torchrun's variables say."""
    return distributed.get_world_size() if is_joined() else int(os.environ.get("WORLD_SIZE", "1"))


def is_main_process() -> bool:
    """Whether this process prints and writes files."""
    return rank() == 0


def barrier() -> None:
    """Wait for all processes."""
    if is_joined():
        distributed.barrier()


def broadcast_object(value: Any) -> Any:
    """Rank 0's value (small and picklable) on all ranks."""
    if not is_joined():
        return value
    box = [value]
    distributed.broadcast_object_list(box, src=0)
    return box[0]


def gather_objects(value: Any) -> list[Any]:
    """The (small, picklable) values of all ranks, in their order, on every rank."""
    if not is_joined():
        return [value]
    found: list[Any] = [None] * world_size()
    distributed.all_gather_object(found, value)
    return found


def write_once(path: str, write: Callable[[], None]) -> None:
    """Let rank 0 write a file; the others wait until it is there.

    Rank 0 waits for nobody, so that scripts in which it alone calls this (`if rank == 0: model.save(...)`) go on too.

    Raises:
        OSError: on the other ranks, when rank 0 failed.
    """
    if not is_joined():
        if is_main_process():
            write()
        return
    _writes[path] += 1
    store = get_default_store()
    key = f"torchkeras/written/{_writes[path]}/{path}"
    if not is_main_process():
        store.wait([key])
        if problem := store.get(key).decode():
            raise OSError(f"Rank 0 could not write {path}: {problem}")
        return
    try:
        write()
    except BaseException as error:
        store.set(key, f"{type(error).__name__}: {error}")
        raise
    store.set(key, "")
