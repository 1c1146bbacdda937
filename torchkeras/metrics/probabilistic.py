"""Means of crossentropies and divergences."""

from __future__ import annotations

from typing import Any

from torchkeras.losses.binary import binary_crossentropy
from torchkeras.losses.categorical import categorical_crossentropy
from torchkeras.losses.divergence import kl_divergence, poisson
from torchkeras.losses.sparse import sparse_categorical_crossentropy
from torchkeras.metrics.mean import FunctionMetric


class KLDivergence(FunctionMetric):
    """The mean Kullback-Leibler divergence."""

    def __init__(self, name: str = "kl_divergence", dtype: Any = None) -> None:
        super().__init__(kl_divergence, name, dtype)


class Poisson(FunctionMetric):
    """The mean of `y_pred - y_true * log(y_pred)`."""

    def __init__(self, name: str = "poisson", dtype: Any = None) -> None:
        super().__init__(poisson, name, dtype)


class BinaryCrossentropy(FunctionMetric):
    """The mean crossentropy of labels 0 and 1.

    Args:
        from_logits: whether predictions are logits.
        label_smoothing: how far labels are drawn towards 0.5.
    """

    _direction = "down"
    config_keys = ("from_logits", "label_smoothing")

    def __init__(
        self,
        name: str = "binary_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
    ) -> None:
        super().__init__(binary_crossentropy, name, dtype, from_logits=from_logits, label_smoothing=label_smoothing)
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing


class CategoricalCrossentropy(FunctionMetric):
    """The mean crossentropy of one-hot labels.

    Args:
        from_logits: whether predictions are logits.
        label_smoothing: how far labels are drawn towards `1 / classes`.
        axis: the class axis.
    """

    _direction = "down"
    config_keys = ("from_logits", "label_smoothing", "axis")

    def __init__(
        self,
        name: str = "categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
        axis: int = -1,
    ) -> None:
        arguments = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(categorical_crossentropy, name, dtype, **arguments)
        self.__dict__.update(arguments)


class SparseCategoricalCrossentropy(FunctionMetric):
    """The mean crossentropy of class numbers.

    Args:
        from_logits: whether predictions are logits.
        ignore_class: entries of this class give 0.
        axis: the class axis of the predictions.
    """

    _direction = "down"
    config_keys = ("from_logits", "ignore_class", "axis")

    def __init__(
        self,
        name: str = "sparse_categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
    ) -> None:
        arguments = {"from_logits": from_logits, "ignore_class": ignore_class, "axis": axis}
        super().__init__(sparse_categorical_crossentropy, name, dtype, **arguments)
        self.__dict__.update(arguments)
