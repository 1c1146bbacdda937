"""Pooling to a given output size, whatever the input's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from torchkeras.core.settings import standardize_data_format
from torchkeras.layers.base.input_spec import InputSpec
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.spatial import channel_axis, with_spatial_dims
from torchkeras.ops.nn.windows import TorchView, standardize_tuple


class BaseAdaptivePooling(Layer):
    """Splits each spatial dimension into `output_size` windows and pools each."""

    keras_module = None
    rank: int

    def __init__(self, output_size: int | Sequence[int], data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.output_size = standardize_tuple(output_size, self.rank, "output_size")
        self.data_format = standardize_data_format(data_format)
        self.input_spec = InputSpec(ndim=self.rank + 2)
        self._view = TorchView(self.rank, self.data_format)
        self._out = self._view.sizes(self.output_size)

    def call(self, inputs: Tensor) -> Tensor:
        return self._view.leave(self._pool(self._view.enter(inputs)))

    def _pool(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        channels = input_shape[channel_axis(self.data_format)]
        return with_spatial_dims(input_shape, self.output_size, channels, self.data_format)


class AdaptiveAveragePooling(BaseAdaptivePooling):
    """The mean of each window."""

    keras_module = None

    def _pool(self, x: Tensor) -> Tensor:
        pool = F.adaptive_avg_pool2d if self._view.rank == 2 else F.adaptive_avg_pool3d
        return pool(x, self._out)


class AdaptiveMaxPooling(BaseAdaptivePooling):
    """The largest value of each window."""

    keras_module = None

    def _pool(self, x: Tensor) -> Tensor:
        pool = F.adaptive_max_pool2d if self._view.rank == 2 else F.adaptive_max_pool3d
        return pool(x, self._out)


class AdaptiveAveragePooling1D(AdaptiveAveragePooling):
    """Adaptive average pooling of `(batch, steps, features)`."""

    rank = 1


class AdaptiveAveragePooling2D(AdaptiveAveragePooling):
    """Adaptive average pooling of `(batch, height, width, channels)`."""

    rank = 2


class AdaptiveAveragePooling3D(AdaptiveAveragePooling):
    """Adaptive average pooling of `(batch, depth, height, width, channels)`."""

    rank = 3


class AdaptiveMaxPooling1D(AdaptiveMaxPooling):
    """Adaptive max pooling of `(batch, steps, features)`."""

    rank = 1


class AdaptiveMaxPooling2D(AdaptiveMaxPooling):
    """Adaptive max pooling of `(batch, height, width, channels)`."""

    rank = 2


class AdaptiveMaxPooling3D(AdaptiveMaxPooling):
    """Adaptive max pooling of `(batch, depth, height, width, channels)`."""

    rank = 3
