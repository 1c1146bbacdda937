"""Image layers that change how light pixels are, each channel by itself."""

from __future__ import annotations

from typing import Any, Unpack

import torch
from torch import Tensor

from torchkeras.core.types import ArrayLike
from torchkeras.core.variables.seeds import SeedGenerator
from torchkeras.layers.preprocessing.image.base import (
    Data,
    Factor,
    FormattedImageOptions,
    ImageOptions,
    Range,
    Transformation,
    images_of,
    rescale,
    sample_count,
)
from torchkeras.layers.preprocessing.image.color_layer import BYTES, ColorLayer, check_value_range


def one_per_sample(data: Data) -> tuple[int, ...]:
    """The shape of one number for each image."""
    number = sample_count(data)
    return (1, 1, 1) if images_of(data).ndim == 3 else (number, 1, 1, 1)


class RandomBrightness(ColorLayer):
    """Make images lighter or darker during training, each by a random amount.

    `outputs = clip(inputs + delta, *value_range)`, with one `delta` for each image, drawn uniformly from
    `factor * (value_range[1] - value_range[0])`. Integer images keep their type.

    Args:
        factor: ends of the amounts as fractions of the value range, each in [-1, 1]; one number `f` means
            `(-abs(f), abs(f))`.
        value_range: lowest and highest value of the images. Default: `(0, 255)`.
        seed: int that makes the layer's draws repeatable: they are those of Keras on torch. Without a seed, the draws
            come from torch's global generator. Default: `None`.
        **kwargs: `data_format`, `bounding_box_format`, and `name`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        data: images, or a dict of `"images"` and, if there are any, `"labels"`, `"bounding_boxes"` and
            `"segmentation_masks"`, which stay as they are.
        training: whether to change the images. Default: `True`.

    Input shape:
        `(height, width, channels)` or `(batch, height, width, channels)`, in the order of `data_format`.

    Output shape:
        The input shape.

    Raises:
        ValueError: `factor` or `value_range` is no number, or pair of numbers, in its range.

    Example:
        >>> layer = keras.layers.RandomBrightness((0.2, 0.2))
        >>> layer(torch.full((1, 2, 2, 3), 100.0), training=True)[0, 0, 0].tolist()
        [151.0, 151.0, 151.0]
    """

    def __init__(
        self,
        factor: Factor,
        value_range: Range = (0, 255),
        seed: int | None = None,
        **kwargs: Unpack[FormattedImageOptions],
    ) -> None:
        super().__init__(factor=factor, **kwargs)
        self.seed = seed
        self.generator = SeedGenerator(seed)
        self.value_range = check_value_range(value_range)

    def get_random_transformation(
        self, data: Data, training: bool = True, seed: int | SeedGenerator | None = None
    ) -> Transformation:
        shape = one_per_sample(data)
        if not training:
            return {"rgb_delta": torch.zeros(shape)}
        low, high = self.value_range
        return {"rgb_delta": self._tk_draws(data, seed).uniform(shape, *self.factor) * (high - low)}

    def transform_images(self, images: ArrayLike, transformation: Any = None, training: bool = True) -> Tensor:
        images = self._tk_tensor(images)
        if not training:
            return images
        delta = self._tk_parameters(transformation, images.device)["rgb_delta"]
        if images.is_floating_point():
            return (images + delta.to(images.dtype)).clamp_(*self.value_range)
        return (images + delta.trunc()).clamp_(*self.value_range).to(images.dtype)


class RandomContrast(ColorLayer):
    """Raise the contrast of images during training, each by a random factor.

    `outputs = clip(mean + contrast * (inputs - mean), *value_range)`, where `mean` is that of each channel of each
    image and `contrast`, one number for each image, is drawn uniformly from `[1 - factor[0], 1 + factor[1])`.

    Args:
        factor: pair of numbers in [0, 1]; one number `f` means `(0, f)`, which never lowers the contrast.
        value_range: lowest and highest value of the images. Default: `(0, 255)`.
        seed: int that makes the layer's draws repeatable: they are those of Keras on torch. Without a seed, the draws
            come from torch's global generator. Default: `None`.
        **kwargs: `data_format`, `bounding_box_format`, and `name`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        data: images, or a dict of `"images"` and, if there are any, `"labels"`, `"bounding_boxes"` and
            `"segmentation_masks"`, which stay as they are.
        training: whether to change the images. Default: `True`.

    Input shape:
        `(height, width, channels)` or `(batch, height, width, channels)`, in the order of `data_format`.

    Output shape:
        The input shape.

    Raises:
        ValueError: `factor` is no number, or pair of numbers, in [0, 1].

    Example:
        >>> layer = keras.layers.RandomContrast((0.5, 0.5), seed=1)
        >>> layer(torch.tensor([[[[90.0], [110.0]]]]), training=True).mean().item()
        100.0
    """

    _FACTOR_BOUNDS = (0, 1)

    def __init__(
        self,
        factor: Factor,
        value_range: Range = (0, 255),
        seed: int | None = None,
        **kwargs: Unpack[FormattedImageOptions],
    ) -> None:
        super().__init__(**kwargs)
        self._set_factor(factor)
        self.value_range = value_range
        self.seed = seed
        self.generator = SeedGenerator(seed)

    def get_random_transformation(
        self, data: Data, training: bool = True, seed: int | SeedGenerator | None = None
    ) -> Transformation:
        shape = one_per_sample(data)
        if not training:
            return {"contrast_factor": torch.zeros(shape)}
        lower, upper = self.factor
        draws = self._tk_draws(data, seed)
        return {"contrast_factor": draws.uniform(shape, 1.0 - lower, 1.0 + upper, self.compute_dtype)}

    def _tk_recolor(self, images: Tensor, parameters: dict[str, Tensor]) -> Tensor:
        height_axis, width_axis = self._tk_spatial_axes
        # One axis after the other: rows of channels are added much faster than channels.
        mean = images.mean(height_axis, keepdim=True).mean(width_axis, keepdim=True)
        contrast = parameters["contrast_factor"].to(images.dtype)
        return torch.lerp(mean, images, contrast).clamp_(*self.value_range)


