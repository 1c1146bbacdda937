"""Pooling over all spatial dimensions at once."""

from __future__ import annotations

from typing import Unpack

import torch
from torch import Tensor

from torchkeras.core.settings import standardize_data_format
from torchkeras.layers.base.input_spec import InputSpec
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.base.options import LayerOptions
from torchkeras.layers.spatial import channel_axis


class BaseGlobalPooling(Layer):
    """One value per channel; `keepdims` keeps the spatial dimensions, with size 1."""

    _tk_nothing_to_build = True

    keras_module = None
    rank: int

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(**kwargs)
        self.data_format = standardize_data_format(data_format)
        self.keepdims = keepdims
        self.input_spec = InputSpec(ndim=self.rank + 2)
        first = 1 if self.data_format == "channels_last" else 2
        self._dims = tuple(range(first, first + self.rank))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        channels = input_shape[channel_axis(self.data_format)]
        if not self.keepdims:
            return (input_shape[0], channels)
        ones = (1,) * (len(input_shape) - 2)
        if self.data_format == "channels_last":
            return (input_shape[0], *ones, channels)
        return (input_shape[0], channels, *ones)


def _mean(inputs: Tensor, dims: tuple[int, ...], keepdims: bool) -> Tensor:
    """The mean along some axes; integers give `float32`."""
    return torch.mean(inputs if inputs.is_floating_point() else inputs.float(), dims, keepdims)


class GlobalMaxPooling(BaseGlobalPooling):
    """The largest value of each channel."""

    keras_module = None

    def call(self, inputs: Tensor) -> Tensor:
        return torch.amax(inputs, self._dims, self.keepdims)


class GlobalAveragePooling(BaseGlobalPooling):
    """The mean of each channel."""

    keras_module = None

    def call(self, inputs: Tensor) -> Tensor:
        return _mean(inputs, self._dims, self.keepdims)


class GlobalMaxPooling1D(GlobalMaxPooling):
    """Take the largest value of each feature over all steps.

    Also called `GlobalMaxPool1D`.

    Args:
        data_format: order of the axes: `"channels_last"` for `(batch, steps, features)`, `"channels_first"` for
            `(batch, features, steps)`; `None` means `keras.config.image_data_format()`. Default: `None`.
        keepdims: whether the pooled dimensions stay, with size 1. Default: `False`.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of three dimensions.

    Input shape:
        `(batch, steps, features)`, or `(batch, features, steps)` with `"channels_first"`.

    Output shape:
        `(batch, features)`; with `keepdims`, `(batch, 1, features)` or `(batch, features, 1)`.

    Example:
        >>> x = torch.tensor([[[1.0, 8.0], [3.0, 2.0]]])
        >>> keras.layers.GlobalMaxPooling1D()(x).tolist()
        [[3.0, 8.0]]
    """

    rank = 1


class GlobalMaxPooling2D(GlobalMaxPooling):
    """Take the largest value of each channel over the whole image.

    Also called `GlobalMaxPool2D`.

    Args:
        data_format: order of the axes: `"channels_last"` for `(batch, height, width, channels)`, `"channels_first"` for
            `(batch, channels, height, width)`; `None` means `keras.config.image_data_format()`. Default: `None`.
        keepdims: whether the pooled dimensions stay, with size 1. Default: `False`.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of four dimensions.

    Input shape:
        `(batch, height, width, channels)`, or `(batch, channels, height, width)` with `"channels_first"`.

    Output shape:
        `(batch, channels)`; with `keepdims`, `(batch, 1, 1, channels)` or `(batch, channels, 1, 1)`.

    Example:
        >>> keras.layers.GlobalMaxPooling2D()(torch.zeros(2, 4, 5, 3)).shape
        torch.Size([2, 3])
        >>> keras.layers.GlobalMaxPooling2D(keepdims=True)(torch.zeros(2, 4, 5, 3)).shape
        torch.Size([2, 1, 1, 3])
    """

    rank = 2


class GlobalMaxPooling3D(GlobalMaxPooling):
    """Take the largest value of each channel over the whole volume.

    Also called `GlobalMaxPool3D`.

    Args:
        data_format: order of the axes: `"channels_last"` for `(batch, depth, height, width, channels)`,
            `"channels_first"` for `(batch, channels, depth, height, width)`; `None` means
            `keras.config.image_data_format()`. Default: `None`.
        keepdims: whether the pooled dimensions stay, with size 1. Default: `False`.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of five dimensions.

    Input shape:
        `(batch, depth, height, width, channels)`, or `(batch, channels, depth, height, width)` with `"channels_first"`.

    Output shape:
        `(batch, channels)`; with `keepdims`, `(batch, 1, 1, 1, channels)` or `(batch, channels, 1, 1, 1)`.

    Example:
        >>> keras.layers.GlobalMaxPooling3D(data_format="channels_first")(torch.zeros(2, 3, 4, 5, 6)).shape
        torch.Size([2, 3])
    """

    rank = 3


