"""The formats of bounding boxes, and how one becomes another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias, TypeVar, cast, overload

import torch
from torch import Tensor

from torchkeras.core import settings
from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.core.types import ArrayLike, DTypeLike, Number

# The four coordinates of boxes, each of shape `(..., 1)`.
Parts: TypeAlias = tuple[Tensor, Tensor, Tensor, Tensor]
# Boxes as `{"boxes": (..., 4), "labels": (...)}`; other entries are left alone.
BoxDict: TypeAlias = Mapping[str, ArrayLike]
B = TypeVar("B", bound=BoxDict)


class Format(NamedTuple):
    """How the four numbers of a format are made from corners, and back."""

    to_corners: Callable[..., Parts]
    from_corners: Callable[..., Parts]
    vertical_first: bool = False


def _same(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Parts:
    return a, b, c, d


def _swapped(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Parts:
    return b, a, d, c


def _corner_and_size_to_corners(x: Tensor, y: Tensor, width: Tensor, height: Tensor) -> Parts:
    return x, y, x + width, y + height


def _corners_to_corner_and_size(x1: Tensor, y1: Tensor, x2: Tensor, y2: Tensor) -> Parts:
    return x1, y1, x2 - x1, y2 - y1


def _center_to_corners(x: Tensor, y: Tensor, width: Tensor, height: Tensor) -> Parts:
    half_width, half_height = width / 2.0, height / 2.0
    return x - half_width, y - half_height, x + half_width, y + half_height


def _corners_to_center(x1: Tensor, y1: Tensor, x2: Tensor, y2: Tensor) -> Parts:
    width, height = x2 - x1, y2 - y1
    return x1 + width / 2.0, y1 + height / 2.0, width, height


_ABSOLUTE = {
    "xyxy": Format(_same, _same),
    "yxyx": Format(_swapped, _swapped, vertical_first=True),
    "xywh": Format(_corner_and_size_to_corners, _corners_to_corner_and_size),
    "center_xywh": Format(_center_to_corners, _corners_to_center),
    "center_yxhw": Format(
        lambda y, x, height, width: _center_to_corners(x, y, width, height),
        lambda x1, y1, x2, y2: _swapped(*_corners_to_center(x1, y1, x2, y2)),
        vertical_first=True,
    ),
}
_RELATIVE = ("rel_xyxy", "rel_yxyx", "rel_xywh", "rel_center_xywh")
SUPPORTED_FORMATS = (*_ABSOLUTE, *_RELATIVE)


def split(boxes: Tensor) -> Parts:
    """The four coordinates of boxes `(..., 4)`, each of shape `(..., 1)`."""
    return cast(Parts, boxes.split(1, dim=-1))


def is_relative(bounding_box_format: str) -> bool:
    """Whether the coordinates of a format are fractions of the image's size."""
    return bounding_box_format.lower().startswith("rel_")


@overload
def convert_format(
    boxes: ArrayLike,
    source: str,
    target: str,
    height: Number | None = ...,
    width: Number | None = ...,
    dtype: DTypeLike | None = ...,
) -> Tensor: ...
@overload
def convert_format(
    boxes: B,
    source: str,
    target: str,
    height: Number | None = ...,
    width: Number | None = ...,
    dtype: DTypeLike | None = ...,
) -> B: ...
def convert_format(
    boxes: ArrayLike | BoxDict,
    source: str,
    target: str,
    height: Number | None = None,
    width: Number | None = None,
    dtype: DTypeLike | None = "float32",
) -> Tensor | BoxDict:
    """Convert bounding boxes from one format to another.

    The formats, in upper or lower case, are:

    - `"xyxy"`: left, top, right, bottom; `"yxyx"`: top, left, bottom, right
    - `"xywh"`: left, top, width, height
    - `"center_xywh"`: center x, center y, width, height; `"center_yxhw"`: center y, center x, height, width
    - `"rel_xyxy"`, `"rel_yxyx"`, `"rel_xywh"`, `"rel_center_xywh"`: the same as fractions of the image's size

    Args:
        boxes: tensor or array of shape `(..., 4)`, or a dict with such boxes under `"boxes"`.
        source: format of `boxes`.
        target: format to convert to.
        height: height of the image in pixels, or a tensor that broadcasts against `(..., 1)`; needed for relative
            formats. Default: `None`.
        width: width of the image, likewise. Default: `None`.
        dtype: type of the result; `None` means `floatx()`. Default: `"float32"`.

    Returns:
        A tensor of the shape of `boxes`; for a dict, a new dict with the converted boxes.

    Raises:
        ValueError: there is no such format, the last axis of `boxes` is not of size 4, or a relative format comes
            without `height` and `width`.

    Example:
        >>> boxes = np.array([[10, 20, 30, 40]])
        >>> keras.utils.bounding_boxes.convert_format(boxes, source="xyxy", target="center_xywh")
        tensor([[20., 30., 20., 20.]])
        >>> keras.utils.bounding_boxes.convert_format(boxes, "xyxy", "rel_xyxy", height=80, width=40)
        tensor([[0.2500, 0.2500, 0.7500, 0.5000]])
    """
    if isinstance(boxes, Mapping):
        converted = convert_format(boxes["boxes"], source, target, height, width, dtype)
        return {**boxes, "boxes": converted}
    source, target = source.lower(), target.lower()
    tensor = convert_to_tensor(boxes)
    if tensor.ndim == 0 or tensor.shape[-1] != 4:
        raise ValueError(
            f"`boxes` must be a tensor with the last dimension of 4. Received: boxes.shape={tuple(tensor.shape)}"
        )
    _check_formats(source, target, height, width)
    tensor = convert_to_tensor(tensor, dtype=dtype or settings.floatx())
    if source == target:
        return tensor
    both_relative = is_relative(source) and is_relative(target)
    first, last = (_ABSOLUTE[name.removeprefix("rel_")] for name in (source, target))
    parts = first.to_corners(*split(tensor))
    if is_relative(source) and not both_relative:
        x_size, y_size = _factor(width, tensor), _factor(height, tensor)
        parts = parts[0] * x_size, parts[1] * y_size, parts[2] * x_size, parts[3] * y_size
    parts = last.from_corners(*parts)
    if is_relative(target) and not both_relative:
        x_size, y_size = _factor(width, tensor), _factor(height, tensor)
        first_size, second_size = (y_size, x_size) if last.vertical_first else (x_size, y_size)
        parts = parts[0] / first_size, parts[1] / second_size, parts[2] / first_size, parts[3] / second_size
    return torch.cat(parts, dim=-1)


def _check_formats(source: str, target: str, height: Number | None, width: Number | None) -> None:
    if source not in SUPPORTED_FORMATS or target not in SUPPORTED_FORMATS:
        raise ValueError(
            f"Invalid source or target format. Supported formats: {SUPPORTED_FORMATS}. "
            f"Received: source={source!r}, target={target!r}"
        )
    if (is_relative(source) or is_relative(target)) and (width is None or height is None):
        raise ValueError(
            "convert_format() must receive `height` and `width` transforming between relative and absolute formats. "
            f"convert_format() received source=`{source}`, target=`{target}`, but height={height} and width={width}."
        )


def _factor(size: Number | None, like: Tensor) -> Number:
    """The size of an axis (there is one wherever a format is relative) in the type of the boxes, as Keras casts it."""
    return size.to(like.dtype) if isinstance(size, Tensor) else cast(float, size)
