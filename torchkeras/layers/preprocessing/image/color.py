"""Image layers that change hue, saturation and the mix of channels."""

from __future__ import annotations

from typing import Any, Unpack

import torch
from torch import Tensor

from torchkeras.core import settings
from torchkeras.core.types import ArrayLike
from torchkeras.core.variables.seeds import SeedGenerator
from torchkeras.layers.preprocessing.image.base import (
    Data,
    Factor,
    ImageOptions,
    Range,
    Transformation,
    rescale,
    sample_count,
)
from torchkeras.layers.preprocessing.image.color_layer import ColorLayer, check_value_range
from torchkeras.layers.preprocessing.image.light import RandomBrightness, RandomContrast
from torchkeras.ops.image.color import colors_of, hue_of, rgb_to_grayscale, value_and_chroma

UNIT: Range = (0, 1)


def check_colors(images: Tensor, axis: int) -> Tensor:
    """The images, if they have three channels.

    Raises:
        ValueError: they have another number.
    """
    if images.shape[axis] != 3:
        raise ValueError(
            f"Input images must have 3 channels, but received images with {images.shape[axis]} channels. "
            f"Received: images.shape={tuple(images.shape)}."
        )
    return images


class RandomColorDegeneration(ColorLayer):
    """Mix images with their gray versions during training, each by a random share.

    `outputs = clip(inputs + share * (gray - inputs), *value_range)`, with one `share` for each image, drawn uniformly
    from `factor`. Negative shares make colors stronger.

    Args:
        factor: ends of the share, each in [-1, 1]; one number `f` means `(-abs(f), abs(f))`.
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
        `(height, width, 3)` or `(batch, height, width, 3)`, in the order of `data_format`.

    Output shape:
        The input shape.

    Raises:
        ValueError: `factor` is no number, or pair of numbers, in [-1, 1], or images do not have three channels.

    Example:
        >>> layer = keras.layers.RandomColorDegeneration((1.0, 1.0))
        >>> layer(torch.tensor([[[[100.0, 0.0, 0.0]]]]), training=True).round().flatten().tolist()
        [30.0, 30.0, 30.0]
    """

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
        return {"factor": self._tk_draws(data, seed).uniform((sample_count(data), 1, 1, 1), *self.factor)}

    def _tk_recolor(self, images: Tensor, parameters: dict[str, Tensor]) -> Tensor:
        gray = rgb_to_grayscale(images, data_format=self.data_format)
        return torch.lerp(images, gray, parameters["factor"].to(images.dtype)).clamp_(*self.value_range)

    def compute_output_shape(self, input_shape: Any) -> Any:
        shape = input_shape["images"] if isinstance(input_shape, dict) else input_shape
        if len(shape) not in (3, 4):
            raise ValueError(
                "Invalid images rank: expected rank 3 (single image) or rank 4 (batch of images). "
                f"Received: input_shape={shape}"
            )
        channels = shape[-1 if self.data_format == "channels_last" else -3]
        if channels not in (None, 3):
            raise ValueError(f"Input images must have 3 channels, but received images with {channels} channels.")
        return input_shape


