"""Weights without initial values, while a file with values for them is loaded: neither time nor memory is spent."""

from __future__ import annotations

import ctypes
import math
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any

import torch

from torchkeras.core import registry
from torchkeras.core.state import state

_LARGE = 1 << 20  # bytes; initial values of smaller weights cost nothing


class Unfilled:
    """The weights that still need values, by the address of their memory."""

    def __init__(self) -> None:
        self._waiting: dict[int, tuple[torch.Tensor, Callable[[], torch.Tensor]]] = {}

    def make(self, initializer: Any, shape: tuple[int, ...], dtype: torch.dtype, device: Any) -> torch.Tensor | None:
        """A tensor without values in place of `initializer(shape, dtype)`; `None` where values are needed at once.

        Only for initializers of this package, which read nothing but their arguments.
        """
        if math.prod(shape) * dtype.itemsize < _LARGE or not registry.is_own(type(initializer)):
            return None
        value = torch.empty(shape, dtype=dtype, device=device)
        if value.device.type == "meta":
            return None
        _ask_for_large_pages(value)
        self._waiting[value.data_ptr()] = (value, lambda: initializer(shape, dtype=dtype))
        return value

    def fill(self, but: Iterable[torch.Tensor] = ()) -> None:
        """Give their initial values to all that wait, and forget them.

        Args:
            but: tensors that get their values from the file.
        """
        loaded = {tensor.data_ptr() for tensor in but} if self._waiting else set()
        waiting, self._waiting = self._waiting, {}
        for place, (value, initial) in waiting.items():
            if place not in loaded:
                with torch.no_grad(), torch.device(value.device):
                    value.copy_(initial())


def _ask_for_large_pages(tensor: torch.Tensor) -> None:
    """Let Linux back the memory with large pages: filling it for the first time then takes a third of the time."""
    advise = _madvise()
    if advise is None or tensor.device.type != "cpu":
        return
    start = -(-tensor.data_ptr() // _PAGE) * _PAGE
    size = tensor.data_ptr() + tensor.nbytes - start
    if size >= _LARGE:
        advise(start, size, _MADV_HUGEPAGE)


_PAGE, _MADV_HUGEPAGE = 4096, 14


@lru_cache(None)
def _madvise() -> Callable[..., int] | None:
    if not sys.platform.startswith("linux"):
        return None
    with suppress(OSError, AttributeError):
        function = ctypes.CDLL(None).madvise
        function.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
        return function
    return None


@contextmanager
def unfilled() -> Iterator[Unfilled]:
    """Inside, large weights are made without values; the block sees to it that all get some."""
    outer, state.unfilled = state.unfilled, Unfilled()
    try:
        yield state.unfilled
    finally:
        state.unfilled = outer
