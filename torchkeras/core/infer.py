"""Shapes by running the function itself on `meta`, twice, with two different sizes standing for `None`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from torchkeras.core import tree
from torchkeras.core.dtypes import standardize_dtype, torch_dtype
from torchkeras.core.keras_tensor import KerasTensor
from torchkeras.core.state import state

# Sizes that stand for an unknown one: they divide evenly, survive strides, and are rarely a real size.
_STAND_INS = (84, 168)


def infer(function: Callable, args: tuple, kwargs: dict) -> Any:
    """The outputs of `function` as KerasTensors, for arguments among which are KerasTensors.

    Sizes that differ between the two runs are unknown (`None`).
    """
    unknown = any(None in t.shape for t in tree.flatten((args, kwargs)) if isinstance(t, KerasTensor))
    first = _run(function, args, kwargs, _STAND_INS[0])
    if not unknown:
        return tree.map_structure(lambda t: _describe(t, t), first)
    second = _run(function, args, kwargs, _STAND_INS[1])
    return tree.map_structure(_describe, first, second)


def _run(function: Callable, args: tuple, kwargs: dict, size: int) -> Any:
    def stand_in(value: Any) -> Any:
        if isinstance(value, KerasTensor):
            shape = [size if d is None else d for d in value.shape]
            return torch.empty(shape, dtype=torch_dtype(value.dtype), device="meta")
        if isinstance(value, torch.Tensor) and value.device.type != "meta":
            return torch.empty_like(value, device="meta")
        return value

    args, kwargs = tree.map_structure(stand_in, (args, kwargs))
    before = state.set("symbolic", True)
    try:
        with torch.no_grad(), torch.device("meta"):
            return function(*args, **kwargs)
    finally:
        state.set("symbolic", before)


def _describe(first: Any, second: Any) -> Any:
    if not isinstance(first, torch.Tensor):
        return first
    shape = tuple(a if a == b else None for a, b in zip(first.shape, second.shape))
    return KerasTensor(shape, standardize_dtype(first.dtype))
