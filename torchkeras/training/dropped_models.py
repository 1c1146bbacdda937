"""Memory of models that nobody refers to any more, freed before another model runs.

A model, the graph of its layers, its callbacks and its steps refer to each other. Python frees such a cycle when its
collector next looks at old objects; their number decides when that is, not their size: in a loop that trains one model
after another, gigabytes of weights and optimizer states could wait. A hand-written torch loop frees them at once.
"""

from __future__ import annotations

import gc
from itertools import chain
from typing import Any
from weakref import WeakSet

SMALL = 64 << 20
"""Bytes of weights that may wait for Python's own collection."""
GROWTH = 1.25
"""How much more than after the last collection the weights must take, so that many living models cost few of them."""

_ran: WeakSet[Any] = WeakSet()
_kept_bytes = 0


def free_dropped_models(model: Any) -> None:
    """Free what nobody refers to, if the models that ran before have many weights. Called before a model first runs.

    Nothing happens where the program has switched Python's collector off.

    Args:
        model: the model that will run.
    """
    global _kept_bytes
    held = _bytes_of_models()
    if held > max(SMALL, GROWTH * _kept_bytes) and gc.isenabled():
        gc.collect()
        _kept_bytes = _bytes_of_models()
    _ran.add(model)


def _bytes_of_models() -> int:
    return sum(
        tensor.numel() * tensor.element_size()
        for model in _ran
        for tensor in chain(model.parameters(), model.buffers())
        if tensor.device.type != "meta"
    )
