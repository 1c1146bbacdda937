"""Tensors that several processes share (torch's `DTensor`), told without importing what they are made of.

`torch.distributed.tensor` takes half a second to import, and who has no DTensor never needs it.
"""

from __future__ import annotations

import importlib
from typing import Any, TypeGuard

import torch


def is_sharded(x: Any) -> TypeGuard[Any]:
    """Whether `x` is a `DTensor`."""
    return isinstance(x, torch.Tensor) and hasattr(x, "device_mesh")


def dtensors() -> Any:
    """The module `torch.distributed.tensor`, imported when first asked for."""
    return importlib.import_module("torch.distributed.tensor")
