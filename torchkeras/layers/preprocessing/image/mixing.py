"""Image layers that mix the images of a batch, with their labels."""

from __future__ import annotations

from typing import Any, Unpack

import torch
from torch import Tensor

from torchkeras.core.tensors.dtypes import standardize_dtype, torch_dtype
from torchkeras.core.types import ArrayLike
from torchkeras.core.variables.seeds import SeedGenerator
from torchkeras.layers.base.options import LayerOptions
from torchkeras.layers.preprocessing.image.base import (
    BaseImagePreprocessingLayer,
    Data,
    Factor,
    ImageOptions,
    Transformation,
    images_of,
    sample_count,
)
from torchkeras.layers.preprocessing.image.bounding_boxes.formats import convert_format
from torchkeras.layers.preprocessing.image.bounding_boxes.geometry import clip_to_image_size


class MixingLayer(BaseImagePreprocessingLayer):
    """An image layer that takes pixels of other images of the batch."""

    keras_module = None
    _USE_BASE_FACTOR = False
    generator: SeedGenerator

    def _tk_mix_labels(self, labels: Tensor, transformation: Transformation) -> Tensor:
        """Labels, weighted as the images are."""
        if labels.ndim < 2 and not labels.is_floating_point():
            raise ValueError(
                f"{type(self).__name__} mixes labels, so `labels` must be one-hot encoded, of shape "
                f"`(batch_size, num_classes)`, or floats. Received: labels.shape={tuple(labels.shape)}, "
                f"labels.dtype={standardize_dtype(labels.dtype)}. Use keras.ops.one_hot() first."
            )
        parameters = self._tk_parameters(transformation, labels.device)
        others = labels[parameters["permutation_order"].long()]
        weight = parameters["mix_weight"].reshape(-1, *[1] * (labels.ndim - 1))
        return weight * labels + (1.0 - weight) * others

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape


class MixUp(MixingLayer):
    """Mix each image of a batch with another one during training, and their labels alike.

    `outputs = w * inputs + (1 - w) * inputs[order]`, with a random order of the batch and a weight `w` for each image,
    drawn from the beta distribution with both parameters `alpha` (Zhang et al., "mixup", 2018). Labels, and
    segmentation masks, are mixed by the same weights; each image gets the bounding boxes of both.

    Args:
        alpha: parameter of the beta distribution; the larger, the nearer the weights are to one half. Default: `0.2`.
        data_format: `"channels_last"` or `"channels_first"`; `None` means `keras.config.image_data_format()`.
            Default: `None`.
        seed: int that makes the layer's draws repeatable: they are those of Keras on torch. Without a seed, the draws
            come from torch's global generator. Default: `None`.
        **kwargs: `bounding_box_format`, and `name`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        data: images, or a dict of `"images"` and, if there are any, `"labels"` (one-hot, or floats),
            `"bounding_boxes"` and `"segmentation_masks"`.
        training: whether to mix. Default: `True`.

    Input shape:
        `(batch, height, width, channels)`, in the order of `data_format`. A single image stays as it is.

    Output shape:
        The input shape.

    Example:
        >>> layer = keras.layers.MixUp(alpha=0.4, seed=1)
        >>> data = {"images": np.zeros((4, 8, 8, 3), "float32"), "labels": np.eye(4, dtype="float32")}
        >>> layer(data, training=True)["labels"].sum(-1).tolist()
        [1.0, 1.0, 1.0, 1.0]
    """

    def __init__(
        self,
        alpha: float = 0.2,
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Unpack[ImageOptions],
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.alpha = alpha
        self.seed = seed
        self.generator = SeedGenerator(seed)

    def get_random_transformation(
        self, data: Data, training: bool = True, seed: int | SeedGenerator | None = None
    ) -> Transformation:
        number, draws = sample_count(data), self._tk_draws(data, seed)
        order = draws.permutation(number)
        return {"mix_weight": draws.beta((number,), self.alpha, self.alpha), "permutation_order": order}

    def transform_images(self, images: ArrayLike, transformation: Any = None, training: bool = True) -> Tensor:
        images = self._tk_tensor(images)
        return self._mixed(self._tk_cast(images), transformation) if training else images

    def _mixed(self, pixels: Tensor, transformation: Transformation) -> Tensor:
        parameters = self._tk_parameters(transformation, pixels.device)
        weight = parameters["mix_weight"].to(pixels.dtype).reshape(-1, 1, 1, 1)
        return torch.lerp(pixels[parameters["permutation_order"].long()], pixels, weight)

    def transform_labels(self, labels: ArrayLike, transformation: Any, training: bool = True) -> Tensor:
        labels = self._tk_tensor(labels)
        return self._tk_mix_labels(labels, transformation) if training else labels

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any, training: bool = True) -> Any:
        if not training:
            return bounding_boxes
        boxes, labels = (self._tk_tensor(bounding_boxes[key]) for key in ("boxes", "labels"))
        order = self._tk_parameters(transformation, boxes.device)["permutation_order"].long()
        both = torch.cat([boxes, boxes[order]], dim=1)
        return {
            **bounding_boxes,
            "boxes": both,
            "labels": torch.cat([labels, labels[order]], dim=min(1, labels.ndim - 1)),
        }

    def transform_segmentation_masks(
        self, segmentation_masks: ArrayLike, transformation: Any, training: bool = True
    ) -> Tensor:
        masks = self._tk_tensor(segmentation_masks)
        return self._mixed(self._tk_cast(masks), transformation) if training else masks


