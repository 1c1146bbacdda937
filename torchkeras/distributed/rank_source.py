"""Sources of batches as a strategy hands them to the loop: `RankBatch`es of what lies on this rank."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import torch
from torch.utils.data.distributed import DistributedSampler

from torchkeras.distributed import process, randomness
from torchkeras.distributed.rank_group import RankGroup, all_ranks
from torchkeras.distributed.rank_share import RankBatch, cut_share, equal_share

_END = object()


class BatchSource(Protocol):
    """A source of global batches, see `training/data/source.py`."""

    steps: int | None
    batch_size: int | None

    @property
    def num_batches(self) -> int | None:
        """Batches per epoch, `None` where that is not known (yet)."""

    def peek(self) -> Any:
        """The first batch, which the next epoch gives again."""

    def epoch(self, skip: int = 0) -> Iterator[Any]:
        """The batches of the next epoch, without the first `skip`."""

    @property
    def inexact(self) -> str | None:
        """Why a place in the data can't be returned to exactly; `None`: it can."""

    def keep_place(self) -> None:
        """From now on note what `place` needs."""

    def place(self, step: int) -> dict[str, Any]:
        """The place in the data after `step` batches of the running epoch, as plain data."""

    def go_to(self, place: dict[str, Any], arrived: Callable[[], None]) -> None:
        """Let the next epoch begin at a place that `place` gave."""

    def close(self) -> None:
        """Let go of iterators, workers and kept batches."""


class RankSource:
    """The batches of a source in a single process: all of each batch.

    Args:
        source: the source.
        training: whether the batches are for training.
    """

    is_sharded = True
    """Whether each rank has batches of its own, so that outputs need no gathering."""

    def __init__(self, source: BatchSource, training: bool = False) -> None:
        self.source = source
        self.training = training
        self._epoch = 0

    @property
    def num_batches(self) -> int | None:
        """Batches per epoch, `None` where that is not known (yet)."""
        return self.source.num_batches

    @property
    def can_end(self) -> bool:
        """Whether the data can be had once: an iterator, say a generator, that goes on in the next epoch."""
        return getattr(self.source, "once", False)

    @property
    def runs_other_code(self) -> bool:
        """Whether code of the user's may run while a batch is made: not where batches are cut from arrays in memory."""
        return getattr(self.source, "makes_batches", True)

    def is_used_up(self, given: int) -> bool:
        """Whether an epoch of so many batches shows that the data ended: they can be had once, and were too few."""
        return self.can_end and self.source.steps is not None and given < self.source.steps

    def peek(self) -> Any:
        """The first global batch.

        Raises:
            ValueError: there is none.
        """
        return self.source.peek()

    def epoch(self, skip: int = 0) -> Iterator[RankBatch]:
        """The batches of the next epoch, without the first `skip`."""
        self._epoch += 1
        return map(RankBatch, self.source.epoch(skip))

    @property
    def inexact(self) -> str | None:
        """Why a place in the data can't be returned to exactly; `None`: it can."""
        return self.source.inexact

    def keep_place(self) -> None:
        """From now on note what `place` needs, see `Source.keep_place`."""
        self.source.keep_place()

    def place(self, step: int) -> dict[str, Any]:
        """The place in the data after `step` batches of the running epoch, as plain data.

        It has the number of the epoch, by which a `DistributedSampler` shuffles.
        """
        return {"source": self.source.place(step), "epoch": self._epoch - 1 if step else self._epoch}

    def go_to(self, place: dict[str, Any], arrived: Callable[[], None]) -> None:
        """Let the next epoch begin at a place; `arrived` is called when it is reached, before its next batch."""
        self._epoch = place.get("epoch", 0)
        self.source.go_to(place.get("source", place), arrived)  # older backups of one process have the source's alone

    def close(self) -> None:
        """Let go of iterators, workers and kept batches."""
        self.source.close()


class SharedSource(RankSource):
    """Each batch of a source, which all ranks see alike, cut into the shares of the ranks.

    A loader with a `DistributedSampler` gives each rank batches of its own; they are left as they are.

    Args:
        source: the source.
        training: whether the batches are for training.
        group: the ranks that share out each batch.
        whole_batches: whether the source gives every rank the same batches.
    """

    is_sharded = False

    def __init__(
        self, source: BatchSource, training: bool = False, group: RankGroup | None = None, whole_batches: bool = True
    ) -> None:
        super().__init__(source, training)
        self.group = group or all_ranks()
        # A pass that draws random numbers at its start alone needs the common stream of numbers only there.
        self.draws_at_start = getattr(source, "draws_at_start", False) and source.steps is None
        self.sampler = distributed_sampler(getattr(source, "iterable", None))
        self.is_sharded = self.sampler is not None or not whole_batches
        self._generators = [] if self.is_sharded else _own_generators(getattr(source, "iterable", None))
        self._random = randomness.DataRandomness()
        self._arrived: Callable[[], None] | None = None

    @property
    def _cut(self) -> Callable[[Any, RankGroup], RankBatch]:
        return equal_share if self.is_sharded else cut_share

    def peek(self) -> Any:
        self._agree()
        with self._random:
            return self.source.peek()

    def batch_sizes(self) -> tuple[int, int]:
        """Rows of a batch on all ranks together, and on this one."""
        size = getattr(self.source, "batch_size", None)
        share = self._cut(torch.empty(size) if size else self.peek(), self.group).share
        return share.total, share.rows

    def epoch(self, skip: int = 0) -> Iterator[RankBatch]:
        self._agree()
        if self.sampler is not None and self.training:
            self.sampler.set_epoch(self._epoch)
        self._epoch += 1
        with self._random:  # a pass that is opened notes the random state of the data
            batches = self.source.epoch(skip)
        if self._arrived is not None:
            self._arrived()
            self._arrived = None
        cut, group = self._cut, self.group
        try:
            data = self._first(batches)
            while data is not _END:
                yield cut(data, group)
                data = next(batches, _END) if self.draws_at_start else self._first(batches)
        finally:
            if hasattr(batches, "close"):
                batches.close()

    def go_to(self, place: dict[str, Any], arrived: Callable[[], None]) -> None:
        """Let the next epoch begin at a place; `arrived` is for the generators of this rank, not for the data's."""
        self._arrived = arrived
        super().go_to(place, lambda: None)

    def close(self) -> None:
        self.source.close()
        randomness.finish()

    def _first(self, batches: Iterator) -> Any:
        with self._random:
            return next(batches, _END)

    def _agree(self) -> None:
        self._random.agree(self.group.rank if self.training else 0)
        for generator in self._generators:
            generator.set_state(process.broadcast_object(generator.get_state()))


def distributed_sampler(loader: Any) -> DistributedSampler | None:
    """The sampler by which a loader gives each rank its own samples, if it has one."""
    batch_sampler = getattr(loader, "batch_sampler", None)
    for sampler in (getattr(loader, "sampler", None), batch_sampler, getattr(batch_sampler, "sampler", None)):
        if isinstance(sampler, DistributedSampler):
            return sampler
    return None


def _own_generators(loader: Any) -> list[torch.Generator]:
    """Generators that a loader was given beside torch's global one."""
    owners = (loader, getattr(loader, "sampler", None))
    found = [g for owner in owners if isinstance(g := getattr(owner, "generator", None), torch.Generator)]
    return list({id(g): g for g in found}.values())
