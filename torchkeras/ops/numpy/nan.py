"""Reductions that leave NaN out."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchkeras.core.operations.op import op
from torchkeras.core.types import Axes
from torchkeras.ops.numpy.axes import NO_AXES, check_axes, over, over_nothing
from torchkeras.ops.numpy.statistics import quantiles
from torchkeras.ops.numpy.sums import SUMMED, product


@op
def nansum(x: Tensor, axis: Axes | None = None, keepdims: bool = False) -> Tensor:
    """Sum the elements along axes; NaN counts as 0.

    Args:
        x: tensor.
        axis: axis or axes to reduce; `None` for all. Default: `None`.
        keepdims: whether reduced axes stay, with size 1. Default: `False`.

    Returns:
        A tensor without the reduced axes.

    Example:
        >>> keras.ops.nansum([[1.0, float("nan")], [3.0, 4.0]], axis=1)
        tensor([1., 7.])
    """
    if axis in NO_AXES:
        x, axis, keepdims = over_nothing(x)
    return torch.nansum(x, axis, keepdim=keepdims, dtype=SUMMED.get(x.dtype))


@op(dtype="narrow", check=check_axes)
def nanprod(x: Tensor, axis: Axes | None = None, keepdims: bool = False) -> Tensor:
    """Multiply the elements along axes; NaN counts as 1.

    Args:
        x: tensor.
        axis: axis or axes to reduce; `None` for all. Default: `None`.
        keepdims: whether reduced axes stay, with size 1. Default: `False`.

    Returns:
        A tensor without the reduced axes.

    Example:
        >>> keras.ops.nanprod([[1.0, float("nan")], [3.0, 4.0]], axis=1)
        tensor([ 1., 12.])
    """
    x = torch.nan_to_num(x, 1.0, torch.inf, -torch.inf)
    return product(x, axis, keepdims, SUMMED.get(x.dtype))


@op
def nanmax(x: Tensor, axis: Axes | None = None, keepdims: bool = False) -> Tensor:
    """Return the largest element along axes; NaN does not count, unless all are.

    Args:
        x: tensor.
        axis: axis or axes to reduce; `None` for all. Default: `None`.
        keepdims: whether reduced axes stay, with size 1. Default: `False`.

    Returns:
        A tensor without the reduced axes.

    Example:
        >>> keras.ops.nanmax([[1.0, float("nan")], [3.0, 4.0]], axis=1)
        tensor([1., 4.])
    """
    x, axis, keepdims = over(x, axis, keepdims)
    if not x.is_floating_point():
        return torch.amax(x, axis, keepdim=keepdims)
    missing = torch.isnan(x)
    result = torch.amax(torch.where(missing, -torch.inf, x), axis, keepdim=keepdims)
    return torch.where(torch.all(missing, axis, keepdim=keepdims), torch.nan, result)


@op
def nanmin(x: Tensor, axis: Axes | None = None, keepdims: bool = False) -> Tensor:
    """Return the smallest element along axes; NaN does not count, unless all are.

    Args:
        x: tensor.
        axis: axis or axes to reduce; `None` for all. Default: `None`.
        keepdims: whether reduced axes stay, with size 1. Default: `False`.

    Returns:
        A tensor without the reduced axes.

    Example:
        >>> keras.ops.nanmin([[1.0, float("nan")], [3.0, 4.0]], axis=1)
        tensor([1., 3.])
    """
    x, axis, keepdims = over(x, axis, keepdims)
    if not x.is_floating_point():
        return torch.amin(x, axis, keepdim=keepdims)
    missing = torch.isnan(x)
    result = torch.amin(torch.where(missing, torch.inf, x), axis, keepdim=keepdims)
    return torch.where(torch.all(missing, axis, keepdim=keepdims), torch.nan, result)


@op
def nanargmax(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Return the index of the largest element along an axis; NaN does not count, and -1 says that all are.

    Args:
        x: tensor.
        axis: axis to search; `None` for the flattened tensor. Default: `None`.
        keepdims: whether reduced axes stay, with size 1. Default: `False`.

    Returns:
        An int32 tensor without the axis.

    Example:
        >>> keras.ops.nanargmax([[1.0, float("nan")], [3.0, 4.0]], axis=1)
        tensor([0, 1], dtype=torch.int32)
    """
    return _index(torch.argmax, x, axis, keepdims, -torch.inf)


