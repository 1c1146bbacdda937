"""Data of which only the first batches are used."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any


class FirstBatches:
    """The first batches of a source; all else is the source's.

    Args:
        source: the source, see `distributed/rank_source.py`.
        limit: number of batches.
        repeats: whether every epoch has the batches of the first epoch, which are kept.
    """

    def __init__(self, source: Any, limit: int, repeats: bool = False) -> None:
        self._source = source
        self._limit = limit
        self._repeats = repeats
        self._kept: list[Any] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    @property
    def num_batches(self) -> int | None:
        """Batches per epoch; `None`: not known."""
        found = self._source.num_batches
        return found if found is None else min(found, self._limit)

    @property
    def can_end(self) -> bool:
        """Whether the data can be had once."""
        return self._source.can_end and not self._repeats

    def epoch(self, skip: int = 0) -> Iterator[Any]:
        """The batches of the next epoch, without the first `skip`.

        Args:
            skip: number of batches to leave out. Default: `0`.
        """
        if not self._repeats:
            return itertools.islice(self._source.epoch(skip), max(self._limit - skip, 0))
        if self._kept is None:
            self._kept = list(itertools.islice(self._source.epoch(), self._limit))
        return iter(self._kept[skip:])
