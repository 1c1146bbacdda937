"""RandomRotation, RandomTranslation, RandomZoom and RandomShear: affine maps of images."""

from __future__ import annotations

import math
from typing import Any, Unpack

import torch
from torch import Tensor

from torchkeras.core.types import Config
from torchkeras.core.variables.seeds import SeedGenerator
from torchkeras.layers.preprocessing.image.base import Data, ImageOptions, images_of, sample_count
from torchkeras.layers.preprocessing.image.bounding_boxes.formats import convert_format
from torchkeras.layers.preprocessing.image.bounding_boxes.geometry import affine_transform as transform_boxes
from torchkeras.layers.preprocessing.image.bounding_boxes.geometry import clip_to_image_size
from torchkeras.layers.preprocessing.image.factors import Factor, symmetric_range
from torchkeras.layers.preprocessing.image.geometric_layer import AffineLayer


def matrices(*entries: Tensor | float, like: Tensor) -> Tensor:
    """Rows `[a0, a1, a2, b0, b1, b2, 0, 0]`, one for each number in the tensors of shape `(batch_size,)`."""
    columns = [entry if isinstance(entry, Tensor) else torch.full_like(like, entry) for entry in (*entries, 0.0, 0.0)]
    return torch.stack(columns, dim=1)


class RandomRotation(AffineLayer):
    """Rotate each image by a random angle during training, around its center.

    In inference, the images pass unchanged. Integers become floats.

    Args:
        factor: range of the angles, as fractions of a full turn: two numbers in [-1, 1], or one number `f` for
            `(-f, f)`. Positive angles turn counterclockwise.
        fill_mode: how images go on beyond their borders: `"reflect"` (mirrored, the border repeated), `"wrap"` (the
            other side), `"constant"` (`fill_value`) or `"nearest"` (the border). Default: `"reflect"`.
        interpolation: `"nearest"` or `"bilinear"`. Default: `"bilinear"`.
        seed: int that makes the layer's draws repeatable: they are those of Keras on torch. Without a seed, the draws
            come from torch's global generator. Default: `None`.
        fill_value: value beyond the borders if `fill_mode` is `"constant"`. Default: `0.0`.
        data_format: `"channels_last"` or `"channels_first"`; `None` means `keras.config.image_data_format()`.
            Default: `None`.
        **kwargs: `bounding_box_format`, `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        data: images, or a dict of `"images"` and any of `"labels"`, `"bounding_boxes"`, `"segmentation_masks"`.
        training: whether to rotate. Default: the training mode of the call.

    Input shape:
        `(batch, height, width, channels)` or `(height, width, channels)`; channels before height if `data_format` is
        `"channels_first"`.

    Output shape:
        The input shape.

    Raises:
        ValueError: `factor` is out of range.
        NotImplementedError: there is no such fill mode or interpolation.

    Example:
        >>> layer = keras.layers.RandomRotation((0.5, 0.5), interpolation="nearest")
        >>> layer(torch.arange(4.0).reshape(1, 2, 2, 1), training=True).flatten().tolist()
        [3.0, 2.0, 1.0, 0.0]
    """

    _USE_BASE_FACTOR = True

    def __init__(
        self,
        factor: Factor,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Unpack[ImageOptions],
    ) -> None:
        super().__init__(
            factor=factor,
            fill_mode=fill_mode,
            interpolation=interpolation,
            seed=seed,
            fill_value=fill_value,
            data_format=data_format,
            **kwargs,
        )

    def get_random_transformation(
        self, data: Data, training: bool = True, seed: int | SeedGenerator | None = None
    ) -> dict[str, Any] | None:
        """Return angles in degrees (`"angle"`), the matrices (`"rotation_matrix"`), and the sizes of the images.

        Args:
            data: the images, or the dict with them.
            training: whether the call is one of training. Default: `True`.
            seed: source of the draws; `None` means the layer's own. Default: `None`.
        """
        if not training:
            return None
        number, (height, width) = sample_count(data), self._tk_size_of(data)
        lower, upper = self.factor
        angle = self._tk_draws(data, seed).uniform((number,), lower * 360.0, upper * 360.0)
        matrix = _rotations(angle, height, width)
        return {
            "angle": angle,
            "rotation_matrix": matrix.squeeze(0) if len(images_of(data).shape) == 3 else matrix,
            "image_height": height,
            "image_width": width,
            "batch_size": number,
        }

    def _tk_matrices(self, transformation: Any, images: Tensor) -> Tensor:
        return self._tk_tensor(transformation["rotation_matrix"])

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any, training: bool = True) -> Any:
        if not training:
            return bounding_boxes
        height, width = transformation["image_height"], transformation["image_width"]
        boxes = convert_format(bounding_boxes, self.bounding_box_format, "xyxy", height=height, width=width)
        angle = self._tk_tensor(transformation["angle"])
        moved = transform_boxes(boxes["boxes"], angle, 0.0, 0.0, 1.0, 0.0, 0.0, height=height, width=width)
        boxes = clip_to_image_size({**boxes, "boxes": moved}, height=height, width=width)
        return convert_format(boxes, "xyxy", self.bounding_box_format, height=height, width=width)


