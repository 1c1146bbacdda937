"""Losses of image segmentation: how much two masks overlap."""

from __future__ import annotations

from typing import Any

import torch

from torchkeras.core import settings
from torchkeras.losses.loss import FunctionLoss
from torchkeras.losses.shapes import as_tensors, check_broadcast


def dice(y_true: Any, y_pred: Any, axis: Any = None) -> torch.Tensor:
    """`1 - 2 * sum(y_true * y_pred) / (sum(y_true) + sum(y_pred))` over the axes (default: all)."""
    y_true, y_pred = as_tensors(y_true, y_pred)
    check_broadcast("y_true", y_true, "y_pred", y_pred)
    axis = _axes(axis)
    both = (y_true * y_pred).sum(axis)
    return 1.0 - 2.0 * both / (y_true.sum(axis) + y_pred.sum(axis) + settings.epsilon())


def tversky(y_true: Any, y_pred: Any, alpha: float = 0.5, beta: float = 0.5, axis: Any = None) -> torch.Tensor:
    """`1 - both / (both + alpha * missed + beta * wrong)`, summed over the axes (arXiv:1706.05721).

    `both` is `y_true * y_pred`, `missed` is `y_true * (1 - y_pred)`, `wrong` is `(1 - y_true) * y_pred`.
    """
    y_true, y_pred = as_tensors(y_true, y_pred)
    check_broadcast("y_true", y_true, "y_pred", y_pred)
    axis = _axes(axis)
    both = (y_true * y_pred).sum(axis)
    missed = (y_true * (1.0 - y_pred)).sum(axis)
    wrong = ((1.0 - y_true) * y_pred).sum(axis)
    return 1.0 - both / (both + alpha * missed + beta * wrong + settings.epsilon())


def _axes(axis: Any) -> Any:
    return tuple(axis) if isinstance(axis, list) else axis


class Dice(FunctionLoss):
    """One minus the Dice coefficient of two masks.

    Args:
        axis: the axes over which overlap is measured; default: all, which gives one number a batch.
    """

    config_keys = ("axis",)

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "dice",
        axis: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(dice, reduction, name, dtype, axis=axis)
        self.axis = axis


class Tversky(FunctionLoss):
    """One minus the Tversky index of two masks.

    Args:
        alpha: the weight of what the prediction misses.
        beta: the weight of what it has too much.
        axis: the axes over which overlap is measured; default: all, which gives one number a batch.
    """

    config_keys = ("alpha", "beta", "axis")

    def __init__(
        self,
        alpha: float = 0.5,
        beta: float = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str = "tversky",
        axis: Any = None,
        dtype: Any = None,
    ) -> None:
        arguments = {"alpha": alpha, "beta": beta, "axis": axis}
        super().__init__(tversky, reduction, name, dtype, **arguments)
        self.__dict__.update(arguments)
