"""Logs: what callbacks receive. Values stay on the device until somebody looks at them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch

from torchkeras.core.tensors.numbers import as_float

_PLAIN = (float, int, str)


class Logs(dict):
    """A dict by metric name whose values turn into Python floats when they are touched, and not before.

    A value may be a scalar tensor, a function that gives one, or a number. Reading one key computes that value;
    reading all computes the rest with one copy from the device. Keys are sorted, as Keras hands them to callbacks;
    what is set later comes behind. Copies and pickles are plain dicts of floats.

    Args:
        values: the values by name; a dict among them is taken apart.
    """

    __slots__ = ("_later",)

    def __init__(self, values: Mapping[str, Any] | Iterable[Any] = ()) -> None:
        super().__init__(_ordered(values))
        self._later: Callable[[], Mapping[str, Any]] | None = None

    @classmethod
    def of(cls, later: Callable[[], Mapping[str, Any]]) -> Logs:
        """Logs whose names and values `later` gives when the first of them is asked for."""
        logs = cls()
        logs._later = later
        dict.__setitem__(logs, "", None)  # C code that looks past the methods must not take it for empty
        return logs

    def _fill(self) -> None:
        if self._later is not None:
            later, self._later = self._later, None
            dict.clear(self)
            for name, value in _ordered(later()):
                dict.setdefault(self, name, value)

    def _read(self) -> None:
        """Make every value plain."""
        self._fill()
        scalars: dict[tuple, dict[str, torch.Tensor]] = {}
        for name, value in dict.items(self):
            if type(value) in _PLAIN:
                continue
            value = value() if callable(value) else value
            if isinstance(value, torch.Tensor) and value.numel() == 1:
                scalars.setdefault((value.device, value.dtype), {})[name] = value.detach().reshape(())
            else:
                dict.__setitem__(self, name, as_float(value))
        for group in scalars.values():
            found = torch.stack(list(group.values())).tolist()
            for name, number in zip(group, found):
                dict.__setitem__(self, name, float(number))

    def __getitem__(self, name: str) -> Any:
        self._fill()
        value = dict.__getitem__(self, name)
        if type(value) not in _PLAIN:
            value = as_float(value() if callable(value) else value)
            dict.__setitem__(self, name, value)
        return value

    def get(self, name: str, default: Any = None) -> Any:
        return self[name] if name in self else default

    def __setitem__(self, name: str, value: Any) -> None:
        self._fill()
        dict.__setitem__(self, name, value)

    def __delitem__(self, name: str) -> None:
        self._fill()
        dict.__delitem__(self, name)

    def __iter__(self) -> Iterator[str]:  # also what makes dict(logs) and **logs go through __getitem__
        self._fill()
        return dict.__iter__(self)

    def __reversed__(self) -> Iterator[str]:
        self._fill()
        return dict.__reversed__(self)

    def __len__(self) -> int:
        self._fill()
        return dict.__len__(self)

    def __contains__(self, name: object) -> bool:
        self._fill()
        return dict.__contains__(self, name)

    def keys(self) -> Any:
        self._fill()
        return dict.keys(self)

    def items(self) -> Any:
        self._read()
        return dict.items(self)

    def values(self) -> Any:
        self._read()
        return dict.values(self)

    def copy(self) -> dict[str, Any]:
        return dict(self.items())

    def pop(self, name: str, *default: Any) -> Any:
        if name in self:
            self[name]
        return dict.pop(self, name, *default)

    def popitem(self) -> tuple[str, Any]:
        self._read()
        return dict.popitem(self)

    def setdefault(self, name: str, default: Any = None) -> Any:
        if name not in self:
            self[name] = default
        return self[name]

    def update(self, *args: Any, **kwargs: Any) -> None:
        self._fill()
        for name, value in dict(*args, **kwargs).items():
            dict.__setitem__(self, name, value)

    def __or__(self, other: Any) -> dict[str, Any]:  # type: ignore[override]
        return self.copy() | dict(other)

    def __ror__(self, other: Any) -> dict[str, Any]:  # type: ignore[override]
        return dict(other) | self.copy()

    def __ior__(self, other: Any) -> Logs:
        self.update(other)
        return self

    def __eq__(self, other: object) -> bool:
        return self.copy() == (other.copy() if isinstance(other, Logs) else other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(self.copy())

    def __reduce__(self) -> tuple:
        return dict, (self.copy(),)

    def __reduce_ex__(self, protocol: Any) -> tuple:
        return self.__reduce__()


def flat_logs(values: Mapping[str, Any]) -> dict[str, Any]:
    """Logs without nesting: a metric may give a dict of values, which then stand beside the others."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat.update(flat_logs(value)) if isinstance(value, dict) else flat.update({name: value})
    return flat


def _ordered(values: Any) -> list[tuple[str, Any]]:
    is_plain = isinstance(values, Mapping) and not isinstance(values, Logs)
    pairs = flat_logs(values).items() if is_plain else dict.items(dict(values))
    return sorted(pairs, key=lambda pair: pair[0])
