"""Larger sequences, images and volumes, by repetition or interpolation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import torch
import torch.nn.functional as F
from torch import Tensor

from torchkeras.core.accelerators import is_lazy
from torchkeras.core.settings import standardize_data_format
from torchkeras.layers.base.input_spec import InputSpec
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.base.options import LayerOptions
from torchkeras.layers.spatial import channel_axis, spatial_dims, with_spatial_dims
from torchkeras.ops.nn.windows import TorchView, standardize_tuple

Shape = tuple[int | None, ...]
INTERPOLATIONS = {"nearest": "nearest-exact", "bilinear": "bilinear", "bicubic": "bicubic"}


class UpSampling1D(Layer):
    """Repeat each step of a sequence.

    Args:
        size: how many times each step is repeated, a positive int. Default: `2`.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of three dimensions.

    Input shape:
        `(batch, steps, features)`.

    Output shape:
        `(batch, steps * size, features)`.

    Raises:
        TypeError: `size` is no int.
        ValueError: `size` is not positive.

    Example:
        >>> x = torch.tensor([[[1.0], [2.0]]])
        >>> keras.layers.UpSampling1D(3)(x).flatten().tolist()
        [1.0, 1.0, 1.0, 2.0, 2.0, 2.0]
    """

    def __init__(self, size: int = 2, **kwargs: Unpack[LayerOptions]) -> None:
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
    """Multiply the spatial sizes by `size`."""

    keras_module = None
    rank: int

    def _set_size(self, size: int | Sequence[int], data_format: str | None) -> None:
        self.data_format = standardize_data_format(data_format)
        self.size = standardize_tuple(size, self.rank, "size")
        self.input_spec = InputSpec(ndim=self.rank + 2)
        self._view = TorchView(self.rank, self.data_format)

    def _resize(self, inputs: Tensor, mode: str) -> Tensor:
        x = self._view.enter(inputs)
        # Torch's interpolation takes no whole numbers, and torch_xla's of the nearest pixels runs on the CPU.
        if mode.startswith("nearest") and (is_lazy(x.device) or not x.is_floating_point()):
            for axis, factor in enumerate(self.size, start=2):
                x = x.repeat_interleave(factor, axis)
            return self._view.leave(x)
        size = [n * factor for n, factor in zip(x.shape[2:], self.size, strict=True)]
        if not x.is_floating_point():
            return self._view.leave(F.interpolate(x.float(), size, mode=mode).round().to(x.dtype))
        return self._view.leave(F.interpolate(x, size, mode=mode))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        lengths = spatial_dims(input_shape, self.data_format)
        out = [n if n is None else n * factor for n, factor in zip(lengths, self.size, strict=True)]
        return with_spatial_dims(input_shape, out, input_shape[channel_axis(self.data_format)], self.data_format)


class UpSampling2D(BaseUpSampling):
    """Enlarge images by whole factors.

    Args:
        size: factors `(height, width)`, or one int for both. Default: `(2, 2)`.
        data_format: `"channels_last"` for `(batch, ..., channels)`, `"channels_first"` for `(batch, channels, ...)`;
            `None` means `keras.config.image_data_format()`. Default: `None`.
        interpolation: `"nearest"` repeats rows and columns; `"bilinear"` and `"bicubic"` interpolate between pixels.
            Default: `"nearest"`.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of four dimensions.

    Input shape:
        `(batch, height, width, channels)`, or `(batch, channels, height, width)` with `"channels_first"`.

    Output shape:
        The input shape with `height * size[0]` and `width * size[1]`.

    Raises:
        ValueError: an unknown `interpolation`, when the layer is called.

    Example:
        >>> x = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 2, 2, 1)
        >>> keras.layers.UpSampling2D((1, 2))(x)[0, :, :, 0].tolist()
        [[1.0, 1.0, 2.0, 2.0], [3.0, 3.0, 4.0, 4.0]]
    """

    rank = 2

    def __init__(
        self,
        size: int | Sequence[int] = (2, 2),
        data_format: str | None = None,
        interpolation: str = "nearest",
        **kwargs: Unpack[LayerOptions],
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
    """Enlarge volumes by repeating their values.

    Args:
        size: factors `(depth, height, width)`, or one int for all three. Default: `(2, 2, 2)`.
        data_format: `"channels_last"` for `(batch, ..., channels)`, `"channels_first"` for `(batch, channels, ...)`;
            `None` means `keras.config.image_data_format()`. Default: `None`.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of five dimensions.

    Input shape:
        `(batch, depth, height, width, channels)`, or `(batch, channels, depth, height, width)` with `"channels_first"`.

    Output shape:
        The input shape with each spatial size multiplied by its factor.

    Example:
        >>> keras.layers.UpSampling3D(2)(torch.zeros(1, 4, 5, 6, 3)).shape
        torch.Size([1, 8, 10, 12, 3])
    """

    rank = 3

    def __init__(
        self, size: int | Sequence[int] = (2, 2, 2), data_format: str | None = None, **kwargs: Unpack[LayerOptions]
    ) -> None:
        super().__init__(**kwargs)
        self._set_size(size, data_format)

    def call(self, inputs: Tensor) -> Tensor:
        return self._resize(inputs, "nearest-exact")
