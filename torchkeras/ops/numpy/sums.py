"""Reductions: sums, products, extremes and truth along axes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchkeras.core.operations.op import op
from torchkeras.core.tensors.convert import constant
from torchkeras.core.tensors.dtypes import torch_dtype
from torchkeras.core.types import ArrayLike, Axes, DTypeLike
from torchkeras.ops.numpy.axes import NO_AXES, check_axes, over, over_nothing, positive_axis, tuple_of

# Keras sums and multiplies small integers in 32 bits, where torch takes 64.
SUMMED = {
    torch.bool: torch.int32,
    torch.int8: torch.int32,
    torch.int16: torch.int32,
    torch.int32: torch.int32,
    torch.uint8: torch.int32,
    torch.uint16: torch.int32,
    torch.uint32: torch.int64,
}


@op
def sum(x: Tensor, axis: Axes | None = None, keepdims: bool = False) -> Tensor:
    """Sum the elements along axes.

    Args:
        x: tensor.
        axis: axis or axes to reduce; `None` for all. Default: `None`.
        keepdims: whether reduced axes stay, with size 1. Default: `False`.

    Returns:
        A tensor without the reduced axes.

    Example:
        >>> keras.ops.sum([[1.0, 2.0], [3.0, 4.0]], axis=0)
        tensor([4., 6.])
    """
    if axis in NO_AXES:
        x, axis, keepdims = over_nothing(x)
    return torch.sum(x, axis, keepdim=keepdims, dtype=SUMMED.get(x.dtype))


@op(dtype="narrow", check=check_axes)
def prod(x: Tensor, axis: Axes | None = None, keepdims: bool = False, dtype: DTypeLike | None = None) -> Tensor:
    """Multiply the elements along axes.

    Args:
        x: tensor.
        axis: axis or axes to reduce; `None` for all. Default: `None`.
        keepdims: whether reduced axes stay, with size 1. Default: `False`.
        dtype: dtype of the result; `None`: that of `x`, at least 32 bits for integers. Default: `None`.

    Returns:
        A tensor without the reduced axes.

    Example:
        >>> keras.ops.prod([[1.0, 2.0], [3.0, 4.0]], axis=1)
        tensor([ 2., 12.])
    """
    return product(x, axis, keepdims, SUMMED.get(x.dtype) if dtype is None else torch_dtype(dtype))


def product(x: Tensor, axis: Axes, keepdims: bool, dtype: torch.dtype | None) -> Tensor:
    """The product along axes, which torch takes one at a time."""
    if axis is None:
        wide = x.float() if x.dtype is torch.float16 else x  # products on the way may not fit into 16 bits
        result = torch.prod(wide, dtype=dtype)
        result = result if wide is x or dtype is not None else result.to(x.dtype)
        return result.reshape([1] * x.dim()) if keepdims else result
    if isinstance(axis, int):
        return torch.prod(x, axis, keepdim=keepdims, dtype=dtype)
    x = x if dtype is None else x.to(dtype)
    for one in sorted((positive_axis(a, x.dim()) for a in tuple_of(axis)), reverse=True):
        x = torch.prod(x, one, keepdim=keepdims, dtype=dtype)
    return x


@op
def max(x: Tensor, axis: Axes | None = None, keepdims: bool = False, initial: ArrayLike | None = None) -> Tensor:
    """Return the largest element along axes.

    Args:
        x: tensor.
        axis: axis or axes to reduce; `None` for all. Default: `None`.
        keepdims: whether reduced axes stay, with size 1. Default: `False`.
        initial: smallest value that the result may have; `None` for none. Default: `None`.

    Returns:
        A tensor without the reduced axes.

    Raises:
        ValueError: there is no element along an axis, and no `initial`.

    Example:
        >>> keras.ops.max([[1.0, 2.0], [3.0, 4.0]], axis=1)
        tensor([2., 4.])
    """
    if not x.numel():
        return _of_nothing(x, axis, keepdims, initial)
    if axis in NO_AXES:
        x, axis, keepdims = over_nothing(x)
    result = torch.amax(x, () if axis is None else axis, keepdim=keepdims)
    return result if initial is None else torch.maximum(result, _like(initial, result))


@op
def min(x: Tensor, axis: Axes | None = None, keepdims: bool = False, initial: ArrayLike | None = None) -> Tensor:
    """Return the smallest element along axes.

    Args:
        x: tensor.
        axis: axis or axes to reduce; `None` for all. Default: `None`.
        keepdims: whether reduced axes stay, with size 1. Default: `False`.
        initial: largest value that the result may have; `None` for none. Default: `None`.

    Returns:
        A tensor without the reduced axes.

    Raises:
        ValueError: there is no element along an axis, and no `initial`.

    Example:
        >>> keras.ops.min([[1.0, 2.0], [3.0, 4.0]], axis=1)
        tensor([1., 3.])
    """
    if not x.numel():
        return _of_nothing(x, axis, keepdims, initial)
    if axis in NO_AXES:
        x, axis, keepdims = over_nothing(x)
    result = torch.amin(x, () if axis is None else axis, keepdim=keepdims)
    return result if initial is None else torch.minimum(result, _like(initial, result))


def _like(value: Any, x: Tensor) -> Tensor:
    return constant(value, x.dtype, x.device)


def _of_nothing(x: Tensor, axis: Axes, keepdims: bool, initial: Any) -> Tensor:
    x, axis, keepdims = over(x, axis, keepdims)
    result = torch.sum(x, axis, keepdim=keepdims).to(x.dtype)  # of the right shape; its values are zeros
    if initial is None and result.numel():
        raise ValueError(f"An extreme needs at least one value, or `initial`; received the shape {tuple(x.shape)}.")
    return result if initial is None else result + _like(initial, result)


@op(later=("initial",))
def amax(x: Tensor, axis: Axes | None = None, keepdims: bool = False, initial: ArrayLike | None = None) -> Tensor:
    """Return the largest element along axes.

    Args:
        x: tensor.
        axis: axis or axes to reduce; `None` for all. Default: `None`.
        keepdims: whether reduced axes stay, with size 1. Default: `False`.
        initial: smallest value that the result may have; `None` for none. Default: `None`.

    Returns:
        A tensor without the reduced axes.

    Example:
        >>> keras.ops.amax([[1.0, 2.0], [3.0, 4.0]], axis=1)
        tensor([2., 4.])
    """
    if axis in NO_AXES:
        x, axis, keepdims = over_nothing(x)
    result = torch.amax(x, () if axis is None else axis, keepdim=keepdims)
    return result if initial is None else torch.maximum(result, _like(initial, result))


@op(later=("initial",))
def amin(x: Tensor, axis: Axes | None = None, keepdims: bool = False, initial: ArrayLike | None = None) -> Tensor:
    """Return the smallest element along axes.

    Args:
        x: tensor.
        axis: axis or axes to reduce; `None` for all. Default: `None`.
        keepdims: whether reduced axes stay, with size 1. Default: `False`.
        initial: largest value that the result may have; `None` for none. Default: `None`.

    Returns:
        A tensor without the reduced axes.

    Example:
        >>> keras.ops.amin([[1.0, 2.0], [3.0, 4.0]], axis=1)
        tensor([1., 3.])
    """
    if axis in NO_AXES:
        x, axis, keepdims = over_nothing(x)
    result = torch.amin(x, () if axis is None else axis, keepdim=keepdims)
    return result if initial is None else torch.minimum(result, _like(initial, result))


@op
def ptp(x: Tensor, axis: Axes | None = None, keepdims: bool = False) -> Tensor:
    """Return the largest element minus the smallest along axes.

    Args:
        x: tensor.
        axis: axis or axes to reduce; `None` for all. Default: `None`.
        keepdims: whether reduced axes stay, with size 1. Default: `False`.

    Returns:
        A tensor without the reduced axes.

    Example:
        >>> keras.ops.ptp([[1.0, 2.0], [3.0, 7.0]], axis=1)
        tensor([1., 4.])
    """
    x, axis, keepdims = over(x, axis, keepdims)
    return torch.amax(x, axis, keepdim=keepdims) - torch.amin(x, axis, keepdim=keepdims)


@op
def argmax(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Return the index of the largest element along an axis.

    Args:
        x: tensor.
        axis: axis to search; `None` for the flattened tensor. Default: `None`.
        keepdims: whether reduced axes stay, with size 1. Default: `False`.

    Returns:
        An int32 tensor without the axis.

    Example:
        >>> keras.ops.argmax([[1.0, 2.0], [4.0, 3.0]], axis=1)
        tensor([1, 0], dtype=torch.int32)
    """
    x = x.byte() if x.dtype is torch.bool else x
    return torch.argmax(x, axis, keepdim=keepdims).to(torch.int32)


