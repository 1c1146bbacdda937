"""Counts of right and wrong yes-or-no predictions, precision and recall."""

from __future__ import annotations

from typing import Any

import torch

from torchkeras.core.types import ArrayLike
from torchkeras.dtype_policies.policy import PolicyLike
from torchkeras.losses.reduction import divide_no_nan
from torchkeras.metrics.confusion_counts import NEG_INF, Thresholding, Thresholds, confusion_counts, parse_thresholds
from torchkeras.metrics.metric import Metric, accumulate


class CountingMetric(Metric):
    """Base of metrics made of counts of true and false positives and negatives at some thresholds."""

    keras_module = None
    _tk_counted: tuple[str, ...] = ()
    """The counts, in the order of the variables."""

    def _add_counts(self, thresholds: Thresholds, shape: tuple[int, ...] | None = None) -> None:
        """Make the variables."""
        self._thresholds = thresholds
        for name in self._tk_counted:
            setattr(self, name, self.add_variable(shape or (thresholds.count,), None, name=name))

    def _count(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None, **options: Any) -> None:
        dtype = self._variables[0].dtype
        y_pred = self._as_batch(y_pred, dtype)
        y_true = self._as_batch(y_true)
        if not self._follow(y_pred):
            return
        counts = confusion_counts(self._tk_counted, y_true, y_pred, self._thresholds, sample_weight, **options)
        for variable, count in zip(self._variables, counts):
            accumulate(variable, count)

    def _scalar_or_all(self, values: torch.Tensor) -> torch.Tensor:
        return values[0] if self._thresholds.count == 1 else values


