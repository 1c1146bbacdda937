"""The strategies, a row each; the first one that is wanted is used."""

from __future__ import annotations

from torchkeras.distributed import process
from torchkeras.distributed.distributions import distribution
from torchkeras.distributed.mesh import check_world_size
from torchkeras.distributed.strategies.base import Strategy
from torchkeras.distributed.strategies.data_parallel import DataParallel
from torchkeras.distributed.strategies.fully_sharded import FullyShardedDataParallel
from torchkeras.distributed.strategies.model_parallel import ModelParallel
from torchkeras.distributed.strategies.spmd import Spmd

STRATEGIES: dict[str, type[Strategy]] = {
    "spmd": Spmd,
    "model_parallel": ModelParallel,
    "fully_sharded": FullyShardedDataParallel,
    "data_parallel": DataParallel,
    "single": Strategy,
}


def choose() -> Strategy:
    """Join the processes that `torchrun` started, if it did, and return the strategy for them.

    Raises:
        RuntimeError: the distribution that was set is for another number of processes.
    """
    process.join()
    chosen = distribution()
    if chosen is not None and not process.is_single():
        check_world_size(chosen.device_mesh)
    return current()


def current() -> Strategy:
    """The strategy for the processes as they are now."""
    return next(strategy for strategy in STRATEGIES.values() if strategy.is_wanted())()