@op
def argmin(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Return the index of the smallest element along an axis.

    Args:
        x: tensor.
        axis: axis to search; `None` for the flattened tensor. Default: `None`.
        keepdims: whether reduced axes stay, with size 1. Default: `False`.

    Returns:
        An int32 tensor without the axis.

    Example:
        >>> keras.ops.argmin([[1.0, 2.0], [4.0, 3.0]], axis=1)
        tensor([0, 1], dtype=torch.int32)
    """
    x = x.byte() if x.dtype is torch.bool else x
    return torch.argmin(x, axis, keepdim=keepdims).to(torch.int32)


@op
def any(x: Tensor, axis: Axes | None = None, keepdims: bool = False) -> Tensor:
    """Say whether any element along axes is true (or not 0).

    Args:
        x: tensor.
        axis: axis or axes to reduce; `None` for all. Default: `None`.
        keepdims: whether reduced axes stay, with size 1. Default: `False`.

    Returns:
        A boolean tensor without the reduced axes.

    Example:
        >>> keras.ops.any([[True, False], [False, False]], axis=1)
        tensor([ True, False])
    """
    x = x.bool() if x.dtype is torch.uint8 else x  # of which torch's answer would be uint8
    if axis is None and not keepdims:
        return torch.any(x)
    return torch.any(*over(x, axis, keepdims))


@op
def all(x: Tensor, axis: Axes | None = None, keepdims: bool = False) -> Tensor:
    """Say whether all elements along axes are true (or not 0).

    Args:
        x: tensor.
        axis: axis or axes to reduce; `None` for all. Default: `None`.
        keepdims: whether reduced axes stay, with size 1. Default: `False`.

    Returns:
        A boolean tensor without the reduced axes.

    Example:
        >>> keras.ops.all([[True, False], [True, True]], axis=1)
        tensor([False,  True])
    """
    x = x.bool() if x.dtype is torch.uint8 else x  # of which torch's answer would be uint8
    if axis is None and not keepdims:
        return torch.all(x)
    return torch.all(*over(x, axis, keepdims))


@op
def count_nonzero(x: Tensor, axis: Axes | None = None) -> Tensor:
    """Count the elements along axes that are not 0.

    Args:
        x: tensor.
        axis: axis or axes to reduce; `None` for all. Default: `None`.

    Returns:
        An int32 tensor without the reduced axes.

    Example:
        >>> keras.ops.count_nonzero([[1, 0], [2, 3]], axis=1)
        tensor([1, 2], dtype=torch.int32)
    """
    if axis is not None:
        x, axis, _ = over(x, axis, False)
    return torch.count_nonzero(x, axis).to(torch.int32)
