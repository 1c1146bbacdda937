"""Counts of right and wrong yes-or-no predictions, precision and recall."""

from __future__ import annotations

from typing import Any

import torch

from torchkeras.losses.reduction import divide_no_nan
from torchkeras.metrics.confusion_counts import NEG_INF, Thresholds, confusion_counts, parse_thresholds
from torchkeras.metrics.metric import Metric, accumulate


class CountingMetric(Metric):
    """Base of metrics made of counts of right and wrong yes-or-no predictions at some thresholds."""

    keras_module = None
    counted: tuple[str, ...] = ()
    """The counts, in the order of the variables."""

    def _add_counts(self, thresholds: Thresholds, shape: tuple[int, ...] | None = None) -> None:
        """Make the variables."""
        self._thresholds = thresholds
        for name in self.counted:
            setattr(self, name, self.add_variable(shape or (thresholds.count,), None, name=name))

    def _count(self, y_true: Any, y_pred: Any, sample_weight: Any, **options: Any) -> None:
        dtype = self._variables[0].dtype
        y_pred = self._as_batch(y_pred, dtype)
        y_true = self._as_batch(y_true)
        if not self._follow(y_pred):
            return
        counts = confusion_counts(self.counted, y_true, y_pred, self._thresholds, sample_weight, **options)
        for variable, count in zip(self._variables, counts):
            accumulate(variable, count)

    def _scalar_or_all(self, values: torch.Tensor) -> torch.Tensor:
        return values[0] if self._thresholds.count == 1 else values


class _OneCount(CountingMetric):
    config_keys = ("thresholds",)

    def __init__(self, thresholds: Any = None, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.init_thresholds = thresholds
        self.thresholds = parse_thresholds(thresholds)
        self._thresholds = Thresholds(self.thresholds)
        self.accumulator = self.add_variable((len(self.thresholds),), None, name="accumulator")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch of labels and scores.

        Raises:
            ValueError: the shapes do not go together.
        """
        self._count(y_true, y_pred, sample_weight)

    def result(self) -> torch.Tensor:
        return self._scalar_or_all(self.accumulator.value).clone()

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "thresholds": self.init_thresholds}


class TruePositives(_OneCount):
    """The (weighted) number of entries predicted yes that are.

    Args:
        thresholds: scores above it say yes; one or several in `[0, 1]`. Default: 0.5.
    """

    counted = ("true_positives",)


class FalsePositives(_OneCount):
    """The (weighted) number of entries predicted yes that are not.

    Args:
        thresholds: scores above it say yes; one or several in `[0, 1]`. Default: 0.5.
    """

    counted = ("false_positives",)


class TrueNegatives(_OneCount):
    """The (weighted) number of entries predicted no that are not.

    Args:
        thresholds: scores above it say yes; one or several in `[0, 1]`. Default: 0.5.
    """

    counted = ("true_negatives",)


class FalseNegatives(_OneCount):
    """The (weighted) number of entries predicted no that are.

    Args:
        thresholds: scores above it say yes; one or several in `[0, 1]`. Default: 0.5.
    """

    counted = ("false_negatives",)


class _Share(CountingMetric):
    """True positives over true positives and something else."""

    _direction = "up"

    def __init__(
        self,
        thresholds: Any = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.init_thresholds = thresholds
        self.top_k = top_k
        self.class_id = class_id
        self.thresholds = parse_thresholds(thresholds, 0.5 if top_k is None else NEG_INF)
        self._add_counts(Thresholds(self.thresholds))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch of labels and scores.

        Raises:
            ValueError: the shapes do not go together.
        """
        self._count(y_true, y_pred, sample_weight, top_k=self.top_k, class_id=self.class_id)

    def result(self) -> torch.Tensor:
        right, wrong = (variable.value for variable in self._variables)
        return self._scalar_or_all(divide_no_nan(right, right + wrong))

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        return {**config, "thresholds": self.init_thresholds, "top_k": self.top_k, "class_id": self.class_id}


class Precision(_Share):
    """The share of the entries predicted yes that are.

    Args:
        thresholds: scores above it say yes; one or several in `[0, 1]`. Default: 0.5, with `top_k` none.
        top_k: only the highest `k` scores of a row can be yes.
        class_id: count this class alone.
    """

    counted = ("true_positives", "false_positives")


class Recall(_Share):
    """The share of the entries that are yes which are predicted so.

    Args:
        thresholds: scores above it say yes; one or several in `[0, 1]`. Default: 0.5, with `top_k` none.
        top_k: only the highest `k` scores of a row can be yes.
        class_id: count this class alone.
    """

    counted = ("true_positives", "false_negatives")
