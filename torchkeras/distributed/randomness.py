"""Random numbers under several processes: those of the data are the same on all ranks, those of layers differ."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch

from torchkeras.core import accelerators
from torchkeras.distributed import process

State = tuple[torch.Tensor, Any, Any]


def capture() -> State:
    """The states of torch's (CPU), NumPy's and Python's own generators."""
    return torch.get_rng_state(), np.random.get_state(), random.getstate()


def restore(state: State) -> None:
    torch.set_rng_state(state[0])
    np.random.set_state(state[1])
    random.setstate(state[2])


def same(a: State, b: State) -> bool:
    return (
        a[2] == b[2]
        and a[1][2] == b[1][2]
        and np.array_equal(a[1][1], b[1][1])
        and a[1][3:] == b[1][3:]
        and torch.equal(a[0], b[0])
    )


class DataRandomness:
    """The stream of random numbers that the data are drawn with: rank 0's, on every rank.

    Inside the context the process's generators are that stream. As long as nobody else draws from them they stay so;
    from the first draw of a layer on there are two streams, for layers draw for shares of different sizes.
    """

    def __init__(self) -> None:
        self.state: State | None = None
        self._own: State | None = None

    def agree(self, apart: int = 0) -> None:
        """Take rank 0's generators as they are now.

        Args:
            apart: layers of ranks with another number draw other random numbers; those with 0 draw rank 0's.
        """
        first = self.state is None
        self.state = process.broadcast_object(capture())
        if first:
            restore(self.state)
            if apart:
                torch.manual_seed(_seed_after(self.state[0]) + apart)

    def __enter__(self) -> None:
        own = capture()
        self._own = None
        if not same(own, self.state):  # type: ignore[arg-type]
            self._own = own
            restore(self.state)  # type: ignore[arg-type]

    def __exit__(self, *error: Any) -> None:
        self.state = capture()
        if self._own is not None:
            restore(self._own)


def finish() -> None:
    """Let all ranks go on with rank 0's generators: what a script draws next is the same everywhere."""
    state, of_device = process.broadcast_object((capture(), accelerators.random_state()))
    restore(state)
    if of_device is not None:
        accelerators.set_random_state(of_device)


def _seed_after(state: torch.Tensor) -> int:
    """A seed that the state of a generator determines; the generator stays where it is."""
    generator = torch.Generator()
    generator.set_state(state)
    return int(torch.empty((), dtype=torch.int64).random_(2**62, generator=generator))
