"""Images with segmentation masks in colors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from torchkeras.core import settings
from torchkeras.core.tensors.convert import convert_to_numpy
from torchkeras.core.types import ArrayLike
from torchkeras.visualization.gallery import plot_image_gallery
from torchkeras.visualization.pixels import to_array, to_pixels

Colors = Mapping[int, Sequence[int]]


def draw_segmentation_masks(
    images: ArrayLike,
    segmentation_masks: ArrayLike,
    num_classes: int | None = None,
    color_mapping: Colors | None = None,
    alpha: float = 0.8,
    blend: bool = True,
    ignore_index: int = -1,
    data_format: str | None = None,
) -> np.ndarray:
    """Color the pixels of images by their classes.

    Args:
        images: batch of images, a tensor or array of rank 4 with values from 0 to 255.
        segmentation_masks: integer class of each pixel, of shape `(batch_size, height, width)`, or with one channel
            more, which stands where `data_format` says.
        num_classes: number of classes, from 0 on; pixels of other classes stay as they are. `None` means the largest
            class in the masks plus one. Default: `None`.
        color_mapping: red, green and blue of each class; pixels of other classes stay as they are. `None` means a
            palette, in which class 0 is black. Default: `None`.
        alpha: opacity of the colors, from 0 to 1. Default: `0.8`.
        blend: whether to mix colors with the image by `alpha`; `False` draws them opaque. Default: `True`.
        ignore_index: class that is not drawn. Default: `-1`.
        data_format: `"channels_last"` or `"channels_first"`; `None` means `keras.config.image_data_format()`.
            Default: `None`.

    Returns:
        A uint8 array of shape `(batch_size, height, width, channels)`.

    Raises:
        ValueError: `images` is not of rank 4.
        TypeError: the masks are no integers.

    Example:
        >>> images = np.full((1, 2, 2, 3), 100, "uint8")
        >>> masks = np.array([[[0, 1], [1, -1]]])
        >>> colors = {0: (0, 0, 0), 1: (200, 0, 0)}
        >>> drawn = keras.visualization.draw_segmentation_masks(images, masks, color_mapping=colors, alpha=0.5)
        >>> drawn[0, 0].tolist(), drawn[0, 1].tolist()
        ([[50, 50, 50], [150, 50, 50]], [[150, 50, 50], [100, 100, 100]])
    """
    array = to_array(images, data_format)
    masks = _to_masks(segmentation_masks, data_format)
    if masks.dtype.kind not in "iu":
        raise TypeError(
            f"`segmentation_masks` must be in integer dtype. Received: segmentation_masks.dtype={masks.dtype}"
        )
    if num_classes is None:
        num_classes = int(masks.max()) + 1
    colors = _palette(num_classes) if color_mapping is None else color_mapping
    painted = array.astype("float32")
    for label in range(num_classes):
        if label in colors and label != ignore_index:
            painted[masks == label] = colors[label][: array.shape[-1]]
    if blend:
        weight = np.float32(alpha)
        mixed = array.astype("float32") * np.float32(1 - alpha) + painted * weight
        painted = np.where((masks == ignore_index)[..., None], array, mixed)
    return np.clip(painted, 0, 255).astype("uint8")


def _to_masks(segmentation_masks: ArrayLike, data_format: str | None) -> np.ndarray:
    """Masks without the axis of channels."""
    masks = convert_to_numpy(segmentation_masks)
    if masks.ndim != 4:
        return masks
    is_channels_first = settings.standardize_data_format(data_format) == "channels_first"
    return masks[:, 0] if is_channels_first else masks[..., 0]


def _palette(num_classes: int) -> Colors:
    """Keras's colors: multiples of three large steps, modulo 255."""
    steps = np.array([2**25 - 1, 2**15 - 1, 2**21 - 1])
    return {label: ((label * steps) % 255).tolist() for label in range(num_classes)}


def plot_segmentation_mask_gallery(
    images: ArrayLike,
    num_classes: int,
    value_range: Sequence[float] = (0, 255),
    y_true: ArrayLike | None = None,
    y_pred: ArrayLike | None = None,
    color_mapping: Colors | None = None,
    blend: bool = True,
    alpha: float = 0.8,
    ignore_index: int = -1,
    data_format: str | None = None,
    **kwargs: Any,
) -> None:
    """Show images beside themselves with true and predicted segmentation masks, one image per row.

    Args:
        images: batch of images, a tensor or array of rank 4.
        num_classes: number of classes, from 0 on.
        value_range: lowest and highest value of the images. Default: `(0, 255)`.
        y_true: true class of each pixel, as in `keras.visualization.draw_segmentation_masks`. Default: `None`.
        y_pred: predicted class of each pixel, likewise. Default: `None`.
        color_mapping: red, green and blue of each class; `None` means a palette. Default: `None`.
        blend: whether to mix colors with the image by `alpha`. Default: `True`.
        alpha: opacity of the colors, from 0 to 1. Default: `0.8`.
        ignore_index: class that is not drawn. Default: `-1`.
        data_format: `"channels_last"` or `"channels_first"`; `None` means `keras.config.image_data_format()`.
            Default: `None`.
        **kwargs: further arguments of `keras.visualization.plot_image_gallery`, such as `path`.

    Raises:
        ValueError: `images` is not of rank 4.
        ImportError: matplotlib is not installed.

    Example:
        >>> import os, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "gallery.png")
        >>> images, masks = np.random.uniform(size=(2, 8, 8, 3)), np.random.randint(0, 3, (2, 8, 8))
        >>> keras.visualization.plot_segmentation_mask_gallery(images, 3, (0, 1), y_true=masks, path=path)
        >>> os.path.exists(path)
        True
    """
    pixels = to_pixels(to_array(images, data_format), value_range)
    columns = [pixels]
    for masks in (y_true, y_pred):
        if masks is not None:
            classes = _to_masks(masks, data_format).astype("int32")
            drawn = draw_segmentation_masks(
                pixels, classes, num_classes, color_mapping, alpha, blend, ignore_index, "channels_last"
            )
            columns.append(drawn)
    grid = np.stack(columns, axis=1).reshape(-1, *pixels.shape[1:])
    plot_image_gallery(grid, rows=len(pixels), cols=len(columns), data_format="channels_last", **kwargs)
