"""RandomErasing: rectangles over images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias, Unpack

import torch
from torch import Tensor

from torchkeras.core.tensors.convert import constant
from torchkeras.core.tensors.dtypes import torch_dtype
from torchkeras.core.types import ArrayLike
from torchkeras.core.variables.seeds import SeedGenerator
from torchkeras.layers.preprocessing.image.base import Data, ImageOptions, Range, images_of, sample_count
from torchkeras.layers.preprocessing.image.color_layer import ColorLayer
from torchkeras.layers.preprocessing.image.factors import Factor, range_from_zero
from torchkeras.layers.preprocessing.image.geometric_layer import per_image
from torchkeras.layers.preprocessing.image.seeded_draws import SeededDraws

# The image and the ranges of its axes.
Rectangle: TypeAlias = tuple[int | slice, ...]


class RandomErasing(ColorLayer):
    """Cover a random rectangle of some images during training (Zhong et al., 2017).

    In inference, the images pass unchanged. Integers become floats. Labels, boxes and masks stay as they are.

    Args:
        factor: range of the probability with which an image is covered: two numbers in [0, 1], or one number `f` for
            `(0, f)`. Default: `1.0`.
        scale: range of the squares of the rectangle's sides, as fractions of the image's: two numbers in [0, 1], or
            one number `f` for `(0, f)`. Default: `(0.02, 0.33)`.
        fill_value: value of the rectangle, a number or a list of three, one for each channel; `None` means normal
            noise with the standard deviation `value_range[1]`. Default: `None`.
        value_range: lowest and highest value of the rectangle. Default: `(0, 255)`.
        seed: int that makes the layer's draws repeatable: they are those of Keras on torch. Without a seed, the draws
            come from torch's global generator. Default: `None`.
        data_format: `"channels_last"` or `"channels_first"`; `None` means `keras.config.image_data_format()`.
            Default: `None`.
        **kwargs: `bounding_box_format`, `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        data: images, or a dict of `"images"` and any of `"labels"`, `"bounding_boxes"`, `"segmentation_masks"`.
        training: whether to cover. Default: the training mode of the call.

    Input shape:
        `(batch, height, width, channels)` or `(height, width, channels)`; channels before height if `data_format` is
        `"channels_first"`.

    Output shape:
        The input shape.

    Raises:
        ValueError: a factor is out of range, or `fill_value` is neither one number nor three.

    Example:
        >>> layer = keras.layers.RandomErasing(factor=(1.0, 1.0), scale=(0.25, 0.25), fill_value=7.0)
        >>> erased = layer(torch.zeros(1, 4, 4, 1), training=True)
        >>> sorted(set(erased.flatten().tolist()))
        [0.0, 7.0]
    """

    _USE_BASE_FACTOR = False
    _FACTOR_BOUNDS = (0, 1)

    def __init__(
        self,
        factor: Factor = 1.0,
        scale: Factor = (0.02, 0.33),
        fill_value: float | Sequence[float] | None = None,
        value_range: Range = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Unpack[ImageOptions],
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self._set_factor(factor)
        self.scale = range_from_zero(scale, "scale")
        is_list = isinstance(fill_value, (tuple, list))
        if fill_value is not None and not isinstance(fill_value, (int, float)):
            if not is_list or len(fill_value) != 3:  # type: ignore[arg-type]
                raise ValueError(
                    "The `fill_value` argument should be a number (or a list of three numbers) "
                    f"Received: fill_value={fill_value}"
                )
        self.fill_value = fill_value
        self.value_range = value_range
        self.seed = seed
        self.generator = SeedGenerator(seed)

    def get_random_transformation(
        self, data: Data, training: bool = True, seed: int | SeedGenerator | None = None
    ) -> dict[str, Any] | None:
        """Return which images are covered, the rectangles as masks, and their values.

        Args:
            data: the images, or the dict with them.
            training: whether the call is one of training. Default: `True`.
            seed: source of the draws; `None` means the layer's own. Default: `None`.
        """
        if not training:
            return None
        number, shape = sample_count(data), tuple(images_of(data).shape)
        height_axis, width_axis = self._tk_spatial_axes
        draws = self._tk_draws(data, seed)
        sides = draws.uniform((number, 2), *self.scale, dtype=self.compute_dtype).sqrt()
        channels = shape[self._tk_channel_axis]
        columns = self._tk_inside(draws, shape[width_axis], sides[:, 0])
        rows = self._tk_inside(draws, shape[height_axis], sides[:, 1])
        probability = draws.uniform((number,), *self.factor)
        is_applied = draws.uniform((number,)) < probability
        fill, rectangles = None, None
        if draws.device.type == "cpu" and len(shape) == 4 and not torch.compiler.is_compiling():
            mask = (rows.unsqueeze(2) & columns.unsqueeze(1)).unsqueeze(self._tk_channel_axis)
            mask = mask.expand(-1, *(channels if axis == self._tk_channel_axis else -1 for axis in (-3, -2, -1)))
            rectangles = _rectangles(rows, columns, is_applied, self._tk_channel_axis)
            if self.fill_value is None and draws.is_unseeded:
                fill = self._tk_noise_in(rectangles, draws, shape)
        elif self._tk_channel_axis == -1:  # as wide as the rows of pixels in memory: several times as quick to apply
            mask = (rows.unsqueeze(2) & columns.repeat_interleave(channels, 1).unsqueeze(1)).unflatten(
                2, (-1, channels)
            )
        else:
            mask = (rows.unsqueeze(2) & columns.unsqueeze(1)).unsqueeze(1).expand(-1, channels, -1, -1)
        fill = self._tk_fill(draws, shape) if fill is None else fill
        mask.rectangles = rectangles  # type: ignore[union-attr]
        return {"apply_erasing": is_applied, "batch_masks": mask, "fill_value": fill}

    def _tk_noise_in(self, rectangles: list[Rectangle], draws: SeededDraws, shape: tuple[int, ...]) -> Tensor:
        """A tensor of the images' shape with noise in the rectangles alone; the rest has no values and is not used."""
        fill = torch.empty(shape, dtype=torch_dtype(self.compute_dtype))
        for place in rectangles:
            part = fill[place]
            noise = draws.normal(tuple(part.shape), dtype=self.compute_dtype)
            part.copy_((noise * self.value_range[1]).clamp_(*self.value_range))
        return fill

    def _tk_inside(self, draws: SeededDraws, length: int, ratio: Tensor) -> Tensor:
        """Booleans, `(batch_size, length)`: whether each of `length` places lies in a random part of them."""
        covered = ratio * length
        start = draws.uniform(ratio.shape, dtype=self.compute_dtype) * (length - covered)
        places = torch.arange(length, dtype=ratio.dtype, device=ratio.device)
        return (places >= start.unsqueeze(1)) & (places < (start + covered).unsqueeze(1))

    def _tk_fill(self, draws: SeededDraws, shape: tuple[int, ...]) -> Tensor:
        """The values of rectangles, of a shape that broadcasts to the images."""
        if self.fill_value is None:
            values = draws.normal(shape, dtype=self.compute_dtype) * self.value_range[1]
        else:
            values = constant(self.fill_value, torch_dtype(self.compute_dtype), draws.device)
            values = values.reshape(-1, 1, 1) if self._tk_channel_axis == -3 else values.reshape(1, 1, -1)
        return values.clamp(*self.value_range)

    def transform_images(self, images: ArrayLike, transformation: Any = None, training: bool = True) -> Tensor:
        pixels = self._tk_cast(self._tk_tensor(images))
        if not training or transformation is None:
            return pixels
        rectangles = getattr(transformation["batch_masks"], "rectangles", None)
        if rectangles is not None and pixels.device.type == "cpu":
            outputs, fill = pixels.clone(), transformation["fill_value"].to(pixels.dtype)
            values = fill.expand(outputs.shape)
            for place in rectangles:
                outputs[place] = values[place]
            return outputs
        mask, is_applied, fill = (
            self._tk_tensor(transformation[name]).to(pixels.device)
            for name in ("batch_masks", "apply_erasing", "fill_value")
        )
        return torch.where(mask & per_image(is_applied, mask), fill.to(pixels.dtype), pixels)


def _rectangles(rows: Tensor, columns: Tensor, is_applied: Tensor, channel_axis: int) -> list[Rectangle]:
    """The rectangles of the images that are covered, as indices of a batch."""
    found: list[Rectangle] = []
    bounds = torch.stack([part for side in (rows, columns) for part in _bounds(side)], 1).tolist()
    for image, (top, bottom, left, right) in enumerate(bounds):
        if is_applied[image]:
            place = (slice(top, bottom), slice(left, right))
            found.append((image, *place) if channel_axis == -1 else (image, slice(None), *place))
    return found


def _bounds(inside: Tensor) -> tuple[Tensor, Tensor]:
    """The first place inside and the one behind the last, for each row of booleans."""
    first = inside.int().argmax(1)
    return first, first + inside.sum(1)
