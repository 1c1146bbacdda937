"""`Run`: one call of `fit`, `evaluate` or `predict`, with everything that belongs to it."""

from __future__ import annotations

from collections.abc import Container, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np

from torchkeras.callbacks import CallbackList
from torchkeras.core.types import Nest
from torchkeras.distributed import is_main_process, rank, world_size
from torchkeras.distributed.rank_source import RankSource
from torchkeras.distributed.strategies.base import Strategy
from torchkeras.training.compile import metric_states
from torchkeras.training.compile.merged_states import merged, merged_results
from torchkeras.training.data import make_source, unpack_x_y_sample_weight
from torchkeras.training.ready import device_of, names_of_parts
from torchkeras.training.results import PassResults
from torchkeras.training.state import TrainableModel, compiled_of, state_of
from torchkeras.training.waiting import WaitMeter


class Run:
    """One call of `fit`, `evaluate` or `predict`.

    Args:
        model: the model.
        strategy: how the ranks work together.
        source: the batches.
        epochs: the number of the last epoch.
        initial_epoch: the first epoch.
        validation: the batches to validate on.
        validation_freq: after how many epochs to validate, or after which ones.
    """

    def __init__(
        self,
        model: TrainableModel,
        strategy: Strategy,
        source: RankSource,
        epochs: int = 1,
        initial_epoch: int = 0,
        validation: RankSource | None = None,
        validation_freq: int | Container[int] = 1,
    ) -> None:
        self.model = model
        self.strategy = strategy
        self.source = source
        for name, value in (("epochs", epochs), ("initial_epoch", initial_epoch)):
            if not isinstance(value, (int, np.integer)):
                raise TypeError(f"fit() takes an integer as {name}; received {value!r}.")
        self.epochs = epochs
        self.initial_epoch = initial_epoch
        self.initial_step = 0
        """Batches of the initial epoch that are done. With `initial_epoch` the point to resume from: a callback may
        set both in `on_train_begin`."""
        self.validation = validation
        self.validation_freq = validation_freq
        self.waiting: WaitMeter | None = None
        """Measures the first epoch's waits for data, where those may be long."""
        self.results: PassResults | None = None
        """The results of the steps of the pass in progress."""
        self.requests = strategy.step_requests()
        """Requests to do something after the running batch, which a callback may make and answer."""
        self.exits = ExitStack()
        """Functions that callbacks want called when the call ends, also by an error."""

    def add_callbacks(self, callbacks: Any, verbose: int | str, add_history: bool = False) -> CallbackList:
        """The callbacks of this call, with a progress bar where one is wanted; a `CallbackList` stays as it is."""
        if isinstance(callbacks, CallbackList):
            return callbacks
        return CallbackList(
            callbacks,
            add_history=add_history,
            add_progbar=verbose != 0 and is_main_process(),
            model=self.model,
            verbose=verbose,
            epochs=self.epochs,
            steps=self.source.num_batches,
        )

    def is_validation_due(self, epoch: int) -> bool:
        """Whether to validate after this epoch (counted from 0)."""
        if self.validation is None:
            return False
        if isinstance(self.validation_freq, int):
            return (epoch + 1) % self.validation_freq == 0
        return epoch + 1 in self.validation_freq

    def hold_trainable(self) -> None:
        """Keep training the weights noted by `compile()`, whatever a callback set `trainable` to."""
        snapshot = state_of(self.model).snapshot
        if snapshot is not None:
            snapshot.hold()

    # -- for a backup within an epoch

    def logs(self) -> dict[str, Any]:
        """The loss and the metrics of the epoch so far, of this rank."""
        return {} if self.results is None else self.results.batch_logs(False)

    def get_state(self) -> dict[str, Any]:
        """The states of the metrics and what the steps of the epoch gave so far, as plain data."""
        compiled = compiled_of(self.model, "fit")
        results = {} if self.results is None else self.results.get_state()
        metrics = metric_states.get_states(compiled, self.model.metrics)
        return {"metrics": metrics, "results": results, "share": self._share()}

    def _share(self) -> list[int]:
        """The number of this rank's share of each batch, and how many shares there are."""
        return [self.strategy.group.rank, self.strategy.group.size]

    def is_shared_as(self, states: Sequence[dict[str, Any]]) -> bool:
        """Whether the ranks are as many as those of which these are the states, and have the same shares."""
        return len(states) == world_size() and list(states[rank()].get("share", self._share())) == self._share()

    def set_states(self, states: Sequence[dict[str, Any]]) -> None:
        """Go on from the states that `get_state` gave on all ranks, which may have been others."""
        if self.is_shared_as(states):
            self._set_state(states[rank()])
            return
        by_share = {state.get("share", [i])[0]: state for i, state in reversed(list(enumerate(states)))}
        different = [by_share[share] for share in sorted(by_share)]
        is_first = self.strategy.group.rank == 0
        metrics = merged([state["metrics"] for state in different], is_first)
        self._set_state({"metrics": metrics, "results": merged_results([s["results"] for s in different], is_first)})

    def _set_state(self, state: dict[str, Any]) -> None:
        results = state["results"]
        if not results or results.get("values") is None:  # else the metrics were read already
            metric_states.set_states(compiled_of(self.model, "fit"), self.model.metrics, state["metrics"])
        if results and self.results is not None:
            self.results.set_state(results)


def check_validation_freq(frequency: Any) -> None:
    """Refuse a `validation_freq` of the wrong kind.

    Raises:
        ValueError: it is neither a positive integer nor a collection of epochs.
    """
    counts = isinstance(frequency, int) and not isinstance(frequency, bool) and frequency > 0
    if not counts and not isinstance(frequency, (list, tuple, set, range)):
        raise ValueError(
            f"validation_freq must be a positive integer or a list of epochs (from 1); received {frequency!r}."
        )


def evaluation_source(
    model: TrainableModel,
    strategy: Strategy,
    data: Nest[Any],
    batch_size: int | None = None,
    steps: int | None = None,
    purpose: str = "evaluation",
) -> RankSource:
    """The batches of `(x, y, sample_weight)` or of another kind of data, in order, as this rank has them.

    Args:
        model: the model.
        strategy: how the ranks work together.
        data: the data.
        batch_size: rows per batch, of arrays. Default: 32.
        steps: batches. Default: all.
        purpose: what the batches are for, for messages: `"evaluation"` or `"validation"`.
    """
    x, y, sample_weight = (
        unpack_x_y_sample_weight(tuple(data)) if isinstance(data, (list, tuple)) else (data, None, None)
    )
    source = make_source(
        x,
        y,
        sample_weight,
        batch_size=batch_size,
        steps=steps,
        shuffle=False,
        device=device_of(model),
        **names_of_parts(model),
    )
    source.purpose = purpose
    return strategy.source(source)
