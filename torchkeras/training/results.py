"""The values that a pass over batches has in the logs: the metrics' results, and what a user's step returned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from torchkeras.core.accelerators import run_recorded
from torchkeras.core.tensors.convert import convert_to_numpy
from torchkeras.core.tensors.numbers import as_float
from torchkeras.core.torch_internals import version_of
from torchkeras.distributed import metric_state
from torchkeras.distributed.rank_share import RankBatch, rows_of
from torchkeras.distributed.strategies.base import Strategy
from torchkeras.metrics import Metric
from torchkeras.reporting.logs import Logs, flat_logs
from torchkeras.training.ready import device_of
from torchkeras.training.state import TrainableModel, state_of
from torchkeras.training.step import is_overridden


class MetricUpdates:
    """The metrics that were updated since their reset.

    Found without any work in the updates: torch counts the changes of a tensor. A metric whose state is not in
    variables can say it itself, by an attribute `has_updates`; else it counts as updated.
    """

    def __init__(self) -> None:
        self._at_reset: dict[int, list[Any]] = {}
        self._updated: set[int] = set()  # a metric that was updated stays so until the next reset

    def note_reset(self, metrics: list[Metric]) -> None:
        """Take the metrics' state for that of no updates."""
        self._at_reset = {id(metric): _versions(metric) for metric in metrics}
        self._updated.clear()

    def has_updates(self, metric: Metric) -> bool:
        """False if nothing was added to the metric since `note_reset`."""
        if id(metric) in self._updated:
            return True
        said = getattr(metric, "has_updates", None)
        if said is not None:
            return bool(said)
        before = self._at_reset.get(id(metric))
        if not before or before != _versions(metric):
            self._updated.add(id(metric))
            return True
        return False


def _versions(metric: Metric) -> list[Any]:
    return [version_of(variable) for variable in metric.variables]


def results_by_metric(model: Any) -> list[tuple[Metric, dict[str, Any]]]:
    """Each metric with its values by their names in the logs."""
    compiled = state_of(model).compiled
    of_compile: dict[int, list[str | None]] = {}
    for metric, name in () if compiled is None else compiled.metrics.named():
        of_compile.setdefault(id(metric), []).append(name)  # one for each output that it measures
    found = [(metric, of_compile.get(id(metric), [metric.name])) for metric in model.metrics]
    return [
        (metric, flat_logs(dict.fromkeys(names, metric.result())))  # type: ignore[arg-type]
        for metric, names in found
        if None not in names
    ]


def as_list(model: Any, logs: dict[str, Any]) -> Any:
    """The values of logs in Keras's order: loss, the metrics that bear their own names in the logs, the rest by name.

    A single value comes without a list.
    """
    compiled = state_of(model).compiled
    parts = set(compiled.part_trackers)  # type: ignore[union-attr]
    names = [metric.name for metric in model.metrics if metric.name not in parts]
    first = 1 + len(compiled.metrics.metrics)  # type: ignore[union-attr]
    names[first:first] = compiled.part_trackers  # type: ignore[union-attr]
    names = [name for name in dict.fromkeys(names) if name in logs]
    names += sorted(name for name in logs if name not in names)
    values = [logs[name] for name in names]
    return values[0] if len(values) == 1 else values


