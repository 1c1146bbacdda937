"""Crossentropy of class numbers."""

from __future__ import annotations

from typing import Any

import torch

from torchkeras.core.fast_paths.batch_means import batch_mean
from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.core.tensors.masks import set_mask
from torchkeras.losses.loss import FunctionLoss
from torchkeras.ops.nn.crossentropy import class_values, rows_of_classes

_NAMES = ("y_true", "y_pred")


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
    target, pred, shape = rows_of_classes(y_true, y_pred, axis, _NAMES)
    if ignore_class is None:
        return class_values(target, pred, from_logits).reshape(shape)
    valid = target != ignore_class
    values = class_values(target.where(valid, 0), pred.where(valid.unsqueeze(-1), 0.0), from_logits)
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
    target, pred, shape = rows_of_classes(y_true, y_pred, axis, _NAMES)
    # Not "mean": torch leaves entries of class -100 out of the count, Keras does not.
    return class_values(target, pred, from_logits, "sum") / shape.numel()


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
