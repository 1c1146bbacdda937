"""The base of every kind of source: one pass, epochs of a given number of steps, a look at the first batch."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from torchkeras.core import random_state
from torchkeras.core.user_warnings import warn_user
from torchkeras.training.data.object_state import ObjectState, State

_CONSEQUENCES = {
    "training": "interrupting training. Make sure that your dataset or generator can generate at least "
    "`steps_per_epoch * epochs` batches.",
    "validation": "this validation has {given} batches. Training goes on; it is no longer validated once a generator "
    "has ended. Make sure that your validation data can generate at least `validation_steps` batches "
    "each time that they are used.",
    "evaluation": "the result is that of {given} batches. Make sure that your dataset or generator can generate at "
    "least `steps` batches.",
}


class Source:
    """Batches on a device, an epoch at a time.

    An epoch is one pass over the data, or `steps` batches where steps are given: then one iterator is carried
    on from epoch to epoch, and a new one is opened when a pass of known length is over. Validation begins at the start
    of the data each time, so that its values can be compared; only an iterator, which can't begin again, goes on.

    A place in the data can be kept as plain data and returned to, also in another process: a pass is opened again with
    the random state that it was opened with, and the batches that were given already are left out.

    Subclasses set `size`, `batch_size` and `num_samples` where they know them, and write `_batches`.

    Args:
        steps: batches per epoch; default: all of a pass.

    Raises:
        ValueError: `steps` is not a positive integer.
    """

    size: int | None = None
    """Batches in one pass; `None`: unknown or endless."""
    batch_size: int | None = None
    draws_at_start = False
    """Whether a pass draws random numbers at its start alone."""
    num_samples: int | None = None
    makes_batches = True
    """Whether making a batch may take long: it is read or computed, not cut from an array in memory."""

    purpose = "training"
    """The purpose of the batches: `"training"`, `"validation"` or `"evaluation"`."""
    once = False
    """Whether the data can be had once: an iterator, which goes on in the next epoch."""
    inexact: str | None = None
    """Why a place in the data can't be returned to exactly; `None`: it can."""

    def __init__(self, steps: int | None = None) -> None:
        whole = isinstance(steps, (int, np.integer)) and not isinstance(steps, bool) and steps > 0
        if steps is not None and not whole:
            raise ValueError(f"The number of steps must be a positive integer; received {steps!r}.")
        self.steps = steps
        self._objects: list[ObjectState] = []
        self._keeps_place = False
        self._start: State | None = None  # the random state and the objects' states when the running pass was opened
        self._goal: tuple[State, Callable[[], None]] | None = None
        self._running: Iterator | None = None
        self._seen = 0
        self._peeked: tuple[Any, Iterator] | None = None

    @property
    def num_batches(self) -> int | None:
        """Batches in an epoch, `None` where that is not known (yet)."""
        return self.steps or self.size

    def epoch(self, skip: int = 0) -> Iterator[Any]:
        """The batches of the next epoch, without the first `skip`; after `go_to`, those from there on."""
        if self._goal is not None:
            (place, arrived), self._goal = self._goal, None
            return self._resumed(place, arrived, skip)
        batches = self._next_epoch()
        return itertools.islice(batches, skip, None) if skip else batches

    def peek(self) -> Any:
        """The first batch, which the next epoch will give again.

        Raises:
            ValueError: there is none.
        """
        if self._peeked is None:
            self._start = self._state_now()
            batches = iter(self._batches())
            for first in batches:
                self._peeked = first, batches
                break
            else:
                raise ValueError(f"The data must give at least one batch; the {self.describe()} gave none.")
        return self._peeked[0]

    # ------------------------------------------------------------------ places in the data

    def keep_place(self) -> None:
        """From now on note with what random state each pass is opened, which `place` needs."""
        self._keeps_place = True

    def place(self, step: int) -> State:
        """The place in the data after `step` batches of the running epoch, 0 between epochs, as plain data."""
        given = step if self.steps is None else self._seen if self._running is not None else 0
        if given and self._start is not None:
            return {"given": given, **self._start}
        return {"given": 0, "objects": self._objects_now()}

    def go_to(self, place: State, arrived: Callable[[], None]) -> None:
        """Let the next epoch begin at a place that `place` gave.

        Args:
            place: what `place(step)` returned.
            arrived: called when a place within an epoch is reached, before its next batch is made.
        """
        self._goal = place, arrived
        self.close()

    def _state_now(self) -> State:
        return {"random": random_state.capture(), "objects": self._objects_now()}

    def _objects_now(self) -> list[State]:
        return [found.get() for found in self._objects]

    def _set_objects(self, states: list[State]) -> None:
        for found, state in zip(self._objects, states):
            found.set(state)

    def _resumed(self, place: State, arrived: Callable[[], None], step: int) -> Iterator[Any]:
        """An epoch from a place on, of which `step` batches are done."""
        if not place["given"]:
            self._set_objects(place["objects"])
            return self._next_epoch()
        before = random_state.capture()
        batches = self._reopened(place)
        if step:
            arrived()
        else:
            random_state.restore(before)
        if self.steps is None:
            return self._one_pass(batches, step)
        self._running, self._seen = batches, place["given"]
        return self._carried_on(self.steps - step)

    def _reopened(self, place: State) -> Iterator[Any]:
        """The rest of the pass that a place lies in."""
        self._set_objects(place["objects"])
        random_state.restore(place["random"])
        self._before_reopening(place)
        batches = self._open()
        self._start = {name: value for name, value in place.items() if name != "given"}
        for _ in itertools.islice(batches, place["given"]):
            pass
        return batches

    def _before_reopening(self, place: State) -> None:
        """Called when the random state is that of the opening."""

    # ------------------------------------------------------------------ passes

    def close(self) -> None:
        """Let go of iterators, workers and kept batches."""
        for batches in (self._running, self._peeked and self._peeked[1]):
            if hasattr(batches, "close"):
                batches.close()
        self._running = self._peeked = None

    def warn_out_of_data(self, given: int) -> None:
        """Warn that an epoch ended before its number of steps, and say what follows from it.

        Args:
            given: the batches that the epoch had.
        """
        wanted = "" if self.steps is None else f" of {self.steps}"
        owner = "validation data" if self.purpose == "validation" else "input"
        warn_user(f"Your {owner} ran out of data; {_CONSEQUENCES[self.purpose].format(given=f'{given}{wanted}')}")

    def set_batch_size(self, size: int) -> bool:
        """Make batches of another size from now on, if the source makes its batches itself; whether it does.

        Args:
            size: rows per batch.
        """
        return False

    def describe(self) -> str:
        """The data of the source, for messages."""
        return "data"

    def faster(self, device: torch.device) -> str:
        """Return an advice that makes batches come sooner.

        Args:
            device: the device of the model's weights.
        """
        return (
            "Make the batches in other processes: put the data into a torch Dataset, and give fit() a "
            "DataLoader(dataset, batch_size, num_workers=...) of it."
        )

    def _batches(self) -> Iterator[Any]:
        """One pass over the data."""
        raise NotImplementedError(f"{type(self).__name__} must define _batches().")

    def _open(self) -> Iterator[Any]:
        if self._peeked is None:
            if self._keeps_place:
                self._start = self._state_now()
            return iter(self._batches())
        first, rest = self._peeked
        self._peeked = None
        return itertools.chain((first,), rest)

    def _next_epoch(self) -> Iterator[Any]:
        if self.steps is None:
            return self._one_pass()
        if self._starts_over:
            self._running = None
        return self._carried_on(self.steps)

    @property
    def _starts_over(self) -> bool:
        """Whether each epoch begins at the start of the data, also after one that left batches."""
        return self.purpose == "validation" and not self.once

    def _one_pass(self, batches: Iterator[Any] | None = None, given: int = 0) -> Iterator[Any]:
        """The batches of a pass that may be open already, with `given` of them gone."""
        return self._open() if batches is None else batches

    def _carried_on(self, steps: int) -> Iterator[Any]:
        if self._running is None:
            self._running, self._seen = self._open(), 0
        left = steps if self.size is None else min(steps, self.size - self._seen)
        given = 0
        for data in itertools.islice(self._running, left):
            self._seen += 1
            given += 1
            yield data
        if given < steps:
            self.warn_out_of_data(given)
        if given < left or self._seen == self.size or self._starts_over:
            self._running = None
