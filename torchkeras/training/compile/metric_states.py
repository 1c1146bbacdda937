"""The states of a model's metrics as plain data, to keep them in the middle of an epoch and to restore them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import torch

from torchkeras.core.tensors.convert import convert_to_numpy
from torchkeras.metrics import Metric
from torchkeras.training.compile.options import Compiled, LossTracker
from torchkeras.training.compile.torch_metric import TorchMetric

State: TypeAlias = dict[str, Any]  # plain data: numbers, lists, dicts and arrays


def get_states(compiled: Compiled, metrics: Sequence[Metric]) -> State:
    """The states of what `compile()` made and of the model's other metrics.

    Args:
        compiled: what `compile()` made.
        metrics: all metrics of the model.
    """
    return {
        "loss": _get(compiled.loss_tracker),
        "losses": {name: _get(tracker) for name, tracker in compiled.part_trackers.items()},
        "compiled": [_get(metric) for metric in compiled.metrics.metrics] if compiled.metrics.built else [],
        "own": [_get(metric) for metric in _own(compiled, metrics)],
    }


def set_states(compiled: Compiled, metrics: Sequence[Metric], states: State) -> None:
    """The inverse of `get_states`, also for metrics that are made at the first batch: they get their state then."""
    _set(compiled.loss_tracker, states["loss"])
    for name, state in states["losses"].items():
        tracker = compiled.part_trackers.get(name)
        if tracker is None:
            tracker = compiled.part_trackers[name] = LossTracker(name=name)
            tracker.to(compiled.loss_tracker.total.device)
        _set(tracker, state)
    for metric, state in zip(_own(compiled, metrics), states["own"], strict=True):
        _set(metric, state)
    if not states["compiled"]:
        return
    if compiled.metrics.built:
        _set_all(compiled.metrics.metrics, states["compiled"])
    else:
        compiled.metrics.when_built = lambda made: _set_all(made, states["compiled"])


def _own(compiled: Compiled, metrics: Sequence[Metric]) -> list[Metric]:
    of_compile = [compiled.loss_tracker, *compiled.part_trackers.values(), *compiled.metrics.metrics]
    return [metric for metric in metrics if all(metric is not known for known in of_compile)]


def _set_all(metrics: Sequence[Metric], states: Sequence[Any]) -> None:
    for metric, state in zip(metrics, states, strict=True):
        _set(metric, state)


def _get(metric: Metric) -> Any:
    if isinstance(metric, TorchMetric):
        return {"of_torch": [_get_torch(part) for part in metric._parts()]}
    kinds = [getattr(variable, "aggregation", "sum") for variable in metric.variables]
    return {"values": [convert_to_numpy(variable).copy() for variable in metric.variables], "kinds": kinds}


@torch.no_grad()
def _set(metric: Metric, state: Any) -> None:
    if isinstance(metric, TorchMetric):
        for part, own in zip(metric._parts(), state["of_torch"] if isinstance(state, dict) else state, strict=True):
            _set_torch(part, own)
        return
    values = state["values"] if isinstance(state, dict) else state  # older backups have the values alone
    if len(metric.variables) == len(values):
        _set_values(metric, values)
    elif any(value is not None for value in values):
        _set_after_first_update(metric, values)


def _set_values(metric: Metric, values: Sequence[Any]) -> None:
    """Set those that are known; the others stay as after a reset."""
    for variable, value in zip(metric.variables, values, strict=True):
        if value is not None:
            variable.copy_(torch.from_numpy(np.asarray(value)).reshape(variable.shape))


def _set_after_first_update(metric: Metric, state: Sequence[Any]) -> None:
    """Set the state of a metric that makes its variables for the first batch: update, set the state, update again."""
    update = metric.update_state

    def first(*args: Any, **kwargs: Any) -> Any:
        del metric.__dict__["update_state"]
        update(*args, **kwargs)
        if len(metric.variables) != len(state):
            raise ValueError(
                f"The state to restore holds {len(state)} values for the metric {metric.name!r}, which has "
                f"{len(metric.variables)} variables: it is not the metric of the training that was interrupted."
            )
        metric.reset_state()
        with torch.no_grad():
            _set_values(metric, state)
        return update(*args, **kwargs)

    metric.__dict__["update_state"] = first


def _get_torch(part: Any) -> State:
    values = {
        name: [convert_to_numpy(item) for item in value] if isinstance(value, list) else convert_to_numpy(value)
        for name, value in part.metric_state.items()
    }
    reductions = getattr(part, "_reductions", {})  # torchmetrics has no public name for them
    kinds = {name: getattr(reductions.get(name), "__name__", str(reductions.get(name))) for name in values}
    return {"updates": part.update_count, "values": values, "kinds": kinds, "name": type(part).__name__}


def _set_torch(part: Any, state: State) -> None:
    if state["updates"] is None and all(value is None for value in state["values"].values()):
        return
    for name, value in state["values"].items():
        if value is None:
            continue
        tensors = [
            torch.as_tensor(item, device=part.device) for item in (value if isinstance(value, list) else [value])
        ]
        setattr(part, name, tensors if isinstance(value, list) else tensors[0])
    part._update_count, part._computed = state["updates"] or 0, None
