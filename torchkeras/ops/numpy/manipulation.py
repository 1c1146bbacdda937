"""Values turned round, shifted, repeated, padded."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from torchkeras.core.memo import memoized
from torchkeras.core.operations.op import op
from torchkeras.core.symbolic.infer import infer
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.tensors.convert import constant
from torchkeras.core.types import Axes, Sizes
from torchkeras.ops.numpy.axes import ALL_AXES, positive_axis, tuple_of


@op
def flip(x: Tensor, axis: Axes | None = None) -> Tensor:
    """Reverse the order of the elements along axes.

    Args:
        x: tensor.
        axis: axis or axes; `None` for all. Default: `None`.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.flip([1, 2, 3])
        tensor([3, 2, 1], dtype=torch.int32)
    """
    return torch.flip(x, ALL_AXES[x.dim()] if axis is None else tuple_of(axis))


@op
def fliplr(x: Tensor) -> Tensor:
    """Reverse the order of the elements along the second axis.

    Args:
        x: tensor of at least two axes.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.fliplr([[1, 2], [3, 4]])
        tensor([[2, 1],
                [4, 3]], dtype=torch.int32)
    """
    return torch.fliplr(x)


@op
def flipud(x: Tensor) -> Tensor:
    """Reverse the order of the elements along the first axis.

    Args:
        x: tensor of at least one axis.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.flipud([[1, 2], [3, 4]])
        tensor([[3, 4],
                [1, 2]], dtype=torch.int32)
    """
    return torch.flipud(x)


@op
def roll(x: Tensor, shift: Sizes, axis: Axes | None = None) -> Tensor:
    """Shift the elements along axes; those that leave at the end come in at the start.

    Args:
        x: tensor.
        shift: by how many places, one number for each axis.
        axis: axis or axes; `None` shifts the flattened tensor. Default: `None`.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.roll([1, 2, 3], 1)
        tensor([3, 1, 2], dtype=torch.int32)
    """
    if isinstance(shift, int) and isinstance(axis, (list, tuple)):
        shift = (shift,) * len(axis)
    return torch.roll(x, shift, axis)


@op
def rot90(array: Tensor, k: int = 1, axes: Axes = (0, 1)) -> Tensor:
    """Rotate a tensor by 90 degrees in the plane of two axes.

    Args:
        array: tensor.
        k: how many times. Default: `1`.
        axes: the two axes; the rotation goes from the first to the second. Default: `(0, 1)`.

    Returns:
        A tensor.

    Raises:
        ValueError: `axes` are not two different axes of the tensor.

    Example:
        >>> keras.ops.rot90([[1, 2], [3, 4]])
        tensor([[2, 4],
                [1, 3]], dtype=torch.int32)
    """
    rank = array.dim()
    first, second = axes if len(axes) == 2 else (0, 0)  # type: ignore[arg-type, misc]
    if rank < 2 or not (-rank <= first < rank and -rank <= second < rank) or (first - second) % rank == 0:
        raise ValueError(
            f"rot90() turns in the plane of two different axes; received axes={axes} for a tensor of {rank} dimensions."
        )
    return torch.rot90(array, k, (first, second))


def _repeated(x: KerasTensor, repeats: Sizes, axis: int | None = None) -> Any:
    counts = tuple_of(repeats)
    if len(counts) == 1:
        return infer(repeat, (x, counts[0], axis), {})
    shape = x.shape if axis is not None else (None if None in x.shape else math.prod(x.shape),)
    axis = 0 if axis is None else positive_axis(axis, len(x.shape))
    if shape[axis] not in (None, len(counts)):
        raise ValueError(f"repeats must be one number, or one for each of {shape[axis]} values; received {repeats}.")
    return KerasTensor((*shape[:axis], None if shape[axis] is None else sum(counts), *shape[axis + 1 :]), x.dtype)


@op(spec=_repeated)
def repeat(x: Tensor, repeats: Sizes, axis: int | None = None) -> Tensor:
    """Repeat each element along an axis.

    Args:
        x: tensor.
        repeats: how often: a number, or one for each element.
        axis: the axis; `None` flattens the tensor. Default: `None`.

    Returns:
        A tensor.

    Example:
        >>> keras.ops.repeat([1, 2], 2)
        tensor([1, 1, 2, 2], dtype=torch.int32)
    """
    if isinstance(repeats, (int, Tensor)):
        return torch.repeat_interleave(x, repeats, axis)
    counts = tuple_of(repeats)
    if len(counts) == 1:
        return torch.repeat_interleave(x, counts[0], axis)
    return torch.repeat_interleave(x, constant(counts, torch.int64, x.device), axis, output_size=sum(counts))


@op
def tile(x: Tensor, repeats: Sizes) -> Tensor:
    """Repeat a whole tensor along its axes.

    Args:
        x: tensor.
        repeats: how often along each axis.

    Returns:
        A tensor.

    Example:
        >>> keras.ops.tile([1, 2], 2)
        tensor([1, 2, 1, 2], dtype=torch.int32)
    """
    return torch.tile(x, tuple_of(repeats))


@op(call=("constant_values",))
def pad(
    x: Tensor,
    pad_width: int | Sequence[int] | Sequence[Sequence[int]],
    mode: str = "constant",
    constant_values: Any = None,
) -> Tensor:
    """Add elements before and after those of each axis.

    Args:
        x: tensor.
        pad_width: numbers of new elements, `(before, after)` for each axis; one pair, or one number, holds for all
            axes.
        mode: `"constant"`, `"edge"` (or `"replicate"`: repeat the last element), `"reflect"` (mirror at the last
            element), `"symmetric"` (mirror behind it) or `"wrap"` (or `"circular"`: go on at the other end). Default:
            `"constant"`.
        constant_values: value of the new elements in constant mode; `None`: 0. Default: `None`.

    Returns:
        A tensor.

    Raises:
        ValueError: `pad_width` does not fit the axes, or a constant is given for another mode.
        NotImplementedError: there is no such mode.

    Example:
        >>> keras.ops.pad([1, 2], 1)
        tensor([0, 1, 2, 0], dtype=torch.int32)
    """
    try:
        widths = _widths(pad_width if pad_width.__class__ is tuple else _as_tuples(pad_width), x.dim())  # type: ignore[arg-type]
    except TypeError:  # lists in a tuple are not hashable
        widths = _widths(_as_tuples(pad_width), x.dim())  # type: ignore[arg-type]
    if mode != "constant":
        if constant_values is not None:
            raise ValueError(
                f"Argument `constant_values` can only be provided when `mode == 'constant'`; received mode={mode!r}."
            )
        return _padded_from_within(x, widths[::-1], mode)
    if constant_values is None:
        return F.pad(x, widths)
    if isinstance(constant_values, Tensor):
        inside = F.pad(torch.ones_like(x, dtype=torch.bool), widths)
        return torch.where(inside, F.pad(x, widths), constant_values.to(x.dtype))
    if not (x.is_floating_point() or x.is_complex()):
        constant_values = int(constant_values)
    return F.pad(x, widths, value=constant_values)


def _as_tuples(sizes: Sizes) -> Any:
    """Sizes given as numbers, arrays, tensors, or nests of these, as numbers and tuples of them."""
    sizes = sizes.tolist() if hasattr(sizes, "tolist") else sizes
    return tuple(map(_as_tuples, sizes)) if isinstance(sizes, (list, tuple)) else sizes


@memoized
def _widths(pad_width: int | Sequence[int] | Sequence[Sequence[int]], rank: int) -> tuple[int, ...]:
    """The widths in torch's order: before, after, from the last axis on."""
    given = tuple_of(pad_width)
    if all(isinstance(size, int) for size in given):
        given = ((given[0], given[-1]),)
    pairs = [tuple_of(pair) for pair in given]
    if len(pairs) == 1:
        pairs *= rank
    if len(pairs) != rank or any(len(pair) not in (1, 2) for pair in pairs):
        raise ValueError(
            f"pad_width must be a number, a pair, or a pair for each of the {rank} axes; received {pad_width}."
        )
    return tuple(size for pair in pairs[::-1] for size in (pair[0], pair[-1]))


_SOURCES: dict[str, Callable[[Tensor, int], Tensor]] = {
    "reflect": lambda i, n: (n - 1) - (i % max(2 * n - 2, 1) - (n - 1)).abs(),
    "symmetric": lambda i, n: torch.where(i % (2 * n) < n, i % (2 * n), 2 * n - 1 - i % (2 * n)),
    "edge": lambda i, n: i.clamp(0, n - 1),
    "wrap": lambda i, n: i % n,
}
_SYNONYMS = {"replicate": "edge", "circular": "wrap"}


def _padded_from_within(x: Tensor, widths: tuple[int, ...], mode: str) -> Tensor:
    mode = _SYNONYMS.get(mode, mode)
    if mode not in _SOURCES:
        known = ["constant", *_SOURCES, *_SYNONYMS]
        raise NotImplementedError(f"pad() knows the modes {known}; received mode={mode!r}.")
    for axis, (after, before) in enumerate(zip(widths[::2], widths[1::2])):
        if before or after:
            size = x.shape[axis]
            positions = torch.arange(-before, size + after, device=x.device)
            x = torch.index_select(x, axis, _SOURCES[mode](positions, size))
    return x
