"""RandomPerspective: images seen from another place."""

from __future__ import annotations

from typing import Any, Unpack

import torch
from torch import Tensor

from torchkeras.core.tensors.convert import constant
from torchkeras.core.tensors.dtypes import torch_dtype
from torchkeras.core.types import ArrayLike
from torchkeras.core.variables.seeds import SeedGenerator
from torchkeras.layers.preprocessing.image.base import Data, ImageOptions, images_of, sample_count
from torchkeras.layers.preprocessing.image.bounding_boxes.formats import convert_format
from torchkeras.layers.preprocessing.image.bounding_boxes.geometry import clip_to_image_size
from torchkeras.layers.preprocessing.image.factors import Factor
from torchkeras.layers.preprocessing.image.geometric_layer import (
    INTERPOLATIONS,
    GeometricLayer,
    per_image,
    require_one_of,
)
from torchkeras.ops.image.warp import homography, perspective_transform


class RandomPerspective(GeometricLayer):
    """Distort the perspective of some images during training: each of their corners moves by a random distance.

    In inference, the images pass unchanged. Integers become floats.

    Args:
        factor: range of the probability with which an image is distorted: two numbers in [0, 1], or one number `f`
            for `(0, f)`. Default: `1.0`.
        scale: how far corners move, in [0, 1]: up to half of it, as a fraction of the image's size. Default: `1.0`.
        interpolation: `"nearest"` or `"bilinear"`. Default: `"bilinear"`.
        fill_value: value beyond the borders. Default: `0.0`.
        seed: int that makes the layer's draws repeatable: they are those of Keras on torch. Without a seed, the draws
            come from torch's global generator. Default: `None`.
        data_format: `"channels_last"` or `"channels_first"`; `None` means `keras.config.image_data_format()`.
            Default: `None`.
        **kwargs: `bounding_box_format`, `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        data: images, or a dict of `"images"` and any of `"labels"`, `"bounding_boxes"`, `"segmentation_masks"`.
        training: whether to distort. Default: the training mode of the call.

    Input shape:
        `(batch, height, width, channels)` or `(height, width, channels)`; channels before height if `data_format` is
        `"channels_first"`.

    Output shape:
        The input shape.

    Raises:
        ValueError: `factor` or `scale` is out of range.
        NotImplementedError: there is no such interpolation.

    Example:
        >>> keras.layers.RandomPerspective(scale=0.5)(torch.rand(2, 8, 8, 3), training=True).shape
        torch.Size([2, 8, 8, 3])
    """

    _FACTOR_BOUNDS = (0, 1)

    def __init__(
        self,
        factor: Factor = 1.0,
        scale: float = 1.0,
        interpolation: str = "bilinear",
        fill_value: float = 0.0,
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Unpack[ImageOptions],
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self._set_factor(factor)
        if not isinstance(scale, (int, float)) or not 0.0 <= scale <= 1.0:
            raise ValueError(f"The `scale` argument should be a number in the range [0,1]. Received: scale={scale}")
        require_one_of("interpolation", interpolation, INTERPOLATIONS)
        self.scale = scale
        self.interpolation = interpolation
        self.fill_value = fill_value
        self.seed = seed
        self.generator = SeedGenerator(seed)

    def get_random_transformation(
        self, data: Data, training: bool = True, seed: int | SeedGenerator | None = None
    ) -> dict[str, Any] | None:
        """Return which images are distorted (`"apply_perspective"`), and their corners `(batch_size, 4, 2)`.

        Args:
            data: the images, or the dict with them.
            training: whether the call is one of training. Default: `True`.
            seed: source of the draws; `None` means the layer's own. Default: `None`.
        """
        if not training:
            return None
        number, (height, width) = sample_count(data), self._tk_size_of(data)
        draws = self._tk_draws(data, seed)
        probability = draws.uniform((number,), *self.factor)
        is_applied = draws.uniform((number,)) < probability
        reach = 0.5 * self.scale
        moved = draws.uniform((number, 4, 2), -reach, reach, dtype=self.compute_dtype)
        right, bottom = width - 1.0, height - 1.0
        corners = [[0.0, 0.0], [right, 0.0], [0.0, bottom], [right, bottom]]
        start = constant(corners, torch_dtype(self.compute_dtype), moved.device).repeat(number, 1, 1)
        return {
            "apply_perspective": is_applied,
            "start_points": start,
            "end_points": start + start * moved,
            "input_shape": tuple(images_of(data).shape),
        }

    def _transform_images(self, images: ArrayLike, transformation: Any, interpolation: str) -> Tensor:
        pixels = self._tk_tensor(images)
        if transformation is None:
            return pixels
        moved = perspective_transform(
            pixels,
            self._tk_tensor(transformation["start_points"]),
            self._tk_tensor(transformation["end_points"]),
            interpolation=interpolation,
            fill_value=self.fill_value,
            data_format=self.data_format,
        )
        is_applied = self._tk_tensor(transformation["apply_perspective"]).to(pixels.device)
        return torch.where(per_image(is_applied, pixels), moved, pixels)

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any, training: bool = True) -> Any:
        if not training or transformation is None:
            return bounding_boxes
        height, width = self._tk_shape_size(transformation["input_shape"])
        boxes = convert_format(bounding_boxes, self.bounding_box_format, "xyxy", height=height, width=width)
        start, end, is_applied = (
            self._tk_tensor(transformation[name]) for name in ("start_points", "end_points", "apply_perspective")
        )
        x1, y1, x2, y2 = boxes["boxes"].unbind(-1)
        x, y = torch.stack([x1, x2, x1, x2], dim=-1), torch.stack([y1, y2, y2, y1], dim=-1)
        rows = homography(start.to(x.dtype), end.to(x.dtype)).unbind(1)
        down, across, depth = (row[:, 0] * x + row[:, 1] * y + row[:, 2] for row in rows)
        corners = torch.stack([across / depth, down / depth], dim=-1)
        moved = torch.cat([corners.amin(-2), corners.amax(-2)], dim=-1)
        moved = torch.where(is_applied[:, None, None], moved, boxes["boxes"])
        boxes = clip_to_image_size({**boxes, "boxes": moved}, height=height, width=width)
        return convert_format(boxes, "xyxy", self.bounding_box_format, height=height, width=width)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape
