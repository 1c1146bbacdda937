"""Boxes as deltas to anchors, the numbers that detectors predict."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar, cast, overload

import torch
from torch import Tensor

from torchkeras.core import settings
from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.core.types import ArrayLike
from torchkeras.layers.preprocessing.image.bounding_boxes.formats import convert_format

Level = TypeVar("Level", bound=Hashable)
_ENCODINGS = ("center_xywh", "center_yxhw")


def encode_box_to_deltas(
    anchors: ArrayLike,
    boxes: ArrayLike,
    anchor_format: str,
    box_format: str,
    encoding_format: str = "center_yxhw",
    variance: ArrayLike | None = None,
    image_shape: Sequence[int] | None = None,
) -> Tensor:
    """Encode boxes as deltas to anchors.

    With centers `c` and sizes `s`: `deltas = [(c_box - c_anchor) / s_anchor, log(s_box / s_anchor)] / variance`.

    Args:
        anchors: anchors of shape `(N, 4)`.
        boxes: boxes of shape `(N, 4)` or `(batch_size, N, 4)`.
        anchor_format: format of `anchors`, see `keras.utils.bounding_boxes.convert_format`.
        box_format: format of `boxes`.
        encoding_format: `"center_xywh"` or `"center_yxhw"`: the order of the deltas. Default: `"center_yxhw"`.
        variance: four numbers that the deltas are divided by. Default: `None`.
        image_shape: `(height, width, channels)` of the image; needed if a format is relative. Default: `None`.

    Returns:
        A tensor of the shape of `boxes`.

    Raises:
        ValueError: `variance` is not of length 4, or `encoding_format` is another one.

    Example:
        >>> anchors = np.array([[0.0, 0.0, 10.0, 10.0]])
        >>> boxes = np.array([[5.0, 0.0, 15.0, 10.0]])
        >>> keras.utils.bounding_boxes.encode_box_to_deltas(anchors, boxes, "xyxy", "xyxy", "center_xywh")
        tensor([[0.5000, 0.0000, 0.0000, 0.0000]])
    """
    factors = _variance(variance)
    if encoding_format not in _ENCODINGS:
        raise ValueError(f"`encoding_format` should be one of 'center_xywh' or 'center_yxhw', got {encoding_format}")
    height, width = (None, None) if image_shape is None else image_shape[:2]
    anchor = convert_format(anchors, anchor_format, encoding_format, height, width)
    box = convert_format(boxes, box_format, encoding_format, height, width)
    anchor_size, box_size = (found[..., 2:].clamp(min=settings.epsilon()) for found in (anchor, box))
    shift = (box[..., :2] - anchor[..., :2]) / anchor_size
    growth = (box_size / anchor_size).log()
    deltas = torch.cat([shift, growth.expand_as(shift)], dim=-1)
    return deltas if factors is None else deltas / factors.to(deltas.device)


@overload
def decode_deltas_to_boxes(
    anchors: Mapping[Level, ArrayLike],
    boxes_delta: Mapping[Level, ArrayLike],
    anchor_format: str,
    box_format: str,
    encoded_format: str = ...,
    variance: ArrayLike | None = ...,
    image_shape: Sequence[int] | None = ...,
) -> dict[Level, Tensor]: ...
@overload
def decode_deltas_to_boxes(
    anchors: ArrayLike,
    boxes_delta: ArrayLike,
    anchor_format: str,
    box_format: str,
    encoded_format: str = ...,
    variance: ArrayLike | None = ...,
    image_shape: Sequence[int] | None = ...,
) -> Tensor: ...
def decode_deltas_to_boxes(
    anchors: ArrayLike | Mapping[Level, ArrayLike],
    boxes_delta: ArrayLike | Mapping[Level, ArrayLike],
    anchor_format: str,
    box_format: str,
    encoded_format: str = "center_yxhw",
    variance: ArrayLike | None = None,
    image_shape: Sequence[int] | None = None,
) -> Tensor | dict[Level, Tensor]:
    """Decode deltas to anchors into boxes: the inverse of `encode_box_to_deltas`.

    Args:
        anchors: anchors of shape `(N, 4)`, or a dict of them by level.
        boxes_delta: deltas of shape `(N, 4)` or `(batch_size, N, 4)`, or a dict of them with the keys of `anchors`.
        anchor_format: format of `anchors`, see `keras.utils.bounding_boxes.convert_format`.
        box_format: format of the result.
        encoded_format: `"center_xywh"` or `"center_yxhw"`: the order of the deltas. Default: `"center_yxhw"`.
        variance: four numbers that the deltas are multiplied by first. Default: `None`.
        image_shape: `(height, width, channels)` of the image; needed if a format is relative. Default: `None`.

    Returns:
        A tensor of the shape of `boxes_delta`, or a dict of them.

    Raises:
        ValueError: `variance` is not of length 4, or `encoded_format` is another one.

    Example:
        >>> anchors = np.array([[0.0, 0.0, 10.0, 10.0]])
        >>> deltas = np.array([[0.5, 0.0, 0.0, 0.0]], dtype="float32")
        >>> keras.utils.bounding_boxes.decode_deltas_to_boxes(anchors, deltas, "xyxy", "xyxy", "center_xywh")
        tensor([[ 5.,  0., 15., 10.]])
    """
    factors = _variance(variance)
    if encoded_format not in _ENCODINGS:
        raise ValueError(f"`encoded_format` should be 'center_xywh' or 'center_yxhw', but got '{encoded_format}'.")
    height, width = (None, None) if image_shape is None else image_shape[:2]

    def decode(anchors: ArrayLike, boxes_delta: ArrayLike) -> Tensor:
        deltas = convert_to_tensor(boxes_delta)
        anchor = convert_format(anchors, anchor_format, encoded_format, height, width).to(deltas.device)
        if factors is not None:
            deltas = deltas * factors.to(deltas.device)
        center = deltas[..., :2] * anchor[..., 2:] + anchor[..., :2]
        size = deltas[..., 2:].exp() * anchor[..., 2:]
        return convert_format(torch.cat([center, size], dim=-1), encoded_format, box_format, height, width)

    if isinstance(anchors, Mapping):
        level_deltas = cast("Mapping[Level, ArrayLike]", boxes_delta)
        return {level: decode(anchor, level_deltas[level]) for level, anchor in anchors.items()}
    return decode(anchors, cast("ArrayLike", boxes_delta))


def _variance(variance: ArrayLike | None) -> Tensor | None:
    if variance is None:
        return None
    factors = convert_to_tensor(variance, "float32")
    if factors.shape[-1] != 4:
        raise ValueError(f"`variance` must be length 4, got {factors}")
    return factors
