"""Means of the margin losses."""

from __future__ import annotations

from torchkeras.dtype_policies.policy import PolicyLike
from torchkeras.losses import margin as losses
from torchkeras.metrics.mean import FunctionMetric


class Hinge(FunctionMetric):
    """Compute the mean of `max(1 - y_true * y_pred, 0)`; labels are -1 and 1 (or 0 and 1).

    Args:
        name: name of the metric. Default: `"hinge"`.
        dtype: dtype name or policy in which the metric is computed; `None` means `keras.config.floatx()`. Default:
            `None`.

    Example:
        >>> metric = keras.metrics.Hinge()
        >>> metric.update_state(np.array([[-1.0, 1.0]]), np.array([[0.5, 0.5]]))
        >>> round(metric.result().item(), 4)
        1.0
    """

    _direction = "down"

    def __init__(self, name: str = "hinge", dtype: PolicyLike | None = None) -> None:
        super().__init__(losses.hinge, name, dtype)


class SquaredHinge(FunctionMetric):
    """Compute the mean of `max(1 - y_true * y_pred, 0)**2`; labels are -1 and 1 (or 0 and 1).

    Args:
        name: name of the metric. Default: `"squared_hinge"`.
        dtype: dtype name or policy in which the metric is computed; `None` means `keras.config.floatx()`. Default:
            `None`.

    Example:
        >>> metric = keras.metrics.SquaredHinge()
        >>> metric.update_state(np.array([[-1.0, 1.0]]), np.array([[0.5, 0.5]]))
        >>> round(metric.result().item(), 4)
        1.25
    """

    _direction = "down"

    def __init__(self, name: str = "squared_hinge", dtype: PolicyLike | None = None) -> None:
        super().__init__(losses.squared_hinge, name, dtype)


class CategoricalHinge(FunctionMetric):
    """Compute the mean of `max(neg - pos + 1, 0)`; labels are one-hot.

    `pos` is the score of the true class, `neg` the best other score.

    Args:
        name: name of the metric. Default: `"categorical_hinge"`.
        dtype: dtype name or policy in which the metric is computed; `None` means `keras.config.floatx()`. Default:
            `None`.

    Example:
        >>> metric = keras.metrics.CategoricalHinge()
        >>> metric.update_state(np.array([[0.0, 1.0]]), np.array([[0.5, 0.25]]))
        >>> round(metric.result().item(), 4)
        1.25
    """

    _direction = "down"

    def __init__(self, name: str = "categorical_hinge", dtype: PolicyLike | None = None) -> None:
        super().__init__(losses.categorical_hinge, name, dtype)
