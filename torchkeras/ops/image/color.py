"""Colour spaces."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor

from torchkeras.core.operations.op import op
from torchkeras.ops.image.layout import channel_axis, computed

op = functools.partial(op, module="keras.ops.image", file_module="keras.src.ops.image")


@op(name="RGBToGrayscale")
def rgb_to_grayscale(images: Tensor, data_format: str | None = None) -> Tensor:
    """Convert RGB images to grayscale: `0.2989 R + 0.5870 G + 0.1140 B`.

    Args:
        images: image `(H, W, C)` or batch `(N, H, W, C)`; channels come first with `"channels_first"`.
        data_format: `"channels_last"` or `"channels_first"`; `None`: `keras.config.image_data_format()`. Default:
            `None`.

    Returns:
        Images of one channel.

    Example:
        >>> keras.ops.image.rgb_to_grayscale(np.ones((2, 2, 3))).shape
        torch.Size([2, 2, 1])
    """
    axis = channel_axis(images, data_format)
    channels = images.shape[axis]
    if channels == 1:
        return images
    if channels != 3:
        raise ValueError(
            "Invalid channel size: expected 3 (RGB) or 1 (Grayscale). "
            f"Received input with shape: images.shape={tuple(images.shape)}"
        )
    red, green, blue = computed(images).split(1, axis)
    gray = (red * 0.2989).add_(green, alpha=0.5870).add_(blue, alpha=0.1140)
    return gray if gray.dtype is images.dtype else gray.to(images.dtype)


@op(name="RGBToHSV")
def rgb_to_hsv(images: Tensor, data_format: str | None = None) -> Tensor:
    """Convert RGB images to hue, saturation and value, each in [0, 1].

    Args:
        images: image `(H, W, C)` or batch `(N, H, W, C)`; channels come first with `"channels_first"`. Floats in [0,
            1].
        data_format: `"channels_last"` or `"channels_first"`; `None`: `keras.config.image_data_format()`. Default:
            `None`.

    Returns:
        Images of the same shape.

    Example:
        >>> keras.ops.image.rgb_to_hsv(np.array([[[1.0, 0.0, 0.0]]]))
        tensor([[[0., 1., 1.]]], dtype=torch.float64)
    """
    axis = _color_axis(images, data_format)
    red, green, blue = images.unbind(axis)
    value, chroma = value_and_chroma(red, green, blue)
    hue = hue_of(red, green, blue, value, chroma)
    positive = value > 0
    saturation = torch.where(positive, chroma / torch.where(positive, value, 1), 0)
    return torch.stack([hue - hue.floor(), saturation, value], axis)


def value_and_chroma(red: Tensor, green: Tensor, blue: Tensor) -> tuple[Tensor, Tensor]:
    """The largest of three channels, and its distance from the smallest."""
    value = torch.maximum(torch.maximum(red, green), blue)
    return value, value - torch.minimum(torch.minimum(red, green), blue)


def hue_of(red: Tensor, green: Tensor, blue: Tensor, value: Tensor, chroma: Tensor) -> Tensor:
    """Hue in whole turns, from -1/6 on."""
    divisor = torch.where(chroma > 0, chroma, 1)
    hue = torch.where(
        red == value,
        (green - blue) / divisor,
        torch.where(green == value, (blue - red).div_(divisor).add_(2), (red - green).div_(divisor).add_(4)),
    )
    return hue.div_(6)


def colors_of(hue: Tensor, chroma: Tensor, value: Tensor) -> Tensor:
    """Red, green and blue along a first axis. Whole turns of hue make no difference."""
    # All three at once: how far each is from where it peaks, in sixths of a turn.
    peaks = torch.arange(5, 0, -2, dtype=hue.dtype, device=hue.device).view(3, *[1] * hue.ndim)
    turns = torch.add(peaks, hue, alpha=6)
    turns.sub_((turns / 6).floor_(), alpha=6)  # the remainder, which takes four times as long
    return turns.clamp_max_(4 - turns).clamp(0, 1).mul_(-chroma).add_(value)


@op(name="HSVToRGB")
def hsv_to_rgb(images: Tensor, data_format: str | None = None) -> Tensor:
    """Convert images of hue, saturation and value to RGB.

    Args:
        images: image `(H, W, C)` or batch `(N, H, W, C)`; channels come first with `"channels_first"`. Floats in [0,
            1].
        data_format: `"channels_last"` or `"channels_first"`; `None`: `keras.config.image_data_format()`. Default:
            `None`.

    Returns:
        Images of the same shape.

    Example:
        >>> keras.ops.image.hsv_to_rgb(np.array([[[0.0, 1.0, 1.0]]]))
        tensor([[[1., 0., 0.]]], dtype=torch.float64)
    """
    axis = _color_axis(images, data_format)
    hue, saturation, value = images.unbind(axis)
    return colors_of(hue, value * saturation, value).movedim(0, axis).contiguous()


def _color_axis(images: Any, data_format: str | None) -> int:
    axis = channel_axis(images, data_format)
    if not images.is_floating_point():
        raise ValueError(f"Invalid images dtype: expected float dtype. Received: images.dtype={images.dtype}")
    if images.size(axis) != 3:
        raise ValueError(
            f"Input images must have 3 channels, but received images with {images.shape[axis]} channels. "
            f"Received: images.shape={tuple(images.shape)}."
        )
    return axis
