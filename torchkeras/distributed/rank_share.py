"""This rank's share of the global batch, and what losses must know of the whole of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import distributed

from torchkeras.core import tree
from torchkeras.distributed import process


class Share(NamedTuple):
    """This rank's rows of a global batch."""

    start: int
    stop: int
    total: int

    @property
    def rows(self) -> int:
        return self.stop - self.start

    @property
    def weight(self) -> float:
        """The part of the global batch that lies here."""
        return self.rows / self.total if self.total else 0.0


def share_of(total: int, rank: int, world: int) -> Share:
    """Contiguous rows as even as can be; the first ranks take one more where it does not come out even."""
    size, rest = divmod(total, world)
    start = rank * size + min(rank, rest)
    return Share(start, start + size + (1 if rank < rest else 0), total)


def rows_of(data: Any) -> int:
    """The length of the first tensor with a batch axis."""
    for leaf in tree.flatten(data):
        if isinstance(leaf, torch.Tensor) and leaf.dim() > 0:
            return leaf.shape[0]
    return 0


def take_share(data: Any) -> tuple[Any, Share]:
    """This rank's rows of a batch. Where there are none it takes the first row, which then counts nothing."""
    total = rows_of(data)
    share = share_of(total, process.rank(), process.world_size())
    start, stop = (share.start, share.stop) if share.rows else (0, min(1, total))

    def rows(leaf: Any) -> Any:
        if isinstance(leaf, torch.Tensor) and leaf.dim() > 0 and leaf.shape[0] == total:
            return leaf[start:stop]
        return leaf

    return tree.map_structure(rows, data), share


def whole_share(data: Any) -> tuple[Any, Share]:
    """A batch that is this rank's alone, beside others of its size: all of it."""
    rows, rank, world = rows_of(data), process.rank(), process.world_size()
    return data, Share(rank * rows, (rank + 1) * rows, world * rows)


# ---------------------------------------------------------------------------- the step in progress


class _Step(threading.local):
    def __init__(self) -> None:  # in the instance, where torch.compile can guard it
        self.share: Share | None = None


_step = _Step()


@contextmanager
def computing(share: Share | None) -> Iterator[None]:
    """Inside, losses are those of the global batch: their mean over the ranks, weighted by rows, is its loss."""
    before, _step.share = _step.share, share
    try:
        yield
    finally:
        _step.share = before


def is_shared() -> bool:
    """Whether a step on a share of a batch is in progress."""
    return _step.share is not None


def has_rows() -> bool:
    """Whether the rows at hand count: false on a rank that got none and runs on a stand-in."""
    return _step.share is None or _step.share.rows > 0


def part() -> float:
    """The part of the global batch that is at hand."""
    return 1 if _step.share is None else _step.share.weight


def summed(value: torch.Tensor) -> torch.Tensor:
    """A sum over the rows here, scaled for the mean over the ranks by rows."""
    share = _step.share
    return value if share is None or not share.rows else value * (share.total / share.rows)


def over_ranks(*values: Any) -> tuple[torch.Tensor, ...]:
    """Numbers that are sums over the rows here, summed over all ranks. All ranks must ask."""
    device = next((v.device for v in values if isinstance(v, torch.Tensor)), None)
    stacked = torch.stack([torch.as_tensor(v, dtype=torch.float32, device=device).detach() for v in values])
    if _step.share is not None:
        if not _step.share.rows:
            stacked.zero_()
        distributed.all_reduce(stacked)
    return stacked.unbind()
