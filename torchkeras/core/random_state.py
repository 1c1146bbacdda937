"""The states of random number generators, as plain data (numbers, strings, lists, dicts and arrays)."""

from __future__ import annotations

import random
from typing import Any, TypeAlias

import numpy as np
import torch

from torchkeras.core import accelerators

State: TypeAlias = dict[str, Any]  # plain data of whatever form the generator's own state has
Generator: TypeAlias = torch.Generator | np.random.Generator | np.random.RandomState | random.Random
GENERATORS = (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)


def capture() -> State:
    """The states of the process's generators: Python's, NumPy's, torch's, and the accelerator's where it is in use."""
    version, words, gauss = random.getstate()
    kind, keys, place, has_gauss, cached = np.random.get_state(legacy=True)
    accelerator, of_devices = accelerators.random_states()
    return {
        "python": [version, np.array(words, dtype="uint32"), gauss],
        "numpy": [kind, np.array(keys), int(place), int(has_gauss), float(cached)],
        "torch": torch.get_rng_state().numpy().copy(),
        accelerator or "cuda": [state.numpy().copy() for state in of_devices],
    }


def restore(state: State) -> None:
    """Put every generator of the process back to where `capture` found it."""
    version, words, gauss = state["python"]
    random.setstate((version, tuple(int(word) for word in words), gauss))
    kind, keys, place, has_gauss, cached = state["numpy"]
    np.random.set_state((kind, keys, place, has_gauss, cached))
    torch.set_rng_state(_bytes(state["torch"]))
    for accelerator in state.keys() & accelerators.ACCELERATORS.keys():
        if state[accelerator]:
            accelerators.set_random_states(accelerator, [_bytes(one) for one in state[accelerator]])


def state_of(generator: Generator) -> State:
    """The state of one generator object."""
    if isinstance(generator, torch.Generator):
        return {"torch": generator.get_state().numpy().copy()}
    if isinstance(generator, np.random.Generator):
        return {"numpy": generator.bit_generator.state}
    if isinstance(generator, np.random.RandomState):
        return {"numpy": generator.get_state(legacy=False)}
    version, words, gauss = generator.getstate()
    return {"python": [version, np.array(words, dtype="uint32"), gauss]}


def set_state_of(generator: Generator, state: State) -> None:
    """The inverse of `state_of`."""
    if isinstance(generator, torch.Generator):
        generator.set_state(_bytes(state["torch"]))
    elif isinstance(generator, np.random.Generator):
        generator.bit_generator.state = state["numpy"]
    elif isinstance(generator, np.random.RandomState):
        generator.set_state(state["numpy"])
    else:
        version, words, gauss = state["python"]
        generator.setstate((version, tuple(int(word) for word in words), gauss))


def _bytes(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.array(array, dtype="uint8"))
