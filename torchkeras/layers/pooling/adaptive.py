"""Pooling to a given output size, for inputs of any size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import torch.nn.functional as F
from torch import Tensor

from torchkeras.core.settings import standardize_data_format
from torchkeras.layers.base.input_spec import InputSpec
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.base.options import LayerOptions
from torchkeras.layers.spatial import channel_axis, with_spatial_dims
from torchkeras.ops.nn.windows import TorchView, standardize_tuple


class BaseAdaptivePooling(Layer):
    """Splits each spatial dimension into `output_size` windows and pools each."""

    keras_module = None
    rank: int

    def __init__(
        self, output_size: int | Sequence[int], data_format: str | None = None, **kwargs: Unpack[LayerOptions]
    ) -> None:
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
        return pool(x, self._out)  # type: ignore[arg-type]


class AdaptiveMaxPooling(BaseAdaptivePooling):
    """The largest value of each window."""

    keras_module = None

    def _pool(self, x: Tensor) -> Tensor:
        pool = F.adaptive_max_pool2d if self._view.rank == 2 else F.adaptive_max_pool3d
        return pool(x, self._out)


class AdaptiveAveragePooling1D(AdaptiveAveragePooling):
    """Reduce sequences of any size to a fixed size, by the mean of each window.

    Window `i` of `n` along a dimension of size `size` covers `floor(i * size / n)` to `ceil((i + 1) * size / n)`, as in
    `torch.nn.AdaptiveAvgPool1d`; neighbouring windows may overlap by one value.

    Args:
        output_size: size of the outputs: an int, or a tuple of one int.
        data_format: order of the axes: `"channels_last"` for `(batch, steps, features)`, `"channels_first"` for
            `(batch, features, steps)`; `None` means `keras.config.image_data_format()`. Default: `None`.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of three dimensions.

    Input shape:
        `(batch, steps, features)`, or `(batch, features, steps)` with `"channels_first"`.

    Output shape:
        `(batch, output_size, features)`, or
        `(batch, features, output_size)` with `"channels_first"`.

    Example:
        >>> x = torch.arange(6.0).reshape(1, 6, 1)
        >>> keras.layers.AdaptiveAveragePooling1D(3)(x).flatten().tolist()
        [0.5, 2.5, 4.5]
    """

    rank = 1


class AdaptiveAveragePooling2D(AdaptiveAveragePooling):
    """Reduce images of any size to a fixed size, by the mean of each window.

    Window `i` of `n` along a dimension of size `size` covers `floor(i * size / n)` to `ceil((i + 1) * size / n)`, as in
    `torch.nn.AdaptiveAvgPool2d`; neighbouring windows may overlap by one value.

    Args:
        output_size: size of the outputs: `(height, width)`, or one int for both.
        data_format: order of the axes: `"channels_last"` for `(batch, height, width, channels)`, `"channels_first"` for
            `(batch, channels, height, width)`; `None` means `keras.config.image_data_format()`. Default: `None`.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of four dimensions.

    Input shape:
        `(batch, height, width, channels)`, or `(batch, channels, height, width)` with `"channels_first"`.

    Output shape:
        `(batch, output_size[0], output_size[1], channels)`, or
        `(batch, channels, output_size[0], output_size[1])` with `"channels_first"`.

    Example:
        >>> keras.layers.AdaptiveAveragePooling2D((2, 3))(torch.zeros(1, 7, 10, 4)).shape
        torch.Size([1, 2, 3, 4])
    """

    rank = 2


class AdaptiveAveragePooling3D(AdaptiveAveragePooling):
    """Reduce volumes of any size to a fixed size, by the mean of each window.

    Window `i` of `n` along a dimension of size `size` covers `floor(i * size / n)` to `ceil((i + 1) * size / n)`, as in
    `torch.nn.AdaptiveAvgPool3d`; neighbouring windows may overlap by one value.

    Args:
        output_size: size of the outputs: `(depth, height, width)`, or one int for all three.
        data_format: order of the axes: `"channels_last"` for `(batch, depth, height, width, channels)`,
            `"channels_first"` for `(batch, channels, depth, height, width)`; `None` means
            `keras.config.image_data_format()`. Default: `None`.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of five dimensions.

    Input shape:
        `(batch, depth, height, width, channels)`, or `(batch, channels, depth, height, width)` with `"channels_first"`.

    Output shape:
        `(batch, output_size[0], output_size[1], output_size[2], channels)`, or
        `(batch, channels, output_size[0], output_size[1], output_size[2])` with `"channels_first"`.

    Example:
        >>> keras.layers.AdaptiveAveragePooling3D(2)(torch.zeros(1, 5, 6, 7, 4)).shape
        torch.Size([1, 2, 2, 2, 4])
    """

    rank = 3


class AdaptiveMaxPooling1D(AdaptiveMaxPooling):
    """Reduce sequences of any size to a fixed size, by the largest value of each window.

    Window `i` of `n` along a dimension of size `size` covers `floor(i * size / n)` to `ceil((i + 1) * size / n)`, as in
    `torch.nn.AdaptiveMaxPool1d`; neighbouring windows may overlap by one value.

    Args:
        output_size: size of the outputs: an int, or a tuple of one int.
        data_format: order of the axes: `"channels_last"` for `(batch, steps, features)`, `"channels_first"` for
            `(batch, features, steps)`; `None` means `keras.config.image_data_format()`. Default: `None`.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of three dimensions.

    Input shape:
        `(batch, steps, features)`, or `(batch, features, steps)` with `"channels_first"`.

    Output shape:
        `(batch, output_size, features)`, or
        `(batch, features, output_size)` with `"channels_first"`.

    Example:
        >>> x = torch.arange(6.0).reshape(1, 6, 1)
        >>> keras.layers.AdaptiveMaxPooling1D(3)(x).flatten().tolist()
        [1.0, 3.0, 5.0]
    """

    rank = 1


class AdaptiveMaxPooling2D(AdaptiveMaxPooling):
    """Reduce images of any size to a fixed size, by the largest value of each window.

    Window `i` of `n` along a dimension of size `size` covers `floor(i * size / n)` to `ceil((i + 1) * size / n)`, as in
    `torch.nn.AdaptiveMaxPool2d`; neighbouring windows may overlap by one value.

    Args:
        output_size: size of the outputs: `(height, width)`, or one int for both.
        data_format: order of the axes: `"channels_last"` for `(batch, height, width, channels)`, `"channels_first"` for
            `(batch, channels, height, width)`; `None` means `keras.config.image_data_format()`. Default: `None`.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of four dimensions.

    Input shape:
        `(batch, height, width, channels)`, or `(batch, channels, height, width)` with `"channels_first"`.

    Output shape:
        `(batch, output_size[0], output_size[1], channels)`, or
        `(batch, channels, output_size[0], output_size[1])` with `"channels_first"`.

    Example:
        >>> layer = keras.layers.AdaptiveMaxPooling2D(1, data_format="channels_first")
        >>> layer(torch.zeros(1, 4, 7, 10)).shape
        torch.Size([1, 4, 1, 1])
    """

    rank = 2


class AdaptiveMaxPooling3D(AdaptiveMaxPooling):
    """Reduce volumes of any size to a fixed size, by the largest value of each window.

    Window `i` of `n` along a dimension of size `size` covers `floor(i * size / n)` to `ceil((i + 1) * size / n)`, as in
    `torch.nn.AdaptiveMaxPool3d`; neighbouring windows may overlap by one value.

    Args:
        output_size: size of the outputs: `(depth, height, width)`, or one int for all three.
        data_format: order of the axes: `"channels_last"` for `(batch, depth, height, width, channels)`,
            `"channels_first"` for `(batch, channels, depth, height, width)`; `None` means
            `keras.config.image_data_format()`. Default: `None`.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of five dimensions.

    Input shape:
        `(batch, depth, height, width, channels)`, or `(batch, channels, depth, height, width)` with `"channels_first"`.

    Output shape:
        `(batch, output_size[0], output_size[1], output_size[2], channels)`, or
        `(batch, channels, output_size[0], output_size[1], output_size[2])` with `"channels_first"`.

    Example:
        >>> keras.layers.AdaptiveMaxPooling3D((1, 2, 3))(torch.zeros(1, 5, 6, 7, 4)).shape
        torch.Size([1, 1, 2, 3, 4])
    """

    rank = 3
