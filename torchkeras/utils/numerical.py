"""Labels to one-hot rows, rows to unit length."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from torchkeras.ops.nn import normalization
from torchkeras.ops.nn.encoding import hot_rows


def to_categorical(x: Any, num_classes: int | None = None) -> Any:
    """Class numbers to rows with a single one; a last axis of size 1 is dropped.

    Args:
        x: integers. A tensor gives an int64 tensor (negative classes rows of zeros), all else a float64 array.
        num_classes: length of a row; default: the largest class plus one.
    """
    if isinstance(x, torch.Tensor):
        labels = (x.squeeze(-1) if x.dim() > 1 and x.shape[-1] == 1 else x).long()
        return hot_rows(labels, int(labels.max()) + 1 if num_classes is None else num_classes, -1, "int64")
    labels = np.asarray(x, dtype="int64")
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    return np.eye(num_classes or labels.max() + 1)[labels]


def normalize(x: Any, axis: int = -1, order: int = 2) -> Any:
    """`x` divided by its norms of the given order along `axis`; zeros stay zeros.

    Raises:
        ValueError: `x` is a tensor and `order` no positive integer.
    """
    if isinstance(x, np.ndarray):
        norms = np.linalg.norm(x, order, axis, keepdims=True)
        return x / np.where(norms == 0, 1, norms)
    return normalization.normalize(x, axis, order)