class CutMix(MixingLayer):
    """Paste a random rectangle of another image into each image during training, and mix their labels by its area.

    For each image, `w` is drawn from the beta distribution with both parameters `a`, where `a` is drawn uniformly from
    `factor`, once for the batch. The rectangle covers the share `1 - w` of the image (Yun et al., "CutMix", 2019).
    Segmentation masks are cut alike.

    Args:
        factor: ends of the beta distribution's parameter, each in [0, 1]; one number `f` means `(0, f)`.
            Default: `1.0`.
        seed: int that makes the layer's draws repeatable: they are those of Keras on torch. Without a seed, the draws
            come from torch's global generator. Default: `None`.
        data_format: `"channels_last"` or `"channels_first"`; `None` means `keras.config.image_data_format()`.
            Default: `None`.
        **kwargs: `bounding_box_format`, and `name`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        data: images, or a dict of `"images"` and, if there are any, `"labels"` (one-hot, or floats) and
            `"segmentation_masks"`. There is no way to cut bounding boxes.
        training: whether to mix. Default: `True`.

    Input shape:
        `(batch, height, width, channels)`, in the order of `data_format`. A single image stays as it is.

    Output shape:
        The input shape.

    Raises:
        ValueError: `factor` is no number, or pair of numbers, in [0, 1].
        NotImplementedError: the inputs of a call have bounding boxes.

    Example:
        >>> layer = keras.layers.CutMix(seed=1)
        >>> data = {"images": np.zeros((4, 8, 8, 3), "float32"), "labels": np.eye(4, dtype="float32")}
        >>> layer(data, training=True)["labels"].sum(-1).round().tolist()
        [1.0, 1.0, 1.0, 1.0]
    """

    _FACTOR_BOUNDS = (0, 1)

    def __init__(
        self,
        factor: Factor = 1.0,
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Unpack[ImageOptions],
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self._set_factor(factor)
        self.seed = seed
        self.generator = SeedGenerator(seed)

    def get_random_transformation(
        self, data: Data, training: bool = True, seed: int | SeedGenerator | None = None
    ) -> Transformation | None:
        images = images_of(data)
        if not training or images.ndim == 3:
            return None
        dtype = torch_dtype(self.compute_dtype)
        number, (height, width), draws = sample_count(data), self._tk_size(images), self._tk_draws(data, seed)
        low, high = self.factor
        alpha = draws.uniform((), low, high, self.compute_dtype) + 1e-6
        cut = torch.sqrt(1.0 - draws.beta((number,), alpha, alpha).to(dtype))
        left, right = self._bounds(draws.uniform((number,), dtype=self.compute_dtype), cut, width)
        top, bottom = self._bounds(draws.uniform((number,), dtype=self.compute_dtype), cut, height)
        is_other = _between(top, bottom, height)[:, :, None] & _between(left, right, width)[:, None, :]
        area = (right - left) * (bottom - top) / (width * height)
        return {
            "permutation_order": draws.permutation(number).to(torch.int32),
            "batch_masks": is_other.unsqueeze(self._tk_channel_axis).expand(images.shape),
            "mix_weight": (1.0 - area)[:, None, None, None],
        }

    def _bounds(self, chance: Tensor, share: Tensor, length: int) -> tuple[Tensor, Tensor]:
        """Where a part of an axis begins and ends, in pixels."""
        part = (share * length).to(chance.dtype)
        start = chance * (length - part)
        return start, start + part

    def _cut(self, pixels: Tensor, transformation: Transformation) -> Tensor:
        parameters = self._tk_parameters(transformation, pixels.device)
        is_other = parameters["batch_masks"]
        axis = self._tk_channel_axis
        if is_other.shape[axis] != pixels.shape[axis]:
            is_other = is_other.narrow(axis, 0, 1)
        return torch.where(is_other, pixels[parameters["permutation_order"].long()], pixels)

    def transform_images(self, images: ArrayLike, transformation: Any = None, training: bool = True) -> Tensor:
        images = self._tk_cast(self._tk_tensor(images))
        return images if not training or transformation is None else self._cut(images, transformation)

    def transform_labels(self, labels: ArrayLike, transformation: Any, training: bool = True) -> Tensor:
        labels = self._tk_tensor(labels)
        return labels if not training or transformation is None else self._tk_mix_labels(labels, transformation)

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any, training: bool = True) -> Any:
        raise NotImplementedError(
            "CutMix can't cut bounding boxes. Leave 'bounding_boxes' out of the inputs, or use keras.layers.Mosaic or "
            "keras.layers.MixUp."
        )

    def transform_segmentation_masks(
        self, segmentation_masks: ArrayLike, transformation: Any, training: bool = True
    ) -> Tensor:
        masks = self._tk_tensor(segmentation_masks)
        return masks if not training or transformation is None else self._cut(masks, transformation)


