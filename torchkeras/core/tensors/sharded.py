"""Tensors that several processes share (torch's `DTensor`), told without importing what they are made of.

`torch.distributed.tensor` takes half a second to import, and who has no DTensor never needs it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, TypeGuard

import torch

_meetings: list[Callable[[str], None]] = []


def is_sharded(x: Any) -> TypeGuard[Any]:
    """Whether `x` is a `DTensor`."""
    return isinstance(x, torch.Tensor) and hasattr(x, "device_mesh")


def dtensors() -> Any:
    """The module `torch.distributed.tensor`, imported when first asked for."""
    return importlib.import_module("torch.distributed.tensor")


def meet_by(meet: Callable[[str], None]) -> None:
    """Let the ranks meet before they exchange the parts of tensors, so that one that is alone learns it.

    Args:
        meet: called with the name of the work.
    """
    _meetings[:] = [meet]


def before_message(work: str) -> None:
    """Called by each rank before work on a tensor in parts that all ranks must do."""
    for meet in _meetings:
        meet(work)


def whole_of(tensor: Any, name: str = "a tensor") -> torch.Tensor:
    """All of a tensor in parts, on every rank, which all must ask for it.

    Args:
        tensor: the `DTensor`.
        name: its name, for messages.
    """
    before_message(f"the reading of {name}")
    return tensor.full_tensor()  # type: ignore[no-any-return]
