"""Axes as NumPy means them, in the terms of torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from torchkeras.core.types import Axes

NO_AXES: tuple = ((), [])
ALL_AXES = tuple(tuple(range(rank)) for rank in range(65))  # of a tensor of each rank that torch has


def over_nothing(x: Tensor) -> tuple[Tensor, int, bool]:
    """The arguments of a reduction of torch over no axes, which torch would take for all of them."""
    return x.unsqueeze(0), 0, False


def over(x: Tensor, axis: Axes, keepdims: bool) -> tuple[Tensor, Any, bool]:
    """The arguments of a reduction of torch that takes no `None`."""
    if axis is None:
        return x, ALL_AXES[x.dim()], keepdims
    return over_nothing(x) if axis in NO_AXES else (x, axis, keepdims)


def tuple_of(sizes: int | Sequence) -> tuple:
    """Sizes or axes given as a number, a sequence, an array or a tensor."""
    if isinstance(sizes, int):
        return (sizes,)
    sizes = sizes.tolist() if hasattr(sizes, "tolist") else sizes
    return tuple(sizes) if isinstance(sizes, (list, tuple)) else (sizes,)


def positive_axis(axis: int, rank: int) -> int:
    """The axis counted from the front.

    Raises:
        ValueError: there is no such axis.
    """
    if not -rank <= axis < rank:
        raise ValueError(f"axis {axis} is out of bounds: a tensor of {rank} dimensions has those in [{-rank}, {rank}).")
    return axis % rank


def check_axes(x: Tensor, axis: Axes | None = None, *_: Any, **__: Any) -> None:
    """Raise `ValueError` if one of the axes of a reduction is beyond the last one: the `check` of an op."""
    for one in () if axis is None or not x.dim() else tuple_of(axis):
        positive_axis(one, x.dim())


def shape_of(x: Any) -> tuple:
    """The shape of a tensor, symbolic or not, of an array, of a number."""
    return tuple(x.shape) if hasattr(x, "shape") else np.shape(x)


def last(x: Tensor, axis: Axes) -> Tensor:
    """The axes of a reduction (`None`: all) made one, at the end."""
    if axis is None:
        return x.reshape(-1)
    if isinstance(axis, int):
        return x.movedim(positive_axis(axis, x.dim()) if x.dim() else axis, -1)
    axes = sorted(positive_axis(one, x.dim()) for one in axis)
    if not axes:
        return x.unsqueeze(-1)
    return x.movedim(axes, tuple(range(-len(axes), 0))).flatten(-len(axes))


def kept(shape: tuple, axis: Axes) -> tuple:
    """A shape in which the axes of a reduction have size 1."""
    axes = range(len(shape)) if axis is None else [positive_axis(one, len(shape)) for one in tuple_of(axis)]
    return tuple(1 if i in axes else size for i, size in enumerate(shape))
