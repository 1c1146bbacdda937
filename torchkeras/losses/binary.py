"""Crossentropy of yes-or-no labels."""

from __future__ import annotations

from typing import Any

import torch

from torchkeras.core import settings
from torchkeras.core.fast_paths import batch_means
from torchkeras.core.fast_paths.batch_means import batch_mean
from torchkeras.losses.loss import FunctionLoss
from torchkeras.losses.shapes import as_tensors, check_same_shape
from torchkeras.ops.nn.crossentropy import binary_values


def _smooth(y_true: torch.Tensor, label_smoothing: float) -> torch.Tensor:
    return y_true * (1.0 - label_smoothing) + 0.5 * label_smoothing if label_smoothing else y_true


def _crossentropy(y_true: torch.Tensor, y_pred: torch.Tensor, from_logits: bool, reduction: str) -> torch.Tensor:
    check_same_shape(y_true, y_pred)
    return binary_values(y_true, y_pred, from_logits, reduction)


def binary_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> torch.Tensor:
    """`mean(-y_true * log(y_pred) - (1 - y_true) * log(1 - y_pred))` along the axis.

    Args:
        from_logits: whether predictions are logits; else they are probabilities, clipped by epsilon.
        label_smoothing: how far labels are drawn towards 0.5, from 0 to 1.
    """
    y_true, y_pred = as_tensors(y_true, y_pred)
    return _crossentropy(_smooth(y_true, label_smoothing), y_pred, from_logits, "none").mean(axis)


def binary_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> torch.Tensor:
    """Binary crossentropy times `(1 - p)**gamma`, with `p` the probability given to the true label (arXiv:1708.02002).

    Args:
        apply_class_balancing: weigh label 1 by `alpha` and label 0 by `1 - alpha`.
        from_logits, label_smoothing, axis: as in `binary_crossentropy`.
    """
    y_true, y_pred = as_tensors(y_true, y_pred)
    y_true = _smooth(y_true, label_smoothing)
    y_pred = y_pred.sigmoid() if from_logits else y_pred
    crossentropy = _crossentropy(y_true, y_pred, False, "none")
    p = y_true * y_pred + (1.0 - y_true) * (1.0 - y_pred)
    loss = (1.0 - p) ** gamma * crossentropy
    if apply_class_balancing:
        loss = loss * (y_true * alpha + (1.0 - y_true) * (1.0 - alpha))
    return loss.mean(axis)


@batch_mean(binary_crossentropy)
def _batch_binary_crossentropy(
    y_true: torch.Tensor, y_pred: torch.Tensor, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> torch.Tensor:
    y_true = _smooth(y_true, label_smoothing)
    if from_logits:
        return _crossentropy(y_true, y_pred, True, "mean")
    check_same_shape(y_true, y_pred)
    epsilon = settings.epsilon()
    return batch_means.bce(y_true, y_pred.clamp(epsilon, 1.0 - epsilon))


class BinaryCrossentropy(FunctionLoss):
    """Crossentropy of labels 0 and 1 with probabilities or logits.

    Args:
        from_logits: whether predictions are logits; else they are probabilities, clipped by epsilon.
        label_smoothing: how far labels are drawn towards 0.5, from 0 to 1.
        axis: along which the mean is taken.
    """

    config_keys = ("from_logits", "label_smoothing", "axis")

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "binary_crossentropy",
        dtype: Any = None,
    ) -> None:
        arguments = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(binary_crossentropy, reduction, name, dtype, **arguments)
        self.__dict__.update(arguments)


class BinaryFocalCrossentropy(FunctionLoss):
    """Binary crossentropy times `(1 - p)**gamma`: labels that are predicted well count little.

    Args:
        apply_class_balancing: weigh label 1 by `alpha` and label 0 by `1 - alpha`.
        from_logits, label_smoothing, axis: as in `BinaryCrossentropy`.
    """

    config_keys = ("from_logits", "label_smoothing", "axis", "apply_class_balancing", "alpha", "gamma")

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "binary_focal_crossentropy",
        dtype: Any = None,
    ) -> None:
        arguments = {"apply_class_balancing": apply_class_balancing, "alpha": alpha, "gamma": gamma}
        arguments |= {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(binary_focal_crossentropy, reduction, name, dtype, **arguments)
        self.__dict__.update(arguments)
