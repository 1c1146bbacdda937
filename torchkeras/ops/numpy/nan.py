"""Reductions that leave NaN out."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchkeras.core.operations.op import op
from torchkeras.ops.numpy.axes import NO_AXES, over, over_nothing
from torchkeras.ops.numpy.statistics import quantiles
from torchkeras.ops.numpy.sums import SUMMED, product


@op
def nansum(x: Tensor, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The sum along `axis` (default all)."""
    if axis in NO_AXES:
        x, axis, keepdims = over_nothing(x)
    return torch.nansum(x, axis, keepdim=keepdims, dtype=SUMMED.get(x.dtype))


@op(dtype="narrow")
def nanprod(x: Tensor, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The product along `axis` (default all)."""
    x = torch.nan_to_num(x, 1.0, torch.inf, -torch.inf)
    return product(x, axis, keepdims, SUMMED.get(x.dtype))


@op
def nanmax(x: Tensor, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The greatest value along `axis` (default all); NaN where there is none."""
    x, axis, keepdims = over(x, axis, keepdims)
    if not x.is_floating_point():
        return torch.amax(x, axis, keepdim=keepdims)
    missing = torch.isnan(x)
    result = torch.amax(torch.where(missing, -torch.inf, x), axis, keepdim=keepdims)
    return torch.where(torch.all(missing, axis, keepdim=keepdims), torch.nan, result)


@op
def nanmin(x: Tensor, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The least value along `axis` (default all); NaN where there is none."""
    x, axis, keepdims = over(x, axis, keepdims)
    if not x.is_floating_point():
        return torch.amin(x, axis, keepdim=keepdims)
    missing = torch.isnan(x)
    result = torch.amin(torch.where(missing, torch.inf, x), axis, keepdim=keepdims)
    return torch.where(torch.all(missing, axis, keepdim=keepdims), torch.nan, result)


@op
def nanargmax(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The index of the greatest value along `axis` (default: of the flattened tensor), int32; -1 if there is none."""
    return _index(torch.argmax, x, axis, keepdims, -torch.inf)


@op
def nanargmin(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The index of the least value along `axis` (default: of the flattened tensor), int32; -1 if there is none."""
    return _index(torch.argmin, x, axis, keepdims, torch.inf)


def _index(find: Any, x: Tensor, axis: int | None, keepdims: bool, worst: float) -> Tensor:
    if not x.is_floating_point():
        return find(x.byte() if x.dtype is torch.bool else x, axis, keepdim=keepdims).to(torch.int32)
    missing = torch.isnan(x)
    index = find(torch.where(missing, worst, x), axis, keepdim=keepdims).to(torch.int32)
    nothing = torch.all(missing, tuple(range(x.dim())) if axis is None else axis, keepdim=keepdims)
    return torch.where(nothing, -1, index)


@op(dtype="narrow_float")
def nanmean(x: Tensor, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The mean along `axis` (default all)."""
    if axis in NO_AXES:
        x, axis, keepdims = over_nothing(x)
    return torch.nanmean(x, axis, keepdim=keepdims)


@op(dtype="narrow_float")
def nanvar(x: Tensor, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The variance along `axis` (default all), divided by the number of values."""
    if axis in NO_AXES:
        x, axis, keepdims = over_nothing(x)
    return torch.nanmean(torch.square(x - torch.nanmean(x, axis, keepdim=True)), axis, keepdim=keepdims)


@op(dtype="narrow_float")
def nanstd(x: Tensor, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The standard deviation along `axis` (default all), divided by the number of values."""
    x, axis, keepdims = over(x, axis, keepdims)
    square = torch.square(x - torch.nanmean(x, axis, keepdim=True))
    return torch.sqrt(torch.nanmean(square, axis, keepdim=keepdims))


@op(dtype="narrow_float")
def nanmedian(x: Tensor, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The middle value along `axis` (default all), or the mean of the two in the middle."""
    return quantiles(x, torch.full((), 0.5, device=x.device), axis, "linear", keepdims, skip_nan=True)


@op(dtype="narrow_float", keep=("q",))
def nanquantile(x: Tensor, q: Tensor, axis: Any = None, method: str = "linear", keepdims: bool = False) -> Tensor:
    """The values that fractions `q` of the values along `axis` (default all) lie below; see `quantile`."""
    return quantiles(x, q, axis, method, keepdims, skip_nan=True)


@op(dtype="narrow_float", keep=("q",))
def nanpercentile(x: Tensor, q: Tensor, axis: Any = None, method: str = "linear", keepdims: bool = False) -> Tensor:
    """As `nanquantile`, with `q` in percent."""
    return quantiles(x, q / 100, axis, method, keepdims, skip_nan=True)
