"""The base of layers that work on images, and on what belongs to them: labels, bounding boxes, segmentation masks."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, TypeAlias, Unpack

import torch
from torch import Tensor
from torch.utils.data import get_worker_info

from torchkeras.core import settings
from torchkeras.core.symbolic.keras_tensor import KerasTensor, any_symbolic
from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.core.tensors.devices import current_device
from torchkeras.core.tensors.dtypes import torch_dtype
from torchkeras.core.types import ArrayLike, Config
from torchkeras.core.variables.seeds import SeedGenerator
from torchkeras.layers.base import symbolic
from torchkeras.layers.base.options import LayerOptions
from torchkeras.layers.preprocessing.data_layer import DataLayer
from torchkeras.layers.preprocessing.image.bounding_boxes.validation import densify_bounding_boxes
from torchkeras.layers.preprocessing.image.seeded_draws import SeededDraws

# A batch or one image, alone or with labels, boxes and masks.
Data: TypeAlias = Tensor | dict[str, Any]
# The random parameters of one call, by name.
Transformation: TypeAlias = dict[str, Any]
Factor: TypeAlias = float | Sequence[float]
Range: TypeAlias = Sequence[float]
_CPU = torch.device("cpu")


class ImageOptions(LayerOptions, total=False):
    """Arguments of `Layer` that an image layer's `**kwargs` may have, and the format of bounding boxes."""

    bounding_box_format: str | None


class FormattedImageOptions(ImageOptions, total=False):
    """Those of image layers whose signature does not name `data_format`."""

    data_format: str | None


def images_of(data: Data) -> Tensor:
    """The images of a layer's inputs."""
    return data["images"] if isinstance(data, dict) else data


def sample_count(data: Data) -> int:
    """How many images there are, one of rank 3 or a batch of rank 4.

    Raises:
        ValueError: the rank is another one.
    """
    shape = tuple(images_of(data).shape)
    if len(shape) not in (3, 4):
        raise ValueError(f"Expected the input image to be rank 3 or 4. Received: inputs.shape={shape}")
    return 1 if len(shape) == 3 else shape[0]


def rescale(images: Tensor, source: Range, target: Range, dtype: torch.dtype) -> Tensor:
    """Map the values of one range to another; equal ranges leave the images, and their type, alone."""
    if tuple(source) == tuple(target):
        return images
    (low, high), (target_low, target_high) = source, target
    values = images.to(dtype)
    values = (values - low if low else values) / (high - low)
    # Multiplied by 1, and with 0 added, they are the same.
    if target_high - target_low != 1:
        values.mul_(target_high - target_low)
    return values.add_(target_low) if target_low else values