def _rotations(angle: Tensor, height: int, width: int) -> Tensor:
    """The matrices of rotations by angles in degrees around the centers of images."""
    radians = angle * (math.pi / 180.0)
    cosine, sine = radians.cos(), radians.sin()
    x, y = 0.5 * (width - 1), 0.5 * (height - 1)
    return matrices(cosine, -sine, x - x * cosine + y * sine, sine, cosine, y - x * sine - y * cosine, like=angle)


class RandomTranslation(AffineLayer):
    """Move each image by a random distance during training.

    In inference, the images pass unchanged. Integers become floats.

    Args:
        height_factor: range of the distances down, as fractions of the height: two numbers in [-1, 1], or one number
            `f` for `(-f, f)`.
        width_factor: range of the distances to the right, as fractions of the width, likewise.
        fill_mode: how images go on beyond their borders: `"reflect"` (mirrored, the border repeated), `"wrap"` (the
            other side), `"constant"` (`fill_value`) or `"nearest"` (the border). Default: `"reflect"`.
        interpolation: `"nearest"` or `"bilinear"`. Default: `"bilinear"`.
        seed: int that makes the layer's draws repeatable: they are those of Keras on torch. Without a seed, the draws
            come from torch's global generator. Default: `None`.
        fill_value: value beyond the borders if `fill_mode` is `"constant"`. Default: `0.0`.
        data_format: `"channels_last"` or `"channels_first"`; `None` means `keras.config.image_data_format()`.
            Default: `None`.
        **kwargs: `bounding_box_format`, `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        data: images, or a dict of `"images"` and any of `"labels"`, `"bounding_boxes"`, `"segmentation_masks"`.
        training: whether to move. Default: the training mode of the call.

    Input shape:
        `(batch, height, width, channels)` or `(height, width, channels)`; channels before height if `data_format` is
        `"channels_first"`.

    Output shape:
        The input shape.

    Raises:
        ValueError: a factor is out of range.
        NotImplementedError: there is no such fill mode or interpolation.

    Example:
        >>> layer = keras.layers.RandomTranslation(0.0, (0.5, 0.5), fill_mode="constant")
        >>> layer(torch.arange(1.0, 5.0).reshape(1, 1, 4, 1), training=True).flatten().tolist()
        [0.0, 0.0, 1.0, 2.0]
    """

    def __init__(
        self,
        height_factor: Factor,
        width_factor: Factor,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Unpack[ImageOptions],
    ) -> None:
        super().__init__(
            fill_mode=fill_mode,
            interpolation=interpolation,
            seed=seed,
            fill_value=fill_value,
            data_format=data_format,
            **kwargs,
        )
        message = "The `factor` argument should be a number (or a list of two numbers) in the range [-1.0, 1.0]."
        self.height_factor = height_factor
        self.height_lower, self.height_upper = symmetric_range(height_factor, "height_factor", message, -1.0, 1.0)
        self.width_factor = width_factor
        self.width_lower, self.width_upper = symmetric_range(width_factor, "width_factor", message, -1.0, 1.0)

    def get_random_transformation(
        self, data: Data, training: bool = True, seed: int | SeedGenerator | None = None
    ) -> dict[str, Any] | None:
        """Return the distances in pixels, `(batch_size, 2)`, x first (`"translations"`), and the shape of the images.

        Args:
            data: the images, or the dict with them.
            training: whether the call is one of training. Default: `True`.
            seed: source of the draws; `None` means the layer's own. Default: `None`.
        """
        if not training:
            return None
        shape, (height, width) = (sample_count(data), 1), self._tk_size_of(data)
        draws = self._tk_draws(data, seed)
        down = draws.uniform(shape, self.height_lower, self.height_upper) * height
        right = draws.uniform(shape, self.width_lower, self.width_upper) * width
        return {"translations": torch.cat([right, down], dim=1).float(), "input_shape": tuple(images_of(data).shape)}

    def _tk_matrices(self, transformation: Any, images: Tensor) -> Tensor:
        right, down = self._tk_tensor(transformation["translations"]).unbind(1)
        return matrices(1.0, 0.0, -right, 0.0, 1.0, -down, like=right)

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any, training: bool = True) -> Any:
        if not training:
            return bounding_boxes
        height, width = self._tk_shape_size(transformation["input_shape"])
        boxes = convert_format(bounding_boxes, self.bounding_box_format, "xyxy", height=height, width=width)
        distances = self._tk_tensor(transformation["translations"]).repeat(1, 2)
        moved = boxes["boxes"] + distances.to(boxes["boxes"]).unsqueeze(1)
        boxes = clip_to_image_size({**boxes, "boxes": moved}, height=height, width=width)
        return convert_format(boxes, "xyxy", self.bounding_box_format, height=height, width=width)


