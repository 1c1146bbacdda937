"""RandomFlip: mirror images."""

from __future__ import annotations

import math
from typing import Any, Unpack

import torch
from torch import Tensor

from torchkeras.core.types import ArrayLike
from torchkeras.core.variables.seeds import SeedGenerator
from torchkeras.layers.preprocessing.image.base import Data, ImageOptions, images_of
from torchkeras.layers.preprocessing.image.bounding_boxes.formats import convert_format
from torchkeras.layers.preprocessing.image.bounding_boxes.geometry import clip_to_image_size
from torchkeras.layers.preprocessing.image.geometric_layer import GeometricLayer

# Whether images are mirrored upside down, and left to right.
MODES = {"horizontal": (False, True), "vertical": (True, False), "horizontal_and_vertical": (True, True)}

_LARGE = 2**14  # values of an image from which on images are mirrored one by one: it saves a copy


class RandomFlip(GeometricLayer):
    """Mirror about half of the images during training.

    In inference, the images pass unchanged. Integers become floats.

    Args:
        mode: `"horizontal"` (left to right), `"vertical"` (upside down), or `"horizontal_and_vertical"`, which does
            both to the same images. Default: `"horizontal_and_vertical"`.
        seed: int that makes the layer's draws repeatable: they are those of Keras on torch. Without a seed, the draws
            come from torch's global generator. Default: `None`.
        data_format: `"channels_last"` or `"channels_first"`; `None` means `keras.config.image_data_format()`.
            Default: `None`.
        **kwargs: `bounding_box_format`, `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        data: images, or a dict of `"images"` and any of `"labels"`, `"bounding_boxes"`, `"segmentation_masks"`.
        training: whether to mirror. Default: the training mode of the call.

    Input shape:
        `(batch, height, width, channels)` or `(height, width, channels)`; channels before height if `data_format` is
        `"channels_first"`.

    Output shape:
        The input shape.

    Raises:
        ValueError: there is no such mode.

    Example:
        >>> layer = keras.layers.RandomFlip("horizontal")
        >>> images = torch.arange(3.0).reshape(1, 1, 3, 1)
        >>> flipped = layer.transform_images(images, {"flips": torch.ones(1, 1, 1, 1, dtype=torch.bool)})
        >>> flipped.flatten().tolist()
        [2.0, 1.0, 0.0]
    """

    def __init__(
        self,
        mode: str = "horizontal_and_vertical",
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Unpack[ImageOptions],
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        if mode not in MODES:
            raise ValueError(f"Unknown `mode` {mode!r}. Expected one of {tuple(MODES)}. Received: mode={mode}")
        self.mode = mode
        self.seed = seed
        self.generator = SeedGenerator(seed)

    def get_random_transformation(
        self, data: Data, training: bool = True, seed: int | SeedGenerator | None = None
    ) -> dict[str, Any] | None:
        """Return which images are mirrored (`"flips"`), and their shape (`"input_shape"`).

        Args:
            data: the images, or the dict with them.
            training: whether the call is one of training. Default: `True`.
            seed: source of the draws; `None` means the layer's own. Default: `None`.
        """
        if not training:
            return None
        shape = tuple(images_of(data).shape)
        draws_shape = (1, 1, 1) if len(shape) == 3 else (shape[0], 1, 1, 1)
        return {"flips": self._tk_draws(data, seed).uniform(draws_shape) <= 0.5, "input_shape": shape}

    def transform_images(self, images: ArrayLike, transformation: Any, training: bool = True) -> Tensor:
        pixels = self._tk_tensor(images)
        if training and transformation is not None:
            axes = [axis if wanted else None for axis, wanted in zip(self._tk_spatial_axes, MODES[self.mode])]
            pixels = _flipped(pixels, self._tk_tensor(transformation["flips"]), *axes)
        return self._tk_cast(pixels)

    def transform_segmentation_masks(
        self, segmentation_masks: ArrayLike, transformation: Any, training: bool = True
    ) -> Tensor:
        return self.transform_images(segmentation_masks, transformation, training=training)

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any, training: bool = True) -> Any:
        if not training:
            return bounding_boxes
        height, width = self._tk_shape_size(transformation["input_shape"])
        boxes = convert_format(bounding_boxes, self.bounding_box_format, "rel_xyxy", height=height, width=width)
        upside_down, left_to_right = MODES[self.mode]
        x1, y1, x2, y2 = boxes["boxes"].split(1, dim=-1)
        x = (1 - x2, 1 - x1) if left_to_right else (x1, x2)
        y = (1 - y2, 1 - y1) if upside_down else (y1, y2)
        flips = self._tk_tensor(transformation["flips"]).squeeze(-1).to(x1.device)
        mirrored = torch.where(flips, torch.cat([x[0], y[0], x[1], y[1]], dim=-1), boxes["boxes"])
        boxes = clip_to_image_size({**boxes, "boxes": mirrored}, bounding_box_format="rel_xyxy")
        return convert_format(boxes, "rel_xyxy", self.bounding_box_format, height=height, width=width)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape


def _flipped(images: Tensor, flips: Tensor, height_axis: int | None, width_axis: int | None) -> Tensor:
    """The images with those mirrored along the axes of which `flips` is true."""
    axes = [axis for axis in (height_axis, width_axis) if axis is not None]
    if flips.numel() == 1:
        return torch.where(flips.to(images.device), images.flip(axes), images)
    if height_axis is not None and images.is_contiguous():
        images = _upside_down(images, flips.to(images.device), height_axis)
        is_copy, axes = True, axes[1:]
        if not axes:
            return images
    else:
        is_copy = False
    if images.device.type != "cpu" or torch.compiler.is_compiling():
        return torch.where(flips.to(images.device), images.flip(axes), images)
    chosen = flips.flatten().nonzero().squeeze(1)
    if images[0].numel() < _LARGE or images.requires_grad:
        return images.index_copy(0, chosen, images.index_select(0, chosen).flip(axes))
    outputs = images if is_copy else images.clone()
    for index in chosen.tolist():
        outputs[index] = images[index].flip(axes)
    return outputs


def _upside_down(images: Tensor, flips: Tensor, axis: int) -> Tensor:
    """A copy in which the rows of those images are in reverse order of which `flips` is true: one pass over memory."""
    height = images.shape[axis]
    places = torch.arange(height, device=images.device)
    lead = images.shape[:axis]  # the batch, and channels that stand first
    order = torch.where(flips.reshape(-1, *(1,) * len(lead)), height - 1 - places, places).expand(*lead, -1)
    starts = height * torch.arange(math.prod(lead), device=images.device).reshape(*lead, 1)
    rows = images.reshape(math.prod(lead) * height, -1)
    return rows.index_select(0, (starts + order).reshape(-1)).reshape(images.shape)
