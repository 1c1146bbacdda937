"""Labels to one-hot rows, rows to unit length."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from torchkeras.core.types import ArrayLike
from torchkeras.ops.nn import normalization
from torchkeras.ops.nn.encoding import hot_rows


def to_categorical(x: ArrayLike, num_classes: int | None = None) -> Any:
    """Convert class numbers to one-hot rows; a last axis of size 1 is dropped.

    Args:
        x: integers, of any shape. A tensor gives an int64 tensor (with rows of zeros for negative numbers), anything
            else a float64 array.
        num_classes: length of a row; `None` means the largest number plus one. Default: `None`.

    Returns:
        A tensor or array of the shape of `x`, with a last axis of `num_classes`.

    Raises:
        IndexError: an array holds a number that is not below `num_classes`.

    Example:
        >>> keras.utils.to_categorical([0, 2], num_classes=3)
        array([[1., 0., 0.],
               [0., 0., 1.]])
    """
    if isinstance(x, torch.Tensor):
        labels = (x.squeeze(-1) if x.dim() > 1 and x.shape[-1] == 1 else x).long()
        return hot_rows(labels, int(labels.max()) + 1 if num_classes is None else num_classes, -1, "int64")
    labels = np.asarray(x, dtype="int64")
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    classes = num_classes or labels.max() + 1
    if labels.size and labels.max() >= classes:
        raise IndexError(f"With num_classes={classes}, class numbers must be below it. Received: {labels.max()}")
    return np.eye(classes)[labels]


def normalize(x: ArrayLike, axis: int = -1, order: int = 2) -> Any:
    """Divide values by their norms along an axis; zeros stay zeros.

    Args:
        x: array or tensor.
        axis: axis along which the norms are computed. Default: `-1`.
        order: order of the norm, such as 2 for the Euclidean one. Default: `2`.

    Returns:
        An array or tensor of the shape of `x`.

    Raises:
        ValueError: `x` is a tensor and `order` is no positive integer.

    Example:
        >>> keras.utils.normalize(np.array([[3.0, 4.0]]))
        array([[0.6, 0.8]])
    """
    if isinstance(x, np.ndarray):
        norms = np.linalg.norm(x, order, axis, keepdims=True)
        return x / np.where(norms == 0, 1, norms)
    return normalization.normalize(x, axis, order)
