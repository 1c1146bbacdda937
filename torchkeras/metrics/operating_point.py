"""The best of one rate where another rate is high enough."""

from __future__ import annotations

from typing import Any

import torch

from torchkeras.core.types import ArrayLike
from torchkeras.dtype_policies.policy import PolicyLike
from torchkeras.losses.reduction import divide_no_nan
from torchkeras.metrics.confusion import CountingMetric
from torchkeras.metrics.confusion_counts import Thresholds, even_thresholds


class _OperatingPoint(CountingMetric):
    """Base: the highest `reached` rate among the thresholds at which the `demanded` rate is at least `value`."""

    _direction = "up"
    _tk_counted = ("true_positives", "false_positives", "true_negatives", "false_negatives")
    _tk_demanded = _tk_reached = ""

    def __init__(
        self,
        value: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: PolicyLike | None = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        if value < 0 or value > 1:
            raise ValueError(f"Argument `{self._tk_demanded}` must be in the range [0, 1]. Received: {value!r}")
        self.value = value
        setattr(self, self._tk_demanded, value)
        self.num_thresholds = num_thresholds
        self.class_id = class_id
        self.thresholds = even_thresholds(num_thresholds)
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
        self._count(y_true, y_pred, sample_weight, class_id=self.class_id)

    def _rate(self, name: str) -> torch.Tensor:
        right, wrong = (getattr(self, count).value for count in _RATES[name])
        return divide_no_nan(right, right + wrong)

    def result(self) -> torch.Tensor:
        """Return the best rate so far, a scalar tensor."""
        reached = self._rate(self._tk_reached)
        return reached.where(self._rate(self._tk_demanded) >= self.value, 0.0).max().clamp(min=0.0)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.update({"num_thresholds": self.num_thresholds, self._tk_demanded: self.value, "class_id": self.class_id})
        return config


_RATES = {
    "precision": ("true_positives", "false_positives"),
    "recall": ("true_positives", "false_negatives"),
    "sensitivity": ("true_positives", "false_negatives"),
    "specificity": ("true_negatives", "false_positives"),
}


class SensitivityAtSpecificity(_OperatingPoint):
    """Compute the best sensitivity among the thresholds at which the specificity is at least `specificity`.

    Sensitivity is `true positives / positives`, specificity `true negatives / negatives`.

    Args:
        specificity: lowest specificity allowed, in `[0, 1]`.
        num_thresholds: number of thresholds that are tried, evenly from 0 to 1. Default: `200`.
        class_id: number of the only class that is counted. Default: `None`.
        name: name of the metric; `None` derives it from the name of the class. Default: `None`.
        dtype: dtype name or policy in which the metric is computed; `None` means `keras.config.floatx()`. Default:
            `None`.

    Raises:
        ValueError: `specificity` lies outside `[0, 1]`, or `num_thresholds` is not positive.

    Example:
        >>> metric = keras.metrics.SensitivityAtSpecificity(0.5)
        >>> metric.update_state([0, 0, 0, 1, 1], [0.0, 0.3, 0.8, 0.3, 0.8])
        >>> round(metric.result().item(), 4)
        0.5
    """

    _tk_demanded, _tk_reached = "specificity", "sensitivity"

    def __init__(
        self,
        specificity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: PolicyLike | None = None,
    ) -> None:
        super().__init__(specificity, num_thresholds, class_id, name, dtype)


class SpecificityAtSensitivity(_OperatingPoint):
    """Compute the best specificity among the thresholds at which the sensitivity is at least `sensitivity`.

    Sensitivity is `true positives / positives`, specificity `true negatives / negatives`.

    Args:
        sensitivity: lowest sensitivity allowed, in `[0, 1]`.
        num_thresholds: number of thresholds that are tried, evenly from 0 to 1. Default: `200`.
        class_id: number of the only class that is counted. Default: `None`.
        name: name of the metric; `None` derives it from the name of the class. Default: `None`.
        dtype: dtype name or policy in which the metric is computed; `None` means `keras.config.floatx()`. Default:
            `None`.

    Raises:
        ValueError: `sensitivity` lies outside `[0, 1]`, or `num_thresholds` is not positive.

    Example:
        >>> metric = keras.metrics.SpecificityAtSensitivity(0.5)
        >>> metric.update_state([0, 0, 0, 1, 1], [0.0, 0.3, 0.8, 0.3, 0.8])
        >>> round(metric.result().item(), 4)
        0.6667
    """

    _tk_demanded, _tk_reached = "sensitivity", "specificity"

    def __init__(
        self,
        sensitivity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: PolicyLike | None = None,
    ) -> None:
        super().__init__(sensitivity, num_thresholds, class_id, name, dtype)


class PrecisionAtRecall(_OperatingPoint):
    """Compute the best precision among the thresholds at which the recall is at least `recall`.

    Args:
        recall: lowest recall allowed, in `[0, 1]`.
        num_thresholds: number of thresholds that are tried, evenly from 0 to 1. Default: `200`.
        class_id: number of the only class that is counted. Default: `None`.
        name: name of the metric; `None` derives it from the name of the class. Default: `None`.
        dtype: dtype name or policy in which the metric is computed; `None` means `keras.config.floatx()`. Default:
            `None`.

    Raises:
        ValueError: `recall` lies outside `[0, 1]`, or `num_thresholds` is not positive.

    Example:
        >>> metric = keras.metrics.PrecisionAtRecall(0.5)
        >>> metric.update_state([0, 0, 0, 1, 1], [0.0, 0.3, 0.8, 0.3, 0.8])
        >>> round(metric.result().item(), 4)
        0.5
    """

    _tk_demanded, _tk_reached = "recall", "precision"

    def __init__(
        self,
        recall: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: PolicyLike | None = None,
    ) -> None:
        super().__init__(recall, num_thresholds, class_id, name, dtype)


class RecallAtPrecision(_OperatingPoint):
    """Compute the best recall among the thresholds at which the precision is at least `precision`.

    Args:
        precision: lowest precision allowed, in `[0, 1]`.
        num_thresholds: number of thresholds that are tried, evenly from 0 to 1. Default: `200`.
        class_id: number of the only class that is counted. Default: `None`.
        name: name of the metric; `None` derives it from the name of the class. Default: `None`.
        dtype: dtype name or policy in which the metric is computed; `None` means `keras.config.floatx()`. Default:
            `None`.

    Raises:
        ValueError: `precision` lies outside `[0, 1]`, or `num_thresholds` is not positive.

    Example:
        >>> metric = keras.metrics.RecallAtPrecision(0.5)
        >>> metric.update_state([0, 0, 0, 1, 1], [0.0, 0.3, 0.8, 0.3, 0.8])
        >>> round(metric.result().item(), 4)
        1.0
    """

    _tk_demanded, _tk_reached = "precision", "recall"

    def __init__(
        self,
        precision: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: PolicyLike | None = None,
    ) -> None:
        super().__init__(precision, num_thresholds, class_id, name, dtype)
