"""Correlations of targets and predictions."""

from __future__ import annotations

from typing import Any

import torch

from torchkeras.core import settings
from torchkeras.losses.shapes import as_pair
from torchkeras.metrics.mean import FunctionMetric


def _centred(x: torch.Tensor, axis: int) -> torch.Tensor:
    return x - x.mean(axis, keepdim=True)


def pearson_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> torch.Tensor:
    """`cov(y_true, y_pred) / (std(y_true) * std(y_pred))` along the axis."""
    y_true, y_pred = (_centred(x, axis) for x in as_pair(y_true, y_pred))
    y_true, y_pred = (x / x.std(axis, correction=0, keepdim=True) for x in (y_true, y_pred))
    return (y_true * y_pred).mean(axis)


def concordance_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> torch.Tensor:
    """`2 * cov(y_true, y_pred) / (var(y_true) + var(y_pred) + (mean(y_true) - mean(y_pred))**2)` along the axis."""
    y_true, y_pred = as_pair(y_true, y_pred)
    shift = y_true.mean(axis, keepdim=True) - y_pred.mean(axis, keepdim=True)
    spread = sum(x.var(axis, correction=0, keepdim=True) for x in (y_true, y_pred)) + shift.square()
    covariance = _centred(y_true, axis) * _centred(y_pred, axis)
    return (2.0 * covariance / (spread + settings.epsilon())).mean(axis)


class PearsonCorrelation(FunctionMetric):
    """The mean Pearson correlation: 1 where predictions grow linearly with targets.

    Args:
        axis: along which the values lie that are compared.
    """

    _targets_are_cleaned = False  # of a constant row the correlation is NaN

    _direction = "up"
    config_keys = ("axis",)

    def __init__(self, name: str = "pearson_correlation", dtype: Any = None, axis: int = -1) -> None:
        super().__init__(pearson_correlation, name, dtype, axis=axis)
        self.axis = axis


class ConcordanceCorrelation(FunctionMetric):
    """The mean concordance correlation: 1 where predictions equal targets.

    Args:
        axis: along which the values lie that are compared.
    """

    _targets_are_cleaned = False  # of a constant row the correlation is NaN

    _direction = "up"
    config_keys = ("axis",)

    def __init__(self, name: str = "concordance_correlation", dtype: Any = None, axis: int = -1) -> None:
        super().__init__(concordance_correlation, name, dtype, axis=axis)
        self.axis = axis
