"""The area under a curve of rates over all thresholds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from torchkeras.core import settings
from torchkeras.core.config.limits import count_objects
from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.core.types import ArrayLike
from torchkeras.dtype_policies.policy import PolicyLike
from torchkeras.losses.reduction import divide_no_nan
from torchkeras.metrics.confusion import CountingMetric
from torchkeras.metrics.confusion_counts import Thresholds

_CURVES = ("ROC", "PR", "PRGAIN")
_SUMMATIONS = ("interpolation", "majoring", "minoring")


class AUC(CountingMetric):
    """Compute the area under the ROC, the precision-recall or the precision-recall-gain curve.

    The curve is known at a number of thresholds; the area is the sum over the steps between them. More thresholds make
    it more exact.

    Args:
        num_thresholds: number of thresholds, evenly from 0 to 1. Default: `200`.
        curve: `"ROC"` (true positives by false positives), `"PR"` (precision by recall) or `"PRGAIN"` (precision gain
            by recall gain, [Flach & Kull,
            2015](https://research-information.bris.ac.uk/ws/portalfiles/portal/72164009/5867_precision_recall_gain_curves_pr_analysis_done_right.pdf)).
            Default: `"ROC"`.
        summation_method: `"interpolation"` (trapezoids; for `"PR"` the interpolation of [Davis & Goadrich,
            2006](https://www.biostat.wisc.edu/~page/rocpr.pdf)), `"minoring"` (the lower end of each step) or
            `"majoring"` (the upper end). Default: `"interpolation"`.
        name: name of the metric; `None` derives it from the name of the class. Default: `None`.
        dtype: dtype name or policy in which the metric is computed; `None` means `keras.config.floatx()`. Default:
            `None`.
        thresholds: thresholds in `[0, 1]` in place of even ones; 0 and 1 are added. Default: `None`.
        multi_label: whether the mean of one area per label (the last axis) is computed instead of one area of all
            entries. Default: `False`.
        num_labels: number of labels, for `multi_label`; it lets the state be made before the first batch. Default:
            `None`.
        label_weights: weight of each label. Default: `None`.
        from_logits: whether predictions are logits; if not, they are probabilities. Default: `False`.

    Raises:
        ValueError: an argument is none of these, or `num_labels` is given without `multi_label`.

    Example:
        >>> metric = keras.metrics.AUC(num_thresholds=3)
        >>> metric.update_state([0, 0, 1, 1], [0.0, 0.5, 0.3, 0.9])
        >>> round(metric.result().item(), 4)
        0.75
    """

    _direction = "up"
    _tk_counted = ("true_positives", "false_positives", "true_negatives", "false_negatives")

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: PolicyLike | None = None,
        thresholds: Iterable[float] | None = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: ArrayLike | None = None,
        from_logits: bool = False,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.curve = _one_of(curve, _CURVES, "curve")
        self.summation_method = _one_of(summation_method, _SUMMATIONS, "summation method")
        self._init_thresholds = None if thresholds is None else sorted(float(t) for t in thresholds)
        self._thresholds = Thresholds(_with_ends(self._init_thresholds, num_thresholds))
        self.num_thresholds = self._thresholds.count
        self.multi_label = multi_label
        self.num_labels = num_labels
        self._init_label_weights = label_weights
        self.label_weights = None if label_weights is None else convert_to_tensor(label_weights, self.dtype)
        self.from_logits = from_logits
        if num_labels and not multi_label:
            raise ValueError(f"num_labels is for multi_label=True; received num_labels={num_labels} without it.")
        if num_labels or not multi_label:
            self._build(num_labels)

    @property
    def thresholds(self) -> list[float]:
        """All thresholds; the first is a little below 0, the last a little above 1."""
        return list(self._thresholds.values)

    def _build(self, labels: int | None) -> None:
        count = self._thresholds.count
        self._add_counts(self._thresholds, (count, labels) if self.multi_label else (count,))

    def update_state(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        """Add a batch.

        Args:
            y_true: labels 0 or 1.
            y_pred: predictions.
            sample_weight: weight of each sample, `(batch,)` or a shape that broadcasts. Default: `None`.

        Raises:
            ValueError: the shapes do not fit together.
        """
        y_pred = self._as_batch(y_pred)
        if not self._variables:
            if y_pred.dim() != 2:
                raise ValueError(
                    f"With multi_label=True, y_pred must have the shape (samples, labels); received "
                    f"{tuple(y_pred.shape)}."
                )
            self._build(y_pred.shape[1])
        if self.from_logits:
            y_pred = y_pred.sigmoid()
        label_weights = None
        if self.label_weights is not None:
            self.label_weights = self.label_weights.to(y_pred.device)
            label_weights = None if self.multi_label else self.label_weights
        self._count(y_true, y_pred, sample_weight, multi_label=self.multi_label, label_weights=label_weights)

    def result(self) -> torch.Tensor:
        """Return the area so far, a scalar tensor."""
        tp, fp, tn, fn = (getattr(self, name).value for name in self._tk_counted) if self._variables else _nothing()
        if self.curve == "PR" and self.summation_method == "interpolation":
            return self._mean_over_labels(_interpolated_precision_recall(tp, fp, fn))
        x, y = _POINTS[self.curve](tp, fp, tn, fn)
        if self.summation_method == "interpolation":
            heights = (y[:-1] + y[1:]) / 2.0
        else:
            choose = torch.minimum if self.summation_method == "minoring" else torch.maximum
            heights = choose(y[:-1], y[1:])
        return self._mean_over_labels((x[:-1] - x[1:]) * heights)

    def _mean_over_labels(self, steps: torch.Tensor) -> torch.Tensor:
        if not self.multi_label:
            return steps.sum()
        areas = steps.sum(0)
        if self.label_weights is None:
            return areas.mean()
        weights = self.label_weights.to(areas.device)
        return divide_no_nan((areas * weights).sum(), weights.sum())

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        weights = self._init_label_weights
        config.update(
            num_thresholds=self.num_thresholds,
            curve=self.curve,
            summation_method=self.summation_method,
            multi_label=self.multi_label,
            num_labels=self.num_labels,
            label_weights=None if weights is None else convert_to_tensor(weights, self.dtype).tolist(),
            from_logits=self.from_logits,
        )
        if self._init_thresholds is not None:
            config["thresholds"] = self._init_thresholds
        return config


def _one_of(value: object, known: tuple[str, ...], what: str) -> str:
    value = getattr(value, "value", value)
    for name in known:
        if value in (name, name.lower(), name.capitalize()):
            return name
    raise ValueError(f'Invalid AUC {what} value: "{value}". It must be one of {known}.')


def _with_ends(given: list[float] | None, count: int) -> list[float]:
    if given is None:
        if count <= 1:
            raise ValueError(f"Argument `num_thresholds` must be an integer > 1; received {count!r}.")
        count_objects(count)
        given = [i / (count - 1) for i in range(1, count - 1)]
    return [-settings.epsilon(), *given, 1.0 + settings.epsilon()]


def _nothing() -> list[torch.Tensor]:
    return [torch.zeros(2, 1) for _ in range(4)]


def _roc(tp: torch.Tensor, fp: torch.Tensor, tn: torch.Tensor, fn: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return divide_no_nan(fp, fp + tn), divide_no_nan(tp, tp + fn)


def _precision_recall(
    tp: torch.Tensor, fp: torch.Tensor, tn: torch.Tensor, fn: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    return divide_no_nan(tp, tp + fn), divide_no_nan(tp, tp + fp)


def _gains(tp: torch.Tensor, fp: torch.Tensor, tn: torch.Tensor, fn: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Recall gain and precision gain (Flach & Kull 2015)."""
    odds = divide_no_nan(tp + fn, tn + fp)
    recall = (1.0 - odds * divide_no_nan(fn, tp)).where(tp != 0, 0.0).clamp(min=0.0)
    return recall, (1.0 - odds * divide_no_nan(fp, tp)).where(tp != 0, 1.0)


_POINTS = {"ROC": _roc, "PR": _precision_recall, "PRGAIN": _gains}


def _interpolated_precision_recall(tp: torch.Tensor, fp: torch.Tensor, fn: torch.Tensor) -> torch.Tensor:
    """The area under each step of the curve when true positives grow linearly with the positives between thresholds.

    With `slope = dTP / dP` and `intercept = TP - slope * P`, a step's area is
    `slope * (dTP + intercept * log(P_left / P_right)) / all true ones` (Davis & Goadrich 2006).
    """
    positives = tp + fp
    left, right = positives[:-1], positives[1:]
    growth = tp[:-1] - tp[1:]
    slope = divide_no_nan(growth, (left - right).clamp(min=0.0))
    intercept = tp[1:] - slope * right
    ratio = divide_no_nan(left, right.clamp(min=0.0)).where((left > 0) & (right > 0), 1.0)
    return divide_no_nan(slope * (growth + intercept * ratio.log()), (tp[1:] + fn[1:]).clamp(min=0.0))