class RandomGrayscale(ColorLayer):
    """Turn random images gray during training; they keep their three channels.

    `gray = 0.2989 R + 0.5870 G + 0.1140 B`.

    Args:
        factor: probability of each image to become gray, in [0, 1]. Default: `0.5`.
        data_format: `"channels_last"` or `"channels_first"`; `None` means `keras.config.image_data_format()`.
            Default: `None`.
        seed: int that makes the layer's draws repeatable: they are those of Keras on torch. Without a seed, the draws
            come from torch's global generator. Default: `None`.
        **kwargs: `bounding_box_format`, and `name`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        data: images, or a dict of `"images"` and, if there are any, `"labels"`, `"bounding_boxes"` and
            `"segmentation_masks"`, which stay as they are. Images keep their type.
        training: whether to change the images. Default: `True`.

    Input shape:
        `(height, width, 3)` or `(batch, height, width, 3)`, in the order of `data_format`.

    Output shape:
        The input shape.

    Raises:
        ValueError: `factor` is not in [0, 1].

    Example:
        >>> layer = keras.layers.RandomGrayscale(factor=1.0)
        >>> layer(torch.tensor([[[[100.0, 0.0, 0.0]]]]), training=True).round().flatten().tolist()
        [30.0, 30.0, 30.0]
    """

    def __init__(
        self,
        factor: float = 0.5,
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Unpack[ImageOptions],
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        if factor < 0 or factor > 1:
            raise ValueError(f"`factor` should be between 0 and 1. Received: factor={factor}")
        self.factor = factor
        self.seed = seed
        self.generator = SeedGenerator(seed)

    def get_random_transformation(
        self, data: Data, training: bool = True, seed: int | SeedGenerator | None = None
    ) -> Tensor:
        values = self._tk_draws(data, seed).uniform((sample_count(data),))
        return (values < self.factor)[:, None, None, None]

    def transform_images(self, images: ArrayLike, transformation: Any = None, training: bool = True) -> Tensor:
        images = self._tk_tensor(images)
        if not training:
            return images
        chosen = self.get_random_transformation(images) if transformation is None else self._tk_tensor(transformation)
        return torch.where(chosen, rgb_to_grayscale(images, data_format=self.data_format), images)


class RandomHue(ColorLayer):
    """Move the hue of images during training, each by a random angle.

    The hue, on a circle of length 1, moves by `±0.5 * f`, with `f` drawn uniformly from `factor` for each image.

    Args:
        factor: ends of `f`, each in [0, 1]; one number `f` means `(0, f)`.
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
        `(height, width, 3)` or `(batch, height, width, 3)`, in the order of `data_format`.

    Output shape:
        The input shape.

    Raises:
        ValueError: `factor` is no number, or pair of numbers, in [0, 1].

    Example:
        >>> layer = keras.layers.RandomHue((1.0, 1.0))
        >>> layer(torch.tensor([[[[200.0, 0.0, 0.0]]]]), training=True).flatten().tolist()  # half the circle
        [0.0, 200.0, 200.0]
    """

    _FACTOR_BOUNDS = (0, 1)

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
        self.value_range = value_range
        self.seed = seed
        self.generator = SeedGenerator(seed)

    def get_random_transformation(
        self, data: Data, training: bool = True, seed: int | SeedGenerator | None = None
    ) -> Transformation:
        shape, draws = (sample_count(data),), self._tk_draws(data, seed)
        sign = 1 - 2 * (draws.uniform(shape) > 0.5).float()
        return {"factor": sign * draws.uniform(shape, *self.factor) * 0.5}

    def _tk_recolor(self, images: Tensor, parameters: dict[str, Tensor]) -> Tensor:
        pixels = rescale(images, self.value_range, UNIT, torch.float32)
        axis = self._tk_channel_axis
        red, green, blue = check_colors(pixels, axis).unbind(axis)
        value, chroma = value_and_chroma(red, green, blue)
        hue = hue_of(red, green, blue, value, chroma).add_(parameters["factor"].to(pixels.dtype)[:, None, None])
        chroma = torch.where(value > 0, chroma, 0)
        pixels = colors_of(hue, chroma, value).clamp_(0, 1).movedim(0, axis).contiguous()
        return rescale(pixels, UNIT, self.value_range, torch.float32).to(images.dtype)


class RandomSaturation(ColorLayer):
    """Make the colors of images weaker or stronger during training, each by a random factor.

    The saturation is multiplied by `f / (1 - f)`, with `f` drawn uniformly from `factor` for each image: 0 gives gray
    images, 0.5 leaves them as they are, 1 gives full colors.

    Args:
        factor: ends of `f`, each in [-1, 1], useful from 0 on; one number `f` means `(-abs(f), abs(f))`.
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
        `(height, width, 3)` or `(batch, height, width, 3)`, in the order of `data_format`.

    Output shape:
        The input shape.

    Raises:
        ValueError: `factor` is no number, or pair of numbers, in [-1, 1], or `value_range` is no pair of numbers.

    Example:
        >>> layer = keras.layers.RandomSaturation((0.0, 0.0))
        >>> layer(torch.tensor([[[[200.0, 100.0, 0.0]]]]), training=True).flatten().tolist()
        [200.0, 200.0, 200.0]
    """

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
        factor = self._tk_draws(data, seed).uniform((sample_count(data),), *self.factor)
        return {"factor": factor / (1 - factor + settings.epsilon())}

    def _tk_recolor(self, images: Tensor, parameters: dict[str, Tensor]) -> Tensor:
        factor, axis = parameters["factor"].to(images.dtype)[:, None, None], self._tk_channel_axis
        red, green, blue = check_colors(images, axis).unbind(axis)
        value, chroma = value_and_chroma(red, green, blue)
        positive = value > 0
        saturation = torch.where(positive, chroma / torch.where(positive, value, 1), 0)
        wanted = (saturation * factor).clamp_(*self.value_range)
        if self.value_range[0] > 0:  # gray pixels become red
            return (
                colors_of(hue_of(red, green, blue, value, chroma), value * wanted, value).movedim(0, axis).contiguous()
            )
        ratio = wanted.div_(torch.where(saturation > 0, saturation, 1)).mul_(positive)
        return torch.lerp(value.unsqueeze(axis), images, ratio.unsqueeze(axis))


class RandomColorJitter(ColorLayer):
    """Change brightness, contrast, saturation and hue of images during training, in this order and at random.

    Each of the four is left out where its factor is `None`.

    Args:
        value_range: lowest and highest value of the images. Default: `(0, 255)`.
        brightness_factor: factor of `RandomBrightness`. Default: `None`.
        contrast_factor: factor of `RandomContrast`. Default: `None`.
        saturation_factor: factor of `RandomSaturation`. Default: `None`.
        hue_factor: factor of `RandomHue`. Default: `None`.
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
        `(height, width, 3)` or `(batch, height, width, 3)`, in the order of `data_format`.

    Output shape:
        The input shape.

    Raises:
        ValueError: a factor is no number, or pair of numbers, in the range of its layer.

    Example:
        >>> layer = keras.layers.RandomColorJitter(brightness_factor=(0.1, 0.1), saturation_factor=(0.0, 0.0))
        >>> layer(torch.tensor([[[[100.0, 50.0, 0.0]]]]), training=True).flatten().tolist()
        [125.5, 125.5, 125.5]
    """

    def __init__(
        self,
        value_range: Range = (0, 255),
        brightness_factor: Factor | None = None,
        contrast_factor: Factor | None = None,
        saturation_factor: Factor | None = None,
        hue_factor: Factor | None = None,
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Unpack[ImageOptions],
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.value_range = value_range
        self.brightness_factor = brightness_factor
        self.contrast_factor = contrast_factor
        self.saturation_factor = saturation_factor
        self.hue_factor = hue_factor
        self.seed = seed
        self.generator = SeedGenerator(seed)
        common: dict[str, Any] = {
            "value_range": value_range,
            "seed": seed,
            "data_format": self.data_format,
            "dtype": self.dtype_policy,
        }
        factors = (brightness_factor, contrast_factor, saturation_factor, hue_factor)
        kinds = (RandomBrightness, RandomContrast, RandomSaturation, RandomHue)
        self.random_brightness, self.random_contrast, self.random_saturation, self.random_hue = (
            None if factor is None else kind(factor, **common) for kind, factor in zip(kinds, factors)
        )

    def _tk_parts(self) -> list[ColorLayer]:
        parts = (self.random_brightness, self.random_contrast, self.random_saturation, self.random_hue)
        return [part for part in parts if part is not None]

    def transform_images(self, images: ArrayLike, transformation: Any = None, training: bool = True) -> Tensor:
        images = self._tk_tensor(images)
        if not training:
            return images
        images = self._tk_cast(images)
        for part in self._tk_parts():
            images = part.transform_images(images, part.get_random_transformation(images, seed=self.generator))
        return images.to(self._tk_cast(images).dtype)
