"""Batches of images as arrays of pixels, channels last."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from torchkeras.core import settings
from torchkeras.core.tensors.convert import convert_to_numpy
from torchkeras.core.types import ArrayLike


def to_array(images: ArrayLike, data_format: str | None) -> np.ndarray:
    """A batch of images (or masks with channels) as an array, channels last.

    Raises:
        ValueError: `images` is not of rank 4.
    """
    array = convert_to_numpy(images)
    if array.ndim != 4:
        raise ValueError(f"`images` must be batched 4D tensor. Received: images.shape={tuple(array.shape)}")
    is_channels_first = settings.standardize_data_format(data_format) == "channels_first"
    return array.transpose(0, 2, 3, 1) if is_channels_first else array


def to_pixels(images: np.ndarray, value_range: Sequence[float]) -> np.ndarray:
    """Values of a range as uint8 from 0 to 255."""
    low, high = value_range
    if images.dtype == np.uint8 and (low, high) == (0, 255):
        return images
    if (low, high) != (0, 255):
        images = (images.astype("float32") - low) / (high - low) * 255
    return np.clip(images, 0, 255).astype("uint8")
