"""Labels to one-hot rows, rows to unit length."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from torchkeras.core import registry, settings
from torchkeras.core.dtypes import torch_dtype
from torchkeras.core.keras_tensor import KerasTensor
from torchkeras.core.tensors import convert_to_tensor


def to_categorical(x: Any, num_classes: int | None = None) -> Any:
    """Class numbers to rows with a single one; a last axis of size 1 is dropped.

    Args:
        x: integers. A tensor gives an int64 tensor (negative classes rows of zeros), all else a float64 array.
        num_classes: length of a row; default: the largest class plus one.
    """
    if isinstance(x, torch.Tensor):
        labels = (x.squeeze(-1) if x.dim() > 1 and x.shape[-1] == 1 else x).long()
        rows = F.one_hot(labels.clamp(min=0), -1 if num_classes is None else num_classes)
        return rows * (labels >= 0).unsqueeze(-1)
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
    if isinstance(x, KerasTensor):
        return registry.lookup("keras.ops", "normalize")(x, axis=axis, order=order)
    if not isinstance(order, int) or order < 1:
        raise ValueError(f"order must be an integer of at least 1; received {order!r}.")
    x = torch.atleast_1d(convert_to_tensor(x))
    x = x if x.is_floating_point() else x.to(torch_dtype(None))
    return F.normalize(x, p=order, dim=axis, eps=settings.epsilon())
