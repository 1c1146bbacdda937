"""Weighted counts of right and wrong yes-or-no predictions at many thresholds at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch

from torchkeras.core import settings
from torchkeras.core.config.limits import count_objects
from torchkeras.core.tensors.convert import constant, convert_to_tensor
from torchkeras.core.tensors.running_sums import running_sum
from torchkeras.core.types import ArrayLike
from torchkeras.losses.shapes import check_broadcast, match_ranks

Thresholding: TypeAlias = float | Sequence[float] | np.ndarray | None

NEG_INF = -1e10
"""The score of what is not among the top k."""

COUNTS: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "true_positives": lambda label, pred: label & pred,
    "false_positives": lambda label, pred: pred > label,
    "true_negatives": lambda label, pred: ~(label | pred),
    "false_negatives": lambda label, pred: label > pred,
}


def parse_thresholds(thresholds: Thresholding, default: float = 0.5) -> list[float]:
    """The thresholds as a list.

    Raises:
        ValueError: one lies outside `[0, 1]`.
    """
    if thresholds is None:
        return [default]
    values = [thresholds] if isinstance(thresholds, (int, float, np.generic)) else list(thresholds)
    wrong = [value for value in values if value is None or value < 0 or value > 1]
    if wrong:
        raise ValueError(f"Threshold values must be in [0, 1]. Received: {wrong}")
    return values


class Thresholds:
    """Thresholds for scores; finds, for each score, the number of thresholds below it."""

    def __init__(self, values: Sequence[float]) -> None:
        self.values = [float(value) for value in values]
        self.count = len(self.values)
        self.even = self._are_even()
        order = np.argsort(self.values, kind="stable")
        self._sorted = [self.values[i] for i in order]
        self._places = None if list(order) == list(range(self.count)) else np.argsort(order).tolist()
        self._tensors: dict[Any, tuple[torch.Tensor, torch.Tensor | None]] = {}

    def _are_even(self) -> bool:
        if self.count < 3:
            return False
        even = np.arange(self.count, dtype=np.float32) / (self.count - 1)
        return bool(np.allclose(self.values, even, atol=settings.epsilon()))

    def below(self, scores: torch.Tensor) -> torch.Tensor:
        """For each score the number of thresholds below it, as int64."""
        if not self.even:
            return torch.bucketize(scores, self._on(scores)[0], right=False)
        # Thresholds i / (count - 1), of which the first may lie a hair below 0 and the last a hair above 1.
        number = scores.clamp(0.0, 1.0).mul_(self.count - 1).ceil_().long()
        return number.clamp_(min=1 if self.values[0] < 0 else 0)  # NaN became the least of all integers

    def restore_order(self, counts: torch.Tensor) -> torch.Tensor:
        """Counts by ascending thresholds, in the order in which the thresholds were given."""
        return counts if self._places is None else counts.index_select(0, self._on(counts)[1])

    def _on(self, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        key = (like.device, like.dtype)
        if key not in self._tensors:
            places = None if self._places is None else constant(self._places, torch.int64, like.device)
            self._tensors[key] = (constant(self._sorted, like.dtype, like.device), places)
        return self._tensors[key]


def confusion_counts(
    names: Sequence[str],
    y_true: torch.Tensor,
    y_pred: torch.Tensor,
    thresholds: Thresholds,
    sample_weight: ArrayLike | None = None,
    top_k: int | None = None,
    class_id: int | None = None,
    multi_label: bool = False,
    label_weights: torch.Tensor | None = None,
) -> list[torch.Tensor]:
    """The counts of the given names for each threshold.

    Args:
        names: keys of `COUNTS`.
        y_true: labels; any value but 0 counts as 1.
        y_pred: scores, a float tensor.
        sample_weight: weights of the samples, or of all entries.
        top_k: only the highest `k` scores of a row can mean 1.
        class_id: count this class alone.
        multi_label: keep the counts of the labels (the last axis) apart.
        label_weights: weights of the labels, where they are not kept apart.

    Raises:
        ValueError: the shapes do not go together.
    """
    y_pred, y_true = match_ranks(y_pred, y_true)
    check_broadcast("y_true", y_true, "y_pred", y_pred)
    weight = _entry_weights(y_true, y_pred, sample_weight)
    if top_k is not None:
        y_pred = _only_top_k(y_pred, top_k)
    if class_id is not None:
        if y_pred.dim() == 1:
            raise ValueError(
                f"When class_id is provided, y_pred must be a 2D array with shape (num_samples, num_classes), found "
                f"shape: {tuple(y_pred.shape)}"
            )
        y_true, y_pred = y_true[..., class_id, None], y_pred[..., class_id, None]
    label = (y_true != 0).broadcast_to(y_pred.shape)
    if label_weights is not None:
        weight = label_weights if weight is None else weight * label_weights
    if weight is not None:
        check_broadcast("sample_weight", weight, "y_pred", y_pred)
        weight = weight.broadcast_to(y_pred.shape)
    if thresholds.count == 1 and not multi_label:
        pred = y_pred > thresholds.values[0]
        return [_total(COUNTS[name](label, pred), weight, y_pred.dtype).reshape(1) for name in names]
    return _by_buckets(names, label, y_pred, weight, thresholds, multi_label)


def _total(chosen: torch.Tensor, weight: torch.Tensor | None, dtype: torch.dtype) -> torch.Tensor:
    return chosen.sum(dtype=dtype) if weight is None else weight.where(chosen, 0.0).sum()


def _by_buckets(
    names: Sequence[str],
    label: torch.Tensor,
    y_pred: torch.Tensor,
    weight: torch.Tensor | None,
    thresholds: Thresholds,
    multi_label: bool,
) -> list[torch.Tensor]:
    """Count the scores between each two thresholds; their sums from the top down are the counts."""
    labels = y_pred.shape[-1] if multi_label else 1
    buckets = thresholds.count + 1
    place = thresholds.below(y_pred).add_(label, alpha=buckets)
    if multi_label:
        place = place.mul_(labels).add_(torch.arange(labels, device=place.device))
    if weight is None:
        weight = torch.ones((), dtype=y_pred.dtype, device=y_pred.device).expand(y_pred.shape)
    counts = torch.zeros(2 * buckets * labels, dtype=y_pred.dtype, device=y_pred.device)
    counts.index_add_(0, place.reshape(-1), weight.reshape(-1))
    above = running_sum(counts.view(2, buckets, labels).flip(1), 1).flip(1)
    if not multi_label:
        above = above.squeeze(-1)
    totals, positives = above[:, :1], above[:, 1:]
    found = {
        "false_positives": positives[0],
        "true_positives": positives[1],
        "true_negatives": totals[0] - positives[0],
        "false_negatives": totals[1] - positives[1],
    }
    return [thresholds.restore_order(found[name]) for name in names]


def _entry_weights(y_true: torch.Tensor, y_pred: torch.Tensor, sample_weight: ArrayLike | None) -> torch.Tensor | None:
    if sample_weight is None:
        return None
    weight = convert_to_tensor(sample_weight, y_pred.dtype, y_pred.device).unsqueeze(-1)
    return match_ranks(y_true, weight, expand_rank_1=False)[1]


def _only_top_k(scores: torch.Tensor, k: int) -> torch.Tensor:
    top, places = scores.topk(k, dim=-1)
    return torch.full_like(scores, NEG_INF).scatter(-1, places, top)


def even_thresholds(count: int) -> list[float]:
    """`count` thresholds from 0 to 1, ends included.

    Raises:
        ValueError: fewer than one.
    """
    if count < 1:
        raise ValueError(f"Argument `num_thresholds` must be an integer > 0; received {count!r}.")
    count_objects(count)
    return [0.5] if count == 1 else [i / (count - 1) for i in range(count)]
