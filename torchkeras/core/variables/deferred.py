"""Updates that many layers ask for during a call and that are made together at its end, in a few kernels for all.

A layer notes its update in what `deferring` gives; the outermost layer's call ends with `run_deferred`. Whoever wants
to see a value that an update will change calls `run_deferred` before.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import torch

from torchkeras.core.state import state
from torchkeras.core.torch_internals import in_functorch_transform

Updates = Callable[[list[Any]], None]


class Deferred:
    """The updates noted during one call, and the zeros that they work in."""

    # Elements that the calls before used: as many are made at once.
    expected = 256

    def __init__(self) -> None:
        self.updates: dict[Updates, dict[Hashable, Any]] = {}
        self._pool: torch.Tensor | None = None
        self._size = self._start = self._used = 0

    def zeros(self, count: int, like: torch.Tensor) -> torch.Tensor:
        """A vector of zeros in the type and place of `like`; one kernel makes those of a whole call."""
        pool, start = self._pool, self._start
        if pool is None or start + count > self._size or pool.dtype is not like.dtype or pool.device != like.device:
            self._size, start = max(count, Deferred.expected), 0
            pool = self._pool = torch.zeros(self._size, dtype=like.dtype, device=like.device)
        step = (count + 31) // 32 * 32  # the next one begins at a multiple of 128 bytes
        self._start = start + step
        self._used += step
        return pool[start : start + count]

    def noted(self, update: Updates) -> dict[Hashable, Any]:
        """The items, by key, that `update` will be called with at the end of the call; the caller adds to them."""
        found = self.updates.get(update)
        if found is None:
            found = self.updates[update] = {}
        return found

    def run(self) -> None:
        """Make the updates."""
        Deferred.expected = max(min(self._used, _MOST), 256)
        with torch.no_grad():
            for update, items in self.updates.items():
                update(list(items.values()))


_MOST = 2**20


def deferring() -> Deferred | None:
    """The list of updates of the call in progress; `None` if each update is made at once.

    That is so outside of any call of an enclosing layer, in compiled code, in a `torch.func` transform, and where the
    values of variables are a scope's.
    """
    if (
        state.entry is None
        or state.special
        and (state.stateless is not None or state.symbolic)
        or torch.compiler.is_compiling()
        or in_functorch_transform()
    ):
        return None
    if state.deferred is None:
        state.deferred = Deferred()
    return state.deferred


def run_deferred() -> None:
    """Make the updates noted so far."""
    deferred, state.deferred = state.deferred, None
    if deferred is not None:
        deferred.run()
