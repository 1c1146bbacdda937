"""Pooling over all of the spatial dimensions at once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchkeras.core.settings import standardize_data_format
from torchkeras.layers.base.input_spec import InputSpec
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.spatial import channel_axis


class BaseGlobalPooling(Layer):
    """One number a channel; `keepdims` leaves the spatial dimensions at length one."""

    keras_module = None
    rank: int

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any) -> None:
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


class GlobalMaxPooling(BaseGlobalPooling):
    """The largest value of each channel."""

    keras_module = None

    def call(self, inputs: Tensor) -> Tensor:
        return torch.amax(inputs, self._dims, self.keepdims)


class GlobalAveragePooling(BaseGlobalPooling):
    """The mean of each channel."""

    keras_module = None

    def call(self, inputs: Tensor) -> Tensor:
        return torch.mean(inputs, self._dims, self.keepdims)


class GlobalMaxPooling1D(GlobalMaxPooling):
    """The largest of the steps of `(batch, steps, features)`."""

    rank = 1


class GlobalMaxPooling2D(GlobalMaxPooling):
    """The largest value of each channel of `(batch, height, width, channels)`."""

    rank = 2


class GlobalMaxPooling3D(GlobalMaxPooling):
    """The largest value of each channel of `(batch, depth, height, width, channels)`."""

    rank = 3


class GlobalAveragePooling1D(GlobalAveragePooling):
    """The mean over the steps of `(batch, steps, features)`; masked steps do not count."""

    rank = 1

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any) -> None:
        super().__init__(data_format, keepdims, **kwargs)
        self.supports_masking = True

    def call(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is None:
            return torch.mean(inputs, self._dims, self.keepdims)
        mask = mask.bool().unsqueeze(channel_axis(self.data_format))
        total = torch.where(mask, inputs, 0).sum(self._dims, self.keepdims)
        return total / mask.to(inputs.dtype).sum(self._dims, self.keepdims)

    def compute_mask(self, inputs: Tensor, previous_mask: Any = None) -> None:
        return None


class GlobalAveragePooling2D(GlobalAveragePooling):
    """The mean of each channel of `(batch, height, width, channels)`."""

    rank = 2


class GlobalAveragePooling3D(GlobalAveragePooling):
    """The mean of each channel of `(batch, depth, height, width, channels)`."""

    rank = 3
