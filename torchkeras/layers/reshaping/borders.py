"""Cutting borders off and adding zeros around: Cropping and ZeroPadding."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from torchkeras.core.settings import standardize_data_format
from torchkeras.layers.base.input_spec import InputSpec
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.spatial import channel_axis, spatial_dims, standardize_sides, with_spatial_dims
from torchkeras.ops.nn.windows import pad_argument, standardize_tuple

Shape = tuple[int | None, ...]


class BaseCropping(Layer):
    """Cuts `(before, after)` values off each spatial dimension; a view."""

    keras_module = None
    rank: int
    _too_much = "Values in `cropping` argument should be smaller than the corresponding spatial dimension of the input."

    def _set_cropping(self, cropping: Any, data_format: str) -> None:
        self._cropping = standardize_sides(cropping, self.rank, "cropping")
        self._format = data_format
        self.input_spec = InputSpec(ndim=self.rank + 2)

    def call(self, inputs: Tensor) -> Tensor:
        self._check(inputs.shape)
        first = 1 if self._format == "channels_last" else 2
        for dim, (before, after) in enumerate(self._cropping, start=first):
            inputs = inputs.narrow(dim, before, inputs.shape[dim] - before - after)
        return inputs

    def _check(self, shape: Any) -> None:
        lengths = spatial_dims(shape, self._format)
        if any(n is not None and n <= sum(side) for n, side in zip(lengths, self._cropping, strict=True)):
            raise ValueError(
                f"{self._too_much} Layer '{self.name}' received: input_shape={tuple(shape)}, cropping={self._cropping}"
            )

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self._check(input_shape)
        lengths = spatial_dims(input_shape, self._format)
        out = [n if n is None else n - sum(side) for n, side in zip(lengths, self._cropping, strict=True)]
        return with_spatial_dims(input_shape, out, input_shape[channel_axis(self._format)], self._format)


class Cropping1D(BaseCropping):
    """Cuts steps off both ends of `(batch, steps, features)`."""

    rank = 1
    _too_much = "`cropping` parameter of `Cropping1D` layer must be smaller than the input length."

    def __init__(self, cropping: Any = (1, 1), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cropping = standardize_tuple(cropping, 2, "cropping", allow_zero=True)
        self._set_cropping((self.cropping,), "channels_last")


class Cropping2D(BaseCropping):
    """Cuts rows and columns off `(batch, height, width, channels)`."""

    rank = 2

    def __init__(self, cropping: Any = ((0, 0), (0, 0)), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = standardize_data_format(data_format)
        self._set_cropping(cropping, self.data_format)
        self.cropping = self._cropping


class Cropping3D(BaseCropping):
    """Cuts the faces off `(batch, depth, height, width, channels)`."""

    rank = 3

    def __init__(self, cropping: Any = ((1, 1), (1, 1), (1, 1)), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = standardize_data_format(data_format)
        self._set_cropping(cropping, self.data_format)
        self.cropping = self._cropping


class BaseZeroPadding(Layer):
    """Puts `(before, after)` zeros around each spatial dimension."""

    keras_module = None
    rank: int

    def _set_padding(self, padding: Any, data_format: str | None) -> None:
        self.data_format = standardize_data_format(data_format)
        self._padding = standardize_sides(padding, self.rank, "padding")
        self.input_spec = InputSpec(ndim=self.rank + 2)
        channels = [(0, 0)] if self.data_format == "channels_last" else []
        self._pads = pad_argument([*self._padding, *channels])

    def call(self, inputs: Tensor) -> Tensor:
        return F.pad(inputs, self._pads)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        lengths = spatial_dims(input_shape, self.data_format)
        out = [n if n is None else n + sum(side) for n, side in zip(lengths, self._padding, strict=True)]
        return with_spatial_dims(input_shape, out, input_shape[channel_axis(self.data_format)], self.data_format)


class ZeroPadding1D(BaseZeroPadding):
    """Zeros before and after the steps of `(batch, steps, features)`."""

    rank = 1

    def __init__(self, padding: Any = 1, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.padding = standardize_tuple(padding, 2, "padding", allow_zero=True)
        self._set_padding((self.padding,), data_format)


class ZeroPadding2D(BaseZeroPadding):
    """Zeros around `(batch, height, width, channels)`."""

    rank = 2

    def __init__(self, padding: Any = (1, 1), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._set_padding(padding, data_format)
        self.padding = self._padding


class ZeroPadding3D(BaseZeroPadding):
    """Zeros around `(batch, depth, height, width, channels)`."""

    rank = 3

    def __init__(self, padding: Any = ((1, 1), (1, 1), (1, 1)), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._set_padding(padding, data_format)
        self.padding = self._padding