class BaseImagePreprocessingLayer(DataLayer):
    """A layer that transforms images, and labels, bounding boxes and segmentation masks with them.

    A call draws the parameters of one transformation in `get_random_transformation`, and hands them to
    `transform_images`, `transform_labels`, `transform_bounding_boxes` and `transform_segmentation_masks`, which a
    subclass defines for batches. A single image passes as a batch of one.

    Args:
        factor: strength of the transformation, one number or two, where the subclass has one. Default: `None`.
        bounding_box_format: format of bounding boxes, see `keras.utils.bounding_boxes.convert_format`; needed where
            the inputs have some. Default: `None`.
        data_format: `"channels_last"` or `"channels_first"`; `None` means `keras.config.image_data_format()`.
            Default: `None`.
        **kwargs: `name`, `trainable`, `dtype`, `activity_regularizer` and the other arguments of `Layer`.
    """

    _tk_config_base = True
    _tk_nothing_to_build = True
    # Whether `factor` is an argument of the base, and its bounds: Keras's names, which subclasses of users set.
    _USE_BASE_FACTOR = True
    _FACTOR_BOUNDS: tuple[float, float] = (-1, 1)

    generator: SeedGenerator
    interpolation: str

    def __init__(
        self,
        factor: Factor | None = None,
        bounding_box_format: str | None = None,
        data_format: str | None = None,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**kwargs)
        self.bounding_box_format = bounding_box_format
        self.data_format = settings.standardize_data_format(data_format)
        if self._USE_BASE_FACTOR:
            self._set_factor(factor or 0.0)
        elif factor is not None:
            raise ValueError(
                f"Layer {type(self).__name__} does not take a `factor` argument. Received: factor={factor}"
            )

    def _set_factor(self, factor: Factor) -> None:
        """Set `self.factor` to two ordered numbers; one number `f` means `(-abs(f), abs(f))`, within the bounds.

        Raises:
            ValueError: `factor` is nothing of the kind, or beyond the bounds.
        """
        low, high = self._FACTOR_BOUNDS
        wrong = ValueError(
            "The `factor` argument should be a number (or a list of two numbers) in the range "
            f"[{low}, {high}]. Received: factor={factor}"
        )
        if isinstance(factor, (tuple, list)):
            if len(factor) != 2 or factor[0] > high or factor[1] < low:
                raise wrong
            lower, upper = sorted(factor)
        elif isinstance(factor, (int, float)):
            if not low <= factor <= high:
                raise wrong
            lower, upper = max(-abs(factor), low), abs(factor)
        else:
            raise wrong
        self.factor: Any = (lower, upper)

    # ------------------------------------------------------------------ for subclasses

    def get_random_transformation(
        self, data: Data, training: bool = True, seed: int | SeedGenerator | None = None
    ) -> Any:
        """Return the parameters of one transformation, drawn for each image; `None` where there are none.

        Args:
            data: the images, or the dict with them; only shape and device matter.
            training: whether the call is one of training. Default: `True`.
            seed: source of the draws; `None` means the layer's own. Default: `None`.
        """
        return None

    def transform_images(self, images: ArrayLike, transformation: Any, training: bool = True) -> Tensor:
        """Return a batch of images under a transformation.

        Args:
            images: tensor of rank 4.
            transformation: result of `get_random_transformation`.
            training: whether the call is one of training. Default: `True`.
        """
        pixels = self._tk_cast(self._tk_tensor(images))
        return self._transform_images(pixels, transformation, self.interpolation) if training else pixels

    def _transform_images(self, images: ArrayLike, transformation: Any, interpolation: str) -> Tensor:
        raise NotImplementedError

    def transform_labels(self, labels: ArrayLike, transformation: Any, training: bool = True) -> Tensor:
        """Return the labels of a batch under a transformation.

        Args:
            labels: tensor whose first axis counts the images.
            transformation: result of `get_random_transformation`.
            training: whether the call is one of training. Default: `True`.
        """
        raise NotImplementedError

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any, training: bool = True) -> Any:
        """Return the bounding boxes of a batch under a transformation.

        Args:
            bounding_boxes: dict of `"boxes"` and `"labels"`.
            transformation: result of `get_random_transformation`.
            training: whether the call is one of training. Default: `True`.
        """
        raise NotImplementedError

    def transform_segmentation_masks(
        self, segmentation_masks: ArrayLike, transformation: Any, training: bool = True
    ) -> Tensor:
        """Return the segmentation masks of a batch under a transformation.

        Args:
            segmentation_masks: tensor of rank 4, one channel.
            transformation: result of `get_random_transformation`.
            training: whether the call is one of training. Default: `True`.
        """
        masks = self._tk_tensor(segmentation_masks)
        return self._transform_images(masks, transformation, "nearest") if training else masks

    def _tk_parameters(self, transformation: Transformation, device: torch.device) -> dict[str, Tensor]:
        """The parameters of a transformation as tensors: users may give numbers, lists and arrays."""
        return {
            name: value if isinstance(value, Tensor) else convert_to_tensor(value, device=device)
            for name, value in transformation.items()
            if name != "input_shape"
        }

    def _transform_value_range(
        self, images: ArrayLike, original_range: Range, target_range: Range, dtype: str = "float32"
    ) -> Tensor:
        return rescale(self._tk_tensor(images), original_range, target_range, torch_dtype(dtype))

    def _tk_draws(self, data: Data, seed: int | SeedGenerator | None) -> SeededDraws:
        """The source of a transformation's draws, on the device of the images."""
        images = images_of(data)
        device = images.device if isinstance(images, Tensor) else current_device()
        return SeededDraws(self.generator if seed is None else seed, device)

    @property
    def _tk_channel_axis(self) -> int:
        return -1 if self.data_format == "channels_last" else -3

    @property
    def _tk_spatial_axes(self) -> tuple[int, int]:
        return (-3, -2) if self.data_format == "channels_last" else (-2, -1)

    def _tk_size(self, images: Tensor) -> tuple[int, int]:
        """Height and width of images."""
        height_axis, width_axis = self._tk_spatial_axes
        return images.shape[height_axis], images.shape[width_axis]

    def _tk_tensor(self, x: ArrayLike) -> Tensor:
        """A value as a tensor: on the CPU in a worker of a `DataLoader`, which must not use other devices."""
        return x if isinstance(x, Tensor) else convert_to_tensor(x, device=_CPU if get_worker_info() else None)

    def _tk_cast(self, x: Tensor) -> Tensor:
        """A tensor in the compute type."""
        return x.to(torch_dtype(self.compute_dtype))

    # ------------------------------------------------------------------ single samples

    def transform_single_image(self, image: ArrayLike, transformation: Any, training: bool = True) -> Tensor:
        """Return one image under a transformation, by way of a batch of one.

        Args:
            image: tensor of rank 3.
            transformation: result of `get_random_transformation`.
            training: whether the call is one of training. Default: `True`.
        """
        return self.transform_images(self._tk_tensor(image)[None], transformation, training=training).squeeze(0)

    def transform_single_label(self, label: ArrayLike, transformation: Any, training: bool = True) -> Tensor:
        """Return the label of one image under a transformation, by way of a batch of one.

        Args:
            label: tensor.
            transformation: result of `get_random_transformation`.
            training: whether the call is one of training. Default: `True`.
        """
        return self.transform_labels(self._tk_tensor(label)[None], transformation, training=training).squeeze(0)

    def transform_single_bounding_box(self, bounding_box: Any, transformation: Any, training: bool = True) -> Any:
        """Return the bounding boxes of one image under a transformation, by way of a batch of one.

        Args:
            bounding_box: dict of `"boxes"` and `"labels"`.
            transformation: result of `get_random_transformation`.
            training: whether the call is one of training. Default: `True`.
        """
        batch = {
            key: self._tk_tensor(value)[None] if key in ("boxes", "labels") else value
            for key, value in bounding_box.items()
        }
        outputs = self.transform_bounding_boxes(batch, transformation, training=training)
        return {key: value.squeeze(0) if key in ("boxes", "labels") else value for key, value in outputs.items()}

    def transform_single_segmentation_mask(
        self, segmentation_mask: ArrayLike, transformation: Any, training: bool = True
    ) -> Tensor:
        """Return the segmentation mask of one image under a transformation, by way of a batch of one.

        Args:
            segmentation_mask: tensor of rank 3.
            transformation: result of `get_random_transformation`.
            training: whether the call is one of training. Default: `True`.
        """
        masks = self._tk_tensor(segmentation_mask)[None]
        return self.transform_segmentation_masks(masks, transformation, training=training).squeeze(0)

    # ------------------------------------------------------------------ calling

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        data = args[0] if args else kwargs.get("data")
        if isinstance(data, dict) and not any_symbolic((data,), {}):
            data = self._tk_as_tensors(data)
        elif data is not None and not isinstance(data, (Tensor, KerasTensor, dict)):
            data = self._tk_tensor(data)
        if args:
            return super().__call__(data, *args[1:], **kwargs)
        return super().__call__(data, **{name: value for name, value in kwargs.items() if name != "data"})

    def _tk_as_tensors(self, data: dict[str, Any]) -> dict[str, Any]:
        """The inputs as tensors, with as many boxes for each image."""
        found: dict[str, Any] = {
            key: value if value is None or isinstance(value, dict) else self._tk_tensor(value)
            for key, value in data.items()
        }
        if isinstance(found.get("bounding_boxes"), dict):
            if not self.bounding_box_format:
                raise ValueError(
                    "You passed an input with a 'bounding_boxes' key, but you didn't specify a bounding box format. "
                    f"Pass a `bounding_box_format` argument to your {type(self).__name__} layer, e.g. "
                    "`bounding_box_format='xyxy'`."
                )
            is_batched = self._is_batched(found["images"])
            found["bounding_boxes"] = densify_bounding_boxes(found["bounding_boxes"], is_batched=is_batched)
        return found

    def _is_batched(self, images: Tensor) -> bool:
        if images.ndim not in (3, 4):
            raise ValueError(
                "Expected image tensor to have rank 3 (single image) or 4 (batch of images). "
                f"Received: data.shape={tuple(images.shape)}"
            )
        return images.ndim == 4

    def call(self, data: Any, training: bool = True) -> Any:
        transformation = self.get_random_transformation(data, training=training)
        is_batched = self._is_batched(images_of(data))
        on_images = self.transform_images if is_batched else self.transform_single_image
        if not isinstance(data, dict):
            return on_images(data, transformation, training=training)
        outputs = {**data, "images": on_images(data["images"], transformation, training=training)}
        others = {
            "bounding_boxes": (self.transform_bounding_boxes, self.transform_single_bounding_box),
            "labels": (self.transform_labels, self.transform_single_label),
            "segmentation_masks": (self.transform_segmentation_masks, self.transform_single_segmentation_mask),
        }
        for key, (on_batch, on_sample) in others.items():
            if key in data:
                outputs[key] = (on_batch if is_batched else on_sample)(data[key], transformation, training=training)
        return outputs

    def compute_output_spec(self, data: Any, training: bool = True) -> Any:
        """Return the outputs as KerasTensors, for KerasTensors as inputs; in a dict each has a type of its own."""
        if isinstance(data, dict):
            return symbolic.inferred(self, (data,), {"training": training})
        return super().compute_output_spec(data, training=training)

    def get_config(self) -> Config:
        config = super().get_config()
        if self.bounding_box_format is None:
            del config["bounding_box_format"]
        if "factor" not in inspect.signature(type(self).__init__).parameters:
            config.pop("factor", None)
        return config
