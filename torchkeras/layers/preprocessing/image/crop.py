"""CenterCrop and RandomCrop: parts of images."""

from __future__ import annotations

from typing import Any, Unpack

import torch
from torch import Tensor

from torchkeras.core.tensors.convert import constant_like
from torchkeras.core.types import ArrayLike, Number
from torchkeras.core.variables.seeds import SeedGenerator, make_default_seed
from torchkeras.layers.preprocessing.image.base import Data, ImageOptions
from torchkeras.layers.preprocessing.image.bounding_boxes.formats import convert_format
from torchkeras.layers.preprocessing.image.bounding_boxes.geometry import clip_to_image_size, crop
from torchkeras.layers.preprocessing.image.geometric_layer import GeometricLayer, with_size
from torchkeras.ops.image.resize import resize


def centered_part(size: tuple[int, int], ratio: tuple[int, int]) -> tuple[int, int, int, int]:
    """First row, first column, height and width of the largest part in the middle that has an aspect ratio."""
    (height, width), (rows, columns) = size, ratio
    part_height = max(min(height, int(width * rows / columns)), 1)
    part_width = max(min(width, int(height * columns / rows)), 1)
    return (height - part_height) // 2, (width - part_width) // 2, part_height, part_width


class CropLayer(GeometricLayer):
    """A layer whose outputs have `height` rows and `width` columns."""

    keras_module = None
    height: int
    width: int

    def _tk_resized(self, images: Tensor, crop_to_aspect_ratio: bool = False) -> Tensor:
        return resize(
            images,
            (self.height, self.width),
            crop_to_aspect_ratio=crop_to_aspect_ratio,
            data_format=self.data_format,
        )

    def compute_output_shape(self, input_shape: Any) -> Any:
        return with_size(input_shape, self._tk_spatial_axes, self.height, self.width)


class CenterCrop(CropLayer):
    """Cut the middle out of images, in training and in inference.

    Images that are smaller than the outputs along an axis are resized instead, after the largest part in the middle
    that has the outputs' aspect ratio is cut out. Integers become floats.

    Args:
        height: height of the outputs in pixels.
        width: width of the outputs in pixels.
        data_format: `"channels_last"` or `"channels_first"`; `None` means `keras.config.image_data_format()`.
            Default: `None`.
        **kwargs: `bounding_box_format`, `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        data: images, or a dict of `"images"` and any of `"labels"`, `"bounding_boxes"`, `"segmentation_masks"`.

    Input shape:
        `(batch, height, width, channels)` or `(height, width, channels)`; channels before height if `data_format` is
        `"channels_first"`.

    Output shape:
        The input shape with the new height and width.

    Example:
        >>> images = torch.arange(16.0).reshape(1, 4, 4, 1)
        >>> keras.layers.CenterCrop(2, 2)(images)[0, ..., 0].tolist()
        [[5.0, 6.0], [9.0, 10.0]]
    """

    def __init__(self, height: int, width: int, data_format: str | None = None, **kwargs: Unpack[ImageOptions]) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.height = height
        self.width = width

    def get_random_transformation(self, data: Data, training: bool = True, seed: Any = None) -> dict[str, Any]:
        """Return the shape of the images; nothing is random."""
        images = data["images"] if isinstance(data, dict) else data
        return {"input_shape": tuple(images.shape)}

    def transform_images(self, images: ArrayLike, transformation: Any = None, training: bool = True) -> Tensor:
        pixels = self._tk_tensor(images)
        below, beside = (size - new for size, new in zip(self._tk_size(pixels), (self.height, self.width)))
        if below < 0 or beside < 0:
            return self._tk_resized(self._tk_cast(pixels), crop_to_aspect_ratio=True)
        height_axis, width_axis = self._tk_spatial_axes
        part = pixels.narrow(height_axis, below // 2, self.height).narrow(width_axis, beside // 2, self.width)
        return self._tk_cast(part)

    def transform_segmentation_masks(
        self, segmentation_masks: ArrayLike, transformation: Any = None, training: bool = True
    ) -> Tensor:
        return self.transform_images(segmentation_masks, transformation, training=training)

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any, training: bool = True) -> Any:
        height, width = self._tk_shape_size(transformation["input_shape"])
        boxes = convert_format(bounding_boxes, self.bounding_box_format, "xyxy", height=height, width=width)
        if height >= self.height and width >= self.width:
            top, left, rows, columns = (height - self.height) // 2, (width - self.width) // 2, self.height, self.width
        else:
            top, left, rows, columns = centered_part((height, width), (self.height, self.width))
        moved = crop(boxes["boxes"], top, left, rows, columns)
        if (rows, columns) != (self.height, self.width):
            moved = (
                moved / constant_like(moved, [columns, rows] * 2) * constant_like(moved, [self.width, self.height] * 2)
            )
        boxes = clip_to_image_size({**boxes, "boxes": moved}, height=self.height, width=self.width)
        return convert_format(boxes, "xyxy", self.bounding_box_format, height=self.height, width=self.width)


