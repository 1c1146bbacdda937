"""RandomElasticTransform: images as if drawn on rubber."""

from __future__ import annotations

from typing import Any, Unpack

import torch
from torch import Tensor

from torchkeras.core.types import ArrayLike
from torchkeras.core.variables.seeds import SeedGenerator
from torchkeras.layers.preprocessing.image.base import Data, ImageOptions, Range, sample_count
from torchkeras.layers.preprocessing.image.factors import Factor, range_from_zero
from torchkeras.layers.preprocessing.image.geometric_layer import (
    INTERPOLATIONS,
    GeometricLayer,
    per_image,
    require_one_of,
)
from torchkeras.ops.image.sampling import FILL_MODES
from torchkeras.ops.image.warp import displaced, elastic_transform, smoothed_field


class RandomElasticTransform(GeometricLayer):
    """Distort some images by smooth random fields during training.

    See Simard et al., 2003. In inference, the images pass unchanged. Integers become floats.

    Args:
        factor: range of the probability with which an image is distorted: two numbers in [0, 1], or one number `f`
            for `(0, f)`. Default: `1.0`.
        scale: range of the strength, likewise; it is drawn for each batch. Default: `1.0`.
        interpolation: `"nearest"` or `"bilinear"`. Default: `"bilinear"`.
        fill_mode: how images go on beyond their borders: `"reflect"` or `"mirror"` (mirrored, with or without the
            border repeated), `"wrap"` (the other side), `"constant"` (`fill_value`) or `"nearest"` (the border).
            Default: `"reflect"`.
        fill_value: value beyond the borders if `fill_mode` is `"constant"`. Default: `0.0`.
        value_range: lowest and highest value of the outputs. Default: `(0, 255)`.
        seed: int that makes the layer's draws repeatable: they are those of Keras on torch. Without a seed, the draws
            come from torch's global generator. Default: `None`.
        data_format: `"channels_last"` or `"channels_first"`; `None` means `keras.config.image_data_format()`.
            Default: `None`.
        **kwargs: `bounding_box_format`, `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        data: images, or a dict of `"images"` and any of `"labels"`, `"segmentation_masks"`.
        training: whether to distort. Default: the training mode of the call.

    Input shape:
        `(batch, height, width, channels)` or `(height, width, channels)`; channels before height if `data_format` is
        `"channels_first"`.

    Output shape:
        The input shape.

    Raises:
        ValueError: a factor is out of range.
        NotImplementedError: there is no such fill mode or interpolation; or the inputs have bounding boxes.

    Example:
        >>> keras.layers.RandomElasticTransform()(torch.rand(2, 8, 8, 3), training=True).shape
        torch.Size([2, 8, 8, 3])
    """

    _FACTOR_BOUNDS = (0, 1)

    def __init__(
        self,
        factor: Factor = 1.0,
        scale: Factor = 1.0,
        interpolation: str = "bilinear",
        fill_mode: str = "reflect",
        fill_value: float = 0.0,
        value_range: Range = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Unpack[ImageOptions],
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self._set_factor(factor)
        self.scale = range_from_zero(scale, "scale")
        require_one_of("interpolation", interpolation, INTERPOLATIONS)
        require_one_of("fill_mode", fill_mode, FILL_MODES)
        self.interpolation = interpolation
        self.fill_mode = fill_mode
        self.fill_value = fill_value
        self.value_range = value_range
        self.seed = seed
        self.generator = SeedGenerator(seed)

    def get_random_transformation(
        self, data: Data, training: bool = True, seed: int | SeedGenerator | None = None
    ) -> dict[str, Any] | None:
        """Return which images are distorted, how strongly, and by which noise; `None` where nothing is distorted.

        Args:
            data: the images, or the dict with them.
            training: whether the call is one of training. Default: `True`.
            seed: source of the draws; `None` means the layer's own. Default: `None`.
        """
        if not training or self.scale[1] == 0 or self.factor[1] == 0:
            return None
        number, size, draws = sample_count(data), self._tk_size_of(data), self._tk_draws(data, seed)
        probability = draws.uniform((number,), *self.factor)
        is_applied = draws.uniform((number,)) < probability
        strength = draws.uniform((), *self.scale, dtype=self.compute_dtype)
        noise = torch.stack([draws.normal((number, *size), dtype=self.compute_dtype) for _ in range(2)])
        return {"apply_transform": is_applied, "distortion_factor": strength, "noise": noise}

    def _transform_images(self, images: ArrayLike, transformation: Any, interpolation: str) -> Tensor:
        pixels = self._tk_tensor(images)
        if transformation is None:
            return pixels
        height, width = self._tk_size(pixels)
        strength = self._tk_tensor(transformation["distortion_factor"]).to(pixels.device)
        alpha, sigma = max(height, width) * (0.1 * strength), min(height, width) * (0.05 * strength).clamp(min=1e-6)
        options: Any = {"fill_mode": self.fill_mode, "fill_value": self.fill_value, "data_format": self.data_format}
        if "noise" in transformation:
            largest = int(6 * min(height, width) * 0.05 * self.scale[1]) | 1
            field = smoothed_field(transformation["noise"] * (alpha * sigma), sigma, largest)
            moved = displaced(pixels, field, interpolation=interpolation, **options)
        else:  # a transformation as Keras makes it, with a seed
            seed = transformation["seed"]
            moved = elastic_transform(pixels, float(alpha), float(sigma), interpolation, seed=seed, **options)
        is_applied = self._tk_tensor(transformation["apply_transform"]).to(pixels.device)
        result = torch.where(per_image(is_applied, pixels), moved, pixels)
        return self._tk_cast(result.clamp(*self.value_range))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape
