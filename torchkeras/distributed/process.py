"""The group of processes that `torchrun` started, joined at the first training call."""

from __future__ import annotations

import atexit
import os
from typing import Any

import torch
from torch import distributed

from torchkeras.core import devices


def join() -> None:
    """Join the process group that torchrun's variables tell of; nothing without them, or when joined already.

    Takes `cuda:LOCAL_RANK` and NCCL where there is CUDA, the CPU and gloo elsewhere.
    """
    if not distributed.is_available() or distributed.is_initialized():
        return
    if int(os.environ.get("WORLD_SIZE", "1")) < 2 or "RANK" not in os.environ or "MASTER_ADDR" not in os.environ:
        return
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if torch.cuda.is_available():
        torch.cuda.set_device(local)
        devices.set_default_device(f"cuda:{local}")
        distributed.init_process_group("nccl", device_id=torch.device("cuda", local))
    else:
        distributed.init_process_group("gloo")
    atexit.register(_leave)


def _leave() -> None:
    if distributed.is_initialized():
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
