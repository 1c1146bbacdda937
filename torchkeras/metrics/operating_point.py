"""The best of one rate where another rate is high enough."""

from __future__ import annotations

from typing import Any

import torch

from torchkeras.losses.reduction import divide_no_nan
from torchkeras.metrics.confusion import CountingMetric
from torchkeras.metrics.confusion_counts import Thresholds, even_thresholds


class _OperatingPoint(CountingMetric):
    """Base: the highest `reached` rate among the thresholds at which the `demanded` rate is at least `value`."""

    _direction = "up"
    counted = ("true_positives", "false_positives", "true_negatives", "false_negatives")
    demanded = reached = ""

    def __init__(
        self, value: float, num_thresholds: int = 200, class_id: int | None = None, name: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        if value < 0 or value > 1:
            raise ValueError(f"Argument `{self.demanded}` must be in the range [0, 1]. Received: {value!r}")
        self.value = value
        setattr(self, self.demanded, value)
        self.num_thresholds = num_thresholds
        self.class_id = class_id
        self.thresholds = even_thresholds(num_thresholds)
        self._add_counts(Thresholds(self.thresholds))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch of labels and scores.

        Raises:
            ValueError: the shapes do not go together.
        """
        self._count(y_true, y_pred, sample_weight, class_id=self.class_id)

    def _rate(self, name: str) -> torch.Tensor:
        right, wrong = (getattr(self, count).value for count in _RATES[name])
        return divide_no_nan(right, right + wrong)

    def result(self) -> torch.Tensor:
        reached = self._rate(self.reached)
        return reached.where(self._rate(self.demanded) >= self.value, 0.0).amax().clamp(min=0.0)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.update({"num_thresholds": self.num_thresholds, self.demanded: self.value, "class_id": self.class_id})
        return config


_RATES = {
    "precision": ("true_positives", "false_positives"),
    "recall": ("true_positives", "false_negatives"),
    "sensitivity": ("true_positives", "false_negatives"),
    "specificity": ("true_negatives", "false_positives"),
}


class SensitivityAtSpecificity(_OperatingPoint):
    """The best sensitivity at which the specificity is at least `specificity`.

    Args:
        num_thresholds: how many thresholds are tried.
        class_id: count this class alone.
    """

    demanded, reached = "specificity", "sensitivity"

    def __init__(
        self,
        specificity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(specificity, num_thresholds, class_id, name, dtype)


class SpecificityAtSensitivity(_OperatingPoint):
    """The best specificity at which the sensitivity is at least `sensitivity`.

    Args:
        num_thresholds: how many thresholds are tried.
        class_id: count this class alone.
    """

    demanded, reached = "sensitivity", "specificity"

    def __init__(
        self,
        sensitivity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(sensitivity, num_thresholds, class_id, name, dtype)


class PrecisionAtRecall(_OperatingPoint):
    """The best precision at which the recall is at least `recall`.

    Args:
        num_thresholds: how many thresholds are tried.
        class_id: count this class alone.
    """

    demanded, reached = "recall", "precision"

    def __init__(
        self,
        recall: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(recall, num_thresholds, class_id, name, dtype)


class RecallAtPrecision(_OperatingPoint):
    """The best recall at which the precision is at least `precision`.

    Args:
        num_thresholds: how many thresholds are tried.
        class_id: count this class alone.
    """

    demanded, reached = "precision", "recall"

    def __init__(
        self,
        precision: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(precision, num_thresholds, class_id, name, dtype)
