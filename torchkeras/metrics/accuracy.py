"""Accuracies: how often predictions are right."""

from __future__ import annotations

from torchkeras.dtype_policies.policy import PolicyLike
from torchkeras.metrics import matches
from torchkeras.metrics.mean import FunctionMetric


class Accuracy(FunctionMetric):
    """Compute how often predictions equal targets.

    In `compile(metrics=["accuracy"])` the name stands for the accuracy that fits the shapes of targets and outputs:
    binary, categorical or sparse categorical.

    Args:
        name: name of the metric. Default: `"accuracy"`.
        dtype: dtype name or policy in which the metric is computed; `None` means `keras.config.floatx()`. Default:
            `None`.

    Example:
        >>> metric = keras.metrics.Accuracy()
        >>> metric.update_state([1, 2, 3, 4], [0, 2, 3, 4])
        >>> round(metric.result().item(), 4)
        0.75
    """

    _direction = "up"

    def __init__(self, name: str = "accuracy", dtype: PolicyLike | None = None) -> None:
        super().__init__(matches.accuracy, name, dtype)


class BinaryAccuracy(FunctionMetric):
    """Compute how often predictions are on the same side of a threshold as the labels 0 and 1.

    Args:
        name: name of the metric. Default: `"binary_accuracy"`.
        dtype: dtype name or policy in which the metric is computed; `None` means `keras.config.floatx()`. Default:
            `None`.
        threshold: predictions above it mean label 1. Default: `0.5`.

    Example:
        >>> metric = keras.metrics.BinaryAccuracy()
        >>> metric.update_state([[1], [1], [0], [0]], [[0.98], [1.0], [0.0], [0.6]])
        >>> round(metric.result().item(), 4)
        0.75
    """

    _direction = "up"
    _tk_config_keys = ("threshold",)

    def __init__(self, name: str = "binary_accuracy", dtype: PolicyLike | None = None, threshold: float = 0.5) -> None:
        super().__init__(matches.binary_accuracy, name, dtype, threshold=threshold)
        self.threshold = threshold


class CategoricalAccuracy(FunctionMetric):
    """Compute how often the highest score is that of the true class; labels are one-hot.

    Args:
        name: name of the metric. Default: `"categorical_accuracy"`.
        dtype: dtype name or policy in which the metric is computed; `None` means `keras.config.floatx()`. Default:
            `None`.

    Example:
        >>> metric = keras.metrics.CategoricalAccuracy()
        >>> metric.update_state(np.array([[0, 0, 1], [0, 1, 0]]), np.array([[0.1, 0.1, 0.8], [0.5, 0.3, 0.2]]))
        >>> round(metric.result().item(), 4)
        0.5
    """

    _direction = "up"

    def __init__(self, name: str = "categorical_accuracy", dtype: PolicyLike | None = None) -> None:
        super().__init__(matches.categorical_accuracy, name, dtype)


class SparseCategoricalAccuracy(FunctionMetric):
    """Compute how often the highest score is that of the true class; labels are class numbers.

    Args:
        name: name of the metric. Default: `"sparse_categorical_accuracy"`.
        dtype: dtype name or policy in which the metric is computed; `None` means `keras.config.floatx()`. Default:
            `None`.

    Example:
        >>> metric = keras.metrics.SparseCategoricalAccuracy()
        >>> metric.update_state(np.array([2, 1]), np.array([[0.1, 0.1, 0.8], [0.5, 0.3, 0.2]]))
        >>> round(metric.result().item(), 4)
        0.5
    """

    _direction = "up"

    def __init__(self, name: str = "sparse_categorical_accuracy", dtype: PolicyLike | None = None) -> None:
        super().__init__(matches.sparse_categorical_accuracy, name, dtype)


class TopKCategoricalAccuracy(FunctionMetric):
    """Compute how often the true class is among the `k` highest scores; labels are one-hot.

    Args:
        k: number of highest scores that are looked at. Default: `5`.
        name: name of the metric. Default: `"top_k_categorical_accuracy"`.
        dtype: dtype name or policy in which the metric is computed; `None` means `keras.config.floatx()`. Default:
            `None`.

    Example:
        >>> metric = keras.metrics.TopKCategoricalAccuracy(k=2)
        >>> metric.update_state(np.array([[0, 0, 1], [0, 1, 0]]), np.array([[0.1, 0.1, 0.8], [0.5, 0.3, 0.2]]))
        >>> round(metric.result().item(), 4)
        1.0
    """

    _direction = "up"
    _tk_config_keys = ("k",)

    def __init__(self, k: int = 5, name: str = "top_k_categorical_accuracy", dtype: PolicyLike | None = None) -> None:
        super().__init__(matches.top_k_categorical_accuracy, name, dtype, k=k)
        self.k = k


class SparseTopKCategoricalAccuracy(FunctionMetric):
    """Compute how often the true class is among the `k` highest scores; labels are class numbers.

    Args:
        k: number of highest scores that are looked at. Default: `5`.
        name: name of the metric. Default: `"sparse_top_k_categorical_accuracy"`.
        dtype: dtype name or policy in which the metric is computed; `None` means `keras.config.floatx()`. Default:
            `None`.
        from_sorted_ids: whether predictions are class numbers, the best first, instead of scores. Default: `False`.

    Example:
        >>> metric = keras.metrics.SparseTopKCategoricalAccuracy(k=2)
        >>> metric.update_state(np.array([2, 1]), np.array([[0.1, 0.1, 0.8], [0.5, 0.3, 0.2]]))
        >>> round(metric.result().item(), 4)
        1.0
    """

    _direction = "up"
    _tk_config_keys = ("k",)
    _tk_optional_config_keys = (("from_sorted_ids", False),)

    def __init__(
        self,
        k: int = 5,
        name: str = "sparse_top_k_categorical_accuracy",
        dtype: PolicyLike | None = None,
        from_sorted_ids: bool = False,
    ) -> None:
        super().__init__(matches.sparse_top_k_categorical_accuracy, name, dtype, k=k, from_sorted_ids=from_sorted_ids)
        self.k = k
        self.from_sorted_ids = from_sorted_ids
