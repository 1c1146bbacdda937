"""Everything that this package knows of torch_xla. Other files ask `core/accelerators.py`, which asks here.

torch_xla records operations and runs them later, as one graph. A graph is compiled when it is first seen, and found
again by its form. With SPMD one process works on all devices: tensors are marked as split over a mesh, and the compiler
places the computation.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch


def is_loaded() -> bool:
    """Whether this process works with torch_xla: the script has imported it, or `PJRT_DEVICE` says on what it runs."""
    return "torch_xla" in sys.modules or ("PJRT_DEVICE" in os.environ and _can_be_imported())


@cache
def _can_be_imported() -> bool:
    return importlib.util.find_spec("torch_xla") is not None


def _package(name: str = "torch_xla") -> Any:
    return importlib.import_module(name)


def device() -> torch.device:
    """The device of this process."""
    return _package().device()  # type: ignore[no-any-return]


def run_recorded() -> None:
    """Let the device run what was recorded. Python does not wait for it."""
    _package().sync()


def wait() -> None:
    """Run what was recorded, and wait until it is done."""
    _package().sync(wait=True)


def count_devices() -> int:
    """How many devices all processes have together; one process uses all of them under SPMD."""
    return int(_package("torch_xla.runtime").global_runtime_device_count())


# ---------------------------------------------------------------------------- random numbers


def random_state() -> torch.Tensor:
    """The state of the device's generator: an integer of 64 bits, as bytes."""
    state = int(_package("torch_xla.core.xla_model").get_rng_state())
    return torch.from_numpy(np.array([state], "uint64").view("uint8"))


def set_random_state(state: torch.Tensor) -> None:
    """Put the device's generator to where `random_state` found it."""
    found = state.numpy().view("uint64")[0]
    _package("torch_xla.core.xla_model").set_rng_state(int(found))


def set_seed(seed: int) -> None:
    """Seed the device's generator."""
    _package("torch_xla.core.xla_model").set_rng_state(seed % 2**62)


# ---------------------------------------------------------------------------- SPMD


def use_spmd() -> None:
    """Let this process work on all devices from now on, and copy the tensors that exist to all of them.

    It can't be undone.
    """
    runtime = _package("torch_xla.runtime")
    if not runtime.is_spmd():
        runtime.use_spmd()


def make_mesh(numbers: Sequence[int], shape: Sequence[int], names: Sequence[str]) -> Any:
    """A mesh of torch_xla of the devices with these numbers."""
    return _package("torch_xla.distributed.spmd").Mesh(np.array(numbers), tuple(shape), tuple(names))


def mark(tensor: torch.Tensor, mesh: Any, axes: Sequence[str | None]) -> None:
    """Split a tensor over a mesh, in place: for each of its axes the name of a mesh axis, or `None`."""
    spmd = _package("torch_xla.distributed.spmd")
    spmd.mark_sharding(tensor, mesh, tuple(axes))


# ---------------------------------------------------------------------------- steps


class Executions:
    """A step whose operations run as one graph, or those of several steps together.

    Args:
        step: the step, which only records operations.
        together: how many steps make a graph.
    """

    def __init__(self, step: Callable[..., Any], together: int) -> None:
        self.step = step
        self.together = together
        self._left = together
        run_recorded()  # weights and metrics as they are now are no part of the first step's graph

    def __call__(self, batch: Any) -> Any:
        """Do the step for a batch."""
        result = self.step(batch)
        self._left -= 1
        if not self._left:
            self._left = self.together
            run_recorded()
        return result
