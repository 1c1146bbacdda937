"""RandomGaussianBlur: soft images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import torch
from torch import Tensor

from torchkeras.core.types import ArrayLike
from torchkeras.core.variables.seeds import SeedGenerator
from torchkeras.layers.preprocessing.image.base import Data, ImageOptions, Range, Transformation, sample_count
from torchkeras.layers.preprocessing.image.color_layer import ColorLayer
from torchkeras.layers.preprocessing.image.factors import Factor, range_from_zero
from torchkeras.layers.preprocessing.image.geometric_layer import per_image
from torchkeras.ops.image.filters import gaussian_blurred
from torchkeras.ops.image.layout import from_nchw, to_nchw


class RandomGaussianBlur(ColorLayer):
    """Smooth some images with a Gaussian during training; zeros lie around the images.

    In inference, the images pass unchanged. Integers become floats. Labels, boxes and masks stay as they are.

    Args:
        factor: range of the probability with which an image is smoothed: two numbers in [0, 1], or one number `f` for
            `(0, f)`. Default: `1.0`.
        kernel_size: width and height of the window in pixels, odd numbers; one number for both. Default: `3`.
        sigma: range of the standard deviations in pixels: two numbers in [0, 1], or one number `f` for `(0, f)`. Two
            are drawn for each batch, across and down. Default: `1.0`.
        value_range: lowest and highest value of the outputs. Default: `(0, 255)`.
        data_format: `"channels_last"` or `"channels_first"`; `None` means `keras.config.image_data_format()`.
            Default: `None`.
        seed: int that makes the layer's draws repeatable: they are those of Keras on torch. Without a seed, the draws
            come from torch's global generator. Default: `None`.
        **kwargs: `bounding_box_format`, `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        data: images, or a dict of `"images"` and any of `"labels"`, `"bounding_boxes"`, `"segmentation_masks"`.
        training: whether to smooth. Default: the training mode of the call.

    Input shape:
        `(batch, height, width, channels)` or `(height, width, channels)`; channels before height if `data_format` is
        `"channels_first"`.

    Output shape:
        The input shape.

    Raises:
        ValueError: a factor is out of range, or a size of the window is even.

    Example:
        >>> layer = keras.layers.RandomGaussianBlur(kernel_size=5, value_range=(0, 1))
        >>> layer(torch.rand(2, 8, 8, 3), training=True).shape
        torch.Size([2, 8, 8, 3])
    """

    _USE_BASE_FACTOR = False
    _FACTOR_BOUNDS = (0, 1)

    def __init__(
        self,
        factor: Factor = 1.0,
        kernel_size: int | Sequence[int] = 3,
        sigma: Factor = 1.0,
        value_range: Range = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Unpack[ImageOptions],
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self._set_factor(factor)
        self.kernel_size = _odd_pair(kernel_size)
        self.sigma = range_from_zero(sigma, "sigma")
        self.value_range = value_range
        self.seed = seed
        self.generator = SeedGenerator(seed)

    def get_random_transformation(
        self, data: Data, training: bool = True, seed: int | SeedGenerator | None = None
    ) -> dict[str, Any] | None:
        """Return which images are smoothed (`"should_apply_blur"`), and the two deviations (`"blur_factor"`).

        Args:
            data: the images, or the dict with them.
            training: whether the call is one of training. Default: `True`.
            seed: source of the draws; `None` means the layer's own. Default: `None`.
        """
        if not training:
            return None
        number, draws = sample_count(data), self._tk_draws(data, seed)
        probability = draws.uniform((number,), *self.factor)
        is_applied = draws.uniform((number,)) < probability
        deviations = draws.uniform((2,), *self.sigma, dtype=self.compute_dtype) + 1e-6
        return {"should_apply_blur": is_applied, "blur_factor": deviations}

    def transform_images(self, images: ArrayLike, transformation: Any = None, training: bool = True) -> Tensor:
        pixels = self._tk_cast(self._tk_tensor(images))
        return self._tk_recolor(pixels, transformation) if training and transformation is not None else pixels

    def _tk_recolor(self, images: Tensor, transformation: Transformation) -> Tensor:
        deviations = self._tk_tensor(transformation["blur_factor"]).to(images)
        is_applied = self._tk_tensor(transformation["should_apply_blur"]).to(images.device)
        axis = self._tk_channel_axis
        blurred = from_nchw(gaussian_blurred(to_nchw(images, axis), self.kernel_size, deviations), axis, images.ndim)
        return torch.where(per_image(is_applied, images), blurred.contiguous(), images).clamp_(*self.value_range)


def _odd_pair(size: int | Sequence[int]) -> tuple[int, int]:
    """Two odd numbers, from one or two.

    Raises:
        ValueError: these are not such numbers.
    """
    if isinstance(size, (tuple, list)) and len(size) != 2:
        raise ValueError(
            f"The `kernel_size` argument should be a number (or a list of two numbers) Received: kernel_size={size}"
        )
    pair = tuple(size) if isinstance(size, (tuple, list)) else (size, size)
    if not all(isinstance(number, (int, float)) and number % 2 == 1 for number in pair):
        raise ValueError(f"kernel_size must be an odd number. Received: kernel_size={size}")
    return pair  # type: ignore[return-value]
