"""The base of layers that change the values of pixels and leave their places alone."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from torchkeras.core.types import ArrayLike
from torchkeras.layers.preprocessing.image.base import BaseImagePreprocessingLayer, Range, Transformation

BYTES: Range = (0, 255)


def check_value_range(value_range: Range) -> Range:
    """The lowest and highest value of images, in this order.

    Raises:
        ValueError: these are not two numbers.
    """
    if not isinstance(value_range, (tuple, list)) or len(value_range) != 2:
        raise ValueError(
            f"The `value_range` argument should be a list of two numbers. Received: value_range={value_range}"
        )
    return sorted(value_range)


class ColorLayer(BaseImagePreprocessingLayer):
    """An image layer under which labels, boxes and masks stay as they are.

    A subclass draws its parameters in `get_random_transformation` and changes a batch of images in `_tk_recolor`.
    """

    keras_module = None

    def transform_images(
        self, images: ArrayLike, transformation: Transformation | None = None, training: bool = True
    ) -> Tensor:
        tensor = self._tk_tensor(images)
        if not training:
            return tensor
        return self._tk_recolor(self._tk_cast(tensor), self._tk_parameters(transformation or {}, tensor.device))

    def _tk_recolor(self, images: Tensor, parameters: dict[str, Tensor]) -> Tensor:
        raise NotImplementedError

    def transform_labels(self, labels: ArrayLike, transformation: Any = None, training: bool = True) -> Tensor:
        return self._tk_tensor(labels)

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any = None, training: bool = True) -> Any:
        return bounding_boxes

    def transform_segmentation_masks(
        self, segmentation_masks: ArrayLike, transformation: Any = None, training: bool = True
    ) -> Tensor:
        return self._tk_tensor(segmentation_masks)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape
