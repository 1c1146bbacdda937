"""Dot: products of two batches, summed along one axis of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import torch
from torch import Tensor

from torchkeras.core import settings
from torchkeras.layers.base.options import LayerOptions
from torchkeras.layers.merging.base_merge import Merge, Shape
from torchkeras.ops.nn.normalization import unit_length


def batch_dot(x: Tensor, y: Tensor, axes: tuple[int, int]) -> Tensor:
    """Sum over axis `axes[0]` of `x` and `axes[1]` of `y` for each sample: `(batch, *rest of x, *rest of y)`."""
    rows, columns = x.movedim(axes[0], -1), y.movedim(axes[1], 1)
    shape = (x.shape[0], *rows.shape[1:-1], *columns.shape[2:])
    out = torch.bmm(rows.flatten(1, -2) if x.ndim > 2 else rows.unsqueeze(1), columns.unsqueeze(-1).flatten(2))
    return out.reshape(shape if len(shape) > 1 else (shape[0], 1))


class Dot(Merge):
    """Multiply two inputs sample by sample and sum along one axis of each.

    For inputs `x` and `y` of shape `(batch, n)` and `axes=1`, `outputs[b, 0] = sum_i x[b, i] * y[b, i]`; for more axes
    it is the matrix product of each sample, with the remaining axes of `x` first and those of `y` behind.

    Args:
        axes: int, or two ints: the axes of the first and the second input that are summed over. They must be of the
            same size, and not the batch axis.
        normalize: whether both inputs are first scaled to length 1 along `axes`; the result is then the cosine
            similarity. Default: `False`.
        **kwargs: `name`, `trainable`, `dtype`, `activity_regularizer` and the other arguments of `Layer`.

    Call arguments:
        inputs: list of exactly two tensors.

    Input shape:
        Two shapes `(batch, ...)`.

    Output shape:
        `(batch, *rest of x, *rest of y)`; `(batch, 1)` if nothing remains.

    Raises:
        TypeError: `axes` is neither an int nor a list or tuple.
        ValueError: `axes` does not have two ints, names the batch axis, or the sizes there differ.

    Example:
        >>> x, y = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0]])
        >>> keras.layers.Dot(axes=1)([x, y]).tolist()
        [[11.0]]
        >>> keras.layers.Dot(axes=(2, 1))([torch.zeros(8, 3, 4), torch.zeros(8, 4, 5)]).shape
        torch.Size([8, 3, 5])
    """

    _tk_builds_weights = False  # build() checks shapes

    def __init__(self, axes: int | Sequence[int], normalize: bool = False, **kwargs: Unpack[LayerOptions]) -> None:
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

    def _check_two(self, input_shape: object) -> None:
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

    def compute_mask(self, inputs: Sequence[Tensor], mask: Sequence[Tensor | None] | None = None) -> None:
        return None


def dot(inputs: Sequence[Tensor], axes: int | Sequence[int] = -1, **kwargs: Any) -> Tensor:
    """Multiply two inputs and sum along one axis of each: `Dot(axes, **kwargs)(inputs)`.

    Args:
        inputs: list of tensors or KerasTensors.
        axes: int, or two ints: the axes of the first and the second input that are summed over. Default: `-1`.
        **kwargs: the other arguments of `Dot`, such as `name`.

    Returns:
        The outputs of `Dot` for the inputs.

    Example:
        >>> keras.layers.dot([torch.ones(2, 3), torch.ones(2, 3)], axes=1).tolist()
        [[3.0], [3.0]]
    """
    return Dot(axes=axes, **kwargs)(inputs)
