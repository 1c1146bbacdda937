"""Larger sequences, images and volumes: each value repeated, or interpolated."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from torchkeras.core.settings import standardize_data_format
from torchkeras.layers.base.input_spec import InputSpec
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.spatial import channel_axis, spatial_dims, with_spatial_dims
from torchkeras.ops.nn.windows import TorchView, standardize_tuple

Shape = tuple[int | None, ...]
INTERPOLATIONS = {"nearest": "nearest-exact", "bilinear": "bilinear", "bicubic": "bicubic"}


class UpSampling1D(Layer):
    """Each step of `(batch, steps, features)` `size` times."""

    def __init__(self, size: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(size, int) or isinstance(size, bool):
            raise TypeError(f"Expected an integer value for `size`, got {type(size)}.")
        if size <= 0:
            raise ValueError(f"Argument `size` should be a positive integer. Received: size={size}")
        self.size = size
        self.input_spec = InputSpec(ndim=3)

    def call(self, inputs: Tensor) -> Tensor:
        return torch.repeat_interleave(inputs, self.size, dim=1)

    def compute_output_shape(self, input_shape: Shape) -> list[int | None]:
        steps = input_shape[1]
        return [input_shape[0], steps if steps is None else steps * self.size, input_shape[2]]


class BaseUpSampling(Layer):
    """Rows, columns (and slices) repeated `size` times."""

    keras_module = None
    rank: int

    def _set_size(self, size: Any, data_format: str | None) -> None:
        self.data_format = standardize_data_format(data_format)
        self.size = standardize_tuple(size, self.rank, "size")
        self.input_spec = InputSpec(ndim=self.rank + 2)
        self._view = TorchView(self.rank, self.data_format)

    def _resize(self, inputs: Tensor, mode: str) -> Tensor:
        x = self._view.enter(inputs)
        size = [n * factor for n, factor in zip(x.shape[2:], self.size, strict=True)]
        return self._view.leave(F.interpolate(x, size, mode=mode))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        lengths = spatial_dims(input_shape, self.data_format)
        out = [n if n is None else n * factor for n, factor in zip(lengths, self.size, strict=True)]
        return with_spatial_dims(input_shape, out, input_shape[channel_axis(self.data_format)], self.data_format)


class UpSampling2D(BaseUpSampling):
    """Larger `(batch, height, width, channels)`, by `interpolation` "nearest", "bilinear" or "bicubic"."""

    rank = 2

    def __init__(
        self,
        size: Any = (2, 2),
        data_format: str | None = None,
        interpolation: str = "nearest",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.interpolation = interpolation.lower()
        self._set_size(size, data_format)

    def call(self, inputs: Tensor) -> Tensor:
        if self.interpolation not in INTERPOLATIONS:
            raise ValueError(
                f"Invalid value for argument `interpolation`. Expected one of {tuple(INTERPOLATIONS)}. "
                f"Received: interpolation={self.interpolation}"
            )
        return self._resize(inputs, INTERPOLATIONS[self.interpolation])


class UpSampling3D(BaseUpSampling):
    """Larger `(batch, depth, height, width, channels)`, each value repeated."""

    rank = 3

    def __init__(self, size: Any = (2, 2, 2), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._set_size(size, data_format)

    def call(self, inputs: Tensor) -> Tensor:
        return self._resize(inputs, "nearest-exact")
