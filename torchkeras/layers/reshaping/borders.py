"""Cropping and zero padding of sequences, images and volumes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import torch.nn.functional as F
from torch import Tensor

from torchkeras.core.settings import standardize_data_format
from torchkeras.layers.base.input_spec import InputSpec
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.base.options import LayerOptions
from torchkeras.layers.spatial import SidesLike, channel_axis, spatial_dims, standardize_sides, with_spatial_dims
from torchkeras.ops.nn.windows import pad_argument, standardize_tuple

Shape = tuple[int | None, ...]


class BaseCropping(Layer):
    """Crop `(before, after)` values from each spatial dimension; the result is a view."""

    keras_module = None
    rank: int
    _too_much = "Values in `cropping` argument should be smaller than the corresponding spatial dimension of the input."

    def _set_cropping(self, cropping: SidesLike, data_format: str) -> None:
        self._cropping = standardize_sides(cropping, self.rank, "cropping")
        self._format = data_format
        self.input_spec = InputSpec(ndim=self.rank + 2)

    def call(self, inputs: Tensor) -> Tensor:
        self._check(inputs.shape)
        first = 1 if self._format == "channels_last" else 2
        for dim, (before, after) in enumerate(self._cropping, start=first):
            inputs = inputs.narrow(dim, before, inputs.shape[dim] - before - after)
        return inputs

    def _check(self, shape: Sequence[int | None]) -> None:
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
    """Remove steps from both ends of a sequence.

    `outputs = inputs[:, before : steps - after]`.

    Args:
        cropping: `(before, after)`, the number of steps to remove at the start and at the end, or one int for both.
            Default: `(1, 1)`.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of the input shape.

    Input shape:
        `(batch, steps, features)`.

    Output shape:
        `(batch, steps - before - after, features)`.

    Raises:
        ValueError: no step would be left.

    Example:
        >>> x = torch.arange(6.0).reshape(1, 6, 1)
        >>> keras.layers.Cropping1D((1, 2))(x).flatten().tolist()
        [1.0, 2.0, 3.0]
    """

    rank = 1
    _too_much = "`cropping` parameter of `Cropping1D` layer must be smaller than the input length."

    def __init__(self, cropping: SidesLike = (1, 1), **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(**kwargs)
        self.cropping = standardize_tuple(cropping, 2, "cropping", allow_zero=True)
        self._set_cropping((self.cropping,), "channels_last")


class Cropping2D(BaseCropping):
    """Remove rows and columns from the edges of images.

    The usual step behind a convolution or a transposed convolution whose result is a little too large.

    Args:
        cropping: `((top, bottom), (left, right))`, the number of rows and columns to remove; `(height, width)` removes
            the same number on both sides, one int the same number on all four. Default: `((0, 0), (0, 0))`.
        data_format: `"channels_last"` for `(batch, ..., channels)`, `"channels_first"` for `(batch, channels, ...)`;
            `None` means `keras.config.image_data_format()`. Default: `None`.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of the input shape.

    Input shape:
        `(batch, height, width, channels)`, or `(batch, channels, height, width)` with `"channels_first"`.

    Output shape:
        `(batch, height - top - bottom, width - left - right, channels)`, or
        `(batch, channels, height - top - bottom, width - left - right)`.

    Raises:
        ValueError: no row or no column would be left.

    Example:
        >>> keras.layers.Cropping2D(((2, 2), (4, 4)))(torch.zeros(2, 28, 28, 3)).shape
        torch.Size([2, 24, 20, 3])
    """

    rank = 2

    def __init__(
        self,
        cropping: SidesLike = ((0, 0), (0, 0)),
        data_format: str | None = None,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**kwargs)
        self.data_format = standardize_data_format(data_format)
        self._set_cropping(cropping, self.data_format)
        self.cropping = self._cropping


class Cropping3D(BaseCropping):
    """Remove values from the six faces of volumes.

    The volumes' three spatial dimensions are called depth, height and width here.

    Args:
        cropping: `((front, back), (top, bottom), (left, right))`, the number of values to remove on each side;
            `(depth, height, width)` removes the same number on both sides of a dimension, one int the same number on
            all six. Default: `((1, 1), (1, 1), (1, 1))`.
        data_format: `"channels_last"` for `(batch, ..., channels)`, `"channels_first"` for `(batch, channels, ...)`;
            `None` means `keras.config.image_data_format()`. Default: `None`.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of the input shape.

    Input shape:
        `(batch, depth, height, width, channels)`, or `(batch, channels, depth, height, width)` with `"channels_first"`.

    Output shape:
        `(batch, cropped_depth, cropped_height, cropped_width, channels)`, or
        `(batch, channels, cropped_depth, cropped_height, cropped_width)`.

    Raises:
        ValueError: a dimension would have no value left.

    Example:
        >>> keras.layers.Cropping3D((2, 4, 2))(torch.zeros(1, 28, 28, 10, 3)).shape
        torch.Size([1, 24, 20, 6, 3])
    """

    rank = 3

    def __init__(
        self,
        cropping: SidesLike = ((1, 1), (1, 1), (1, 1)),
        data_format: str | None = None,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**kwargs)
        self.data_format = standardize_data_format(data_format)
        self._set_cropping(cropping, self.data_format)
        self.cropping = self._cropping


class BaseZeroPadding(Layer):
    """Pad each spatial dimension with `(before, after)` zeros."""

    keras_module = None
    rank: int

    def _set_padding(self, padding: SidesLike, data_format: str | None) -> None:
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
    """Add steps of zeros at both ends of a sequence.

    The features of the added steps are 0.

    Args:
        padding: `(before, after)`, the number of steps to add at the start and at the end, or one int for both.
            Default: `1`.
        data_format: `"channels_last"` for `(batch, ..., channels)`, `"channels_first"` for `(batch, channels, ...)`;
            `None` means `keras.config.image_data_format()`. Default: `None`.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of the input shape.

    Input shape:
        `(batch, steps, features)`, or `(batch, features, steps)` with `"channels_first"`.

    Output shape:
        `(batch, before + steps + after, features)`, or `(batch, features, before + steps + after)`.

    Example:
        >>> x = torch.tensor([[[1.0], [2.0]]])
        >>> keras.layers.ZeroPadding1D((2, 1))(x).flatten().tolist()
        [0.0, 0.0, 1.0, 2.0, 0.0]
    """

    rank = 1

    def __init__(self, padding: SidesLike = 1, data_format: str | None = None, **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(**kwargs)
        self.padding = standardize_tuple(padding, 2, "padding", allow_zero=True)
        self._set_padding((self.padding,), data_format)


class ZeroPadding2D(BaseZeroPadding):
    """Add rows and columns of zeros around images.

    Directly before a convolution with even padding, a functional model runs both in one call of torch.

    Args:
        padding: `((top, bottom), (left, right))`, the number of rows and columns to add; `(height, width)` adds the
            same number on both sides, one int the same number on all four. Default: `(1, 1)`.
        data_format: `"channels_last"` for `(batch, ..., channels)`, `"channels_first"` for `(batch, channels, ...)`;
            `None` means `keras.config.image_data_format()`. Default: `None`.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of the input shape.

    Input shape:
        `(batch, height, width, channels)`, or `(batch, channels, height, width)` with `"channels_first"`.

    Output shape:
        `(batch, top + height + bottom, left + width + right, channels)`, or
        `(batch, channels, top + height + bottom, left + width + right)`.

    Example:
        >>> keras.layers.ZeroPadding2D(((1, 0), (2, 2)))(torch.ones(1, 3, 3, 2)).shape
        torch.Size([1, 4, 7, 2])
        >>> keras.layers.ZeroPadding2D(1)(torch.ones(1, 1, 1, 1))[0, :, :, 0].tolist()
        [[0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]
    """

    rank = 2

    def __init__(
        self, padding: SidesLike = (1, 1), data_format: str | None = None, **kwargs: Unpack[LayerOptions]
    ) -> None:
        super().__init__(**kwargs)
        self._set_padding(padding, data_format)
        self.padding = self._padding


class ZeroPadding3D(BaseZeroPadding):
    """Add zeros around the six faces of volumes.

    The volumes' three spatial dimensions are called depth, height and width here.

    Args:
        padding: `((front, back), (top, bottom), (left, right))`, the number of values to add on each side;
            `(depth, height, width)` adds the same number on both sides of a dimension, one int the same number on all
            six. Default: `((1, 1), (1, 1), (1, 1))`.
        data_format: `"channels_last"` for `(batch, ..., channels)`, `"channels_first"` for `(batch, channels, ...)`;
            `None` means `keras.config.image_data_format()`. Default: `None`.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of the input shape.

    Input shape:
        `(batch, depth, height, width, channels)`, or `(batch, channels, depth, height, width)` with `"channels_first"`.

    Output shape:
        `(batch, padded_depth, padded_height, padded_width, channels)`, or
        `(batch, channels, padded_depth, padded_height, padded_width)`.

    Example:
        >>> keras.layers.ZeroPadding3D(2)(torch.ones(1, 10, 10, 10, 3)).shape
        torch.Size([1, 14, 14, 14, 3])
    """

    rank = 3

    def __init__(
        self,
        padding: SidesLike = ((1, 1), (1, 1), (1, 1)),
        data_format: str | None = None,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**kwargs)
        self._set_padding(padding, data_format)
        self.padding = self._padding
