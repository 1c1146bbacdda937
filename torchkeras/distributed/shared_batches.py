"""A source of batches, shared out among the ranks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.utils.data.distributed import DistributedSampler

from torchkeras.distributed import process, randomness
from torchkeras.distributed.rank_share import Share, take_share, whole_share

_END = object()


def share_out(source: Any, draws_at_start: bool = False, training: bool = False) -> Any:
    """The source itself in a single process; under several, one that gives pairs of data and `Share`.

    Args:
        draws_at_start: whether a pass over the source draws random numbers at its start alone.
        training: whether layers draw random numbers too, which are to differ from rank to rank.
    """
    return SharedSource(source, draws_at_start, training) if process.is_joined() else source


class SharedSource:
    """Each batch of a source, which all ranks see alike, cut into their shares.

    A loader with a `DistributedSampler` gives each rank batches of its own; they are left as they are.
    """

    def __init__(self, source: Any, draws_at_start: bool = False, training: bool = False) -> None:
        self.source = source
        self.draws_at_start = draws_at_start and source.steps is None
        self.training = training
        self.sampler = distributed_sampler(getattr(source, "iterable", None))
        self._generators = [] if self.sampler is not None else _own_generators(getattr(source, "iterable", None))
        self._random = randomness.DataRandomness()
        self._epoch = 0
        self._arrived: Callable[[], None] | None = None

    @property
    def num_batches(self) -> int | None:
        return self.source.num_batches

    @property
    def is_sharded(self) -> bool:
        """Whether each rank has batches of its own."""
        return self.sampler is not None

    def peek(self) -> Any:
        """The first batch, all of it."""
        self._agree()
        with self._random:
            return self.source.peek()

    def batch_sizes(self) -> tuple[int, int]:
        """Rows of a batch on all ranks together, and on one."""
        size = getattr(self.source, "batch_size", None)
        _, share = (whole_share if self.is_sharded else take_share)(torch.empty(size) if size else self.peek())
        return share.total, share.rows

    def epoch(self, skip: int = 0) -> Iterator[tuple[Any, Share]]:
        """Pairs of this rank's data and `Share`."""
        self._agree()
        if self.sampler is not None and self.training:
            self.sampler.set_epoch(self._epoch)
        self._epoch += 1
        with self._random:  # a pass that is opened notes the random state of the data
            batches = self.source.epoch(skip)
        if self._arrived is not None:
            self._arrived()
            self._arrived = None
        cut = whole_share if self.is_sharded else take_share
        try:
            data = self._first(batches)
            while data is not _END:
                yield cut(data)
                data = next(batches, _END) if self.draws_at_start else self._first(batches)
        finally:
            if hasattr(batches, "close"):
                batches.close()

    @property
    def inexact(self) -> str | None:
        """Why a place in the data can't be returned to exactly; `None`: it can."""
        return self.source.inexact

    def keep_place(self) -> None:
        """See `Source.keep_place`."""
        self.source.keep_place()

    def place(self, step: int) -> dict[str, Any]:
        """See `Source.place`; with the number of the epoch, by which a `DistributedSampler` shuffles."""
        return {"source": self.source.place(step), "epoch": self._epoch - 1 if step else self._epoch}

    def go_to(self, place: dict[str, Any], arrived: Callable[[], None]) -> None:
        """See `Source.go_to`; `arrived` is for the generators of this rank, not for those of the data."""
        self._epoch = place["epoch"]
        self._arrived = arrived
        self.source.go_to(place["source"], lambda: None)

    def close(self) -> None:
        self.source.close()
        randomness.finish()

    def _first(self, batches: Iterator) -> Any:
        with self._random:
            return next(batches, _END)

    def _agree(self) -> None:
        self._random.agree(apart=self.training)
        for generator in self._generators:
            generator.set_state(process.broadcast_object(generator.get_state()))


def distributed_sampler(loader: Any) -> Any:
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
