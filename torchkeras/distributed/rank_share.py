"""The rows of the global batch that lie on this rank, and what a loss or metric must do to count for the whole batch.

Losses, metrics and layers ask `current_share()` and nothing else. In a single process it is `WHOLE`, which changes
nothing; in a step on several ranks it is the `RankShare` of that step.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import distributed

from torchkeras.core import tree
from torchkeras.distributed.rank_group import RankGroup


class WholeBatch:
    """All rows of the batch lie here: every question has the answer of a single process."""

    is_whole = True
    has_rows = True
    fraction = 1.0
    """The rows here, divided by the rows of the global batch."""
    group: RankGroup | None = None
    """The ranks that have the other rows; `None`: all of them."""

    def scale_sum(self, value: torch.Tensor) -> torch.Tensor:
        """Scale a sum over the rows here so that its mean over the ranks, weighted by rows, is the global sum."""
        return value

    def total_rows(self, rows: int) -> int:
        """The rows of the global batch of which `rows` lie here."""
        return rows

    def sum_over_ranks(self, *values: Any) -> tuple[Any, ...]:
        """Sum numbers that are sums over the rows here over all ranks. Every rank must call it."""
        return values


WHOLE = WholeBatch()


class RankShare(WholeBatch):
    """The rows `start` to `stop` of a global batch of `total` rows.

    Args:
        start: the first row that lies here.
        stop: the row behind the last one.
        total: rows of the global batch, on all ranks together.
        group: the ranks that have the other rows; `None`: all.
    """

    is_whole = False

    def __init__(self, start: int, stop: int, total: int, group: RankGroup | None = None) -> None:
        self.group = group
        self.start, self.stop, self.total = start, stop, total
        self.rows = stop - start
        self.has_rows = self.rows > 0
        self.fraction = self.rows / total if total else 0.0

    def scale_sum(self, value: torch.Tensor) -> torch.Tensor:
        return value * (self.total / self.rows) if self.rows else value

    def total_rows(self, rows: int) -> int:
        return self.total

    def sum_over_ranks(self, *values: Any) -> tuple[torch.Tensor, ...]:
        tensors = [v for v in values if isinstance(v, torch.Tensor)]
        device = tensors[0].device if tensors else None
        dtype = torch.float64 if any(v.dtype == torch.float64 for v in tensors) else torch.float32
        stacked = torch.stack([torch.as_tensor(v, dtype=dtype, device=device).detach() for v in values])
        if not self.rows:
            stacked.zero_()
        distributed.all_reduce(stacked, group=None if self.group is None else self.group.handle)
        return stacked.unbind()

    def __repr__(self) -> str:
        return f"RankShare(rows {self.start} to {self.stop} of {self.total})"


class RankBatch(NamedTuple):
    """A batch as a step receives it: the data that lie on this rank, and their share of the global batch.

    A rank without rows has the first row of the batch as a stand-in, so that it takes part; `share.has_rows` is false.
    """

    data: Any
    share: Any = WHOLE


def share_of(total: int, rank: int, world_size: int, group: RankGroup | None = None) -> RankShare:
    """The contiguous rows of one rank, as even as can be: the first ranks take the rows left over, one each."""
    size, rest = divmod(total, world_size)
    start = rank * size + min(rank, rest)
    return RankShare(start, start + size + (1 if rank < rest else 0), total, group)


def rows_of(data: Any, default: int = 1) -> int:
    """The batch size of (nested) data: the length of the first tensor that has axes; `default` without one."""
    if isinstance(data, torch.Tensor) and data.dim():
        return data.shape[0]
    for leaf in tree.flatten(data):
        shape = getattr(leaf, "shape", None)
        if shape is not None and len(shape):
            return int(shape[0])
    return default


def cut_share(data: Any, group: RankGroup) -> RankBatch:
    """One rank's rows of a global batch. A rank that would get none takes the first row, which then counts nothing.

    Parts of the data with another number of rows than the first go whole to every rank.
    """
    total = rows_of(data, 0)
    share = share_of(total, group.rank, group.size, group)
    start, stop = (share.start, share.stop) if share.rows else (0, min(1, total))

    def rows(leaf: Any) -> Any:
        if isinstance(leaf, torch.Tensor) and leaf.dim() > 0 and leaf.shape[0] == total:
            return leaf[start:stop]
        return leaf

    return RankBatch(tree.map_structure(rows, data), share)


def equal_share(data: Any, group: RankGroup) -> RankBatch:
    """A batch that this rank alone has, beside others of the same size on the other ranks: all of its rows."""
    rows = rows_of(data, 0)
    return RankBatch(data, RankShare(group.rank * rows, (group.rank + 1) * rows, group.size * rows, group))


# ---------------------------------------------------------------------------- the step in progress


class _Step(threading.local):
    def __init__(self) -> None:  # in the instance, where torch.compile can guard it
        self.share: Any = WHOLE


_step = _Step()


def current_share() -> Any:
    """The share that the step in progress computes on: a `RankShare`, or `WHOLE`."""
    return _step.share


@contextmanager
def computing(share: Any) -> Iterator[None]:
    """Inside, `current_share()` is this one."""
    before, _step.share = _step.share, share
    try:
        yield
    finally:
        _step.share = before
