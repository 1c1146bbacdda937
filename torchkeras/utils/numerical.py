"""Arrays of labels and vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from torchkeras.core.tensors import convert_to_tensor


def to_categorical(x: Any, num_classes: int | None = None) -> Any:
    """Class indices as one-hot vectors: an array of shape `(*x.shape, num_classes)`, a last axis of 1 left out.

    Tensors give tensors, all else float64 arrays.
    """
    if isinstance(x, torch.Tensor):
        indices = x.long()
        if indices.dim() > 1 and indices.shape[-1] == 1:
            indices = indices.squeeze(-1)
        return torch.nn.functional.one_hot(indices, num_classes or -1).float()
    indices = np.array(x, dtype="int64")
    if indices.ndim > 1 and indices.shape[-1] == 1:
        indices = indices.squeeze(-1)
    count = num_classes or int(indices.max()) + 1
    vectors = np.zeros((indices.size, count))
    vectors[np.arange(indices.size), indices.ravel()] = 1
    return vectors.reshape(*indices.shape, count)


def normalize(x: Any, axis: int = -1, order: int = 2) -> Any:
    """Vectors along `axis` divided by their norms of the given order; zero vectors stay."""
    if isinstance(x, torch.Tensor):
        norms = torch.linalg.vector_norm(convert_to_tensor(x).float(), ord=order, dim=axis, keepdim=True)
        return x / torch.where(norms == 0, torch.ones_like(norms), norms)
    norms = np.atleast_1d(np.linalg.norm(x, order, axis))
    norms[norms == 0] = 1
    return x / np.expand_dims(norms, axis)
