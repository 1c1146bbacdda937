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
import warnings
from collections.abc import Callable, MutableMapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from torch.utils.weak import WeakIdKeyDictionary


def is_loaded() -> bool:
    """Whether this process works with torch_xla: the script has imported it, or `PJRT_DEVICE` says on what it runs."""
    return "torch_xla" in sys.modules or ("PJRT_DEVICE" in os.environ and _can_be_imported())


@cache
def start() -> None:
    """Let torch know the device: autograd's engine asks once, at the first backward pass, which may be the CPU's."""
    count_devices()  # to ask for the device would rule out SPMD


@cache
def _can_be_imported() -> bool:
    return importlib.util.find_spec("torch_xla") is not None


def _package(name: str = "torch_xla") -> Any:
    return importlib.import_module(name)


def device() -> torch.device:
    """The device of this process."""
    _seed_now()
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
    _seed_now()
    state = int(_package("torch_xla.core.xla_model").get_rng_state())
    return torch.from_numpy(np.array([state], "uint64").view("uint8"))


def set_random_state(state: torch.Tensor) -> None:
    """Put the device's generator to where `random_state` found it."""
    found = state.numpy().view("uint64")[0]
    _package("torch_xla.core.xla_model").set_rng_state(int(found))


_is_seeded = False
_seeds: list[int] = []
"""The seed that the device's generator gets when the device is first used: until then SPMD can be chosen."""


def set_seed(seed: int) -> None:
    """Seed the device's generator."""
    _seeds[:] = [seed % 2**62]
    if _is_in_use():
        _seed_now()


def _seed_now() -> None:
    global _is_seeded
    if _seeds:
        _package("torch_xla.core.xla_model").set_rng_state(_seeds.pop())
        _is_seeded = True


def _is_in_use() -> bool:
    """Whether the device had a seed or a tensor: the choice of SPMD is then made."""
    return _is_seeded or bool(_package("torch_xla.debug.metrics").counter_value("CreateXlaTensor"))


# ---------------------------------------------------------------------------- SPMD


def use_spmd() -> None:
    """Let this process work on all devices from now on. It can't be undone.

    Raises:
        RuntimeError: there was a tensor on the single device before. (torch_xla 2.9 would copy it, and crash later.)
    """
    runtime = _package("torch_xla.runtime")
    if runtime.is_spmd():
        return
    if _is_in_use():
        raise RuntimeError(
            "A distribution over several devices of torch_xla must be set before the first tensor is made on the "
            "device: call keras.distribution.set_distribution(...) at the top of the script, before models and data."
        )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Replicating tensors")  # there are none
        runtime.use_spmd()


def make_mesh(numbers: Sequence[int], shape: Sequence[int], names: Sequence[str]) -> Any:
    """A mesh of torch_xla of the devices with these numbers."""
    return _package("torch_xla.distributed.spmd").Mesh(np.array(numbers), tuple(shape), tuple(names))


Axes = Sequence[str | tuple[str, ...] | None]
_marks: MutableMapping[torch.Tensor, tuple[Any, Axes]] = WeakIdKeyDictionary()


def mark(tensor: torch.Tensor, mesh: Any, axes: Axes) -> None:
    """Split a tensor over a mesh, in place: for each of its axes the names of mesh axes, or `None`."""
    _package("torch_xla.distributed.spmd").mark_sharding(tensor, mesh, tuple(axes))


def mark_weight(weight: torch.Tensor, mesh: Any, axes: Axes) -> bool:
    """Split a weight, unless that was done before; whether it was not. The state of optimizers will lie as it does."""
    if weight in _marks:
        return False
    mark(weight, mesh, axes)
    _marks[weight] = mesh, axes
    return True


def mark_like(tensor: torch.Tensor, weight: torch.Tensor) -> None:
    """Split a tensor as a weight of its shape is split."""
    if weight in _marks and tensor not in _marks and tensor.shape == weight.shape:
        mark_weight(tensor, *_marks[weight])


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
