"""Correlations of targets and predictions."""

from __future__ import annotations

import torch

from torchkeras.core import settings
from torchkeras.core.types import ArrayLike
from torchkeras.dtype_policies.policy import PolicyLike
from torchkeras.losses.shapes import as_pair
from torchkeras.metrics.mean import FunctionMetric


def _centred(x: torch.Tensor, axis: int) -> torch.Tensor:
    return x - x.mean(axis, keepdim=True)


def pearson_correlation(y_true: ArrayLike, y_pred: ArrayLike, axis: int = -1) -> torch.Tensor:
    """Compute `cov(y_true, y_pred) / (std(y_true) * std(y_pred))` along an axis.

    Args:
        y_true: targets, of a shape that broadcasts against `y_pred`.
        y_pred: predictions.
        axis: axis along which the compared values lie. Default: `-1`.

    Returns:
        A tensor of the shape of `y_pred` without that axis.

    Raises:
        ValueError: the shapes do not fit together.

    Example:
        >>> keras.metrics.pearson_correlation(np.array([[0.0, 1.0, 2.0]]), np.array([[0.0, 10.0, 20.0]]))
        tensor([1.0000], dtype=torch.float64)
    """
    y_true, y_pred = (_centred(x, axis) for x in as_pair(y_true, y_pred))
    y_true, y_pred = (x / x.std(axis, correction=0, keepdim=True) for x in (y_true, y_pred))
    return (y_true * y_pred).mean(axis)


def concordance_correlation(y_true: ArrayLike, y_pred: ArrayLike, axis: int = -1) -> torch.Tensor:
    """Compute `2 * cov(y_true, y_pred) / (var(y_true) + var(y_pred) + (mean(y_true) - mean(y_pred))**2)`.

    Args:
        y_true: targets, of a shape that broadcasts against `y_pred`.
        y_pred: predictions.
        axis: axis along which the compared values lie. Default: `-1`.

    Returns:
        A tensor of the shape of `y_pred` without that axis.

    Raises:
        ValueError: the shapes do not fit together.

    Example:
        >>> round(keras.metrics.concordance_correlation(np.array([0.0, 2.0]), np.array([1.0, 3.0])).item(), 4)
        0.6667
    """
    y_true, y_pred = as_pair(y_true, y_pred)
    shift = y_true.mean(axis, keepdim=True) - y_pred.mean(axis, keepdim=True)
    spread = sum(x.var(axis, correction=0, keepdim=True) for x in (y_true, y_pred)) + shift.square()
    covariance = _centred(y_true, axis) * _centred(y_pred, axis)
    return (2.0 * covariance / (spread + settings.epsilon())).mean(axis)


class PearsonCorrelation(FunctionMetric):
    """Compute the mean Pearson correlation: 1 where predictions grow linearly with targets.

    `cov(y_true, y_pred) / (std(y_true) * std(y_pred))` along the axis.

    Args:
        name: name of the metric. Default: `"pearson_correlation"`.
        dtype: dtype name or policy in which the metric is computed; `None` means `keras.config.floatx()`. Default:
            `None`.
        axis: axis along which the compared values lie. Default: `-1`.

    Example:
        >>> metric = keras.metrics.PearsonCorrelation(axis=-1)
        >>> metric.update_state(np.array([[0.0, 1.0, 2.0]]), np.array([[0.0, 10.0, 20.0]]))
        >>> round(metric.result().item(), 4)
        1.0
    """

    _targets_are_cleaned = False  # of a constant row the correlation is NaN

    _direction = "up"
    _tk_config_keys = ("axis",)

    def __init__(self, name: str = "pearson_correlation", dtype: PolicyLike | None = None, axis: int = -1) -> None:
        super().__init__(pearson_correlation, name, dtype, axis=axis)
        self.axis = axis


class ConcordanceCorrelation(FunctionMetric):
    """Compute the mean concordance correlation: 1 only where predictions equal targets.

    `2 * cov(y_true, y_pred) / (var(y_true) + var(y_pred) + (mean(y_true) - mean(y_pred))**2)` along the axis.

    Args:
        name: name of the metric. Default: `"concordance_correlation"`.
        dtype: dtype name or policy in which the metric is computed; `None` means `keras.config.floatx()`. Default:
            `None`.
        axis: axis along which the compared values lie. Default: `-1`.

    Example:
        >>> metric = keras.metrics.ConcordanceCorrelation(axis=-1)
        >>> metric.update_state(np.array([[0.0, 2.0]]), np.array([[1.0, 3.0]]))
        >>> round(metric.result().item(), 4)
        0.6667
    """

    _targets_are_cleaned = False  # of a constant row the correlation is NaN

    _direction = "up"
    _tk_config_keys = ("axis",)

    def __init__(self, name: str = "concordance_correlation", dtype: PolicyLike | None = None, axis: int = -1) -> None:
        super().__init__(concordance_correlation, name, dtype, axis=axis)
        self.axis = axis
