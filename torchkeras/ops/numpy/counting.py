"""Counts: how many there are of each value, or between two of them; which values there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from torchkeras.core.operations.op import op
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.tensors.convert import constant
from torchkeras.core.tensors.promotion import common_dtype
from torchkeras.core.types import ArrayLike
from torchkeras.ops.numpy.axes import shape_of


def _counted(x: KerasTensor, weights: Any = None, minlength: int = 0, sparse: bool = False) -> KerasTensor:
    return KerasTensor((*x.shape[:-1], None), "int32" if weights is None else weights.dtype)


@op(keep=("weights",), spec=_counted)
def bincount(x: Tensor, weights: Tensor | None = None, minlength: int = 0, sparse: bool = False) -> Tensor:
    """Count how often each of the numbers 0, 1, ... occurs, or sum the weights of its occurrences.

    Args:
        x: tensor of integers `(n,)` or `(batch, n)`, none negative.
        weights: tensor of the shape of `x`; `None` counts each occurrence as 1. Default: `None`.
        minlength: least length of the result. Default: `0`.
        sparse: must be `False`: torch has no such sparse tensor. Default: `False`.

    Returns:
        A tensor `(numbers,)` or `(batch, numbers)`.

    Raises:
        ValueError: `sparse` is `True`.

    Example:
        >>> keras.ops.bincount([0, 2, 2])
        tensor([1, 0, 2], dtype=torch.int32)
    """
    if sparse:
        raise ValueError("bincount() gives dense tensors; received sparse=True.")
    if x.dim() > 1:
        length = int(x.max()) + 1 if x.numel() else 0
        rows = torch.arange(x.shape[0], device=x.device).unsqueeze(1)
        length = length if length > minlength else minlength
        flat = None if weights is None else weights.reshape(-1)
        return bincount((x + rows * length).reshape(-1), flat, x.shape[0] * length).reshape(x.shape[0], length)
    if weights is None:
        return torch.bincount(x, minlength=minlength).to(torch.int32)
    return torch.bincount(x, weights, minlength).to(common_dtype((x, weights), narrow=True))


def _check_histogram(x: Tensor, bins: int = 10, range: Sequence[float] | None = None) -> None:
    if not isinstance(bins, int) or isinstance(bins, bool):
        raise TypeError(f"bins must be an integer; received {bins!r}.")
    if bins <= 0:
        raise ValueError(f"Argument `bins` should be a non-negative integer, and not 0; received {bins}.")
    if range is not None and len(range) != 2:
        raise ValueError(f"Argument `range` must be a tuple of two elements; received {range}.")
    if range is not None and range[1] < range[0]:
        raise ValueError(f"The second element of `range` must be greater than the first; received {range}.")
    if x.dim() != 1:
        raise ValueError(f"Input tensor must be 1-dimensional; received the shape {tuple(x.shape)}.")


@op(dtype="float", check=_check_histogram)
def histogram(x: Tensor, bins: int = 10, range: Sequence[float] | None = None) -> tuple[Tensor, Tensor]:
    """Count the elements in equally wide bins.

    Args:
        x: vector.
        bins: number of bins. Default: `10`.
        range: lowest and highest edge; `None`: the smallest and the largest element. Default: `None`.

    Returns:
        Counts `(bins,)` and edges `(bins + 1,)`.

    Raises:
        TypeError: `bins` is no integer, or `range` no pair.
        ValueError: `bins` is not positive, `range` does not ascend, or `x` is no vector.

    Example:
        >>> keras.ops.histogram([0.0, 1.0, 1.5, 4.0], bins=2)[0]
        tensor([3., 1.])
    """
    if x.is_cpu and x.dtype in _COUNTED and bins.__class__ is int and x.dim() == 1 and not x.requires_grad:
        counts, edges = torch.histogram(x, bins, range=range)
        return counts, edges
    _check_histogram(x, bins, range)
    if range is not None:
        low, high = (constant(end, x.dtype, x.device) for end in range)
    else:
        low, high = torch.aminmax(x) if x.numel() else (x.new_zeros(()), x.new_ones(()))
    half = (low == high).to(x.dtype) * 0.5  # one value alone is in the middle of a range of size 1
    low, high = low - half, high + half
    edges = torch.lerp(low, high, torch.linspace(0, 1, bins + 1, dtype=x.dtype, device=x.device))
    inside = (x >= low) & (x <= high)
    places = torch.bucketize(x, edges[1:-1], right=True)
    return torch.zeros_like(edges[1:]).scatter_add(0, places, inside.to(x.dtype)), edges


_COUNTED = (torch.float32, torch.float64)  # types for which torch has a histogram, on CPU and without a gradient


def _digitized(x: Any, bins: Any) -> KerasTensor:
    _check_bins(shape_of(bins))
    return KerasTensor(shape_of(x), "int32")


def _check_bins(shape: tuple) -> None:
    if len(shape) != 1:
        raise ValueError(f"bins must be a vector; received the shape {tuple(shape)}.")


@op(dtype="common", spec=_digitized)
def digitize(x: Tensor, bins: Tensor) -> Tensor:
    """Return for each value how many of the ascending `bins` are not above it.

    Args:
        x: tensor of values.
        bins: vector in ascending order.

    Returns:
        An int32 tensor of the shape of `x`.

    Raises:
        ValueError: `bins` has more than one axis.

    Example:
        >>> keras.ops.digitize([0.5, 2.0], [1.0, 2.0, 3.0])
        tensor([0, 2], dtype=torch.int32)
    """
    _check_bins(bins.shape)
    if x.dtype is torch.bool:  # for which torch has no search
        x, bins = x.byte(), bins.byte()
    return torch.bucketize(x, bins, right=True, out_int32=True)


def _place(sorted_sequence: Any, values: Any, side: str = "left") -> KerasTensor:
    return KerasTensor(shape_of(values), "int32")


@op(dtype="common", name="SearchSorted", spec=_place)
def searchsorted(sorted_sequence: Tensor, values: Tensor, side: str = "left") -> Tensor:
    """Find where values belong in a sorted vector.

    Args:
        sorted_sequence: vector in ascending order.
        values: tensor of values.
        side: `"left"`: before equal elements; `"right"`: behind them. Default: `"left"`.

    Returns:
        An int32 tensor of the shape of `values`.

    Raises:
        ValueError: the sequence has more than one axis.

    Example:
        >>> keras.ops.searchsorted([1.0, 3.0, 5.0], [3.0, 4.0])
        tensor([1, 2], dtype=torch.int32)
    """
    if sorted_sequence.dim() != 1:
        raise ValueError(f"sorted_sequence must be a vector; received the shape {tuple(sorted_sequence.shape)}.")
    return torch.searchsorted(sorted_sequence, values, side=side, out_int32=True)


def _found(
    x: KerasTensor,
    sorted: bool = True,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    size: int | None = None,
    fill_value: ArrayLike | None = None,
) -> Any:
    values = (size,) if axis is None else (*x.shape[:axis], size, *x.shape[axis:][1:])
    inverse = x.shape if axis is None else (x.shape[axis],)
    found = [KerasTensor(values, x.dtype)]
    found += [KerasTensor((size,), "int32")] * return_index
    found += [KerasTensor(inverse, "int32")] * return_inverse
    found += [KerasTensor((size,), "int32")] * return_counts
    return tuple(found) if len(found) > 1 else found[0]


@op(spec=_found)
def unique(
    x: Tensor,
    sorted: bool = True,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    size: int | None = None,
    fill_value: ArrayLike | None = None,
) -> Any:
    """Return the distinct elements of a tensor, or its distinct slices along an axis.

    Args:
        x: tensor.
        sorted: whether the result ascends. Default: `True`.
        return_index: whether to return also the index of each first occurrence. Default: `False`.
        return_inverse: whether to return also the index in the result of each element of `x`. Default: `False`.
        return_counts: whether to return also how often each one occurs. Default: `False`.
        axis: axis of the slices; `None` for single elements. Default: `None`.
        size: number of elements to return: others are cut off, missing ones filled; `None` for as many as there are.
            Default: `None`.
        fill_value: value of the missing ones; `None` for 0. Default: `None`.

    Returns:
        A tensor, or a tuple of it and what else was asked for.

    Example:
        >>> keras.ops.unique([3, 1, 3])
        tensor([1, 3], dtype=torch.int32)
    """
    if not (return_index or return_inverse or return_counts):
        values = torch.unique(x, sorted, dim=axis)
        return values if size is None else _sized(values, size, axis or 0, fill_value or 0)
    values, inverse, counts = torch.unique(x, sorted, True, True, dim=axis)
    dim = 0 if axis is None else axis
    n = values.shape[dim]
    found = [values]
    if return_index:
        places = torch.arange(inverse.numel(), device=x.device)
        found.append(places.new_full((n,), places.numel()).scatter_reduce(0, inverse.reshape(-1), places, "amin"))
    if return_counts:
        found.append(counts)
    if size is not None:
        fills = [0 if fill_value is None else fill_value] + [1] * return_index + [0] * return_counts
        found = [_sized(t, size, dim if t is values else 0, fill) for t, fill in zip(found, fills)]
    if return_inverse:
        found.insert(1 + return_index, inverse)
    return tuple(found) if len(found) > 1 else found[0]


def _sized(x: Tensor, size: int, axis: int, fill: Any) -> Tensor:
    if x.shape[axis] >= size:
        return x.narrow(axis, 0, size)
    shape = list(x.shape)
    shape[axis] = size - shape[axis]
    rest = constant(fill, x.dtype, x.device).expand(shape)
    return torch.cat((x, rest), axis)
