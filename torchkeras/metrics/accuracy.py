"""Accuracies: how often predictions are right."""

from __future__ import annotations

from typing import Any

from torchkeras.metrics import matches
from torchkeras.metrics.mean import FunctionMetric


class Accuracy(FunctionMetric):
    """How often predictions equal targets."""

    _direction = "up"

    def __init__(self, name: str = "accuracy", dtype: Any = None) -> None:
        super().__init__(matches.accuracy, name, dtype)


class BinaryAccuracy(FunctionMetric):
    """How often predictions lie on the label's side of the threshold.

    Args:
        threshold: predictions above it say 1.
    """

    _direction = "up"
    config_keys = ("threshold",)

    def __init__(self, name: str = "binary_accuracy", dtype: Any = None, threshold: float = 0.5) -> None:
        super().__init__(matches.binary_accuracy, name, dtype, threshold=threshold)
        self.threshold = threshold


class CategoricalAccuracy(FunctionMetric):
    """How often the highest score is that of the class of the one-hot label."""

    _direction = "up"

    def __init__(self, name: str = "categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(matches.categorical_accuracy, name, dtype)


class SparseCategoricalAccuracy(FunctionMetric):
    """How often the highest score is that of the class of that number."""

    _direction = "up"

    def __init__(self, name: str = "sparse_categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(matches.sparse_categorical_accuracy, name, dtype)


class TopKCategoricalAccuracy(FunctionMetric):
    """How often the class of the one-hot label is among the `k` with the highest scores."""

    _direction = "up"
    config_keys = ("k",)

    def __init__(self, k: int = 5, name: str = "top_k_categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(matches.top_k_categorical_accuracy, name, dtype, k=k)
        self.k = k


class SparseTopKCategoricalAccuracy(FunctionMetric):
    """How often the class of that number is among the `k` with the highest scores.

    Args:
        from_sorted_ids: predictions are class numbers, best first, instead of scores.
    """

    _direction = "up"
    config_keys = ("k",)
    optional_config_keys = (("from_sorted_ids", False),)

    def __init__(
        self,
        k: int = 5,
        name: str = "sparse_top_k_categorical_accuracy",
        dtype: Any = None,
        from_sorted_ids: bool = False,
    ) -> None:
        super().__init__(matches.sparse_top_k_categorical_accuracy, name, dtype, k=k, from_sorted_ids=from_sorted_ids)
        self.k = k
        self.from_sorted_ids = from_sorted_ids
