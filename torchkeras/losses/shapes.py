"""How targets, predictions and weights of nearly equal shapes are brought together."""

from __future__ import annotations

import torch

from torchkeras.core import settings
from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.core.tensors.dtypes import torch_dtype
from torchkeras.core.types import ArrayLike


def match_ranks(x1: torch.Tensor, x2: torch.Tensor, expand_rank_1: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
    """Drop or add a last axis of 1 where the ranks differ by one.

    Args:
        expand_rank_1: give a vector the missing axis rather than take it from the other tensor.
    """
    difference = x1.dim() - x2.dim()
    if difference == 0:
        return x1, x2
    if difference == 1 and x1.shape[-1] == 1:
        return (x1, x2.unsqueeze(-1)) if x2.dim() == 1 and expand_rank_1 else (x1.squeeze(-1), x2)
    if difference == -1 and x2.shape[-1] == 1:
        return (x1.unsqueeze(-1), x2) if x1.dim() == 1 and expand_rank_1 else (x1, x2.squeeze(-1))
    return x1, x2


def as_tensors(y_true: ArrayLike, y_pred: ArrayLike) -> tuple[torch.Tensor, torch.Tensor]:
    """Both as float tensors of the predictions' type, on the predictions' device."""
    if not isinstance(y_pred, torch.Tensor):
        y_pred = convert_to_tensor(y_pred)
    if not isinstance(y_true, torch.Tensor) or y_true.dtype != y_pred.dtype:
        y_true = convert_to_tensor(y_true, y_pred.dtype, y_pred.device)
    if not y_pred.is_floating_point():
        floatx = torch_dtype(settings.floatx())
        return y_true.to(floatx), y_pred.to(floatx)
    return y_true, y_pred


def as_pair(y_true: ArrayLike, y_pred: ArrayLike) -> tuple[torch.Tensor, torch.Tensor]:
    """Both as tensors of one type whose shapes broadcast.

    Raises:
        ValueError: the shapes do not go together.
    """
    y_true, y_pred = as_tensors(y_true, y_pred)
    if y_true.shape != y_pred.shape:
        y_true, y_pred = match_ranks(y_true, y_pred)
        check_broadcast("y_true", y_true, "y_pred", y_pred)
    return y_true, y_pred


def check_broadcast(name1: str, x1: torch.Tensor, name2: str, x2: torch.Tensor) -> None:
    """Raise `ValueError` with both shapes unless the tensors broadcast."""
    for a, b in zip(reversed(x1.shape), reversed(x2.shape)):
        if a != b and a != 1 and b != 1:
            raise ValueError(
                f"{name1} and {name2} must have shapes that broadcast; received {name1} of shape {tuple(x1.shape)} "
                f"and {name2} of shape {tuple(x2.shape)}."
            )


def check_same_shape(y_true: torch.Tensor, y_pred: torch.Tensor) -> None:
    """Raise `ValueError` with both shapes unless they are equal."""
    if y_true.shape != y_pred.shape:
        raise ValueError(
            f"y_true and y_pred must have the same shape; received y_true of shape {tuple(y_true.shape)} and y_pred "
            f"of shape {tuple(y_pred.shape)}."
        )


def check_matrices(name: str, y_true_shape: tuple[int | None, ...], y_pred_shape: tuple[int | None, ...]) -> None:
    """Raise `ValueError` with both shapes unless both have two axes, the last of known size."""
    for shape in (y_true_shape, y_pred_shape):
        if len(shape) != 2 or shape[-1] is None:
            known = ", with output_dim fully defined (not None)" if len(shape) == 2 else ""
            raise ValueError(
                f"{name} expects 2D inputs with shape (batch_size, output_dim){known}. Received input shapes: "
                f"y_pred.shape={tuple(y_pred_shape)} and y_true.shape={tuple(y_true_shape)}."
            )