class PassResults:
    """The results of the steps of one pass over batches, and the metrics that they updated.

    A user's step returns logs. Of a metric that the step updates, the metric has the value of the whole pass. If the
    step returns a value under the name of a metric and does not update it, the value of the pass is the mean of those
    returned, weighted by rows. Other values are those of the last batch, as in Keras.

    Args:
        model: the model.
        strategy: how the ranks work together.
    """

    def __init__(self, model: TrainableModel, strategy: Strategy) -> None:
        self.model = model
        self.strategy = strategy
        self.updates = MetricUpdates()
        self._clear()

    def _clear(self) -> None:
        self.batches = 0
        self.last: Mapping[str, Any] | None = None
        self._last_fraction = 1.0
        self._rows = 0
        self._sums: dict[str, Any] | None = None
        self._values: dict[str, Any] | None = None  # when they were read
        self._restored: dict[str, Any] | None = None

    def begin(self) -> None:
        """Start a pass: reset the metrics."""
        self._clear()
        self.model.reset_metrics()
        self.updates.note_reset(self.model.metrics)

    def add(self, logs: Mapping[str, Any], batch: RankBatch) -> None:
        """Take the logs that a user's step returned for a batch."""
        rows = rows_of(batch.data) if batch.share.has_rows else 0
        self.last, self._last_fraction = logs, batch.share.fraction
        flat = flat_logs(logs)
        if self._sums is None:
            idle = {metric.name for metric in self.model.metrics if not self.updates.has_updates(metric)}
            self._sums = {name: 0.0 for name in flat if name in idle}
        self._rows += rows
        for name in self._sums:
            if name in flat and rows:
                value = flat[name]
                value = value.detach() if isinstance(value, torch.Tensor) else value
                self._sums[name] = self._sums[name] + value * rows

    def batch_logs(self, lazily: bool) -> Logs:
        """The logs after a batch.

        Args:
            lazily: compute the metrics' values when somebody looks at the logs, which may be never.
        """
        if self.last is not None:
            return Logs(self.last)
        if lazily:
            return Logs.of(self._metric_values)
        with torch.no_grad():
            return Logs(self._metric_values())

    def _metric_values(self, has_updates: Mapping[int, bool] | None = None) -> dict[str, Any]:
        """The results of the metrics that were updated, by name."""

        def is_updated(metric: Metric) -> bool:
            known = None if has_updates is None else has_updates.get(id(metric))
            return self.updates.has_updates(metric) if known is None else known

        if not is_overridden(self.model, "get_metrics_result"):
            values: dict[str, Any] = {}
            for metric, named in results_by_metric(self.model):
                if is_updated(metric):
                    values.update(named)
            return values
        idle: set[str] = set()
        updated: set[str] = set()
        for metric, named in results_by_metric(self.model):
            (updated if is_updated(metric) else idle).update(named)
        values = flat_logs(self.model.get_metrics_result())
        return {name: value for name, value in values.items() if name in updated or name not in idle}

    def read(self) -> dict[str, Any]:
        """The values of the pass as Python floats, over all ranks. Names without a value are absent.

        This is the one place where a pass waits for the device.
        """
        if not self.batches:
            return {}
        if self._restored is not None:
            return dict(self._restored)
        metrics = self.model.metrics
        flags = self.strategy.decide([self.updates.has_updates(metric) for metric in metrics])
        has_updates = {id(metric): flag for metric, flag in zip(metrics, flags)}
        with torch.no_grad():
            with self.strategy.metrics_of_all_ranks(metrics):
                found = self._metric_values(has_updates)
                run_recorded(device_of(self.model))
                values = {name: _plain(value) for name, value in found.items()}
            if self.last is not None:
                values = self._returned(values)
        self._values = {name: _plain(value) for name, value in sorted(values.items())}
        return dict(self._values)

    def _returned(self, values: dict[str, Any]) -> dict[str, Any]:
        """The values under the names that the user's step returned."""
        names = list(flat_logs(self.last or {}))
        means = {name: total / max(self._rows, 1) for name, total in (self._sums or {}).items() if name not in values}
        means = self.strategy.weighted_mean(means, self._rows)
        others = {n: v for n, v in flat_logs(self.last or {}).items() if n not in values and n not in means}
        others = self.strategy.weighted_mean(others, self._last_fraction)
        found = {**others, **means, **values}
        return {name: found[name] for name in names if name in found}

    @contextmanager
    def preserved(self) -> Iterator[None]:
        """Afterwards the metrics are as they were, so that an evaluation leaves the epoch around it alone."""
        updated = {id(metric) for metric in self.model.metrics if self.updates.has_updates(metric)}
        with metric_state.preserved(lambda: self.model.metrics):
            yield
        self.updates.note_reset([metric for metric in self.model.metrics if id(metric) not in updated])

    # -- for a backup within an epoch

    def get_state(self) -> dict[str, Any]:
        """The sums so far, and the values once the pass is over, as plain numbers."""
        sums = None if self._sums is None else {name: _plain(total) for name, total in self._sums.items()}
        return {"batches": self.batches, "rows": self._rows, "sums": sums, "values": self._values}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from sums that `get_state` gave."""
        self.batches, self._rows, self._sums = state["batches"], state["rows"], state["sums"]
        self._values = self._restored = state.get("values")


def _plain(value: Any) -> Any:
    value = as_float(value)
    return convert_to_numpy(value) if isinstance(value, torch.Tensor) else value
