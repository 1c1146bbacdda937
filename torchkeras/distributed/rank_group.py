"""Groups of ranks: all of them, or those along an axis of a mesh."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import distributed

from torchkeras.distributed import process


class RankGroup(NamedTuple):
    """Some of the ranks, this one among them.

    Attributes:
        rank: the number of this rank within the group.
        size: how many ranks there are.
        handle: torch's process group; `None` is all processes.
    """

    rank: int
    size: int
    handle: distributed.ProcessGroup | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> RankGroup:
        return self  # a copy of a model talks to the same ranks


def all_ranks() -> RankGroup:
    """All processes that are joined; this one alone without others."""
    return RankGroup(process.rank() if process.is_joined() else 0, process.world_size())


def along(mesh: Any, axis: int) -> RankGroup:
    """The ranks that differ from this one along one axis of torch's mesh only."""
    return RankGroup(mesh.get_local_rank(axis), mesh.size(axis), mesh.get_group(axis))
