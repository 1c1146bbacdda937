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
from torchkeras.core.types import DTypeLike


def _described(
    x: KerasTensor, dtype: DTypeLike | None = None, sparse: bool | None = None, ragged: bool | None = None
) -> Any:
    is_sparse, is_ragged = x.sparse and sparse is not False, x.ragged and ragged is not False
    return KerasTensor(x.shape, x.dtype if dtype is None else dtype, sparse=is_sparse, ragged=is_ragged)


@op(call=("x",), spec=_described, file_module="keras.src.ops.core")
def convert_to_tensor(
    x: Any, dtype: DTypeLike | None = None, sparse: bool | None = None, ragged: bool | None = None
) -> Tensor:
    """Convert a value to a tensor.

    Args:
        x: array, number, nested lists, tensor or variable.
        dtype: dtype of the tensor; `None`: the one that fits the values. Default: `None`.
        sparse: must not be `True`. Default: `None`.
        ragged: must not be `True`. Default: `None`.

    Returns:
        A tensor on the current device.

    Raises:
        ValueError: `sparse` or `ragged` is true, or the values have no tensor form.

    Example:
        >>> keras.ops.convert_to_tensor([1.0, 2.0])
        tensor([1., 2.])
    """
    if sparse or ragged:
        raise ValueError(f"Tensors are dense here; received sparse={sparse} and ragged={ragged}.")
    return tensors.convert_to_tensor(x, dtype)


@op(elementwise=True, file_module="keras.src.ops.core")
def cast(x: Tensor, dtype: DTypeLike) -> Tensor:
    """Convert a tensor to another dtype.

    Args:
        x: tensor.
        dtype: the dtype.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.cast([1.7, -2.2], "int32")
        tensor([ 1, -2], dtype=torch.int32)
    """
    return x.to(torch_dtype(dtype))


@op(elementwise=True, file_module="keras.src.ops.core")
def saturate_cast(x: Tensor, dtype: DTypeLike) -> Tensor:
    """Convert a tensor to another dtype; values outside its range become its smallest or largest value.

    Args:
        x: tensor.
        dtype: the dtype.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.saturate_cast([300.0, -5.0], "uint8")
        tensor([255,   0], dtype=torch.uint8)
    """
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
    """Return the name of the dtype of a tensor.

    Args:
        x: tensor, array or KerasTensor.

    Returns:
        A name such as `"float32"`.

    Example:
        >>> keras.ops.dtype(np.zeros(3, "float32"))
        'float32'
    """
    return tensors.dtype_name(x)


def shape(x: Any) -> tuple[Any, ...]:
    """Return the shape of a tensor.

    Args:
        x: tensor, array or KerasTensor.

    Returns:
        A tuple of ints; `None` where the size of a KerasTensor's axis is not known.

    Example:
        >>> keras.ops.shape(np.zeros((2, 3)))
        (2, 3)
    """
    return tensors.shape_tuple(x)