class RandomCrop(CropLayer):
    """Cut a part out of images during training, at a place that is drawn for each batch.

    Images that are not larger than the outputs along both axes are cut in the middle, and resized to the outputs' size.
    In inference, the images pass unchanged.

    Args:
        height: height of the outputs in pixels.
        width: width of the outputs in pixels.
        seed: int that makes the layer's draws repeatable: they are those of Keras on torch. Without a seed, the draws
            come from torch's global generator. Default: `None`.
        data_format: `"channels_last"` or `"channels_first"`; `None` means `keras.config.image_data_format()`.
            Default: `None`.
        name: name of the layer. Default: `None`.
        **kwargs: `bounding_box_format`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        data: images, or a dict of `"images"` and any of `"labels"`, `"bounding_boxes"`, `"segmentation_masks"`.
        training: whether to crop. Default: the training mode of the call.

    Input shape:
        `(batch, height, width, channels)` or `(height, width, channels)`; channels before height if `data_format` is
        `"channels_first"`.

    Output shape:
        The input shape with the new height and width.

    Example:
        >>> layer = keras.layers.RandomCrop(2, 3, seed=1)
        >>> layer(torch.rand(5, 4, 4, 1), training=True).shape
        torch.Size([5, 2, 3, 1])
    """

    def __init__(  # type: ignore[misc]  # the options hold a name, too
        self,
        height: int,
        width: int,
        seed: int | None = None,
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Unpack[ImageOptions],
    ) -> None:
        super().__init__(name=name, data_format=data_format, **kwargs)
        self.height = height
        self.width = width
        self.seed = seed if seed is not None else make_default_seed()
        self.generator = SeedGenerator(seed)

    def get_random_transformation(
        self, data: Data, training: bool = True, seed: int | SeedGenerator | None = None
    ) -> tuple[Number, ...]:
        """Return the first row and the first column of the part, and height and width of the images.

        Args:
            data: the images, or the dict with them.
            training: whether the call is one of training. Default: `True`.
            seed: source of the draws; `None` means the layer's own. Default: `None`.

        Raises:
            ValueError: height or width of the images is unknown.
        """
        height, width = self._tk_size_of(data)
        if height is None or width is None:
            raise ValueError(
                "RandomCrop requires the input to have a fully defined height and width. "
                f"Received: images of height {height} and width {width}"
            )
        if not training or height <= self.height or width <= self.width:
            top, left, _, _ = centered_part((height, width), (self.height, self.width))
            return top, left, height, width
        draws = self._tk_draws(data, seed)
        if draws.is_unseeded and draws.device.type == "cpu" and not torch.compiler.is_compiling():
            place = int(torch.randint((height - self.height + 1) * (width - self.width + 1), ()))
            return *divmod(place, width - self.width + 1), height, width
        top, left = (draws.uniform((), 0.0, float(n)) for n in (height - self.height + 1, width - self.width + 1))
        return top.to(torch.int32), left.to(torch.int32), height, width

    def transform_images(self, images: ArrayLike, transformation: Any, training: bool = True) -> Tensor:
        pixels = self._tk_tensor(images)
        if not training:
            return pixels
        sizes = self.height, self.width
        for axis, start, size in zip(self._tk_spatial_axes, transformation[:2], sizes):
            pixels = _part(pixels, axis, start, size)
        if self._tk_size(pixels) != sizes:
            pixels = self._tk_resized(self._tk_cast(pixels))
        return self._tk_cast(pixels)

    def transform_segmentation_masks(
        self, segmentation_masks: ArrayLike, transformation: Any, training: bool = True
    ) -> Tensor:
        return self.transform_images(segmentation_masks, transformation, training=training)

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any, training: bool = True) -> Any:
        if not training:
            return bounding_boxes
        top, left, *size = transformation
        height, width = size or (self.height, self.width)
        boxes = convert_format(bounding_boxes, self.bounding_box_format, "xyxy", height=height, width=width)
        rows, columns = (min(self.height, height), min(self.width, width)) if size else (self.height, self.width)
        moved = crop(boxes["boxes"], top, left, rows, columns)
        if (rows, columns) != (self.height, self.width):  # the part was resized
            moved = moved * constant_like(moved, [self.width / columns, self.height / rows] * 2)
        boxes = {**boxes, "boxes": moved}
        return convert_format(boxes, "xyxy", self.bounding_box_format, height=self.height, width=self.width)


def _part(images: Tensor, axis: int, start: Number, size: int) -> Tensor:
    """`size` places of an axis, fewer where it ends. A start on a device is not read, for that would wait for it."""
    if isinstance(start, Tensor) and (start.device.type != "cpu" or torch.compiler.is_compiling()):
        return images.index_select(axis, torch.arange(size, device=images.device) + start.to(images.device))
    first = int(start)
    return images.narrow(axis, first, min(size, images.shape[axis] - first))
