"""Crossentropy of class numbers."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F

from torchkeras.core import settings
from torchkeras.core.masks import set_mask
from torchkeras.core.tensors import convert_to_tensor
from torchkeras.losses.fused import batch_mean
from torchkeras.losses.loss import FunctionLoss


def _flatten(y_true: torch.Tensor, y_pred: torch.Tensor, axis: int) -> tuple[torch.Tensor, torch.Tensor, torch.Size]:
    """Targets as a vector, predictions as a matrix with the classes last, and the shape of the loss.

    Raises:
        ValueError: the shapes do not go together.
    """
    if y_pred.dim() == 0:
        raise ValueError("y_pred must have a class axis; received a scalar (shape ()).")
    if y_true.dim() == y_pred.dim() and y_true.shape[axis] == 1:
        y_true = y_true.squeeze(axis)
    if axis != -1:
        y_pred = y_pred.movedim(axis, -1)
    shape = y_pred.shape[:-1]
    if y_true.shape != shape:
        raise ValueError(
            f"y_true must have the shape of y_pred without its class axis; received y_true of shape "
            f"{tuple(y_true.shape)} and y_pred of shape {tuple(y_pred.movedim(-1, axis).shape)} with axis={axis}."
        )
    if len(shape) != 1:
        y_true, y_pred = y_true.reshape(-1), y_pred.reshape(-1, y_pred.shape[-1])
    return y_true.long(), y_pred, shape


def _values(y_true: torch.Tensor, y_pred: torch.Tensor, from_logits: bool, reduction: str = "none") -> torch.Tensor:
    if from_logits:
        return F.cross_entropy(y_pred, y_true, reduction=reduction)
    epsilon = settings.epsilon()
    if y_pred.shape[-1] > _MANY_CLASSES:
        values = _picked(y_true, y_pred, epsilon)
        return values.sum() if reduction == "sum" else values
    prob = (y_pred / y_pred.sum(-1, keepdim=True)).clamp(epsilon, 1.0 - epsilon)
    return F.nll_loss(prob.log(), y_true, reduction=reduction)


_MANY_CLASSES = 64
"""Beyond this it pays to pick the true class first: of 1000 classes, five times as fast, with a fifth of the memory."""
_IGNORED = -100
"""The class that torch's losses leave out, and with them Keras's."""


def _picked(y_true: torch.Tensor, y_pred: torch.Tensor, epsilon: float) -> torch.Tensor:
    valid = y_true != _IGNORED
    prob = y_pred.gather(-1, y_true.where(valid, 0).unsqueeze(-1)).squeeze(-1) / y_pred.sum(-1)
    return -prob.clamp(epsilon, 1.0 - epsilon).log().where(valid, 0.0)


def sparse_categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, ignore_class: int | None = None, axis: int = -1
) -> torch.Tensor:
    """`-log(p)` with `p` the probability of the true class.

    Args:
        y_true: class numbers, with or without a last axis of 1.
        from_logits: whether predictions are logits; else they are made to sum to 1 and clipped by epsilon.
        ignore_class: entries of this class give 0 and are masked in the result.
        axis: the class axis of `y_pred`.

    Raises:
        ValueError: the shapes do not go together.
    """
    y_pred = convert_to_tensor(y_pred)
    y_true = convert_to_tensor(y_true, None, y_pred.device)
    target, pred, shape = _flatten(y_true, y_pred, axis)
    if ignore_class is None:
        return _values(target, pred, from_logits).reshape(shape)
    valid = target != ignore_class
    values = _values(target.where(valid, 0), pred.where(valid.unsqueeze(-1), 0.0), from_logits)
    values = values.where(valid, 0.0).reshape(shape)
    set_mask(values, valid.reshape(shape))
    return values


@batch_mean(sparse_categorical_crossentropy)
def _batch_sparse_categorical_crossentropy(
    y_true: torch.Tensor,
    y_pred: torch.Tensor,
    from_logits: bool = False,
    ignore_class: int | None = None,
    axis: int = -1,
) -> torch.Tensor | None:
    if ignore_class is not None:
        return None
    target, pred, shape = _flatten(y_true, y_pred, axis)
    # Not "mean": torch leaves entries of class -100 out of the count, Keras does not.
    return _values(target, pred, from_logits, "sum") / shape.numel()


class SparseCategoricalCrossentropy(FunctionLoss):
    """Crossentropy of class numbers with probabilities or logits.

    Args:
        from_logits: whether predictions are logits; else they are made to sum to 1 and clipped by epsilon.
        ignore_class: entries of this class are left out of the mean.
        axis: the class axis of the predictions.
    """

    config_keys = ("from_logits", "ignore_class")
    optional_config_keys = (("axis", -1),)
    keeps_integers = True

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        axis: int = -1,
        name: str = "sparse_categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        arguments = {"from_logits": from_logits, "ignore_class": ignore_class, "axis": axis}
        super().__init__(sparse_categorical_crossentropy, reduction, name, dtype, **arguments)
        self.__dict__.update(arguments)
