"""Losses of numbers against numbers."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

from torchkeras.core import settings
from torchkeras.core.accelerators import is_lazy
from torchkeras.core.fast_paths import batch_means
from torchkeras.core.fast_paths.batch_means import batch_mean
from torchkeras.core.types import ArrayLike
from torchkeras.dtype_policies.policy import PolicyLike
from torchkeras.losses.loss import FunctionLoss
from torchkeras.losses.shapes import as_pair
from torchkeras.ops.nn.normalization import unit_length


def mean_squared_error(y_true: ArrayLike, y_pred: ArrayLike) -> torch.Tensor:
    """Compute `mean((y_true - y_pred)**2)` over the last axis.

    Args:
        y_true: targets, array or tensor of the shape of `y_pred`.
        y_pred: predictions, `(batch, ..., d)`.

    Returns:
        A tensor of the shape of `y_pred` without its last axis.

    Raises:
        ValueError: the shapes do not broadcast.

    Example:
        >>> keras.losses.mean_squared_error(np.array([[0.0, 1.0]]), np.array([[1.0, 3.0]]))
        tensor([2.5000], dtype=torch.float64)
    """
    y_true, y_pred = as_pair(y_true, y_pred)
    return (y_true - y_pred).square().mean(-1)


def mean_absolute_error(y_true: ArrayLike, y_pred: ArrayLike) -> torch.Tensor:
    """Compute `mean(|y_true - y_pred|)` over the last axis.

    Args:
        y_true: targets, array or tensor of the shape of `y_pred`.
        y_pred: predictions, `(batch, ..., d)`.

    Returns:
        A tensor of the shape of `y_pred` without its last axis.

    Raises:
        ValueError: the shapes do not broadcast.

    Example:
        >>> keras.losses.mean_absolute_error(np.array([[0.0, 1.0]]), np.array([[1.0, 3.0]]))
        tensor([1.5000], dtype=torch.float64)
    """
    y_true, y_pred = as_pair(y_true, y_pred)
    return (y_true - y_pred).abs().mean(-1)


def mean_absolute_percentage_error(y_true: ArrayLike, y_pred: ArrayLike) -> torch.Tensor:
    """Compute `100 * mean(|y_true - y_pred| / max(|y_true|, epsilon))` over the last axis.

    `epsilon` is `keras.config.epsilon()`.

    Args:
        y_true: targets, array or tensor of the shape of `y_pred`.
        y_pred: predictions, `(batch, ..., d)`.

    Returns:
        A tensor of the shape of `y_pred` without its last axis.

    Raises:
        ValueError: the shapes do not broadcast.

    Example:
        >>> keras.losses.mean_absolute_percentage_error(np.array([[2.0, 4.0]]), np.array([[1.0, 3.0]]))
        tensor([37.5000], dtype=torch.float64)
    """
    y_true, y_pred = as_pair(y_true, y_pred)
    return 100.0 * ((y_true - y_pred) / y_true.abs().clamp(min=settings.epsilon())).abs().mean(-1)


def mean_squared_logarithmic_error(y_true: ArrayLike, y_pred: ArrayLike) -> torch.Tensor:
    """Compute `mean((log(y_true + 1) - log(y_pred + 1))**2)` over the last axis.

    Values below `keras.config.epsilon()` count as epsilon.

    Args:
        y_true: targets, array or tensor of the shape of `y_pred`.
        y_pred: predictions, `(batch, ..., d)`.

    Returns:
        A tensor of the shape of `y_pred` without its last axis.

    Raises:
        ValueError: the shapes do not broadcast.

    Example:
        >>> keras.losses.mean_squared_logarithmic_error(np.array([[np.e - 1, 1.0]]), np.array([[0.0, 1.0]]))
        tensor([0.5000], dtype=torch.float64)
    """
    y_true, y_pred = as_pair(y_true, y_pred)
    epsilon = settings.epsilon()
    if y_pred.dtype in (torch.float16, torch.bfloat16):  # where adding 1 takes half of the digits away
        y_true, y_pred = y_true.float(), y_pred.float()
    first, second = (x.clamp(min=epsilon).add(1.0).log() for x in (y_pred, y_true))
    return (first - second).square().mean(-1)


def huber(y_true: ArrayLike, y_pred: ArrayLike, delta: float = 1.0) -> torch.Tensor:
    """Compute the mean over the last axis of `error**2 / 2` up to `|error| = delta` and of its tangent beyond.

    [Huber, 1964](https://doi.org/10.1214/aoms/1177703732)

    Args:
        y_true: targets, array or tensor of the shape of `y_pred`.
        y_pred: predictions, `(batch, ..., d)`.
        delta: size of the error from which the loss grows linearly, as `delta * (|error| - delta / 2)`. Default: `1.0`.

    Returns:
        A tensor of the shape of `y_pred` without its last axis.

    Raises:
        ValueError: the shapes do not broadcast.

    Example:
        >>> keras.losses.huber(np.array([[0.0, 0.0]]), np.array([[1.0, 3.0]]))
        tensor([1.5000], dtype=torch.float64)
    """
    y_true, y_pred = as_pair(y_true, y_pred)
    error = y_pred - y_true
    size = error.abs()
    return torch.where(size <= delta, 0.5 * error.square(), delta * size - 0.5 * delta * delta).mean(-1)


def log_cosh(y_true: ArrayLike, y_pred: ArrayLike) -> torch.Tensor:
    """Compute `mean(log(cosh(y_pred - y_true)))` over the last axis.

    The loss is about `error**2 / 2` for small errors and `|error| - log(2)` for large ones.

    Args:
        y_true: targets, array or tensor of the shape of `y_pred`.
        y_pred: predictions, `(batch, ..., d)`.

    Returns:
        A tensor of the shape of `y_pred` without its last axis.

    Raises:
        ValueError: the shapes do not broadcast.

    Example:
        >>> keras.losses.log_cosh(np.array([[0.0, 1.0]]), np.array([[0.0, 1.0]]))
        tensor([0.], dtype=torch.float64)
    """
    y_true, y_pred = as_pair(y_true, y_pred)
    error = y_pred - y_true
    return (error + F.softplus(-2.0 * error) - math.log(2.0)).mean(-1)


def cosine(y_true: ArrayLike, y_pred: ArrayLike, axis: int) -> torch.Tensor:
    """Compute `sum(l2_norm(y_true) * l2_norm(y_pred))` along the axis."""
    y_true, y_pred = as_pair(y_true, y_pred)
    epsilon = settings.epsilon()
    return (unit_length(y_true, axis, epsilon) * unit_length(y_pred, axis, epsilon)).sum(axis)


def cosine_similarity(y_true: ArrayLike, y_pred: ArrayLike, axis: int = -1) -> torch.Tensor:
    """Compute `-sum(l2_norm(y_true) * l2_norm(y_pred))` along an axis.

    The value is -1 where both vectors point in the same direction, 0 where they are orthogonal.

    Args:
        y_true: targets, array or tensor of the shape of `y_pred`.
        y_pred: predictions, `(batch, ..., d)`.
        axis: axis along which the vectors lie. Default: `-1`.

    Returns:
        A tensor of the shape of `y_pred` without that axis.

    Raises:
        ValueError: the shapes do not broadcast.

    Example:
        >>> keras.losses.cosine_similarity(np.array([[0.0, 2.0], [1.0, 0.0]]), np.array([[0.0, 3.0], [0.0, 1.0]]))
        tensor([-1., -0.], dtype=torch.float64)
    """
    return -cosine(y_true, y_pred, axis)


@batch_mean(mean_squared_error)
def _batch_mse(y_true: torch.Tensor, y_pred: torch.Tensor) -> torch.Tensor | None:
    return batch_means.mse(y_true, y_pred) if y_true.shape == y_pred.shape else None


@batch_mean(mean_absolute_error)
def _batch_mae(y_true: torch.Tensor, y_pred: torch.Tensor) -> torch.Tensor | None:
    return batch_means.mae(y_true, y_pred) if y_true.shape == y_pred.shape else None


@batch_mean(huber)
def _batch_huber(y_true: torch.Tensor, y_pred: torch.Tensor, delta: float = 1.0) -> torch.Tensor | None:
    if y_true.shape != y_pred.shape or not isinstance(delta, (int, float)) or delta <= 0 or is_lazy(y_pred.device):
        return None
    return F.huber_loss(y_pred, y_true, delta=delta)


_MEAN = "sum_over_batch_size"


class MeanSquaredError(FunctionLoss):
    """Compute the mean of the squared errors: `mean((y_true - y_pred)**2)`.

    Args:
        reduction: how the values per sample become one number: `"sum_over_batch_size"` or `"mean"` (their mean),
            `"sum"`, `"mean_with_sample_weight"` (the weighted sum divided by the sum of the weights), `"none"` or
            `None` (no reduction). Default: `"sum_over_batch_size"`.
        name: name of the loss. Default: `"mean_squared_error"`.
        dtype: dtype name or policy in which the loss is computed; `None` means `keras.config.floatx()`. Default:
            `None`.

    Example:
        >>> loss = keras.losses.MeanSquaredError()
        >>> loss(np.array([[0.0, 1.0]]), np.array([[1.0, 3.0]])).item()
        2.5
        >>> loss(np.array([[0.0], [1.0]]), np.array([[1.0], [3.0]]), sample_weight=np.array([1.0, 0.0])).item()
        0.5
        >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", loss=keras.losses.MeanSquaredError())
    """

    def __init__(
        self, reduction: str | None = _MEAN, name: str = "mean_squared_error", dtype: PolicyLike | None = None
    ) -> None:
        super().__init__(mean_squared_error, reduction, name, dtype)


class MeanAbsoluteError(FunctionLoss):
    """Compute the mean of the absolute errors: `mean(|y_true - y_pred|)`.

    Args:
        reduction: how the values per sample become one number: `"sum_over_batch_size"` or `"mean"` (their mean),
            `"sum"`, `"mean_with_sample_weight"` (the weighted sum divided by the sum of the weights), `"none"` or
            `None` (no reduction). Default: `"sum_over_batch_size"`.
        name: name of the loss. Default: `"mean_absolute_error"`.
        dtype: dtype name or policy in which the loss is computed; `None` means `keras.config.floatx()`. Default:
            `None`.

    Example:
        >>> loss = keras.losses.MeanAbsoluteError()
        >>> loss(np.array([[0.0, 1.0]]), np.array([[1.0, 3.0]])).item()
        1.5
    """

    def __init__(
        self, reduction: str | None = _MEAN, name: str = "mean_absolute_error", dtype: PolicyLike | None = None
    ) -> None:
        super().__init__(mean_absolute_error, reduction, name, dtype)


class MeanAbsolutePercentageError(FunctionLoss):
    """Compute the mean error in percent of the targets: `100 * mean(|y_true - y_pred| / |y_true|)`.

    Targets of a size below `keras.config.epsilon()` count as epsilon.

    Args:
        reduction: how the values per sample become one number: `"sum_over_batch_size"` or `"mean"` (their mean),
            `"sum"`, `"mean_with_sample_weight"` (the weighted sum divided by the sum of the weights), `"none"` or
            `None` (no reduction). Default: `"sum_over_batch_size"`.
        name: name of the loss. Default: `"mean_absolute_percentage_error"`.
        dtype: dtype name or policy in which the loss is computed; `None` means `keras.config.floatx()`. Default:
            `None`.

    Example:
        >>> loss = keras.losses.MeanAbsolutePercentageError()
        >>> loss(np.array([[2.0, 4.0]]), np.array([[1.0, 3.0]])).item()
        37.5
    """

    def __init__(
        self,
        reduction: str | None = _MEAN,
        name: str = "mean_absolute_percentage_error",
        dtype: PolicyLike | None = None,
    ) -> None:
        super().__init__(mean_absolute_percentage_error, reduction, name, dtype)


class MeanSquaredLogarithmicError(FunctionLoss):
    """Compute the mean squared error of logarithms: `mean((log(y_true + 1) - log(y_pred + 1))**2)`.

    Values below `keras.config.epsilon()` count as epsilon.

    Args:
        reduction: how the values per sample become one number: `"sum_over_batch_size"` or `"mean"` (their mean),
            `"sum"`, `"mean_with_sample_weight"` (the weighted sum divided by the sum of the weights), `"none"` or
            `None` (no reduction). Default: `"sum_over_batch_size"`.
        name: name of the loss. Default: `"mean_squared_logarithmic_error"`.
        dtype: dtype name or policy in which the loss is computed; `None` means `keras.config.floatx()`. Default:
            `None`.

    Example:
        >>> loss = keras.losses.MeanSquaredLogarithmicError()
        >>> round(loss(np.array([[np.e - 1, 1.0]]), np.array([[0.0, 1.0]])).item(), 4)
        0.5
    """

    def __init__(
        self,
        reduction: str | None = _MEAN,
        name: str = "mean_squared_logarithmic_error",
        dtype: PolicyLike | None = None,
    ) -> None:
        super().__init__(mean_squared_logarithmic_error, reduction, name, dtype)


class CosineSimilarity(FunctionLoss):
    """Compute minus the cosine of the angle between targets and predictions.

    `loss = -sum(l2_norm(y_true) * l2_norm(y_pred))`: -1 for the same direction, 0 for orthogonal vectors, 1 for
    opposite directions.

    Args:
        axis: axis along which the vectors lie. Default: `-1`.
        reduction: how the values per sample become one number: `"sum_over_batch_size"` or `"mean"` (their mean),
            `"sum"`, `"mean_with_sample_weight"` (the weighted sum divided by the sum of the weights), `"none"` or
            `None` (no reduction). Default: `"sum_over_batch_size"`.
        name: name of the loss. Default: `"cosine_similarity"`.
        dtype: dtype name or policy in which the loss is computed; `None` means `keras.config.floatx()`. Default:
            `None`.

    Example:
        >>> loss = keras.losses.CosineSimilarity(axis=1)
        >>> loss(np.array([[0.0, 2.0], [1.0, 0.0]]), np.array([[0.0, 3.0], [0.0, 1.0]])).item()
        -0.5
    """

    _tk_optional_config_keys = (("axis", -1),)

    def __init__(
        self,
        axis: int = -1,
        reduction: str | None = _MEAN,
        name: str = "cosine_similarity",
        dtype: PolicyLike | None = None,
    ) -> None:
        super().__init__(cosine_similarity, reduction, name, dtype, axis=axis)
        self.axis = axis


class Huber(FunctionLoss):
    """Compute the Huber loss: squared error for small errors, absolute error for large ones.

    `loss = error**2 / 2` where `|error| <= delta`, and `delta * (|error| - delta / 2)` elsewhere. [Huber,
    1964](https://doi.org/10.1214/aoms/1177703732)

    Args:
        delta: size of the error from which the loss grows linearly. Default: `1.0`.
        reduction: how the values per sample become one number: `"sum_over_batch_size"` or `"mean"` (their mean),
            `"sum"`, `"mean_with_sample_weight"` (the weighted sum divided by the sum of the weights), `"none"` or
            `None` (no reduction). Default: `"sum_over_batch_size"`.
        name: name of the loss. Default: `"huber_loss"`.
        dtype: dtype name or policy in which the loss is computed; `None` means `keras.config.floatx()`. Default:
            `None`.

    Example:
        >>> loss = keras.losses.Huber(delta=1.0)
        >>> loss(np.array([[0.0, 0.0]]), np.array([[1.0, 3.0]])).item()
        1.5
    """

    _tk_optional_config_keys = (("delta", 1.0),)

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = _MEAN,
        name: str = "huber_loss",
        dtype: PolicyLike | None = None,
    ) -> None:
        super().__init__(huber, reduction, name, dtype, delta=delta)
        self.delta = delta


class LogCosh(FunctionLoss):
    """Compute the mean of `log(cosh(y_pred - y_true))`.

    The loss is about `error**2 / 2` for small errors and `|error| - log(2)` for large ones.

    Args:
        reduction: how the values per sample become one number: `"sum_over_batch_size"` or `"mean"` (their mean),
            `"sum"`, `"mean_with_sample_weight"` (the weighted sum divided by the sum of the weights), `"none"` or
            `None` (no reduction). Default: `"sum_over_batch_size"`.
        name: name of the loss. Default: `"log_cosh"`.
        dtype: dtype name or policy in which the loss is computed; `None` means `keras.config.floatx()`. Default:
            `None`.

    Example:
        >>> loss = keras.losses.LogCosh()
        >>> round(loss(np.array([[0.0]]), np.array([[10.0]])).item(), 4)  # 10 - log(2)
        9.3069
    """

    def __init__(self, reduction: str | None = _MEAN, name: str = "log_cosh", dtype: PolicyLike | None = None) -> None:
        super().__init__(log_cosh, reduction, name, dtype)
