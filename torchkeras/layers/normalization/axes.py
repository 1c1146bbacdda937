"""The axes over which a normalization runs."""

from __future__ import annotations

from collections.abc import Sequence


def check_axes(axis: int | Sequence[int], input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
    """Return `input_shape`; raise `ValueError` if it does not have such an axis."""
    for one in [axis] if isinstance(axis, int) else axis:
        if not -len(input_shape) <= one < len(input_shape):
            raise ValueError(f"Axis {one} is out of bounds for input shape {tuple(input_shape)}. Received: axis={axis}")
    return tuple(input_shape)


def standardize_axis(axis: int | Sequence[int]) -> int | list[int]:
    """An int, or a list of ints; `TypeError` for anything else."""
    if isinstance(axis, (list, tuple)):
        return list(axis)
    if isinstance(axis, int):
        return axis
    raise TypeError(  # the words of Keras's UnitNormalization, then those of its LayerNormalization
        "Invalid value for `axis` argument: expected an int or a list/tuple of ints. "
        f"Expected an int or a list/tuple of ints for the argument 'axis', but received: {axis!r}"
    )


def axes_last(axes: Sequence[int], ndim: int) -> tuple[int, ...] | None:
    """The permutation that moves `axes` to the end in the order given; `None` if they are there already."""
    axes = [axis % ndim for axis in axes]
    order = (*(i for i in range(ndim) if i not in axes), *axes)
    return None if order == tuple(range(ndim)) else order


def inverse(permutation: Sequence[int]) -> tuple[int, ...]:
    """The permutation that undoes `permutation`."""
    return tuple(sorted(range(len(permutation)), key=permutation.__getitem__))
