"""Dot: a product of two batches along one axis of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from torchkeras.core import settings
from torchkeras.layers.merging.base_merge import Merge, Shape
from torchkeras.ops.nn.normalization import unit_length


def batch_dot(x: Tensor, y: Tensor, axes: tuple[int, int]) -> Tensor:
    """Sum over axis `axes[0]` of `x` and `axes[1]` of `y` for each sample: `(batch, *rest of x, *rest of y)`."""
    rows, columns = x.movedim(axes[0], -1), y.movedim(axes[1], 1)
    shape = (x.shape[0], *rows.shape[1:-1], *columns.shape[2:])
    out = torch.bmm(rows.flatten(1, -2) if x.ndim > 2 else rows.unsqueeze(1), columns.unsqueeze(-1).flatten(2))
    return out.reshape(shape if len(shape) > 1 else (shape[0], 1))


class Dot(Merge):
    """The product of two inputs summed over `axes`; `normalize` makes it the cosine."""

    def __init__(self, axes: Any, normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(axes, int):
            if not isinstance(axes, (list, tuple)):
                raise TypeError(
                    f"Invalid type for argument `axes`: it should be a list or an int. Received: axes={axes}"
                )
            if len(axes) != 2 or not all(isinstance(axis, int) for axis in axes):
                raise ValueError(
                    f"Invalid format for argument `axes`: it should be two integers. Received: axes={axes}"
                )
        self.axes = axes
        self.normalize = normalize

    def _axes(self, ndims: Sequence[int]) -> tuple[int, int]:
        axes = (self.axes, self.axes) if isinstance(self.axes, int) else self.axes
        first, second = (axis % ndim if axis < 0 else axis for axis, ndim in zip(axes, ndims, strict=True))
        return first, second

    def _check_two(self, input_shape: Any) -> None:
        if not isinstance(input_shape, (list, tuple)) or len(input_shape) != 2 or isinstance(input_shape[0], int):
            raise ValueError(
                f"A `Dot` layer should be called on a list of 2 inputs. Received: input_shape={input_shape}"
            )

    def build(self, input_shape: Sequence[Shape]) -> None:
        self._check_two(input_shape)
        one, other = input_shape
        first, second = self._axes([len(one), len(other)])
        if 0 in (first, second):
            raise ValueError(f"`Dot` cannot sum over the batch axis. Received: axes={self.axes}, shapes={input_shape}")
        if one[first] != other[second]:
            raise ValueError(
                f"Incompatible input shapes: axis values {one[first]} (at axis {first}) != {other[second]} "
                f"(at axis {second}). Full input shapes: {one}, {other}"
            )

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        if len(inputs) != 2:
            raise ValueError(f"A `Dot` layer should be called on exactly 2 inputs. Received {len(inputs)} inputs.")
        x, y = inputs
        axes = self._axes([x.ndim, y.ndim])
        if self.normalize:
            x, y = (unit_length(t, axis, settings.epsilon()) for t, axis in zip((x, y), axes, strict=True))
        return batch_dot(x, y, axes)

    def compute_output_shape(self, input_shape: Sequence[Shape]) -> Shape:
        self._check_two(input_shape)
        one, other = (list(shape) for shape in input_shape)
        first, second = self._axes([len(one), len(other)])
        one.pop(first)
        other.pop(second)
        out = (*one, *other[1:])
        return out if len(out) > 1 else (*out, 1)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:
        return None


def dot(inputs: Any, axes: Any = -1, **kwargs: Any) -> Any:
    """`Dot(axes, **kwargs)(inputs)`."""
    return Dot(axes=axes, **kwargs)(inputs)
