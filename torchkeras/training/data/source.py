"""The base of every kind of source: one pass, epochs of a given number of steps, a look at the first batch."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from typing import Any


class Source:
    """Batches on a device, an epoch at a time.

    An epoch is one pass over the data, or `steps` batches where steps are given: then one iterator is carried
    on from epoch to epoch, and begun anew when a pass of known length is over.

    Subclasses set `size`, `batch_size` and `num_samples` where they know them, and write `_batches`.
    """

    size: int | None = None
    """Batches in one pass; `None`: unknown or endless."""
    batch_size: int | None = None
    num_samples: int | None = None

    def __init__(self, steps: int | None = None) -> None:
        if steps is not None and steps <= 0:
            raise ValueError(f"The number of steps must be positive; received {steps}.")
        self.steps = steps
        self._running: Iterator | None = None
        self._seen = 0
        self._peeked: tuple[Any, Iterator] | None = None

    @property
    def num_batches(self) -> int | None:
        """Batches in an epoch, `None` where that is not known (yet)."""
        return self.steps or self.size

    def epoch(self, skip: int = 0) -> Iterator[Any]:
        """The batches of the next epoch, without the first `skip`."""
        batches = self._one_pass() if self.steps is None else self._carried_on(self.steps)
        return itertools.islice(batches, skip, None) if skip else batches

    def peek(self) -> Any:
        """The first batch, which the next epoch will give again.

        Raises:
            ValueError: there is none.
        """
        if self._peeked is None:
            batches = iter(self._batches())
            for first in batches:
                self._peeked = first, batches
                break
            else:
                raise ValueError(f"The data must give at least one batch; the {self.describe()} gave none.")
        return self._peeked[0]

    def close(self) -> None:
        """Let go of iterators, workers and kept batches."""
        for batches in (self._running, self._peeked and self._peeked[1]):
            if hasattr(batches, "close"):
                batches.close()
        self._running = self._peeked = None

    def describe(self) -> str:
        """What the source is made of, for messages."""
        return "data"

    def _batches(self) -> Iterator[Any]:
        """One pass over the data."""
        raise NotImplementedError(f"{type(self).__name__} must define _batches().")

    def _open(self) -> Iterator[Any]:
        if self._peeked is None:
            return iter(self._batches())
        first, rest = self._peeked
        self._peeked = None
        return itertools.chain((first,), rest)

    def _one_pass(self) -> Iterator[Any]:
        return self._open()

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
            warn_out_of_data()
        if given < left or self._seen == self.size:
            self._running = None


def warn_out_of_data() -> None:
    """Say that an epoch ended before its number of steps."""
    warnings.warn(
        "Your input ran out of data; interrupting training. Make sure that your dataset or generator can generate "
        "at least `steps_per_epoch * epochs` batches.",
        stacklevel=4,
    )