class _OneCount(CountingMetric):
    _tk_config_keys = ("thresholds",)

    def __init__(
        self, thresholds: Thresholding = None, name: str | None = None, dtype: PolicyLike | None = None
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.init_thresholds = thresholds
        self.thresholds = parse_thresholds(thresholds)
        self._thresholds = Thresholds(self.thresholds)
        self.accumulator = self.add_variable((len(self.thresholds),), None, name="accumulator")

    def update_state(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        """Add a batch.

        Args:
            y_true: labels 0 or 1.
            y_pred: predictions.
            sample_weight: weight of each sample, `(batch,)` or a shape that broadcasts. Default: `None`.

        Raises:
            ValueError: the shapes do not fit together.
        """
        self._count(y_true, y_pred, sample_weight)

    def result(self) -> torch.Tensor:
        """Return the number so far; with several thresholds a tensor of numbers."""
        return self._scalar_or_all(self.accumulator.value).clone()

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "thresholds": self.init_thresholds}


class TruePositives(_OneCount):
    """Compute the (weighted) number of true positives: label 1 and predicted 1.

    With several thresholds there is a number for each.

    Args:
        thresholds: scores above it mean 1: a number in `[0, 1]`, or a list of them; `None` means 0.5. Default: `None`.
        name: name of the metric; `None` derives it from the name of the class. Default: `None`.
        dtype: dtype name or policy in which the metric is computed; `None` means `keras.config.floatx()`. Default:
            `None`.

    Raises:
        ValueError: a threshold lies outside `[0, 1]`.

    Example:
        >>> metric = keras.metrics.TruePositives()
        >>> metric.update_state([0, 1, 1, 1], [1.0, 0.0, 1.0, 1.0])
        >>> metric.result().item()
        2.0
    """

    _tk_counted = ("true_positives",)


class FalsePositives(_OneCount):
    """Compute the (weighted) number of false positives: label 0 but predicted 1.

    With several thresholds there is a number for each.

    Args:
        thresholds: scores above it mean 1: a number in `[0, 1]`, or a list of them; `None` means 0.5. Default: `None`.
        name: name of the metric; `None` derives it from the name of the class. Default: `None`.
        dtype: dtype name or policy in which the metric is computed; `None` means `keras.config.floatx()`. Default:
            `None`.

    Raises:
        ValueError: a threshold lies outside `[0, 1]`.

    Example:
        >>> metric = keras.metrics.FalsePositives()
        >>> metric.update_state([0, 1, 1, 1], [1.0, 0.0, 1.0, 1.0])
        >>> metric.result().item()
        1.0
    """

    _tk_counted = ("false_positives",)


class TrueNegatives(_OneCount):
    """Compute the (weighted) number of true negatives: label 0 and predicted 0.

    With several thresholds there is a number for each.

    Args:
        thresholds: scores above it mean 1: a number in `[0, 1]`, or a list of them; `None` means 0.5. Default: `None`.
        name: name of the metric; `None` derives it from the name of the class. Default: `None`.
        dtype: dtype name or policy in which the metric is computed; `None` means `keras.config.floatx()`. Default:
            `None`.

    Raises:
        ValueError: a threshold lies outside `[0, 1]`.

    Example:
        >>> metric = keras.metrics.TrueNegatives()
        >>> metric.update_state([0, 1, 0, 0], [1.0, 1.0, 0.0, 0.0])
        >>> metric.result().item()
        2.0
    """

    _tk_counted = ("true_negatives",)


class FalseNegatives(_OneCount):
    """Compute the (weighted) number of false negatives: label 1 but predicted 0.

    With several thresholds there is a number for each.

    Args:
        thresholds: scores above it mean 1: a number in `[0, 1]`, or a list of them; `None` means 0.5. Default: `None`.
        name: name of the metric; `None` derives it from the name of the class. Default: `None`.
        dtype: dtype name or policy in which the metric is computed; `None` means `keras.config.floatx()`. Default:
            `None`.

    Raises:
        ValueError: a threshold lies outside `[0, 1]`.

    Example:
        >>> metric = keras.metrics.FalseNegatives()
        >>> metric.update_state([0, 1, 1, 1], [1.0, 0.0, 1.0, 1.0])
        >>> metric.result().item()
        1.0
    """

    _tk_counted = ("false_negatives",)


class _Share(CountingMetric):
    """True positives over true positives and something else."""

    _direction = "up"

    def __init__(
        self,
        thresholds: Thresholding = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: PolicyLike | None = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.init_thresholds = thresholds
        self.top_k = top_k
        self.class_id = class_id
        self.thresholds = parse_thresholds(thresholds, 0.5 if top_k is None else NEG_INF)
        self._add_counts(Thresholds(self.thresholds))

    def update_state(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        """Add a batch.

        Args:
            y_true: labels 0 or 1.
            y_pred: predictions.
            sample_weight: weight of each sample, `(batch,)` or a shape that broadcasts. Default: `None`.

        Raises:
            ValueError: the shapes do not fit together.
        """
        self._count(y_true, y_pred, sample_weight, top_k=self.top_k, class_id=self.class_id)

    def result(self) -> torch.Tensor:
        """Return the value so far; with several thresholds a tensor of values."""
        right, wrong = (variable.value for variable in self._variables)
        return self._scalar_or_all(divide_no_nan(right, right + wrong))

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        return {**config, "thresholds": self.init_thresholds, "top_k": self.top_k, "class_id": self.class_id}


class Precision(_Share):
    """Compute the precision: `true positives / (true positives + false positives)`.

    Args:
        thresholds: scores above it mean 1: a number in `[0, 1]`, or a list of them; `None` means 0.5, and with `top_k`
            no threshold. Default: `None`.
        top_k: only the `k` highest scores of a row can mean 1. Default: `None`.
        class_id: number of the only class that is counted. Default: `None`.
        name: name of the metric; `None` derives it from the name of the class. Default: `None`.
        dtype: dtype name or policy in which the metric is computed; `None` means `keras.config.floatx()`. Default:
            `None`.

    Raises:
        ValueError: a threshold lies outside `[0, 1]`.

    Example:
        >>> metric = keras.metrics.Precision()
        >>> metric.update_state([0, 1, 1, 1], [1.0, 0.0, 1.0, 1.0])
        >>> round(metric.result().item(), 4)
        0.6667
        >>> metric = keras.metrics.Precision(top_k=1)
        >>> metric.update_state([[0, 1], [1, 0]], [[0.1, 0.2], [0.3, 0.4]])
        >>> metric.result().item()
        0.5
    """

    _tk_counted = ("true_positives", "false_positives")


class Recall(_Share):
    """Compute the recall: `true positives / (true positives + false negatives)`.

    Args:
        thresholds: scores above it mean 1: a number in `[0, 1]`, or a list of them; `None` means 0.5, and with `top_k`
            no threshold. Default: `None`.
        top_k: only the `k` highest scores of a row can mean 1. Default: `None`.
        class_id: number of the only class that is counted. Default: `None`.
        name: name of the metric; `None` derives it from the name of the class. Default: `None`.
        dtype: dtype name or policy in which the metric is computed; `None` means `keras.config.floatx()`. Default:
            `None`.

    Raises:
        ValueError: a threshold lies outside `[0, 1]`.

    Example:
        >>> metric = keras.metrics.Recall()
        >>> metric.update_state([0, 1, 1, 1], [1.0, 0.0, 1.0, 1.0])
        >>> round(metric.result().item(), 4)
        0.6667
    """

    _tk_counted = ("true_positives", "false_negatives")
