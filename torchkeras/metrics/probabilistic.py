"""Means of crossentropies and divergences."""

from __future__ import annotations

from torchkeras.dtype_policies.policy import PolicyLike
from torchkeras.losses.binary import binary_crossentropy
from torchkeras.losses.categorical import categorical_crossentropy
from torchkeras.losses.divergence import kl_divergence, poisson
from torchkeras.losses.sparse import sparse_categorical_crossentropy
from torchkeras.metrics.mean import FunctionMetric


class KLDivergence(FunctionMetric):
    """Compute the mean Kullback-Leibler divergence `sum(y_true * log(y_true / y_pred))`.

    Args:
        name: name of the metric. Default: `"kl_divergence"`.
        dtype: dtype name or policy in which the metric is computed; `None` means `keras.config.floatx()`. Default:
            `None`.

    Example:
        >>> metric = keras.metrics.KLDivergence()
        >>> metric.update_state(np.array([[0.0, 1.0]]), np.array([[0.5, 0.5]]))
        >>> round(metric.result().item(), 4)
        0.6931
    """

    def __init__(self, name: str = "kl_divergence", dtype: PolicyLike | None = None) -> None:
        super().__init__(kl_divergence, name, dtype)


class Poisson(FunctionMetric):
    """Compute the mean of `y_pred - y_true * log(y_pred)`.

    Args:
        name: name of the metric. Default: `"poisson"`.
        dtype: dtype name or policy in which the metric is computed; `None` means `keras.config.floatx()`. Default:
            `None`.

    Example:
        >>> metric = keras.metrics.Poisson()
        >>> metric.update_state(np.array([[2.0, 3.0]]), np.array([[1.0, 1.0]]))
        >>> round(metric.result().item(), 4)
        1.0
    """

    def __init__(self, name: str = "poisson", dtype: PolicyLike | None = None) -> None:
        super().__init__(poisson, name, dtype)


class BinaryCrossentropy(FunctionMetric):
    """Compute the mean crossentropy of labels 0 and 1.

    Args:
        name: name of the metric. Default: `"binary_crossentropy"`.
        dtype: dtype name or policy in which the metric is computed; `None` means `keras.config.floatx()`. Default:
            `None`.
        from_logits: whether predictions are logits; if not, they are probabilities. Default: `False`.
        label_smoothing: labels are moved towards 0.5 by this part of the distance. Default: `0`.

    Example:
        >>> metric = keras.metrics.BinaryCrossentropy()
        >>> metric.update_state(np.array([[0.0, 1.0]]), np.array([[0.5, 0.5]]))
        >>> round(metric.result().item(), 4)
        0.6931
    """

    _direction = "down"
    _tk_config_keys = ("from_logits", "label_smoothing")

    def __init__(
        self,
        name: str = "binary_crossentropy",
        dtype: PolicyLike | None = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
    ) -> None:
        super().__init__(binary_crossentropy, name, dtype, from_logits=from_logits, label_smoothing=label_smoothing)
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing


class CategoricalCrossentropy(FunctionMetric):
    """Compute the mean crossentropy of one-hot labels.

    Args:
        name: name of the metric. Default: `"categorical_crossentropy"`.
        dtype: dtype name or policy in which the metric is computed; `None` means `keras.config.floatx()`. Default:
            `None`.
        from_logits: whether predictions are logits; if not, they are probabilities. Default: `False`.
        label_smoothing: labels are moved towards `1 / classes` by this part of the distance. Default: `0`.
        axis: axis of the classes. Default: `-1`.

    Example:
        >>> metric = keras.metrics.CategoricalCrossentropy()
        >>> metric.update_state(np.array([[0.0, 1.0]]), np.array([[0.5, 0.5]]))
        >>> round(metric.result().item(), 4)
        0.6931
    """

    _direction = "down"
    _tk_config_keys = ("from_logits", "label_smoothing", "axis")

    def __init__(
        self,
        name: str = "categorical_crossentropy",
        dtype: PolicyLike | None = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
        axis: int = -1,
    ) -> None:
        arguments = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(categorical_crossentropy, name, dtype, **arguments)
        self.__dict__.update(arguments)


class SparseCategoricalCrossentropy(FunctionMetric):
    """Compute the mean crossentropy of class numbers.

    Args:
        name: name of the metric. Default: `"sparse_categorical_crossentropy"`.
        dtype: dtype name or policy in which the metric is computed; `None` means `keras.config.floatx()`. Default:
            `None`.
        from_logits: whether predictions are logits; if not, they are probabilities. Default: `False`.
        ignore_class: class whose entries give 0. Default: `None`.
        axis: axis of the classes in the predictions. Default: `-1`.

    Example:
        >>> metric = keras.metrics.SparseCategoricalCrossentropy()
        >>> metric.update_state(np.array([1]), np.array([[0.5, 0.5]]))
        >>> round(metric.result().item(), 4)
        0.6931
    """

    _direction = "down"
    _tk_config_keys = ("from_logits", "ignore_class", "axis")

    def __init__(
        self,
        name: str = "sparse_categorical_crossentropy",
        dtype: PolicyLike | None = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
    ) -> None:
        arguments = {"from_logits": from_logits, "ignore_class": ignore_class, "axis": axis}
        super().__init__(sparse_categorical_crossentropy, name, dtype, **arguments)
        self.__dict__.update(arguments)