class RandomZoom(AffineLayer):
    """Make each image smaller or larger by a random factor during training, around its center.

    In inference, the images pass unchanged. Integers become floats.

    Args:
        height_factor: range of the change of the height that is seen: two numbers in (-1, 1], or one number `f` for
            `(-f, f)`. `0.2` zooms out by 20%, `-0.2` zooms in.
        width_factor: range of the change of the width, likewise; `None` keeps the aspect ratio. Default: `None`.
        fill_mode: how images go on beyond their borders: `"reflect"` (mirrored, the border repeated), `"wrap"` (the
            other side), `"constant"` (`fill_value`) or `"nearest"` (the border). Default: `"reflect"`.
        interpolation: `"nearest"` or `"bilinear"`. Default: `"bilinear"`.
        seed: int that makes the layer's draws repeatable: they are those of Keras on torch. Without a seed, the draws
            come from torch's global generator. Default: `None`.
        fill_value: value beyond the borders if `fill_mode` is `"constant"`. Default: `0.0`.
        data_format: `"channels_last"` or `"channels_first"`; `None` means `keras.config.image_data_format()`.
            Default: `None`.
        **kwargs: `bounding_box_format`, `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        data: images, or a dict of `"images"` and any of `"labels"`, `"bounding_boxes"`, `"segmentation_masks"`.
        training: whether to zoom. Default: the training mode of the call.

    Input shape:
        `(batch, height, width, channels)` or `(height, width, channels)`; channels before height if `data_format` is
        `"channels_first"`.

    Output shape:
        The input shape.

    Raises:
        ValueError: a factor is out of range.
        NotImplementedError: there is no such fill mode or interpolation.

    Example:
        >>> layer = keras.layers.RandomZoom((-0.5, -0.5), interpolation="nearest")
        >>> layer(torch.arange(4.0).reshape(1, 1, 4, 1), training=True).flatten().tolist()
        [1.0, 1.0, 2.0, 2.0]
    """

    def __init__(
        self,
        height_factor: Factor,
        width_factor: Factor | None = None,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Unpack[ImageOptions],
    ) -> None:
        super().__init__(
            fill_mode=fill_mode,
            interpolation=interpolation,
            seed=seed,
            fill_value=fill_value,
            data_format=data_format,
            **kwargs,
        )
        message = (
            "The `height_factor` and `width_factor` arguments should be a number (or a list of two numbers) in the "
            "range (-1.0, 1.0]."
        )
        self.height_factor = height_factor
        self.height_lower, self.height_upper = symmetric_range(height_factor, "height_factor", message, -1, 1, True)
        self.width_factor = width_factor
        if width_factor is not None:
            self.width_lower, self.width_upper = symmetric_range(width_factor, "width_factor", message, -1, 1, True)

    def get_random_transformation(
        self, data: Data, training: bool = True, seed: int | SeedGenerator | None = None
    ) -> dict[str, Any] | None:
        """Return the parts of height and width that are seen, `(batch_size, 1)`, and the shape of the images.

        Args:
            data: the images, or the dict with them.
            training: whether the call is one of training. Default: `True`.
            seed: source of the draws; `None` means the layer's own. Default: `None`.
        """
        if not training:
            return None
        draws, shape = self._tk_draws(data, seed), (sample_count(data), 1)
        height_zoom = width_zoom = draws.uniform(shape, 1.0 + self.height_lower, 1.0 + self.height_upper)
        if self.width_factor is not None:
            width_zoom = draws.uniform(shape, 1.0 + self.width_lower, 1.0 + self.width_upper)
        return {"height_zoom": height_zoom, "width_zoom": width_zoom, "input_shape": tuple(images_of(data).shape)}

    def _tk_zooms(self, transformation: Any) -> tuple[Tensor, Tensor]:
        """The parts of width and height that are seen, `(batch_size,)`."""
        across, down = (self._tk_tensor(transformation[name]) for name in ("width_zoom", "height_zoom"))
        return across.float().squeeze(1), down.float().squeeze(1)

    def _tk_matrices(self, transformation: Any, images: Tensor) -> Tensor:
        height, width = self._tk_size(images)
        across, down = self._tk_zooms(transformation)
        left, top = (width - 1.0) / 2.0 * (1.0 - across), (height - 1.0) / 2.0 * (1.0 - down)
        return matrices(across, 0.0, left, 0.0, down, top, like=across)

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any, training: bool = True) -> Any:
        if not training:
            return bounding_boxes
        height, width = self._tk_shape_size(transformation["input_shape"])
        boxes = convert_format(bounding_boxes, self.bounding_box_format, "xyxy", height=height, width=width)
        across, down = self._tk_zooms(transformation)
        left, top = (width - 1.0) / 2.0 * (1.0 - across), (height - 1.0) / 2.0 * (1.0 - down)
        seen = torch.stack([across * width, down * height], dim=1).repeat(1, 2).unsqueeze(1)
        start = torch.stack([left, top], dim=1).repeat(1, 2).unsqueeze(1)
        part = boxes["boxes"].clamp(start, start + seen).sub(start) / seen
        boxes = clip_to_image_size({**boxes, "boxes": part}, bounding_box_format="rel_xyxy")
        return convert_format(boxes, "rel_xyxy", self.bounding_box_format, height=height, width=width)


