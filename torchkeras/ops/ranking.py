"""The greatest elements, and whether a target is among them."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from torchkeras.core.operations.op import op

op = functools.partial(op, file_module="keras.src.ops.math")


@op(later=("is_stable",))
def top_k(x: Tensor, k: int, sorted: bool = True, is_stable: bool = False) -> tuple[Tensor, Tensor]:
    """Return the `k` largest elements along the last axis, and their indices.

    Args:
        x: tensor.
        k: number of elements.
        sorted: whether they come in descending order. Default: `True`.
        is_stable: whether equal elements keep their order, which takes a sort of all elements. Default: `False`.
            (Keras 3.16: `True`.)

    Returns:
        A pair: values and int32 indices, both `(..., k)`.

    Example:
        >>> keras.ops.top_k([1.0, 4.0, 3.0], 2)[0]
        tensor([4., 3.])
    """
    if is_stable:
        values, indices = torch.sort(x, dim=-1, descending=True, stable=True)
        return values[..., :k], indices[..., :k]
    values, indices = torch.topk(x, k, sorted=sorted)
    return values, indices


@op
def in_top_k(targets: Tensor, predictions: Tensor, k: int) -> Tensor:
    """Say whether the prediction of each target class is among the `k` largest. Ties count, NaN does not.

    Args:
        targets: tensor of class numbers `(...)`.
        predictions: tensor `(..., classes)`.
        k: how many predictions count.

    Returns:
        A boolean tensor of the shape of `targets`.

    Example:
        >>> keras.ops.in_top_k([0, 1], [[0.1, 0.9], [0.2, 0.8]], k=1)
        tensor([False,  True])
    """
    classes = targets.long().remainder(predictions.shape[-1]).unsqueeze(-1)
    least = torch.topk(predictions, k).values[..., -1]
    return torch.take_along_dim(predictions, classes, -1).squeeze(-1) >= least
