"""Boxes and labels as image layers take them: checked, and padded where images have different numbers of boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.core.types import ArrayLike
from torchkeras.layers.preprocessing.image.bounding_boxes.formats import BoxDict


def densify_bounding_boxes(
    bounding_boxes: BoxDict,
    is_batched: bool = False,
    max_boxes: int | None = None,
    boxes_default_value: float = 0,
    labels_default_value: int = -1,
) -> dict[str, Tensor]:
    """Tensors of the boxes (float32) and labels of a dict, padded to one number of boxes where images differ in it.

    Args:
        bounding_boxes: dict of `"boxes"` and `"labels"`: tensors or arrays, lists of one for each image, or nested
            tensors.
        is_batched: whether the first axis counts images.
        max_boxes: number of boxes for each image; what is more is cut off. `None` means the largest number.
        boxes_default_value: coordinate of the boxes that are added.
        labels_default_value: label of the boxes that are added.

    Raises:
        ValueError: the dict has other keys, or boxes and labels do not fit each other.
    """
    validate_bounding_boxes(bounding_boxes)
    boxes, labels = bounding_boxes["boxes"], bounding_boxes["labels"]
    if is_batched:
        boxes, labels = _padded(boxes, boxes_default_value, (0, 4)), _padded(labels, labels_default_value, (0,))
    boxes = convert_to_tensor(boxes, "float32")
    labels = convert_to_tensor(labels, device=boxes.device)
    if not labels.numel() and not isinstance(bounding_boxes["labels"], Tensor):
        labels = labels.to(torch.int32)
    if max_boxes is not None:
        axis = 1 if is_batched else 0
        boxes = _fit(boxes, axis, max_boxes, boxes_default_value)
        labels = _fit(labels, axis, max_boxes, labels_default_value)
    rest = {key: convert_to_tensor(value) for key, value in bounding_boxes.items() if key not in ("boxes", "labels")}
    return rest | {"boxes": boxes, "labels": labels}


def validate_bounding_boxes(bounding_boxes: BoxDict) -> None:
    """Check that a dict has boxes and labels, and that their ranks or lengths fit each other.

    Raises:
        ValueError: they do not.
    """
    if not isinstance(bounding_boxes, Mapping) or "labels" not in bounding_boxes or "boxes" not in bounding_boxes:
        raise ValueError(
            "Expected `bounding_boxes` argument to be a dict with keys 'boxes' and 'labels'. "
            f"Received: bounding_boxes={bounding_boxes}"
        )
    boxes, labels = bounding_boxes["boxes"], bounding_boxes["labels"]
    if isinstance(boxes, (list, tuple)):
        _check_lists(boxes, labels)
        return
    boxes_shape, labels_shape = _shape(boxes), _shape(labels)
    if len(boxes_shape) not in (2, 3):
        raise ValueError(
            "Expected `bounding_boxes['boxes']` to have rank 2 or 3, with shape "
            "(num_boxes, 4) or (batch_size, num_boxes, 4). "
            f"Received: bounding_boxes['boxes'].shape={boxes_shape}"
        )
    if len(boxes_shape) - len(labels_shape) not in (0, 1):
        raise ValueError(
            f"Found bounding_boxes['boxes'].shape={boxes_shape} and expected bounding_boxes['labels'] to have rank "
            f"{len(boxes_shape) - 1} or {len(boxes_shape)}, but received: "
            f"bounding_boxes['labels'].shape={labels_shape}"
        )


def _check_lists(boxes: Sequence, labels: ArrayLike) -> None:
    if not isinstance(labels, (list, tuple)):
        raise ValueError(
            "If `bounding_boxes['boxes']` is a list, then `bounding_boxes['labels']` must also be a list. "
            f"Received: bounding_boxes['labels']={labels}"
        )
    if len(boxes) != len(labels):
        raise ValueError(
            "If `bounding_boxes['boxes']` and `bounding_boxes['labels']` are both lists, they must have the same "
            f"length. Received: len(bounding_boxes['boxes'])={len(boxes)} and "
            f"len(bounding_boxes['labels'])={len(labels)}"
        )


def _shape(x: ArrayLike) -> tuple[int, ...]:
    if isinstance(x, Tensor) and x.is_nested:
        return (x.size(0),) + (-1,) * (x.ndim - 1)
    return tuple(x.shape) if hasattr(x, "shape") else tuple(convert_to_tensor(x).shape)


def _padded(items: ArrayLike, value: float, empty_shape: tuple[int, ...]) -> ArrayLike:
    """One tensor of the items of a batch."""
    if isinstance(items, Tensor) and items.is_nested:
        items = list(items.unbind())
    if not isinstance(items, (list, tuple)) or not items:
        return items
    tensors = [convert_to_tensor(item) for item in items]
    filled = [tensor for tensor in tensors if tensor.numel()]
    if not filled:
        return tensors[0].new_zeros((len(items), *empty_shape))
    # An empty list has no type and no axis of coordinates.
    tensors = [tensor if tensor.numel() else filled[0][:0] for tensor in tensors]
    return pad_sequence(tensors, batch_first=True, padding_value=value)


def _fit(x: Tensor, axis: int, size: int, value: float) -> Tensor:
    x = x.narrow(axis, 0, min(size, x.shape[axis]))
    missing = size - x.shape[axis]
    if not missing:
        return x
    shape = list(x.shape)
    shape[axis] = missing
    return torch.cat([x, x.new_full(shape, value)], dim=axis)
