"""How much boxes overlap: intersection over union, plain and complete."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from torchkeras.core import settings
from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.core.types import ArrayLike
from torchkeras.layers.preprocessing.image.bounding_boxes.formats import convert_format, is_relative


def compute_iou(
    boxes1: ArrayLike,
    boxes2: ArrayLike,
    bounding_box_format: str,
    use_masking: bool = False,
    mask_val: float = -1,
    image_shape: Sequence[int] | None = None,
) -> Tensor:
    """Compute the intersection over union of each box of one set with each box of another.

    `iou(a, b) = area(a ∩ b) / (area(a) + area(b) - area(a ∩ b) + epsilon)`

    Args:
        boxes1: boxes of shape `(M, 4)` or `(batch_size, M, 4)`.
        boxes2: boxes of shape `(N, 4)` or `(batch_size, N, 4)`.
        bounding_box_format: format of both, see `keras.utils.bounding_boxes.convert_format`.
        use_masking: whether pairs with a padding box (one of which all four coordinates are negative) get
            `mask_val`. Default: `False`.
        mask_val: value of the pairs that are masked. Default: `-1`.
        image_shape: `(height, width, channels)` of the image; needed for relative formats. Default: `None`.

    Returns:
        A tensor of shape `(M, N)`, or `(batch_size, M, N)` if one of the sets is batched.

    Raises:
        ValueError: boxes are of rank 1 or above 3, or a relative format comes without `image_shape`.

    Example:
        >>> a = np.array([[0, 0, 10, 10], [0, 0, 5, 10]])
        >>> b = np.array([[0, 0, 10, 10]])
        >>> keras.utils.bounding_boxes.compute_iou(a, b, "xyxy")
        tensor([[1.0000],
                [0.5000]])
    """
    boxes1 = convert_to_tensor(boxes1)
    boxes2 = convert_to_tensor(boxes2, device=boxes1.device)
    for name, boxes in (("boxes1", boxes1), ("boxes2", boxes2)):
        if boxes.ndim not in (2, 3):
            raise ValueError(
                f"compute_iou() expects {name} to be batched, or to be unbatched. "
                f"Received len(boxes1.shape)={boxes1.ndim}, len(boxes2.shape)={boxes2.ndim}. "
                f"Expected either len({name}.shape)=2 AND or len({name}.shape)=3."
            )
    corners1, corners2 = (_corners(boxes, bounding_box_format, image_shape) for boxes in (boxes1, boxes2))
    rows, columns = corners1.unsqueeze(-2), corners2.unsqueeze(-3)
    intersection = _intersection(rows, columns)
    union = _area(rows) + _area(columns) - intersection
    iou = intersection / (union + settings.epsilon())
    if not use_masking:
        return iou
    is_padding = (rows.amax(-1) < 0) | (columns.amax(-1) < 0)
    return iou.masked_fill(is_padding, mask_val)


def compute_ciou(
    boxes1: ArrayLike, boxes2: ArrayLike, bounding_box_format: str, image_shape: Sequence[int] | None = None
) -> Tensor:
    """Compute the complete intersection over union (CIoU) of pairs of boxes.

    `ciou = iou - d² / c² - alpha * v`, where `d` is the distance of the centers, `c` the diagonal of the smallest box
    around both, `v = 4 / pi² * (arctan(w1 / h1) - arctan(w2 / h2))²` says how much the aspect ratios differ, and
    `alpha = v / (1 - iou + v)`. Source: "Distance-IoU Loss" (Zheng et al., 2020).

    Args:
        boxes1: boxes of shape `(..., 4)`.
        boxes2: boxes of a shape that broadcasts against that of `boxes1`.
        bounding_box_format: format of both, see `keras.utils.bounding_boxes.convert_format`.
        image_shape: `(height, width, channels)` of the image; needed for relative formats. Default: `None`.

    Returns:
        A tensor of the broadcast shape without the last axis.

    Raises:
        ValueError: a relative format comes without `image_shape`.

    Example:
        >>> a = np.array([[0, 0, 10, 10]])
        >>> keras.utils.bounding_boxes.compute_ciou(a, a, "xyxy")
        tensor([1.])
    """
    epsilon = settings.epsilon()
    first, second = (_corners(boxes, bounding_box_format, image_shape) for boxes in (boxes1, boxes2))
    x1, y1, x2, y2 = first.unbind(-1)
    u1, v1, u2, v2 = second.unbind(-1)
    width1, height1 = x2 - x1, y2 - y1 + epsilon
    width2, height2 = u2 - u1, v2 - v1 + epsilon
    intersection = _intersection(first, second)
    union = width1 * height1 + width2 * height2 - intersection + epsilon
    iou = intersection / (union + epsilon)
    outer_width = torch.maximum(x2, u2) - torch.minimum(x1, u1)
    outer_height = torch.maximum(y2, v2) - torch.minimum(y1, v1)
    diagonal_squared = outer_width**2 + outer_height**2 + epsilon
    distance_squared = ((x1 + x2) / 2 - (u1 + u2) / 2) ** 2 + ((y1 + y2) / 2 - (v1 + v2) / 2) ** 2
    aspect = 4 / math.pi**2 * (torch.arctan(width2 / height2) - torch.arctan(width1 / height1)) ** 2
    alpha = aspect / (aspect - iou + (1 + epsilon))
    return iou - (distance_squared / diagonal_squared + aspect * alpha)


def _corners(boxes: ArrayLike, bounding_box_format: str, image_shape: Sequence[int] | None) -> Tensor:
    if is_relative(bounding_box_format) and image_shape is None:
        raise ValueError(
            "When using relative bounding box formats (e.g. `rel_yxyx`) the `image_shape` argument must be provided. "
            f"Received `image_shape`: {image_shape}"
        )
    height, width = (None, None) if image_shape is None else image_shape[:2]
    return convert_format(boxes, bounding_box_format, "xyxy", height, width)


def _area(boxes: Tensor) -> Tensor:
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def _intersection(first: Tensor, second: Tensor) -> Tensor:
    """Common area of the boxes of two tensors that broadcast against each other."""
    low = torch.maximum(first[..., :2], second[..., :2])
    high = torch.minimum(first[..., 2:], second[..., 2:])
    return (high - low).clamp(min=0).prod(-1)
