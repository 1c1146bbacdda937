"""Axes and shapes, computed as Keras's private functions do; a size of `None` is unknown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torchkeras.core.types import Shape
from torchkeras.layers.spatial import window_lengths


def canonicalize_axis(axis: int, num_dims: int) -> int:
    """The axis counted from the front.

    Raises:
        ValueError: there is no such axis.
    """
    if not -num_dims <= axis < num_dims:
        raise ValueError(f"axis {axis} is out of bounds for an array with dimension {num_dims}.")
    return axis % num_dims if num_dims else 0


def canonicalize_axes(axes: Sequence[int] | int, num_dims: int) -> tuple[int, ...]:
    """The axes counted from the front."""
    return tuple(canonicalize_axis(axis, num_dims) for axis in to_tuple_or_list(axes))


def to_tuple_or_list(value: Any) -> Any:
    """A list or tuple as it is, any other value but `None` as a tuple of one."""
    return value if value is None or isinstance(value, (list, tuple)) else (value,)


def compute_expand_dims_output_shape(input_shape: Shape, axis: int | Sequence[int]) -> Shape:
    """The shape with axes of size 1 at the given places of the result."""
    axes = to_tuple_or_list(axis)
    places = {canonicalize_axis(one, len(input_shape) + len(axes)) for one in axes}
    rest = iter(input_shape)
    return tuple(1 if place in places else next(rest) for place in range(len(input_shape) + len(axes)))


def compute_transpose_output_shape(input_shape: Shape, axes: Sequence[int] | None) -> Shape:
    """The shape with its axes in another order; `None` reverses them.

    Raises:
        ValueError: there are more or fewer axes than sizes.
    """
    if axes is None:
        return tuple(reversed(input_shape))
    if len(axes) != len(input_shape):
        raise ValueError(f"axis must be a list of the same length as the input shape, {len(input_shape)}; got {axes}.")
    return tuple(input_shape[axis] for axis in axes)


def compute_reshape_output_shape(input_shape: Shape, newshape: Sequence[int], newshape_arg_name: str) -> Shape:
    """The new shape with its size of -1 resolved, where the old sizes are known.

    Raises:
        ValueError: the sizes do not fit.
    """
    unknown = list(newshape).count(-1)
    if unknown > 1:
        raise ValueError(f"There must be at most one unknown dimension (-1) in {newshape_arg_name}; got {newshape}.")
    if None in input_shape:
        return tuple(None if size == -1 else size for size in newshape)
    total, known = math.prod(input_shape), math.prod(size for size in newshape if size != -1)
    if (total % known if unknown and known else total != known) or (unknown and not known):
        raise ValueError(f"The total size of the tensor must be unchanged: {tuple(input_shape)} to {tuple(newshape)}.")
    return tuple(total // known if size == -1 else size for size in newshape)


def reduce_shape(shape: Shape, axis: Sequence[int] | None = None, keepdims: bool = False) -> Shape:
    """The shape after a reduction over the axes; `None` means all."""
    axes = canonicalize_axes(range(len(shape)) if axis is None else axis, len(shape))
    if keepdims:
        return tuple(1 if place in axes else size for place, size in enumerate(shape))
    return tuple(size for place, size in enumerate(shape) if place not in axes)


def compute_conv_output_shape(
    input_shape: Shape,
    filters: int,
    kernel_size: Sequence[int],
    strides: int | Sequence[int] = 1,
    padding: str = "valid",
    data_format: str = "channels_last",
    dilation_rate: int | Sequence[int] = 1,
) -> Shape:
    """The shape of a convolution's outputs for inputs of a shape."""
    first = data_format == "channels_first"
    sides = input_shape[2:] if first else input_shape[1:-1]
    lengths = window_lengths(
        sides, tuple(kernel_size), _sides(strides, sides), padding.lower(), _sides(dilation_rate, sides)
    )
    return (input_shape[0], filters, *lengths) if first else (input_shape[0], *lengths, filters)


def _sides(value: int | Sequence[int], like: Sequence[object]) -> tuple[int, ...]:
    return (value,) * len(like) if isinstance(value, int) else tuple(value)


def compute_conv_transpose_output_shape(
    input_shape: Shape,
    kernel_size: int | Sequence[int],
    filters: int,
    strides: int | Sequence[int],
    padding: str,
    output_padding: int | Sequence[int] | None = None,
    data_format: str = "channels_last",
    dilation_rate: int | Sequence[int] = 1,
) -> Shape:
    """The shape of a transposed convolution's outputs for inputs of a shape."""
    first = data_format == "channels_first"
    sides = input_shape[2:] if first else input_shape[1:-1]
    extra = [None] * len(sides) if output_padding is None else _sides(output_padding, sides)
    rows = zip(sides, _sides(kernel_size, sides), _sides(strides, sides), extra, _sides(dilation_rate, sides))
    lengths = tuple(
        None if size is None else _transposed(size, kernel, stride, more, dilation, padding)
        for size, kernel, stride, more, dilation in rows
    )
    return (input_shape[0], filters, *lengths) if first else (input_shape[0], *lengths, filters)


def _transposed(size: int, kernel: int, stride: int, extra: int | None, dilation: int, padding: str) -> int:
    reach = (kernel - 1) * dilation + 1
    if extra is None:
        return size * stride + (max(reach - stride, 0) if padding == "valid" else 0)
    return (size - 1) * stride + reach + extra - (2 * (reach // 2) if padding == "same" else 0)
