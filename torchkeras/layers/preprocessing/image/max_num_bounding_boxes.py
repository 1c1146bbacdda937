"""MaxNumBoundingBoxes: the same number of boxes for each image."""

from __future__ import annotations

from typing import Any, Unpack

from torch import Tensor

from torchkeras.core.types import ArrayLike
from torchkeras.layers.preprocessing.image.base import FormattedImageOptions
from torchkeras.layers.preprocessing.image.bounding_boxes.validation import densify_bounding_boxes
from torchkeras.layers.preprocessing.image.geometric_layer import GeometricLayer


class MaxNumBoundingBoxes(GeometricLayer):
    """Cut off or add bounding boxes, so that each image has `max_number` of them.

    Images, labels and masks pass unchanged, in training and in inference.

    Args:
        max_number: number of boxes for each image.
        fill_value: coordinate and label of the boxes that are added. Default: `-1`.
        **kwargs: `bounding_box_format`, `data_format`, `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        data: dict of `"images"` and `"bounding_boxes"`, and any of `"labels"` and `"segmentation_masks"`.

    Input shape:
        Boxes `(batch, boxes, 4)` and their labels `(batch, boxes)`, or those of one image without the first axis.

    Output shape:
        Boxes `(batch, max_number, 4)` and their labels `(batch, max_number)`.

    Example:
        >>> layer = keras.layers.MaxNumBoundingBoxes(2, bounding_box_format="xyxy")
        >>> boxes = {"boxes": np.ones((1, 1, 4)), "labels": np.ones((1, 1))}
        >>> layer({"images": np.ones((1, 4, 4, 3)), "bounding_boxes": boxes})["bounding_boxes"]["labels"].tolist()
        [[1.0, -1.0]]
    """

    def __init__(self, max_number: int, fill_value: int = -1, **kwargs: Unpack[FormattedImageOptions]) -> None:
        super().__init__(**kwargs)
        self.max_number = int(max_number)
        self.fill_value = int(fill_value)

    def transform_images(self, images: ArrayLike, transformation: Any = None, training: bool = True) -> Tensor:
        return self._tk_tensor(images)

    def transform_segmentation_masks(
        self, segmentation_masks: ArrayLike, transformation: Any = None, training: bool = True
    ) -> Tensor:
        return self._tk_tensor(segmentation_masks)

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any = None, training: bool = True) -> Any:
        return densify_bounding_boxes(
            bounding_boxes,
            is_batched=True,
            max_boxes=self.max_number,
            boxes_default_value=self.fill_value,
            labels_default_value=self.fill_value,
        )

    def compute_output_shape(self, input_shape: Any) -> Any:
        if not isinstance(input_shape, dict) or "bounding_boxes" not in input_shape:
            return input_shape
        shapes = {name: list(shape) for name, shape in input_shape["bounding_boxes"].items()}
        unknown = sorted(set(shapes) - {"boxes", "labels"})
        if unknown:
            raise KeyError(
                f"There are unsupported keys in `bounding_boxes`: {unknown}. Only `boxes` and `labels` are supported."
            )
        for shape in shapes.values():
            shape[1] = self.max_number
        return {**input_shape, "bounding_boxes": shapes}
