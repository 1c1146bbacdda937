"""The greatest elements, and whether a target is among them."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from torchkeras.core.operations.op import op

op = functools.partial(op, file_module="keras.src.ops.math")


@op
def top_k(x: Tensor, k: int, sorted: bool = True) -> tuple[Tensor, Tensor]:
    """The `k` greatest values along the last axis, in descending order if `sorted`, and their indices."""
    values, indices = torch.topk(x, k, sorted=sorted)
    return values, indices


@op
def in_top_k(targets: Tensor, predictions: Tensor, k: int) -> Tensor:
    """Whether the prediction of each target class is among the `k` greatest; ties count, NaN does not.

    Args:
        targets: class numbers `(...)`.
        predictions: `(..., classes)`.
    """
    classes = targets.long().remainder(predictions.shape[-1]).unsqueeze(-1)
    least = torch.topk(predictions, k).values[..., -1]
    return torch.take_along_dim(predictions, classes, -1).squeeze(-1) >= least
