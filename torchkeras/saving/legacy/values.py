"""Saved arrays that are turned into another layout when they are read: their shapes are known before."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from torchkeras.saving.formats.legacy_h5 import SavedLayer


class Value:
    """An array of a file.

    Args:
        shape: of the array.
        read: reads it.
    """

    def __init__(self, shape: tuple[int, ...], read: Callable[[], np.ndarray]) -> None:
        self.shape = shape
        self.read = read

    def transposed(self, axes: Sequence[int]) -> Value:
        """The array with its axes in another order."""
        return Value(tuple(self.shape[axis] for axis in axes), lambda: np.transpose(self.read(), axes))

    def flipped(self, axes: Sequence[int]) -> Value:
        """The array with some axes reversed."""
        return Value(self.shape, lambda: np.flip(self.read(), tuple(axes)))

    def without_axis(self, axis: int) -> Value:
        """The array without an axis of size 1."""
        return Value(self.shape[:axis] + self.shape[axis + 1 :], lambda: np.squeeze(self.read(), axis))

    def mapped(self, shape: tuple[int, ...], function: Callable[[np.ndarray], np.ndarray]) -> Value:
        """The result of a function of the array: an array of the shape."""
        return Value(shape, lambda: function(self.read()))


def values_of(saved: SavedLayer) -> list[Value]:
    """The weights of a saved layer in their order."""
    return [
        Value(saved.values.shape(name), lambda name=name: saved.values[name])  # type: ignore[misc]
        for name in saved.weight_names
    ]


def concatenated(values: Sequence[Value]) -> Value:
    """Arrays joined along their last axis."""
    size = sum(value.shape[-1] for value in values)
    return Value((*values[0].shape[:-1], size), lambda: np.concatenate([value.read() for value in values], -1))
