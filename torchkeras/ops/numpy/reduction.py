"""Reductions."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchkeras.core.dtypes import torch_dtype
from torchkeras.core.op import op
from torchkeras.core.promotion import FLOATS


def _axes(x: Tensor, axis: Any) -> Any:
    return tuple(range(x.dim())) if axis is None else axis


@op
def sum(x: Tensor, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The sum along `axis` (default all)."""
    if x.dtype in FLOATS:
        return torch.sum(x, axis, keepdim=keepdims)
    dtype = torch.int32 if x.dtype in (torch.bool, torch.int8, torch.int16, torch.uint8) else x.dtype
    return torch.sum(x, axis, keepdim=keepdims, dtype=dtype)


@op(dtype="float")
def mean(x: Tensor, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The mean along `axis` (default all)."""
    return torch.mean(x, _axes(x, axis), keepdim=keepdims)


@op
def max(x: Tensor, axis: Any = None, keepdims: bool = False, initial: Any = None) -> Tensor:
    """The greatest value along `axis` (default all), `initial` at the least."""
    result = torch.amax(x, _axes(x, axis), keepdim=keepdims)
    return result if initial is None else torch.clamp(result, min=initial)


@op
def min(x: Tensor, axis: Any = None, keepdims: bool = False, initial: Any = None) -> Tensor:
    """The least value along `axis` (default all), `initial` at the most."""
    result = torch.amin(x, _axes(x, axis), keepdim=keepdims)
    return result if initial is None else torch.clamp(result, max=initial)


@op
def prod(x: Tensor, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> Tensor:
    """The product along `axis` (default all)."""
    x = x if dtype is None else x.to(torch_dtype(dtype))
    if axis is None:
        result = torch.prod(x)
        return result.reshape([1] * x.dim()) if keepdims else result
    for one in sorted((axis,) if isinstance(axis, int) else axis, key=lambda a: a % x.dim(), reverse=True):
        x = torch.prod(x, one, keepdim=keepdims)
    return x


@op(dtype="float")
def var(x: Tensor, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The variance along `axis` (default all)."""
    return torch.var(x, _axes(x, axis), keepdim=keepdims, correction=0)


@op(dtype="float")
def std(x: Tensor, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The standard deviation along `axis` (default all)."""
    return torch.std(x, _axes(x, axis), keepdim=keepdims, correction=0)


@op
def argmax(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The index of the greatest value along `axis` (default: of the flattened tensor)."""
    return torch.argmax(x, axis, keepdim=keepdims).to(torch.int32)


@op
def argmin(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The index of the least value along `axis` (default: of the flattened tensor)."""
    return torch.argmin(x, axis, keepdim=keepdims).to(torch.int32)


@op
def any(x: Tensor, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Whether any value along `axis` is true."""
    return torch.any(x, _axes(x, axis), keepdim=keepdims)


@op
def all(x: Tensor, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Whether all values along `axis` are true."""
    return torch.all(x, _axes(x, axis), keepdim=keepdims)


@op
def cumsum(x: Tensor, axis: int | None = None, dtype: Any = None) -> Tensor:
    """The running sum along `axis` (default: of the flattened tensor)."""
    x = x if dtype is None else x.to(torch_dtype(dtype))
    return torch.cumsum(x.flatten() if axis is None else x, 0 if axis is None else axis, dtype=x.dtype)
