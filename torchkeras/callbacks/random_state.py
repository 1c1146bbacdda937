"""The states of the process's random number generators, as plain data."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch


def capture() -> dict[str, Any]:
    """The states of Python's, NumPy's and torch's generators (CUDA's where it is in use): numbers and arrays."""
    version, words, gauss = random.getstate()
    kind, keys, place, has_gauss, cached = np.random.get_state(legacy=True)
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() and torch.cuda.is_initialized() else []
    return {
        "python": [version, np.array(words, dtype="uint32"), gauss],
        "numpy": [kind, np.array(keys), int(place), int(has_gauss), float(cached)],
        "torch": torch.get_rng_state().numpy().copy(),
        "cuda": [state.numpy().copy() for state in cuda],
    }


def restore(state: dict[str, Any]) -> None:
    """Put every generator back to where `capture` found it."""
    version, words, gauss = state["python"]
    random.setstate((version, tuple(int(word) for word in words), gauss))
    kind, keys, place, has_gauss, cached = state["numpy"]
    np.random.set_state((kind, keys, place, has_gauss, cached))
    torch.set_rng_state(torch.from_numpy(np.array(state["torch"], dtype="uint8")))
    for index, device_state in enumerate(state["cuda"]):
        if torch.cuda.is_available() and index < torch.cuda.device_count():
            torch.cuda.set_rng_state(torch.from_numpy(np.array(device_state, dtype="uint8")), index)
