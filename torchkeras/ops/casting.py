"""Tensors from values, their types and shapes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchkeras.core.memo import memoized
from torchkeras.core.operations.op import op
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.tensors import convert as tensors
from torchkeras.core.tensors.dtypes import torch_dtype


def _described(x: KerasTensor, dtype: Any = None, sparse: bool | None = None, ragged: bool | None = None) -> Any:
    keeps = {"sparse": x.sparse and sparse is not False, "ragged": x.ragged and ragged is not False}
    return KerasTensor(x.shape, x.dtype if dtype is None else dtype, **keeps)


@op(call=("x",), spec=_described, file_module="keras.src.ops.core")
def convert_to_tensor(x: Any, dtype: Any = None, sparse: bool | None = None, ragged: bool | None = None) -> Tensor:
    """A tensor of an array, a number, a list or a tensor, in another type if one is given.

    Raises:
        ValueError: `sparse` or `ragged` is true, or the values have no tensor form.
    """
    if sparse or ragged:
        raise ValueError(f"Tensors are dense here; received sparse={sparse} and ragged={ragged}.")
    return tensors.convert_to_tensor(x, dtype)


@op(elementwise=True, file_module="keras.src.ops.core")
def cast(x: Tensor, dtype: Any) -> Tensor:
    """`x` in another type."""
    return x.to(torch_dtype(dtype))


@op(elementwise=True, file_module="keras.src.ops.core")
def saturate_cast(x: Tensor, dtype: Any) -> Tensor:
    """`x` in another type; what lies outside its range becomes its least or greatest value."""
    target = torch_dtype(dtype)
    if target is torch.bool:
        return x > 0 if x.dtype is not target else x  # its range is 0 to 1
    limits = _limits(x.dtype, target)
    if limits is None:
        return x.to(target)
    low, high, exact = limits
    inside = torch.clamp(x, low, high).to(target)
    return inside if exact else torch.where(x >= high, int(high), inside)


@memoized
def _limits(own: torch.dtype, target: torch.dtype) -> tuple[Any, Any, bool] | None:
    """The least and the greatest value that both types hold, and whether the latter is exact.

    The greatest integer is no float: the float next to it lies beyond.
    """
    if own is torch.bool or target.is_complex:
        return None
    (low, high), (own_low, own_high) = _range(target), _range(own)
    low, high = max(low, own_low), min(high, own_high)
    if not own.is_floating_point:
        return int(low), int(high), True
    return low, high, target.is_floating_point or high < 2 / torch.finfo(own).eps


def _range(dtype: torch.dtype) -> tuple[Any, Any]:
    info = torch.finfo(dtype) if dtype.is_floating_point else torch.iinfo(dtype)
    return info.min, info.max


def dtype(x: Any) -> str:
    """The name of the type of a tensor, an array or a symbolic tensor."""
    return tensors.dtype_name(x)


def shape(x: Any) -> tuple:
    """The shape, `None` where a symbolic tensor leaves a size open."""
    return tensors.shape_tuple(x)
