"""Errors of numbers."""

from __future__ import annotations

import torch

from torchkeras.core.fast_paths import batch_means
from torchkeras.core.types import ArrayLike
from torchkeras.dtype_policies.policy import PolicyLike
from torchkeras.losses import regression as losses
from torchkeras.losses.shapes import check_broadcast, match_ranks
from torchkeras.metrics.mean import FunctionMetric, Mean


class MeanSquaredError(FunctionMetric):
    """Compute the mean of the squared errors: `mean((y_true - y_pred)**2)`.

    Args:
        name: name of the metric. Default: `"mean_squared_error"`.
        dtype: dtype name or policy in which the metric is computed; `None` means `keras.config.floatx()`. Default:
            `None`.

    Example:
        >>> metric = keras.metrics.MeanSquaredError()
        >>> metric.update_state(np.array([[0.0], [1.0]]), np.array([[1.0], [3.0]]))
        >>> round(metric.result().item(), 4)
        2.5
    """

    _direction = "down"

    def __init__(self, name: str = "mean_squared_error", dtype: PolicyLike | None = None) -> None:
        super().__init__(losses.mean_squared_error, name, dtype)


class MeanAbsoluteError(FunctionMetric):
    """Compute the mean of the absolute errors: `mean(|y_true - y_pred|)`.

    Args:
        name: name of the metric. Default: `"mean_absolute_error"`.
        dtype: dtype name or policy in which the metric is computed; `None` means `keras.config.floatx()`. Default:
            `None`.

    Example:
        >>> metric = keras.metrics.MeanAbsoluteError()
        >>> metric.update_state(np.array([[0.0], [1.0]]), np.array([[1.0], [3.0]]))
        >>> round(metric.result().item(), 4)
        1.5
    """

    _direction = "down"

    def __init__(self, name: str = "mean_absolute_error", dtype: PolicyLike | None = None) -> None:
        super().__init__(losses.mean_absolute_error, name, dtype)


class MeanAbsolutePercentageError(FunctionMetric):
    """Compute the mean error in percent of the targets: `100 * mean(|y_true - y_pred| / |y_true|)`.

    Args:
        name: name of the metric. Default: `"mean_absolute_percentage_error"`.
        dtype: dtype name or policy in which the metric is computed; `None` means `keras.config.floatx()`. Default:
            `None`.

    Example:
        >>> metric = keras.metrics.MeanAbsolutePercentageError()
        >>> metric.update_state(np.array([[2.0], [4.0]]), np.array([[1.0], [3.0]]))
        >>> round(metric.result().item(), 4)
        37.5
    """

    _direction = "down"

    def __init__(self, name: str = "mean_absolute_percentage_error", dtype: PolicyLike | None = None) -> None:
        super().__init__(losses.mean_absolute_percentage_error, name, dtype)


class MeanSquaredLogarithmicError(FunctionMetric):
    """Compute the mean squared error of logarithms: `mean((log(y_true + 1) - log(y_pred + 1))**2)`.

    Args:
        name: name of the metric. Default: `"mean_squared_logarithmic_error"`.
        dtype: dtype name or policy in which the metric is computed; `None` means `keras.config.floatx()`. Default:
            `None`.

    Example:
        >>> metric = keras.metrics.MeanSquaredLogarithmicError()
        >>> metric.update_state(np.array([[np.e - 1], [1.0]]), np.array([[0.0], [1.0]]))
        >>> round(metric.result().item(), 4)
        0.5
    """

    _direction = "down"

    def __init__(self, name: str = "mean_squared_logarithmic_error", dtype: PolicyLike | None = None) -> None:
        super().__init__(losses.mean_squared_logarithmic_error, name, dtype)


class RootMeanSquaredError(Mean):
    """Compute the root of the mean of the squared errors: `sqrt(mean((y_true - y_pred)**2))`.

    Args:
        name: name of the metric. Default: `"root_mean_squared_error"`.
        dtype: dtype name or policy in which the metric is computed; `None` means `keras.config.floatx()`. Default:
            `None`.

    Example:
        >>> metric = keras.metrics.RootMeanSquaredError()
        >>> metric.update_state(np.array([[0.0], [0.0]]), np.array([[3.0], [3.0]]))
        >>> round(metric.result().item(), 4)
        3.0
    """

    _direction = "down"

    def __init__(self, name: str = "root_mean_squared_error", dtype: PolicyLike | None = None) -> None:
        super().__init__(name, dtype)

    def update_state(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> None:  # type: ignore[override]
        """Add a batch.

        Args:
            y_true: targets.
            y_pred: predictions.
            sample_weight: weight of each sample, `(batch,)` or a shape that broadcasts. Default: `None`.

        Raises:
            ValueError: the shapes do not fit together.
        """
        y_pred = self._as_batch(y_pred, self._torch_dtype)
        y_true = self._as_batch(y_true, self._torch_dtype)
        y_true, y_pred = match_ranks(y_true, y_pred)
        check_broadcast("y_true", y_true, "y_pred", y_pred)
        plain = sample_weight is None and y_true.shape == y_pred.shape and y_pred.dim() > 0 and y_pred.numel() > 0
        if plain and self._follow(y_pred):
            self._add_mean(batch_means.mse(y_true, y_pred), y_pred.shape[0])
        else:
            super().update_state((y_pred - y_true).square(), sample_weight)

    def result(self) -> torch.Tensor:
        """Return the root of the mean so far."""
        return super().result().sqrt()


def cosine_similarity(y_true: ArrayLike, y_pred: ArrayLike, axis: int = -1) -> torch.Tensor:
    """Compute `sum(l2_norm(y_true) * l2_norm(y_pred))` along an axis: 1 where both point in the same direction."""
    return losses.cosine(y_true, y_pred, axis)


class CosineSimilarity(FunctionMetric):
    """Compute the mean cosine of the angle between targets and predictions.

    Args:
        name: name of the metric. Default: `"cosine_similarity"`.
        dtype: dtype name or policy in which the metric is computed; `None` means `keras.config.floatx()`. Default:
            `None`.
        axis: axis along which the vectors lie. Default: `-1`.

    Example:
        >>> metric = keras.metrics.CosineSimilarity(axis=1)
        >>> metric.update_state(np.array([[0.0, 2.0], [1.0, 0.0]]), np.array([[0.0, 3.0], [0.0, 1.0]]))
        >>> round(metric.result().item(), 4)
        0.5
    """

    _direction = "up"
    _tk_optional_config_keys = (("axis", -1),)

    def __init__(self, name: str = "cosine_similarity", dtype: PolicyLike | None = None, axis: int = -1) -> None:
        super().__init__(cosine_similarity, name, dtype, axis=axis)
        self.axis = axis


class LogCoshError(FunctionMetric):
    """Compute the mean of `log(cosh(y_pred - y_true))`.

    Args:
        name: name of the metric. Default: `"logcosh"`.
        dtype: dtype name or policy in which the metric is computed; `None` means `keras.config.floatx()`. Default:
            `None`.

    Example:
        >>> metric = keras.metrics.LogCoshError()
        >>> metric.update_state(np.array([[0.0]]), np.array([[10.0]]))
        >>> round(metric.result().item(), 4)
        9.3069
    """

    _direction = "down"

    def __init__(self, name: str = "logcosh", dtype: PolicyLike | None = None) -> None:
        super().__init__(losses.log_cosh, name, dtype)
