"""Updates that many layers ask for during a call and that are made together at its end, in a few kernels for all.

`defer` notes an update; the outermost layer's call ends with `run_deferred`. Whoever wants to see a value that an
update will change calls `run_deferred` before.
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
        self._zeros: dict[tuple[torch.dtype, torch.device], tuple[torch.Tensor, int]] = {}
        self._used = 0

    def zeros(self, count: int, like: torch.Tensor) -> torch.Tensor:
        """A vector of zeros in the type and place of `like`; one kernel makes those of a whole call."""
        key = (like.dtype, like.device)
        pool, start = self._zeros.get(key, (None, 0))
        if pool is None or start + count > pool.shape[0]:
            pool, start = torch.zeros(max(count, Deferred.expected), dtype=like.dtype, device=like.device), 0
        step = -(-count // 32) * 32  # the next one begins at a multiple of 128 bytes
        self._zeros[key] = pool, start + step
        self._used += step
        return pool[start : start + count]

    def run(self) -> None:
        """Make the updates."""
        Deferred.expected = max(min(self._used, _MOST), 256)
        with torch.no_grad():
            for update, items in self.updates.items():
                update(list(items.values()))


_MOST = 2**20


def deferring() -> Deferred | None:
    """Where the call in progress notes updates; `None` where each is to be made at once.

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


def defer(update: Updates, key: Hashable, item: Any) -> None:
    """Note an update for the end of the call: `update` is called with the items of all keys. Needs `deferring()`."""
    state.deferred.updates.setdefault(update, {})[key] = item


def is_deferred(update: Updates, key: Hashable) -> bool:
    """Whether the call in progress has noted an update under that key."""
    return state.deferred is not None and key in state.deferred.updates.get(update, ())


def run_deferred() -> None:
    """Make the updates noted so far."""
    deferred, state.deferred = state.deferred, None
    if deferred is not None:
        deferred.run()
