"""Margin losses: labels of -1 and 1 (0 and 1 are taken for them)."""

from __future__ import annotations

from typing import Any

import torch

from torchkeras.losses.loss import FunctionLoss
from torchkeras.losses.shapes import as_tensors, check_broadcast


def _signed_labels(y_true: torch.Tensor) -> torch.Tensor:
    """Labels that are all 0 or 1 as -1 and 1; others as they are."""
    binary = ((y_true == 0) | (y_true == 1)).all()
    return torch.where(binary, 2.0 * y_true - 1.0, y_true)


def _slack(y_true: Any, y_pred: Any) -> torch.Tensor:
    y_true, y_pred = as_tensors(y_true, y_pred)
    check_broadcast("y_true", y_true, "y_pred", y_pred)
    return (1.0 - _signed_labels(y_true) * y_pred).clamp(min=0.0)


def hinge(y_true: Any, y_pred: Any) -> torch.Tensor:
    """`mean(max(1 - y_true * y_pred, 0))` over the last axis."""
    return _slack(y_true, y_pred).mean(-1)


def squared_hinge(y_true: Any, y_pred: Any) -> torch.Tensor:
    """`mean(max(1 - y_true * y_pred, 0)**2)` over the last axis."""
    return _slack(y_true, y_pred).square().mean(-1)


def categorical_hinge(y_true: Any, y_pred: Any) -> torch.Tensor:
    """`max(neg - pos + 1, 0)` with `pos` the true class's score and `neg` the best other one; labels are one-hot."""
    y_true, y_pred = as_tensors(y_true, y_pred)
    check_broadcast("y_true", y_true, "y_pred", y_pred)
    pos = (y_true * y_pred).sum(-1)
    neg = ((1.0 - y_true) * y_pred).amax(-1)
    return (neg - pos + 1.0).clamp(min=0.0)


class Hinge(FunctionLoss):
    """`mean(max(1 - y_true * y_pred, 0))`."""

    def __init__(self, reduction: str | None = "sum_over_batch_size", name: str = "hinge", dtype: Any = None) -> None:
        super().__init__(hinge, reduction, name, dtype)


class SquaredHinge(FunctionLoss):
    """`mean(max(1 - y_true * y_pred, 0)**2)`."""

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str = "squared_hinge", dtype: Any = None
    ) -> None:
        super().__init__(squared_hinge, reduction, name, dtype)


class CategoricalHinge(FunctionLoss):
    """`max(neg - pos + 1, 0)` with `pos` the true class's score and `neg` the best other one; labels are one-hot."""

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str = "categorical_hinge", dtype: Any = None
    ) -> None:
        super().__init__(categorical_hinge, reduction, name, dtype)
