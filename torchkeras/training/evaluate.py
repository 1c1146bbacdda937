"""The loop of `evaluate`, which validation in `fit` shares."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, NamedTuple

from torchkeras.callbacks import CallbackList
from torchkeras.core.accelerators import in_executions
from torchkeras.distributed.rank_source import RankSource
from torchkeras.distributed.step_requests import StepRequests
from torchkeras.distributed.strategies.base import Strategy
from torchkeras.reporting.logs import Logs
from torchkeras.training.placing import agree_on_weights
from torchkeras.training.ready import build, device_of, evaluating
from torchkeras.training.replayed import changes_by_itself, replaying
from torchkeras.training.results import PassResults
from torchkeras.training.run import Run
from torchkeras.training.state import TrainableModel, state_of
from torchkeras.training.step import kept_test_step


def evaluate(run: Run, callbacks: Any = None, verbose: int | str = "auto") -> dict[str, Any]:
    """The loss and the metrics over the data, with dropout off.

        build the model for the first batch; give every rank the same weights
        reset the metrics
        for each batch: forward, loss, add to the metrics       (step.py)
        read the metrics, once

    Called by a callback while an epoch of `fit` is running, it leaves the metrics of the epoch as they were.

    Args:
        run: the model, its data and its strategy.
        callbacks: the callbacks.
        verbose: as in `Model.evaluate`.
    """
    model, strategy, state = run.model, run.strategy, state_of(run.model)
    with state.in_use("evaluate"):
        build(model, run.source.peek())
        agree_on_weights(model, strategy)
        listening = run.add_callbacks(callbacks, verbose)
        listening._tk_set_exits(run.exits)
        epoch = None if state.run is None else state.run.results
        with nullcontext() if epoch is None else epoch.preserved():
            logs = evaluate_pass(model, strategy, run.source, listening)
    run.source.close()
    return logs or {}


class StepsOfValidation(NamedTuple):
    """The requests of a training that validates now, after all batches of its epoch.

    Attributes:
        requests: requests to do something after the running batch.
        step: how many batches of the epoch the training did.
    """

    requests: StepRequests
    step: int

    def after_batch(self) -> bool:
        """Count a batch of the validation, and answer what was asked; whether there was anything."""
        self.requests.count_batch()
        if not self.requests.due:
            return False
        self.requests.after_batch(self.step)
        return True


def evaluate_pass(
    model: TrainableModel,
    strategy: Strategy,
    source: RankSource,
    callbacks: CallbackList,
    steps: StepsOfValidation | None = None,
) -> dict[str, Any] | None:
    """One pass over the batches; the values by name, `None` if there was no batch.

    Args:
        model: the model.
        strategy: how the ranks work together.
        source: the batches.
        callbacks: the callbacks.
        steps: the requests of a training that validates.
    """
    vars(model).pop("stop_evaluating", None)
    callbacks.on_test_begin()
    results = PassResults(model, strategy)
    results.begin()
    watched, lazily = callbacks.watches_test_batches, callbacks.only_progress_watches
    compiled = kept_test_step(model, strategy)
    acts = callbacks.acts_on_test_batches
    look_each = source.runs_other_code or acts or changes_by_itself(model, compiled, "test")
    compiled.check_guards(look_each)
    step = replaying(model, strategy, compiled, "test", device_of(model), acts, source.runs_other_code)
    run_step = strategy.runner(step, lambda: model.metrics)
    group = model.steps_per_execution
    run_step = in_executions(run_step, device_of(model), group)
    with evaluating(model):
        for index, batch in enumerate(source.epoch()):
            if watched and not index % group:
                callbacks.on_test_batch_begin(index)
            logs = run_step(batch)
            results.batches += 1
            if logs is not None:
                results.add(logs, batch)
            ends = not results.batches % group
            if watched and ends:
                callbacks.on_test_batch_end(index, results.batch_logs(lazily))
            if steps is not None and steps.after_batch():
                compiled.check_guards(look_each)
            if ends and getattr(model, "stop_evaluating", False) and strategy.stops_between_batches:
                break
        if watched and results.batches % group:  # the rest of a group
            callbacks.on_test_batch_end(results.batches - 1, results.batch_logs(lazily))
        values = results.read()
    callbacks.on_test_end(Logs(values))
    return values if results.batches else None
