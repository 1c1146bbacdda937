"""The state of the objects that data come from: counters, orders and generators of samplers and data sets."""

from __future__ import annotations

import copy
import zlib
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import torch

from torchkeras.core import random_state

State: TypeAlias = dict[str, Any]  # plain data: numbers, strings, lists, dicts and arrays

SAMPLE = 4096  # elements of an array or a list that are looked at to see whether it has changed
LARGEST = 64 * 2**20  # bytes of an array, or elements of a list, that are still kept
COPIED = 8 * 2**20  # likewise, of which a copy is made at the start
_NUMBERS = (type(None), bool, int, float, str)


@runtime_checkable
class Stateful(Protocol):
    """An object that says itself what of it there is to keep, such as torchdata's `StatefulDataLoader`."""

    def state_dict(self) -> State:
        """The state."""

    def load_state_dict(self, state: State) -> None:
        """The inverse of `state_dict`."""


class ObjectState:
    """The attributes of an object that have changed since this was made, to keep and to restore.

    An object with the methods `state_dict()` and `load_state_dict(state)` says itself what there is to keep. Of others
    these attributes are looked at: numbers and strings, random generators, arrays, tensors, and lists of such.

    Args:
        target: the object.
        generators_only: whether to look at random generators alone.
    """

    def __init__(self, target: object, generators_only: bool = False) -> None:
        self.target = target
        self.generators_only = generators_only
        own = self._attributes()
        self._marks = {name: _mark(value) for name, value in own.items()}
        self._first = {name: _copied(v) for name, v in own.items() if not _is_generator(v) and _size(v) <= COPIED}
        self._kept: set[str] = set()  # restored once: no longer what a fresh object has

    def get(self) -> State:
        """The state as plain data."""
        if self._speaks():
            return {"state_dict": self.target.state_dict()}  # type: ignore[attr-defined]
        found = {
            name: v for name, v in self._attributes().items() if self._has_changed(name, v) and _size(v) <= LARGEST
        }
        return {name: _plain(value) for name, value in found.items()}

    def set(self, state: State) -> None:
        """The inverse of `get`."""
        if "state_dict" in state and self._speaks():
            self.target.load_state_dict(state["state_dict"])  # type: ignore[attr-defined]
            return
        own = self._attributes()
        for name, value in own.items():
            if name not in state and name in self._first and self._has_changed(name, value):
                setattr(self.target, name, _copied(self._first[name]))  # the state is of an object without the change
        for name, value in state.items():
            self._kept.add(name)
            if _is_generator(own.get(name)):
                random_state.set_state_of(own[name], value)
            else:
                setattr(self.target, name, _like(own.get(name), value))

    def too_large(self) -> list[str]:
        """Attributes that have changed and are too large to be kept."""
        if self._speaks():
            return []
        return [n for n, value in self._attributes().items() if self._has_changed(n, value) and _size(value) > LARGEST]

    def _speaks(self) -> bool:
        return callable(getattr(self.target, "state_dict", None)) and hasattr(self.target, "load_state_dict")

    def _attributes(self) -> dict[str, Any]:
        own = {} if self._speaks() else getattr(self.target, "__dict__", {})
        kinds = random_state.GENERATORS
        if not self.generators_only:
            kinds = (*kinds, *_NUMBERS, np.ndarray, torch.Tensor, list)  # type: ignore[assignment]
        return {name: value for name, value in own.items() if isinstance(value, kinds) and not _is_elsewhere(value)}

    def _has_changed(self, name: str, value: Any) -> bool:
        if _is_generator(value) or name in self._kept:
            return True
        return name not in self._marks or self._marks[name] != _mark(value)


def _is_generator(value: Any) -> bool:
    return isinstance(value, random_state.GENERATORS)


def _copied(value: Any) -> Any:
    return value.clone() if isinstance(value, torch.Tensor) else copy.copy(value)


def _is_elsewhere(value: Any) -> bool:
    """Whether the value lies in a file, on another device, or is no plain array."""
    if isinstance(value, torch.Tensor):
        return not value.is_cpu
    return isinstance(value, np.memmap) or (isinstance(value, np.ndarray) and value.dtype.hasobject)


def _mark(value: Any) -> Any:
    """A number that is another one when the value has changed; of long values a sample counts."""
    if isinstance(value, torch.Tensor):
        sample = value.detach().flatten()[:: max(value.numel() // SAMPLE, 1)].float().cpu().numpy()
        return tuple(value.shape), zlib.crc32(sample.tobytes())
    if isinstance(value, np.ndarray):
        return value.shape, zlib.crc32(np.ascontiguousarray(value.flat[:: max(value.size // SAMPLE, 1)]).tobytes())
    if isinstance(value, list):
        return len(value), zlib.crc32(repr(value[:: max(len(value) // SAMPLE, 1)]).encode())
    return value if isinstance(value, _NUMBERS) else None


def _size(value: Any) -> int:
    if isinstance(value, (np.ndarray, torch.Tensor)):
        return value.nbytes
    return len(value) if isinstance(value, list) else 0


def _plain(value: Any) -> Any:
    if _is_generator(value):
        return random_state.state_of(value)
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().numpy().copy()
    return value.copy() if isinstance(value, (np.ndarray, list)) else value


def _like(model: Any, value: Any) -> Any:
    """A value that was plain data, in the form of the one that is there."""
    make: Callable[[Any], Any]
    if isinstance(model, torch.Tensor):
        return torch.as_tensor(value, dtype=model.dtype, device=model.device)
    if isinstance(model, list) and model and isinstance(model[0], (tuple, np.generic)):
        make = tuple if isinstance(model[0], tuple) else type(model[0])
        return [make(item) for item in value]
    return value
