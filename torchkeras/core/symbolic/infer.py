"""Shapes by running the function itself on `meta`, twice, with two different sizes standing for `None`."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from torchkeras.core import tree
from torchkeras.core.state import state
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.core.tensors.devices import current_device, without_values
from torchkeras.core.tensors.dtypes import standardize_dtype, torch_dtype
from torchkeras.core.tensors.masks import get_mask, set_mask

# Sizes that stand for an unknown one: they divide evenly, survive strides, and are rarely a real size.
_STAND_INS = (84, 168)


class _Scopes(threading.local):
    def __init__(self) -> None:
        self.open: list[SymbolicScope] = []


_scopes = _Scopes()


class SymbolicScope:
    """Say that the code inside runs only to find shapes, which `in_symbolic_scope` answers.

    Nothing else changes: where the library infers shapes, tensors lie on the device `meta`.

    Example:
        >>> with keras.SymbolicScope():
        ...     pass
    """

    def __enter__(self) -> SymbolicScope:
        _scopes.open.append(self)
        return self

    def __exit__(self, *error: object) -> None:
        _scopes.open.pop()


def get_symbolic_scope() -> SymbolicScope | None:
    """The innermost open `SymbolicScope`, else `None`."""
    return _scopes.open[-1] if _scopes.open else None


def in_symbolic_scope() -> bool:
    """Whether the running code only finds shapes: inside a `SymbolicScope`, or where the library infers them."""
    return bool(_scopes.open) or state.symbolic


def compute_output_spec(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The outputs of `function` as KerasTensors, for arguments among which are KerasTensors; in Keras's order."""
    return infer(function, args, kwargs)


def infer(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], with_ones: bool = False) -> Any:
    """The outputs of `function` as KerasTensors, for arguments among which are KerasTensors.

    Sizes that differ between the two runs are unknown (`None`). The runs are on `meta`, or with tensors of ones for
    functions that can't do without values.
    """
    run = _run_with_ones if with_ones else _run
    unknown = any(None in t.shape for t in tree.flatten((args, kwargs)) if isinstance(t, KerasTensor))
    first = run(function, args, kwargs, _STAND_INS[0])
    if not unknown:
        return tree.map_structure(lambda t: _describe(t, t), first)
    second = run(function, args, kwargs, _STAND_INS[1])
    return tree.map_structure(_describe, first, second)


def _stand_in(symbol: KerasTensor, size: int, device: Any) -> torch.Tensor | np.ndarray:
    shape = [size if d is None else d for d in symbol.shape]
    if symbol.dtype == "string":  # strings are always on the host, with values
        return np.full(shape, "", dtype=str)
    tensor = torch.ones(shape, dtype=torch_dtype(symbol.dtype), device=device)
    mask = get_mask(symbol)
    if isinstance(mask, KerasTensor):  # a layer may need its mask also where only shapes are asked for
        set_mask(tensor, _stand_in(mask, size, device))
    return tensor


def _run_with_ones(function: Callable, args: tuple, kwargs: dict, size: int) -> Any:
    place = current_device()

    def stand_in(value: Any) -> Any:
        return _stand_in(value, size, place) if isinstance(value, KerasTensor) else value

    args, kwargs = tree.map_structure(stand_in, (args, kwargs))
    with torch.no_grad(), torch.random.fork_rng([place] if place.type == "cuda" else []):
        return function(*args, **kwargs)


def _run(function: Callable, args: tuple, kwargs: dict, size: int) -> Any:
    def stand_in(value: Any) -> Any:
        if isinstance(value, KerasTensor):
            return _stand_in(value, size, "meta")
        if isinstance(value, torch.Tensor) and value.device.type != "meta":
            return torch.empty_like(value, device="meta")
        return convert_to_tensor(value, device="meta") if isinstance(value, np.ndarray) else value

    args, kwargs = tree.map_structure(stand_in, (args, kwargs))
    with without_values():
        return function(*args, **kwargs)


def _describe(first: Any, second: Any) -> Any:
    if not isinstance(first, torch.Tensor):
        return first
    shape = tuple(a if a == b else None for a, b in zip(first.shape, second.shape))
    return KerasTensor(shape, standardize_dtype(first.dtype))


def infer_elementwise(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """As `infer`, for a function whose outputs have the inputs' broadcast shape: unknown sizes need no stand-ins."""
    shapes = [_shape_of(x) for x in args if x is not None]
    shape = broadcast_shapes(*shapes)
    scalars = tuple(KerasTensor((), x.dtype) if isinstance(x, KerasTensor) else x for x in args)
    described = infer(function, scalars, kwargs)
    return tree.map_structure(lambda t: KerasTensor(shape, t.dtype), described)


def _shape_of(x: Any) -> tuple:
    return tuple(x.shape) if hasattr(x, "shape") else np.shape(x)


def broadcast_shapes(*shapes: tuple[Any, ...]) -> tuple[Any, ...]:
    """The shape to which shapes with unknown sizes (`None`) broadcast.

    Raises:
        ValueError: sizes that are known neither agree nor are 1.
    """
    result: list[int | None] = []
    for sizes in itertools.zip_longest(*(reversed(shape) for shape in shapes), fillvalue=1):
        known = {size for size in sizes if size is not None and size != 1}
        if len(known) > 1:
            raise ValueError(f"Shapes must broadcast: sizes of an axis equal or 1; received {list(shapes)}.")
        result.append(known.pop() if known else None if None in sizes else 1)
    return tuple(reversed(result))