def _between(start: Tensor, end: Tensor, length: int) -> Tensor:
    """Booleans of shape `(batch, length)`: the places of an axis that lie in a part of it."""
    places = torch.arange(length, dtype=start.dtype, device=start.device)
    return (places >= start[:, None]) & (places < end[:, None])


class Mosaic(MixingLayer):
    """Put four images of a batch together in one during training, as they meet in a random center.

    Each image comes to the top left, and three images drawn at random come to the top right, the bottom left and the
    bottom right. Of each one the corner that faces the center is seen (Bochkovskiy et al., "YOLOv4", 2020). Labels are
    mixed by the areas, bounding boxes and segmentation masks are cut with the images.

    Args:
        offset: ends of the center's place as fractions of width and height, each in [0, 1]; one number `f` means
            `(0, f)`. Default: `(0.25, 0.75)`.
        seed: int that makes the layer's draws repeatable: they are those of Keras on torch. Without a seed, the draws
            come from torch's global generator. Default: `None`.
        bounding_box_format: format of the bounding boxes, see `keras.utils.bounding_boxes.convert_format`.
            Default: `None`.
        data_format: `"channels_last"` or `"channels_first"`; `None` means `keras.config.image_data_format()`.
            Default: `None`.
        **kwargs: `name`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        data: images, or a dict of `"images"` and, if there are any, `"labels"` (one-hot floats), `"bounding_boxes"`
            and `"segmentation_masks"`. Each image comes out with four times as many boxes; the label of one of which
            nothing is left is -1.
        training: whether to mix. Default: `True`.

    Input shape:
        `(batch, height, width, channels)`, in the order of `data_format`.

    Output shape:
        The input shape.

    Raises:
        ValueError: `offset` is no number, or ordered pair of numbers, in [0, 1]; labels are no floats of shape
            `(batch, classes)`.

    Example:
        >>> layer = keras.layers.Mosaic(seed=1)
        >>> data = {"images": np.zeros((4, 8, 8, 3), "float32"), "labels": np.eye(4, dtype="float32")}
        >>> layer(data, training=True)["labels"].sum(-1).round().tolist()
        [1.0, 1.0, 1.0, 1.0]
    """

    interpolation = "nearest"

    def __init__(
        self,
        offset: Factor = (0.25, 0.75),
        seed: int | None = None,
        bounding_box_format: str | None = None,
        data_format: str | None = None,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        super().__init__(data_format=data_format, bounding_box_format=bounding_box_format, **kwargs)
        self.offset = _check_offset(offset)
        self.seed = seed
        self.generator = SeedGenerator(seed)

    def get_random_transformation(
        self, data: Data, training: bool = True, seed: int | SeedGenerator | None = None
    ) -> Transformation | None:
        if not training:
            return None
        images = images_of(data)
        number, (height, width), draws = sample_count(data), self._tk_size(images), self._tk_draws(data, seed)
        others = draws.integers((number, 3), 0, number)
        own = torch.arange(number, device=others.device)[:, None]
        # On whole pixels, so that images, labels and boxes are cut at the same place.
        x, y = (torch.round(draws.uniform((number,), *self.offset) * size) / size for size in (width, height))
        return {
            "permutation_order": torch.cat([own, others], dim=-1),
            "mosaic_centers": torch.stack([x, y], dim=-1),
            "input_shape": tuple(images.shape),
        }

    def transform_images(self, images: ArrayLike, transformation: Any = None, training: bool = True) -> Tensor:
        images = self._tk_cast(self._tk_tensor(images))
        return images if not training or transformation is None else self._put_together(images, transformation)

    def transform_segmentation_masks(
        self, segmentation_masks: ArrayLike, transformation: Any, training: bool = True
    ) -> Tensor:
        masks = self._tk_tensor(segmentation_masks)
        return masks if not training or transformation is None else self._put_together(masks, transformation)

    def _put_together(self, pixels: Tensor, transformation: Transformation) -> Tensor:
        parameters = self._tk_parameters(transformation, pixels.device)
        height, width = self._tk_size(pixels)
        is_last = self._tk_channel_axis == -1
        rows, is_lower = _seen(parameters["mosaic_centers"][:, 1], height)
        columns, is_right = _seen(parameters["mosaic_centers"][:, 0], width)
        quarter = 2 * is_lower[:, :, None] + is_right[:, None, :]
        source = parameters["permutation_order"].long().gather(1, quarter.flatten(1)).view(quarter.shape)
        planes = pixels if is_last else pixels.movedim(1, -1)
        outputs = planes[source, rows[:, :, None], columns[:, None, :]]
        return outputs if is_last else outputs.movedim(-1, 1)

    def transform_labels(self, labels: ArrayLike, transformation: Any, training: bool = True) -> Tensor:
        labels = self._tk_tensor(labels)
        if not training or transformation is None:
            return labels
        if labels.ndim != 2 or not labels.is_floating_point():
            raise ValueError(
                "Mosaic mixes labels in proportion to the area of each image, so `labels` must be one-hot encoded "
                "(or soft) float labels of shape `(batch_size, num_classes)`. Received: "
                f"labels.shape={tuple(labels.shape)}, labels.dtype={standardize_dtype(labels.dtype)}"
            )
        labels, parameters = self._tk_cast(labels), self._tk_parameters(transformation, labels.device)
        x, y = parameters["mosaic_centers"].to(labels.dtype).unbind(-1)
        areas = torch.stack([x * y, (1 - x) * y, x * (1 - y), (1 - x) * (1 - y)], dim=-1)
        return (labels[parameters["permutation_order"].long()] * areas[..., None]).sum(1)

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any, training: bool = True) -> Any:
        if not training or transformation is None:
            return bounding_boxes
        shape = transformation["input_shape"]
        height, width = shape[-3:-1] if self._tk_channel_axis == -1 else shape[-2:]
        source = self.bounding_box_format or "xyxy"
        boxes = convert_format(bounding_boxes["boxes"], source, "xyxy", height, width)
        parameters = self._tk_parameters(transformation, boxes.device)
        order, centers = parameters["permutation_order"].long(), parameters["mosaic_centers"]
        x, y = centers[:, 0] * width, centers[:, 1] * height
        shift_x = torch.stack([x - width, x, x - width, x], dim=-1)
        shift_y = torch.stack([y - height, y - height, y, y], dim=-1)
        shift = torch.stack([shift_x, shift_y, shift_x, shift_y], dim=-1)
        moved = {
            **bounding_boxes,
            "boxes": (boxes[order] + shift[:, :, None]).flatten(1, 2),
            "labels": self._tk_tensor(bounding_boxes["labels"])[order].flatten(1, 2),
        }
        return convert_format(clip_to_image_size(moved, height, width), "xyxy", source, height, width)


def _seen(center: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """For each place of an axis: the place of an image that is seen there, and whether it is one of the second half."""
    center = torch.round(center * size).long()[:, None]
    place = torch.arange(size, device=center.device) - center
    is_second = place >= 0
    return torch.where(is_second, place, place + size), is_second.long()


def _check_offset(offset: Factor) -> tuple[float, float]:
    if isinstance(offset, (tuple, list)):
        if len(offset) != 2:
            raise ValueError("If a tuple is passed to `offset`, it must be of length 2.")
        low, high = offset
    elif isinstance(offset, (int, float)):
        low, high = 0.0, float(offset)
    else:
        raise ValueError(
            f"The `offset` argument must be either a float or a tuple of two floats. Received: offset={offset}"
        )
    if low < 0 or high > 1 or high < 0:
        raise ValueError(
            "The `offset` argument should be a number (or a list of two numbers) in the range [0.0, 1.0]. "
            f"Received: offset={offset}"
        )
    if low > high:
        raise ValueError(
            "The first value of the `offset` tuple must be less than or equal to the second value. "
            f"Received: offset={offset}"
        )
    return low, high
