"""A training in progress as callbacks see it that keep and restore it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, Protocol

from torchkeras.distributed.step_requests import StepRequests

State = dict[str, Any]  # plain data: numbers, strings, lists, dicts and arrays


class Source(Protocol):
    """The data of a training, with places that can be kept and returned to."""

    @property
    def num_batches(self) -> int | None:
        """Batches per epoch; `None`: not known."""

    @property
    def inexact(self) -> str | None:
        """Why a place in the data can't be returned to exactly; `None`: it can."""

    def keep_place(self) -> None:
        """Note from now on what `place` needs."""

    def place(self, step: int) -> State:
        """The place after `step` batches of the running epoch, 0 between epochs."""

    def go_to(self, place: State, arrived: Callable[[], None]) -> None:
        """Let the next epoch begin there; `arrived` is called before its first batch is made."""


class Run(Protocol):
    """The call of `fit` in progress.

    Attributes:
        source: the data.
        requests: requests to do something after the running batch. Their `answer` is to be set in `on_train_begin`.
        exits: functions that are called when the training ends, also by an error.
        epochs: the number of the last epoch.
        validation: the data to validate on, or `None`.
        initial_epoch: the first epoch, counted from 0. To be set in `on_train_begin`.
        initial_step: how many batches of that epoch are done already. To be set in `on_train_begin`.
    """

    source: Source
    requests: StepRequests
    exits: ExitStack
    epochs: int
    validation: Source | None
    initial_epoch: int
    initial_step: int

    def logs(self) -> dict[str, Any]:
        """The loss and the metrics of the epoch so far, of this rank."""

    def get_state(self) -> State:
        """The results of the epoch so far: the states of the metrics."""

    def set_states(self, states: Sequence[State]) -> None:
        """The inverse of `get_state`, from the states of all ranks, which may have been others; after a reset."""

    def is_shared_as(self, states: Sequence[State]) -> bool:
        """Whether the ranks are as many as those of which these are the states, and have the same shares."""