@op
def nanargmin(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Return the index of the smallest element along an axis; NaN does not count, and -1 says that all are.

    Args:
        x: tensor.
        axis: axis to search; `None` for the flattened tensor. Default: `None`.
        keepdims: whether reduced axes stay, with size 1. Default: `False`.

    Returns:
        An int32 tensor without the axis.

    Example:
        >>> keras.ops.nanargmin([[1.0, float("nan")], [3.0, 4.0]], axis=1)
        tensor([0, 0], dtype=torch.int32)
    """
    return _index(torch.argmin, x, axis, keepdims, torch.inf)


def _index(find: Any, x: Tensor, axis: int | None, keepdims: bool, worst: float) -> Tensor:
    if not x.is_floating_point():
        return find(x.byte() if x.dtype is torch.bool else x, axis, keepdim=keepdims).to(torch.int32)
    missing = torch.isnan(x)
    index = find(torch.where(missing, worst, x), axis, keepdim=keepdims).to(torch.int32)
    nothing = torch.all(missing, tuple(range(x.dim())) if axis is None else axis, keepdim=keepdims)
    return torch.where(nothing, -1, index)


@op(dtype="narrow_float")
def nanmean(x: Tensor, axis: Axes | None = None, keepdims: bool = False) -> Tensor:
    """Compute the mean of the elements along axes; NaN does not count.

    Args:
        x: tensor.
        axis: axis or axes to reduce; `None` for all. Default: `None`.
        keepdims: whether reduced axes stay, with size 1. Default: `False`.

    Returns:
        A tensor without the reduced axes.

    Example:
        >>> keras.ops.nanmean([[1.0, float("nan")], [3.0, 4.0]], axis=1)
        tensor([1.0000, 3.5000])
    """
    if axis in NO_AXES:
        x, axis, keepdims = over_nothing(x)
    return torch.nanmean(x, axis, keepdim=keepdims)


@op(dtype="narrow_float")
def nanvar(x: Tensor, axis: Axes | None = None, keepdims: bool = False) -> Tensor:
    """Compute the variance of the elements along axes; NaN does not count.

    Args:
        x: tensor.
        axis: axis or axes to reduce; `None` for all. Default: `None`.
        keepdims: whether reduced axes stay, with size 1. Default: `False`.

    Returns:
        A tensor without the reduced axes.

    Example:
        >>> keras.ops.nanvar([[1.0, float("nan")], [3.0, 4.0]], axis=1)
        tensor([0.0000, 0.2500])
    """
    if axis in NO_AXES:
        x, axis, keepdims = over_nothing(x)
    return torch.nanmean(torch.square(x - torch.nanmean(x, axis, keepdim=True)), axis, keepdim=keepdims)


@op(dtype="narrow_float")
def nanstd(x: Tensor, axis: Axes | None = None, keepdims: bool = False) -> Tensor:
    """Compute the standard deviation of the elements along axes; NaN does not count.

    Args:
        x: tensor.
        axis: axis or axes to reduce; `None` for all. Default: `None`.
        keepdims: whether reduced axes stay, with size 1. Default: `False`.

    Returns:
        A tensor without the reduced axes.

    Example:
        >>> keras.ops.nanstd([[1.0, float("nan")], [3.0, 4.0]], axis=1)
        tensor([0.0000, 0.5000])
    """
    x, axis, keepdims = over(x, axis, keepdims)
    square = torch.square(x - torch.nanmean(x, axis, keepdim=True))
    return torch.sqrt(torch.nanmean(square, axis, keepdim=keepdims))


@op(dtype="narrow_float")
def nanmedian(x: Tensor, axis: Axes | None = None, keepdims: bool = False) -> Tensor:
    """Return the middle element along axes; NaN does not count.

    Args:
        x: tensor.
        axis: axis or axes to reduce; `None` for all. Default: `None`.
        keepdims: whether reduced axes stay, with size 1. Default: `False`.

    Returns:
        A tensor without the reduced axes.

    Example:
        >>> keras.ops.nanmedian([[1.0, float("nan")], [3.0, 4.0]], axis=1)
        tensor([1.0000, 3.5000])
    """
    return quantiles(x, torch.full((), 0.5, device=x.device), axis, "linear", keepdims, skip_nan=True)


@op(dtype="narrow_float", keep=("q",))
def nanquantile(
    x: Tensor, q: Tensor, axis: Axes | None = None, method: str = "linear", keepdims: bool = False
) -> Tensor:
    """Return the values below which fractions of the elements lie; NaN does not count.

    Args:
        x: tensor.
        q: fraction or fractions in [0, 1].
        axis: axis or axes to reduce; `None` for all. Default: `None`.
        method: value between two neighbours: `"linear"`, `"lower"`, `"higher"`, `"midpoint"` or `"nearest"`. Default:
            `"linear"`.
        keepdims: whether reduced axes stay, with size 1. Default: `False`.

    Returns:
        A tensor without the reduced axes; the axis of `q`, if it has one, comes first.

    Example:
        >>> keras.ops.nanquantile([1.0, float("nan"), 3.0], 0.5)
        tensor(2.)
    """
    return quantiles(x, q, axis, method, keepdims, skip_nan=True)


@op(dtype="narrow_float", keep=("q",))
def nanpercentile(
    x: Tensor, q: Tensor, axis: Axes | None = None, method: str = "linear", keepdims: bool = False
) -> Tensor:
    """Return the values below which percentages of the elements lie; NaN does not count.

    Args:
        x: tensor.
        q: percentage or percentages in [0, 100].
        axis: axis or axes to reduce; `None` for all. Default: `None`.
        method: value between two neighbours: `"linear"`, `"lower"`, `"higher"`, `"midpoint"` or `"nearest"`. Default:
            `"linear"`.
        keepdims: whether reduced axes stay, with size 1. Default: `False`.

    Returns:
        A tensor without the reduced axes; the axis of `q`, if it has one, comes first.

    Example:
        >>> keras.ops.nanpercentile([1.0, float("nan"), 3.0], 50)
        tensor(2.)
    """
    return quantiles(x, q / 100, axis, method, keepdims, skip_nan=True)
