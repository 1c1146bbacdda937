"""Boxes follow their image: clipped, cropped, padded, or moved by an affine transformation."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from torchkeras.core import settings
from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.core.tensors.dtypes import torch_dtype
from torchkeras.core.types import ArrayLike, Number
from torchkeras.layers.preprocessing.image.bounding_boxes.formats import BoxDict, split


def clip_to_image_size(
    bounding_boxes: BoxDict,
    height: Number | None = None,
    width: Number | None = None,
    bounding_box_format: str = "xyxy",
) -> dict[str, ArrayLike]:
    """Clip boxes to the image; boxes of which nothing is left get the label -1.

    Args:
        bounding_boxes: dict of `"boxes"`, of shape `(N, 4)` or `(batch_size, N, 4)`, and, if there are any, of
            `"labels"`, of shape `(N,)` or `(batch_size, N)`. Unsigned labels become int32.
        height: height of the image; needed for `"xyxy"`. Default: `None`.
        width: width of the image; needed for `"xyxy"`. Default: `None`.
        bounding_box_format: `"xyxy"` or `"rel_xyxy"`. Default: `"xyxy"`.

    Returns:
        A new dict with the clipped boxes and their labels.

    Raises:
        ValueError: the format is `"xyxy"` and `height` or `width` is missing.
        NotImplementedError: the format is another one.

    Example:
        >>> boxes = {"boxes": np.array([[-10.0, 5.0, 20.0, 30.0], [50.0, 0.0, 60.0, 9.0]]), "labels": np.array([0, 1])}
        >>> clipped = keras.utils.bounding_boxes.clip_to_image_size(boxes, height=25, width=40)
        >>> clipped["boxes"].tolist(), clipped["labels"].tolist()
        ([[0.0, 5.0, 20.0, 25.0], [40.0, 0.0, 40.0, 9.0]], [0, -1])
    """
    if bounding_box_format == "rel_xyxy":
        height = width = 1.0
    else:
        _check_format("clip_to_image_size", bounding_box_format)
    if height is None or width is None:
        raise ValueError("`height` and `width` must be set if `format='xyxy'`.")
    boxes = _clipped(convert_to_tensor(bounding_boxes["boxes"]), height, width)
    result = {**bounding_boxes, "boxes": boxes}
    if bounding_boxes.get("labels") is not None:
        labels = convert_to_tensor(bounding_boxes["labels"], device=boxes.device)
        if labels.dtype == torch.bool or not labels.dtype.is_signed:
            labels = labels.to(torch.int32)
        is_visible = (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1]) > 0
        if labels.ndim == boxes.ndim:  # (..., N, 1) or one-hot
            is_visible = is_visible.unsqueeze(-1)
        result["labels"] = labels.where(is_visible, -1)
    return result


def crop(
    boxes: ArrayLike, top: Number, left: Number, height: Number, width: Number, bounding_box_format: str = "xyxy"
) -> Tensor:
    """Move boxes into the coordinates of a part of the image, and clip them to it.

    Args:
        boxes: boxes of shape `(N, 4)` or `(batch_size, N, 4)`.
        top: first row of the part, in pixels.
        left: first column of the part.
        height: height of the part.
        width: width of the part.
        bounding_box_format: only `"xyxy"`. Default: `"xyxy"`.

    Returns:
        A tensor of the shape of `boxes`.

    Raises:
        NotImplementedError: the format is not `"xyxy"`.

    Example:
        >>> boxes = np.array([[10.0, 20.0, 50.0, 60.0]])
        >>> keras.utils.bounding_boxes.crop(boxes, top=10, left=20, height=40, width=25).tolist()
        [[0.0, 10.0, 25.0, 40.0]]
    """
    _check_format("crop", bounding_box_format)
    x1, y1, x2, y2 = split(convert_to_tensor(boxes))
    return _clipped(torch.cat([x1 - left, y1 - top, x2 - left, y2 - top], dim=-1), height, width)


def pad(
    boxes: ArrayLike,
    top: Number,
    left: Number,
    height: Number | None = None,
    width: Number | None = None,
    bounding_box_format: str = "xyxy",
) -> Tensor:
    """Move boxes by the rows and columns that are added above and left of the image.

    Args:
        boxes: boxes of shape `(N, 4)` or `(batch_size, N, 4)`.
        top: number of rows that are added above.
        left: number of columns that are added on the left.
        height: height of the image; not used. Default: `None`.
        width: width of the image; not used. Default: `None`.
        bounding_box_format: only `"xyxy"`. Default: `"xyxy"`.

    Returns:
        A tensor of the shape of `boxes`.

    Raises:
        NotImplementedError: the format is not `"xyxy"`.

    Example:
        >>> keras.utils.bounding_boxes.pad(np.array([[10, 20, 50, 60]]), top=1, left=2)
        tensor([[12, 21, 52, 61]])
    """
    _check_format("pad", bounding_box_format)
    x1, y1, x2, y2 = split(convert_to_tensor(boxes))
    return torch.cat([x1 + left, y1 + top, x2 + left, y2 + top], dim=-1)


def affine_transform(
    boxes: ArrayLike,
    angle: ArrayLike,
    translate_x: ArrayLike,
    translate_y: ArrayLike,
    scale: ArrayLike,
    shear_x: ArrayLike,
    shear_y: ArrayLike,
    height: Number,
    width: Number,
    center_x: Number | None = None,
    center_y: Number | None = None,
    bounding_box_format: str = "xyxy",
) -> Tensor:
    """Apply an affine transformation to boxes: each result is the smallest upright box around the moved corners.

    Each parameter is one value for all images, or a tensor of shape `(batch_size,)`.

    Args:
        boxes: boxes of shape `(N, 4)` or `(batch_size, N, 4)`.
        angle: angle of rotation in degrees.
        translate_x: translation to the right, as a fraction of `width - 1`.
        translate_y: translation downwards, as a fraction of `height - 1`.
        scale: factor of the size.
        shear_x: shear along x, in degrees.
        shear_y: shear along y, in degrees.
        height: height of the image.
        width: width of the image.
        center_x: x of the center as a fraction of `width - 1`; `None` means 0.5. Default: `None`.
        center_y: y of the center as a fraction of `height - 1`; `None` means 0.5. Default: `None`.
        bounding_box_format: only `"xyxy"`. Default: `"xyxy"`.

    Returns:
        A tensor of the shape of `boxes`, of the type of `angle`.

    Raises:
        NotImplementedError: the format is not `"xyxy"`.

    Example:
        >>> boxes = np.array([[[1.0, 0.0, 3.0, 1.0]]])
        >>> keras.utils.bounding_boxes.affine_transform(
        ...     boxes, angle=0.0, translate_x=0.0, translate_y=0.0, scale=2.0, shear_x=0.0, shear_y=0.0,
        ...     height=5, width=5, center_x=0.0, center_y=0.0)
        tensor([[[2., 0., 6., 2.]]])
    """
    _check_format("affine_transform", bounding_box_format)
    given = [convert_to_tensor(value) for value in (angle, translate_x, translate_y, scale, shear_x, shear_y)]
    dtype = given[0].dtype if given[0].is_floating_point() else torch_dtype(settings.floatx())
    values = torch.broadcast_tensors(*(value.to(dtype) for value in given))
    rotation, right, down, growth, x_shear, y_shear = values
    x_center, y_center = (0.5 if center is None else center for center in (center_x, center_y))
    matrix = _inverse_affine_matrix(rotation, right, down, growth, x_shear, y_shear, x_center, y_center, height, width)
    x1, y1, x2, y2 = convert_to_tensor(boxes).to(dtype).unbind(-1)
    x, y = torch.stack([x1, x2, x2, x1], dim=-1), torch.stack([y1, y1, y2, y2], dim=-1)
    a0, a1, a2, b0, b1, b2 = (entry[..., None, None] if entry.ndim else entry for entry in matrix)
    moved_x, moved_y = a0 * x + a1 * y + a2, b0 * x + b1 * y + b2
    moved = torch.stack([moved_x, moved_y], dim=-1)
    outputs = torch.cat([moved.amin(-2), moved.amax(-2)], dim=-1)
    return outputs[0] if x1.ndim == 1 and outputs.ndim == 3 and len(outputs) == 1 else outputs


def _inverse_affine_matrix(
    angle: Tensor,
    translate_x: Tensor,
    translate_y: Tensor,
    scale: Tensor,
    shear_x: Tensor,
    shear_y: Tensor,
    center_x: Number,
    center_y: Number,
    height: Number,
    width: Number,
) -> tuple[Tensor, ...]:
    """The first two rows of the matrices that undo shear and rotation (by the negative angles), times the scale."""
    to_radians = math.pi / 180.0
    rotation, shear_x, shear_y = -angle * to_radians, -shear_x * to_radians, -shear_y * to_radians
    middle_x, middle_y = center_x * (width - 1), center_y * (height - 1)
    from_x, from_y = middle_x - translate_x * (width - 1), middle_y - translate_y * (height - 1)
    sheared = rotation - shear_y
    a = sheared.cos() / shear_y.cos()
    b = a * shear_x.tan() + rotation.sin()
    c = -sheared.sin() / shear_y.cos()
    d = rotation.cos() - c * shear_x.tan()
    a0, a1, b0, b1 = d * scale, -b * scale, -c * scale, a * scale
    a2 = middle_x - a0 * from_x - a1 * from_y
    b2 = middle_y - b0 * from_x - b1 * from_y
    return a0, a1, a2, b0, b1, b2


def _check_format(function: str, bounding_box_format: str) -> None:
    if bounding_box_format != "xyxy":
        raise NotImplementedError(
            f"{function}() takes boxes in the format 'xyxy'. Received: bounding_box_format={bounding_box_format!r}. "
            "Convert them by keras.utils.bounding_boxes.convert_format() first."
        )


def _clipped(boxes: Tensor, height: Number, width: Number) -> Tensor:
    x1, y1, x2, y2 = split(boxes)
    return torch.cat([_clamp(x1, width), _clamp(y1, height), _clamp(x2, width), _clamp(y2, height)], dim=-1)


def _clamp(values: Tensor, upper: Number) -> Tensor:
    if isinstance(upper, Tensor):
        return torch.minimum(values.clamp(min=0), upper.to(values.dtype))
    return values.clamp(min=0, max=upper)
