"""Losses of distributions and rates: Kullback-Leibler, Poisson."""

from __future__ import annotations

from typing import Any

import torch

from torchkeras.core import settings
from torchkeras.losses.loss import FunctionLoss
from torchkeras.losses.shapes import as_tensors, check_broadcast


def kl_divergence(y_true: Any, y_pred: Any) -> torch.Tensor:
    """`sum(y_true * log(y_true / y_pred))` over the last axis, both clipped to `[epsilon, 1]`."""
    y_true, y_pred = as_tensors(y_true, y_pred)
    check_broadcast("y_true", y_true, "y_pred", y_pred)
    y_true, y_pred = y_true.clamp(settings.epsilon(), 1.0), y_pred.clamp(settings.epsilon(), 1.0)
    return (y_true * (y_true / y_pred).log()).sum(-1)


def poisson(y_true: Any, y_pred: Any) -> torch.Tensor:
    """`mean(y_pred - y_true * log(y_pred + epsilon))` over the last axis."""
    y_true, y_pred = as_tensors(y_true, y_pred)
    check_broadcast("y_true", y_true, "y_pred", y_pred)
    return (y_pred - y_true * (y_pred + settings.epsilon()).log()).mean(-1)


class KLDivergence(FunctionLoss):
    """The Kullback-Leibler divergence `sum(y_true * log(y_true / y_pred))`."""

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str = "kl_divergence", dtype: Any = None
    ) -> None:
        super().__init__(kl_divergence, reduction, name, dtype)


class Poisson(FunctionLoss):
    """The negative log likelihood of counts, up to a constant: `mean(y_pred - y_true * log(y_pred))`."""

    def __init__(self, reduction: str | None = "sum_over_batch_size", name: str = "poisson", dtype: Any = None) -> None:
        super().__init__(poisson, reduction, name, dtype)
