"""Losses of numbers against numbers."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn import functional as F

from torchkeras.core import settings
from torchkeras.core.fast_paths import batch_means
from torchkeras.core.fast_paths.batch_means import batch_mean
from torchkeras.losses.loss import FunctionLoss
from torchkeras.losses.shapes import as_pair
from torchkeras.ops.nn.normalization import unit_length


def mean_squared_error(y_true: Any, y_pred: Any) -> torch.Tensor:
    """`mean((y_true - y_pred)**2)` over the last axis."""
    y_true, y_pred = as_pair(y_true, y_pred)
    return (y_true - y_pred).square().mean(-1)


def mean_absolute_error(y_true: Any, y_pred: Any) -> torch.Tensor:
    """`mean(|y_true - y_pred|)` over the last axis."""
    y_true, y_pred = as_pair(y_true, y_pred)
    return (y_true - y_pred).abs().mean(-1)


def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> torch.Tensor:
    """`100 * mean(|(y_true - y_pred) / max(|y_true|, epsilon)|)` over the last axis."""
    y_true, y_pred = as_pair(y_true, y_pred)
    return 100.0 * ((y_true - y_pred) / y_true.abs().clamp(min=settings.epsilon())).abs().mean(-1)


def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> torch.Tensor:
    """`mean((log(y_true + 1) - log(y_pred + 1))**2)` over the last axis; values below epsilon count as epsilon."""
    y_true, y_pred = as_pair(y_true, y_pred)
    epsilon = settings.epsilon()
    first, second = (x.clamp(min=epsilon).add(1.0).log() for x in (y_pred, y_true))
    return (first - second).square().mean(-1)


def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> torch.Tensor:
    """The mean over the last axis of `error**2 / 2` up to `|error| = delta` and its tangent beyond."""
    y_true, y_pred = as_pair(y_true, y_pred)
    error = y_pred - y_true
    size = error.abs()
    return torch.where(size <= delta, 0.5 * error.square(), delta * size - 0.5 * delta * delta).mean(-1)


def log_cosh(y_true: Any, y_pred: Any) -> torch.Tensor:
    """`mean(log(cosh(y_pred - y_true)))` over the last axis."""
    y_true, y_pred = as_pair(y_true, y_pred)
    error = y_pred - y_true
    return (error + F.softplus(-2.0 * error) - math.log(2.0)).mean(-1)


def cosine(y_true: Any, y_pred: Any, axis: int) -> torch.Tensor:
    """`sum(l2_norm(y_true) * l2_norm(y_pred))` along the axis."""
    y_true, y_pred = as_pair(y_true, y_pred)
    epsilon = settings.epsilon()
    return (unit_length(y_true, axis, epsilon) * unit_length(y_pred, axis, epsilon)).sum(axis)


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> torch.Tensor:
    """`-sum(l2_norm(y_true) * l2_norm(y_pred))` along the axis: -1 where both point the same way."""
    return -cosine(y_true, y_pred, axis)


@batch_mean(mean_squared_error)
def _batch_mse(y_true: torch.Tensor, y_pred: torch.Tensor) -> torch.Tensor | None:
    return batch_means.mse(y_true, y_pred) if y_true.shape == y_pred.shape else None


@batch_mean(mean_absolute_error)
def _batch_mae(y_true: torch.Tensor, y_pred: torch.Tensor) -> torch.Tensor | None:
    return batch_means.mae(y_true, y_pred) if y_true.shape == y_pred.shape else None


@batch_mean(huber)
def _batch_huber(y_true: torch.Tensor, y_pred: torch.Tensor, delta: float = 1.0) -> torch.Tensor | None:
    if y_true.shape != y_pred.shape or not isinstance(delta, (int, float)) or delta <= 0:
        return None
    return F.huber_loss(y_pred, y_true, delta=delta)


_MEAN = "sum_over_batch_size"


class MeanSquaredError(FunctionLoss):
    """The mean of the squared errors: `mean((y_true - y_pred)**2)`."""

    def __init__(self, reduction: str | None = _MEAN, name: str = "mean_squared_error", dtype: Any = None) -> None:
        super().__init__(mean_squared_error, reduction, name, dtype)


class MeanAbsoluteError(FunctionLoss):
    """The mean of the absolute errors: `mean(|y_true - y_pred|)`."""

    def __init__(self, reduction: str | None = _MEAN, name: str = "mean_absolute_error", dtype: Any = None) -> None:
        super().__init__(mean_absolute_error, reduction, name, dtype)


class MeanAbsolutePercentageError(FunctionLoss):
    """The mean of the errors in percent of the targets: `100 * mean(|(y_true - y_pred) / y_true|)`."""

    def __init__(
        self, reduction: str | None = _MEAN, name: str = "mean_absolute_percentage_error", dtype: Any = None
    ) -> None:
        super().__init__(mean_absolute_percentage_error, reduction, name, dtype)


class MeanSquaredLogarithmicError(FunctionLoss):
    """The mean of the squared errors of the logarithms: `mean((log(y_true + 1) - log(y_pred + 1))**2)`."""

    def __init__(
        self, reduction: str | None = _MEAN, name: str = "mean_squared_logarithmic_error", dtype: Any = None
    ) -> None:
        super().__init__(mean_squared_logarithmic_error, reduction, name, dtype)


class CosineSimilarity(FunctionLoss):
    """Minus the cosine of the angle between targets and predictions.

    Args:
        axis: along which the vectors lie.
    """

    optional_config_keys = (("axis", -1),)

    def __init__(
        self, axis: int = -1, reduction: str | None = _MEAN, name: str = "cosine_similarity", dtype: Any = None
    ) -> None:
        super().__init__(cosine_similarity, reduction, name, dtype, axis=axis)
        self.axis = axis


class Huber(FunctionLoss):
    """Squared error near 0, absolute error far from it.

    Args:
        delta: the size of error at which the one becomes the other.
    """

    optional_config_keys = (("delta", 1.0),)

    def __init__(
        self, delta: float = 1.0, reduction: str | None = _MEAN, name: str = "huber_loss", dtype: Any = None
    ) -> None:
        super().__init__(huber, reduction, name, dtype, delta=delta)
        self.delta = delta


class LogCosh(FunctionLoss):
    """`log(cosh(error))`: nearly `error**2 / 2` near 0 and `|error| - log(2)` far from it."""

    def __init__(self, reduction: str | None = _MEAN, name: str = "log_cosh", dtype: Any = None) -> None:
        super().__init__(log_cosh, reduction, name, dtype)
