"""Names: unique ones for objects, paths for weights."""

from __future__ import annotations

import re
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager


class _Names(threading.local):
    def __init__(self) -> None:
        self.scopes: list[tuple[str, object]] = []


_names = _Names()
_uses: defaultdict[str, int] = defaultdict(int)


def snake_case(name: str) -> str:
    """`"LayerNormalization"` to `"layer_normalization"`, as Keras names objects after their classes."""
    name = re.sub(r"\W+", "", name)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def unique_name(prefix: str) -> str:
    """`prefix`, then `prefix_1`, `prefix_2`, ..."""
    used = _uses[prefix]
    _uses[prefix] += 1
    return f"{prefix}_{used}" if used else prefix


def auto_name(class_name: str) -> str:
    """A unique name for an object of the class: `"Dense"` gives `"dense"`, then `"dense_1"`."""
    return unique_name(snake_case(class_name))


def get_uid(prefix: str = "") -> int:
    """The next number for `prefix`, counted from 1."""
    _uses[prefix] += 1
    return _uses[prefix]


def reset_names() -> None:
    """Start all counters afresh."""
    _uses.clear()


def check_name(name: object) -> str:
    """A name that can be a part of a path.

    Raises:
        ValueError: not a string, or holding a slash.
    """
    if not isinstance(name, str) or "/" in name:
        raise ValueError(f"name must be a string without '/'; received {name!r} (of type {type(name).__name__}).")
    return name


@contextmanager
def name_scope(name: str, caller: object = None, **_: object) -> Iterator[None]:
    """Put `name` before the paths of the variables made inside.

    A scope opened again by the `caller` that opened the innermost one adds nothing.
    """
    check_name(name)
    if caller is not None and _names.scopes and _names.scopes[-1][1] is caller:
        yield
        return
    _names.scopes.append((name, caller))
    try:
        yield
    finally:
        _names.scopes.pop()


def current_path() -> str:
    """The open name scopes, joined by slashes."""
    return "/".join(name for name, _ in _names.scopes)
