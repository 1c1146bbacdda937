"""Metrics of the package torchmetrics as Keras's."""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from torchkeras.core.variables.variable import Variable
from torchkeras.distributed.rank_group import RankGroup
from torchkeras.distributed.rank_share import current_share
from torchkeras.metrics import Metric


class TorchMetric(Metric):
    """A torchmetrics metric as a Keras one: torchmetrics takes the prediction first, Keras the target."""

    keras_module = None

    def __init__(self, metric: Any, name: str | None = None) -> None:
        super().__init__(name=name or type(metric).__name__.lower())
        self.metric = metric
        self._is_whole = False
        for part in self._parts():  # values are read on single ranks too, where nobody else would answer
            part.sync_on_compute = part._to_sync = False

    def _parts(self) -> list:
        """The metric itself, or the members of a collection."""
        return list(self.metric.values()) if hasattr(self.metric, "values") else [self.metric]

    @contextmanager
    def over_ranks(self, group: RankGroup) -> Iterator[None]:
        """Inside, the state is that of all ranks of the group together.

        Args:
            group: the ranks that have different rows.
        """
        for part in self._parts():
            part._computed, part._should_unsync = None, False
            part.sync(process_group=group.handle)
        self._is_whole = True
        try:
            yield
        finally:
            self._is_whole = False
            for part in self._parts():
                part._computed, part._should_unsync = None, True
                part.unsync()

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """One batch; sample weights are not taken by torchmetrics and are left out."""
        if not current_share().has_rows:
            return
        if self._parts()[0].device != y_pred.device:
            self.metric.to(y_pred.device)
        with torch.no_grad():
            self.metric.update(y_pred.detach(), y_true)

    def result(self) -> Any:
        return self.metric.compute() if self._is_whole or self.has_updates else torch.zeros(())

    @property
    def has_updates(self) -> bool:
        """Whether there was a batch since the reset."""
        return any(part.update_count for part in self._parts())

    @contextmanager
    def preserved(self) -> Iterator[None]:
        """Inside, batches are added to a copy."""
        outer, self.metric = self.metric, copy.deepcopy(self.metric)
        try:
            yield
        finally:
            self.metric = outer

    def reset_state(self) -> None:
        self.metric.reset()

    @property
    def variables(self) -> list[Variable]:
        return []


def is_torchmetric(value: Any) -> bool:
    """Whether it is a metric, or a collection of metrics, of the package torchmetrics."""
    torchmetrics = sys.modules.get("torchmetrics")  # who has such a metric has imported it
    return torchmetrics is not None and isinstance(value, (torchmetrics.Metric, torchmetrics.MetricCollection))
