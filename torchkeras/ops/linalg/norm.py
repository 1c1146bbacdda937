"""Norms, distances and ranks."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchkeras.core.op import op


@op(dtype="common_float", name="CDist", file_module="keras.src.ops.math")
def cdist(x: Tensor, y: Tensor) -> Tensor:
    """Euclidean distances: `(..., m, size)` and `(..., n, size)` give `(..., m, n)`."""
    if x.dim() < 2 or y.dim() < 2:
        raise ValueError(f"`cdist` inputs must have rank >= 2. Received: {tuple(x.shape)} and {tuple(y.shape)}.")
    if x.shape[-1] != y.shape[-1]:
        raise ValueError(
            f"Last dimension of inputs to `cdist` must match. Received: {tuple(x.shape)} and {tuple(y.shape)}."
        )
    if x.dtype in (torch.float16, torch.bfloat16):
        return _distances(x.float(), y.float()).to(x.dtype)
    return _distances(x, y)


def _distances(x: Tensor, y: Tensor) -> Tensor:
    # By differences: the faster way over products loses the small distances of points far from zero.
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