class RandomInvert(ColorLayer):
    """Turn random images into their negatives during training.

    `outputs = value_range[1] - inputs` for the images that are chosen, each with a probability drawn uniformly from
    `factor`.

    Args:
        factor: ends of the probability, each in [0, 1]; one number `f` means `(0, f)`. Default: `1.0`.
        value_range: lowest and highest value of the images. Default: `(0, 255)`.
        seed: int that makes the layer's draws repeatable: they are those of Keras on torch. Without a seed, the draws
            come from torch's global generator. Default: `None`.
        data_format: `"channels_last"` or `"channels_first"`; `None` means `keras.config.image_data_format()`.
            Default: `None`.
        **kwargs: `bounding_box_format`, and `name`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        data: images, or a dict of `"images"` and, if there are any, `"labels"`, `"bounding_boxes"` and
            `"segmentation_masks"`, which stay as they are.
        training: whether to change the images. Default: `True`.

    Input shape:
        `(height, width, channels)` or `(batch, height, width, channels)`, in the order of `data_format`.

    Output shape:
        The input shape.

    Raises:
        ValueError: `factor` is no number, or pair of numbers, in [0, 1].

    Example:
        >>> layer = keras.layers.RandomInvert((1.0, 1.0))
        >>> layer(torch.full((1, 1, 1, 3), 100.0), training=True).flatten().tolist()
        [155.0, 155.0, 155.0]
    """

    _USE_BASE_FACTOR = False
    _FACTOR_BOUNDS = (0, 1)

    def __init__(
        self,
        factor: Factor = 1.0,
        value_range: Range = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Unpack[ImageOptions],
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self._set_factor(factor)
        self.value_range = value_range
        self.seed = seed
        self.generator = SeedGenerator(seed)

    def get_random_transformation(
        self, data: Data, training: bool = True, seed: int | SeedGenerator | None = None
    ) -> Transformation | None:
        if not training:
            return None
        number, draws = sample_count(data), self._tk_draws(data, seed)
        probability = draws.uniform((number,), *self.factor)
        return {"apply_inversion": draws.uniform((number,)) < probability}

    def _tk_recolor(self, images: Tensor, parameters: dict[str, Tensor]) -> Tensor:
        chosen = parameters["apply_inversion"].to(images.dtype)[:, None, None, None]
        return (images * (1 - 2 * chosen)).add_(chosen * self.value_range[1])


class RandomPosterization(ColorLayer):
    """Keep only the highest bits of each value during training, a random number of them for each image.

    Args:
        factor: ends of the number of bits, whole numbers from 1 to 8, the upper one not included; one number `n` means
            `(1, n)`, and two equal ones mean exactly that number.
        value_range: lowest and highest value of the images. Default: `(0, 255)`.
        data_format: `"channels_last"` or `"channels_first"`; `None` means `keras.config.image_data_format()`.
            Default: `None`.
        seed: int that makes the layer's draws repeatable: they are those of Keras on torch. Without a seed, the draws
            come from torch's global generator. Default: `None`.
        **kwargs: `bounding_box_format`, and `name`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        data: images, or a dict of `"images"` and, if there are any, `"labels"`, `"bounding_boxes"` and
            `"segmentation_masks"`, which stay as they are.
        training: whether to change the images. Default: `True`.

    Input shape:
        `(height, width, channels)` or `(batch, height, width, channels)`, in the order of `data_format`.

    Output shape:
        The input shape.

    Raises:
        ValueError: `factor` is no number, or pair of numbers, from 1 to 8, or `value_range` is no pair of numbers.

    Example:
        >>> layer = keras.layers.RandomPosterization((2, 2))
        >>> layer(torch.tensor([[[[10.0, 100.0, 200.0]]]]), training=True).flatten().tolist()
        [0.0, 64.0, 192.0]
    """

    _USE_BASE_FACTOR = False
    _FACTOR_BOUNDS = (1, 8)
    _MAX_FACTOR = 8

    def __init__(
        self,
        factor: Factor,
        value_range: Range = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Unpack[ImageOptions],
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self._set_factor(factor)
        self.value_range = check_value_range(value_range)
        self.seed = seed
        self.generator = SeedGenerator(seed)

    def get_random_transformation(
        self, data: Data, training: bool = True, seed: int | SeedGenerator | None = None
    ) -> Transformation:
        shape, (low, high) = (sample_count(data),), self.factor
        draws = self._tk_draws(data, seed)
        if low == high:
            bits = torch.full(shape, int(low), dtype=torch.uint8, device=draws.device)
        else:
            bits = draws.integers(shape, int(low), int(high), torch.uint8)
        return {"shift_factor": self._MAX_FACTOR - bits}

    def _tk_recolor(self, images: Tensor, parameters: dict[str, Tensor]) -> Tensor:
        dropped = parameters["shift_factor"].to(torch.int32)
        kept = ((255 >> dropped) << dropped).to(torch.uint8)[:, None, None, None]
        pixels = rescale(images, self.value_range, BYTES, images.dtype).to(torch.uint8)
        return rescale((pixels & kept).to(images.dtype), BYTES, self.value_range, images.dtype)


class Solarization(ColorLayer):
    """Add a random amount to images during training, and invert all values that are then above a random threshold.

    In the scale of 0 to 255: `x = clip(inputs + addition, 0, 255)`, and `outputs = x` where `x < threshold`, else
    `255 - x`. Each image has its own addition and threshold.

    Args:
        addition_factor: ends of the addition, each in [0, 1]; it is drawn uniformly from `[factor[0],
            255 * factor[1])`. One number `f` means `(0, f)`. Default: `0.0`.
        threshold_factor: ends of the threshold, likewise. Default: `0.0`.
        value_range: lowest and highest value of the images. Default: `(0, 255)`.
        seed: int that makes the layer's draws repeatable: they are those of Keras on torch. Without a seed, the draws
            come from torch's global generator. Default: `None`.
        **kwargs: `data_format`, `bounding_box_format`, and `name`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        data: images, or a dict of `"images"` and, if there are any, `"labels"`, `"bounding_boxes"` and
            `"segmentation_masks"`, which stay as they are.
        training: whether to change the images. Default: `True`.

    Input shape:
        `(height, width, channels)` or `(batch, height, width, channels)`, in the order of `data_format`.

    Output shape:
        The input shape.

    Raises:
        ValueError: a factor is no number, or pair of numbers, in [0, 1], or `value_range` is no pair of numbers.

    Example:
        >>> layer = keras.layers.Solarization()
        >>> layer(torch.full((1, 1, 1, 3), 100.0), training=True).flatten().tolist()
        [155.0, 155.0, 155.0]
    """

    _USE_BASE_FACTOR = False

    def __init__(
        self,
        addition_factor: Factor = 0.0,
        threshold_factor: Factor = 0.0,
        value_range: Range = (0, 255),
        seed: int | None = None,
        **kwargs: Unpack[FormattedImageOptions],
    ) -> None:
        super().__init__(**kwargs)
        self.seed = seed
        self.generator = SeedGenerator(seed)
        self.addition_factor = _fractions("addition_factor", addition_factor)
        self.threshold_factor = _fractions("threshold_factor", threshold_factor)
        self.value_range = check_value_range(value_range)

    def get_random_transformation(
        self, data: Data, training: bool = True, seed: int | SeedGenerator | None = None
    ) -> Transformation | None:
        if not training:
            return None
        shape, draws = one_per_sample(data), self._tk_draws(data, seed)
        return {
            name: draws.uniform(shape, low, high * 255, self.compute_dtype)
            for name, (low, high) in (("additions", self.addition_factor), ("thresholds", self.threshold_factor))
        }

    def transform_images(self, images: ArrayLike, transformation: Any = None, training: bool = True) -> Tensor:
        images = self._tk_cast(self._tk_tensor(images))
        if not training or transformation is None:
            return images
        dtype, parameters = images.dtype, self._tk_parameters(transformation, images.device)
        pixels = rescale(images, self.value_range, BYTES, dtype) + parameters["additions"].to(dtype)
        pixels.clamp_(0, 255)
        # 255 - x = |x - 255|
        pixels.add_(pixels >= parameters["thresholds"].to(dtype), alpha=-255).abs_()
        return rescale(pixels, BYTES, self.value_range, dtype)


def _fractions(name: str, factor: Factor) -> tuple[float, float]:
    """The two ends of a factor, each in [0, 1]."""
    ends: list[Any] = sorted(factor) if isinstance(factor, (tuple, list)) else [0, factor]
    if len(ends) != 2 or not all(isinstance(end, (int, float)) and 0 <= end <= 1 for end in ends):
        raise ValueError(
            "The `addition_factor` and `threshold_factor` arguments should be a number (or a list of two numbers) "
            f"in the range [0, 1]. Received: {name}={factor}"
        )
    return ends[0], ends[1]