class GlobalAveragePooling1D(GlobalAveragePooling):
    """Take the mean of each feature over all steps; masked steps do not count.

    Also called `GlobalAvgPool1D`.

    Args:
        data_format: order of the axes: `"channels_last"` for `(batch, steps, features)`, `"channels_first"` for
            `(batch, features, steps)`; `None` means `keras.config.image_data_format()`. Default: `None`.
        keepdims: whether the pooled dimensions stay, with size 1. Default: `False`.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of three dimensions.
        mask: booleans `(batch, steps)`; steps where it is False are left out of the mean. Default: the inputs' own
            mask.

    Input shape:
        `(batch, steps, features)`, or `(batch, features, steps)` with `"channels_first"`.

    Output shape:
        `(batch, features)`; with `keepdims`, `(batch, 1, features)` or `(batch, features, 1)`.

    Example:
        >>> x = torch.tensor([[[1.0, 8.0], [3.0, 2.0]]])
        >>> layer = keras.layers.GlobalAveragePooling1D()
        >>> layer(x).tolist()
        [[2.0, 5.0]]
        >>> layer(x, mask=torch.tensor([[True, False]])).tolist()
        [[1.0, 8.0]]
    """

    rank = 1

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(data_format, keepdims, **kwargs)
        self.supports_masking = True

    def call(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is None:
            return _mean(inputs, self._dims, self.keepdims)
        mask = mask.bool().unsqueeze(channel_axis(self.data_format))
        total = torch.where(mask, inputs, 0).sum(self._dims, self.keepdims)
        return total / mask.to(inputs.dtype).sum(self._dims, self.keepdims)

    def compute_mask(self, inputs: Tensor, mask: Tensor | None = None) -> None:
        return None


class GlobalAveragePooling2D(GlobalAveragePooling):
    """Take the mean of each channel over the whole image.

    Also called `GlobalAvgPool2D`.

    Args:
        data_format: order of the axes: `"channels_last"` for `(batch, height, width, channels)`, `"channels_first"` for
            `(batch, channels, height, width)`; `None` means `keras.config.image_data_format()`. Default: `None`.
        keepdims: whether the pooled dimensions stay, with size 1. Default: `False`.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of four dimensions.

    Input shape:
        `(batch, height, width, channels)`, or `(batch, channels, height, width)` with `"channels_first"`.

    Output shape:
        `(batch, channels)`; with `keepdims`, `(batch, 1, 1, channels)` or `(batch, channels, 1, 1)`.

    Example:
        >>> x = torch.arange(8.0).reshape(1, 2, 2, 2)
        >>> keras.layers.GlobalAveragePooling2D()(x).tolist()
        [[3.0, 4.0]]
    """

    rank = 2


class GlobalAveragePooling3D(GlobalAveragePooling):
    """Take the mean of each channel over the whole volume.

    Also called `GlobalAvgPool3D`.

    Args:
        data_format: order of the axes: `"channels_last"` for `(batch, depth, height, width, channels)`,
            `"channels_first"` for `(batch, channels, depth, height, width)`; `None` means
            `keras.config.image_data_format()`. Default: `None`.
        keepdims: whether the pooled dimensions stay, with size 1. Default: `False`.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of five dimensions.

    Input shape:
        `(batch, depth, height, width, channels)`, or `(batch, channels, depth, height, width)` with `"channels_first"`.

    Output shape:
        `(batch, channels)`; with `keepdims`, `(batch, 1, 1, 1, channels)` or `(batch, channels, 1, 1, 1)`.

    Example:
        >>> keras.layers.GlobalAveragePooling3D(keepdims=True)(torch.zeros(2, 4, 5, 6, 3)).shape
        torch.Size([2, 1, 1, 1, 3])
    """

    rank = 3


# Keras's second names.
GlobalAvgPool1D = GlobalAveragePooling1D
GlobalAvgPool2D = GlobalAveragePooling2D
GlobalAvgPool3D = GlobalAveragePooling3D
GlobalMaxPool1D = GlobalMaxPooling1D
GlobalMaxPool2D = GlobalMaxPooling2D
GlobalMaxPool3D = GlobalMaxPooling3D