class RandomShear(AffineLayer):
    """Shear each image by a random amount during training, to either side.

    Pixel `(x, y)` is taken from `(x + s_x y, y + s_y x)`. In inference, the images pass unchanged. Integers become
    floats.

    Args:
        x_factor: range of the amounts along x: two numbers in [0, 1], or one number `f` for `(-f, f)`. Default: `0.0`.
        y_factor: range of the amounts along y, likewise. Default: `0.0`.
        interpolation: `"nearest"` or `"bilinear"`. Default: `"bilinear"`.
        fill_mode: how images go on beyond their borders: `"reflect"` (mirrored, the border repeated), `"wrap"` (the
            other side), `"constant"` (`fill_value`) or `"nearest"` (the border). Default: `"reflect"`.
        fill_value: value beyond the borders if `fill_mode` is `"constant"`. Default: `0.0`.
        data_format: `"channels_last"` or `"channels_first"`; `None` means `keras.config.image_data_format()`.
            Default: `None`.
        seed: int that makes the layer's draws repeatable: they are those of Keras on torch. Without a seed, the draws
            come from torch's global generator. Default: `None`.
        **kwargs: `bounding_box_format`, `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        data: images, or a dict of `"images"` and any of `"labels"`, `"bounding_boxes"`, `"segmentation_masks"`.
        training: whether to shear. Default: the training mode of the call.

    Input shape:
        `(batch, height, width, channels)` or `(height, width, channels)`; channels before height if `data_format` is
        `"channels_first"`.

    Output shape:
        The input shape.

    Raises:
        ValueError: a factor is out of range.
        NotImplementedError: there is no such fill mode or interpolation.

    Example:
        >>> layer = keras.layers.RandomShear(fill_mode="constant")
        >>> images = torch.arange(1.0, 5.0).reshape(1, 2, 2, 1)
        >>> layer.transform_images(images, {"shear_factor": torch.tensor([[1.0, 0.0]])}).flatten().tolist()
        [1.0, 2.0, 4.0, 0.0]
    """

    _tk_config_base = True
    _FACTOR_BOUNDS = (0, 1)

    def __init__(
        self,
        x_factor: Factor = 0.0,
        y_factor: Factor = 0.0,
        interpolation: str = "bilinear",
        fill_mode: str = "reflect",
        fill_value: float = 0.0,
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Unpack[ImageOptions],
    ) -> None:
        super().__init__(
            fill_mode=fill_mode,
            interpolation=interpolation,
            seed=seed,
            fill_value=fill_value,
            data_format=data_format,
            **kwargs,
        )
        self.x_factor = _shear_range(x_factor, "x_factor")
        self.y_factor = _shear_range(y_factor, "y_factor")

    def get_random_transformation(
        self, data: Data, training: bool = True, seed: int | SeedGenerator | None = None
    ) -> dict[str, Any] | None:
        """Return the amounts `(batch_size, 2)`, along x first (`"shear_factor"`), and the shape of the images.

        Args:
            data: the images, or the dict with them.
            training: whether the call is one of training. Default: `True`.
            seed: source of the draws; `None` means the layer's own. Default: `None`.
        """
        if not training:
            return None
        draws, shape, dtype = self._tk_draws(data, seed), (sample_count(data), 1), self.compute_dtype
        side = 1 - 2 * (draws.uniform(shape, dtype=dtype) > 0.5).to(torch.int8)
        along_y = draws.uniform(shape, *self.y_factor, dtype=dtype)
        along_x = draws.uniform(shape, *self.x_factor, dtype=dtype)
        factor = torch.cat([along_x, along_y], dim=1) * side
        return {"shear_factor": factor, "input_shape": tuple(images_of(data).shape)}

    def _tk_matrices(self, transformation: Any, images: Tensor) -> Tensor:
        along_x, along_y = self._tk_tensor(transformation["shear_factor"]).float().unbind(1)
        return matrices(1.0, along_x, 0.0, along_y, 1.0, 0.0, like=along_x)

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any, training: bool = True) -> Any:
        if not training:
            return bounding_boxes
        height, width = self._tk_shape_size(transformation["input_shape"])
        boxes = convert_format(bounding_boxes, self.bounding_box_format, "rel_xyxy", height=height, width=width)
        factor = self._tk_tensor(transformation["shear_factor"]).to(boxes["boxes"])
        along_x, along_y = factor[:, :1], factor[:, 1:]
        x1, y1, x2, y2 = boxes["boxes"].unbind(-1)
        # The smallest upright box: the lower and the upper edge move differently.
        x1, x2 = x1 - torch.maximum(along_x * y1, along_x * y2), x2 - torch.minimum(along_x * y1, along_x * y2)
        y1, y2 = y1 - torch.maximum(along_y * x1, along_y * x2), y2 - torch.minimum(along_y * x1, along_y * x2)
        moved = torch.stack([x1, y1, x2, y2], dim=-1)
        boxes = clip_to_image_size({**boxes, "boxes": moved}, bounding_box_format="rel_xyxy")
        return convert_format(boxes, "rel_xyxy", self.bounding_box_format, height=height, width=width)

    def get_config(self) -> Config:
        config = super().get_config()
        for name in ("x_factor", "y_factor"):  # Keras takes no negative number: `f` stands for `(-f, f)`
            lower, upper = getattr(self, name)
            config[name] = upper if lower < 0 else (lower, upper)
        return config


def _shear_range(factor: Factor, name: str) -> tuple[float, float]:
    """Two numbers; also `(-f, f)`, which Keras writes into files."""
    message = "The `factor` argument should be a number (or a list of two numbers) in the range [0, 1.0]."
    if isinstance(factor, (tuple, list)) and len(factor) == 2 and factor[0] == -factor[1] and 0 <= factor[1] <= 1:
        factor = factor[1]
    return symmetric_range(factor, name, message, 0.0, 1.0)
