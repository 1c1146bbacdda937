"""Names: unique ones for objects, paths for weights."""

from __future__ import annotations

import re
import threading
from collections import defaultdict
from functools import lru_cache


class _Names(threading.local):
    def __init__(self) -> None:
        self.scopes: list[tuple[str, object]] = []


_names = _Names()
_uses: defaultdict[str, int] = defaultdict(int)


@lru_cache(None)
def snake_case(name: str) -> str:
    """`"LayerNormalization"` to `"layer_normalization"`, as Keras names objects after their classes."""
    name = re.sub(r"\W+", "", name)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


@lru_cache(None)
def _automatic_names(class_name: str) -> re.Pattern[str]:
    return re.compile(rf"{re.escape(snake_case(class_name))}(_[0-9]+)?")


def is_automatic(name: str, class_name: str) -> bool:
    """Whether an object of the class could have been given the name by `auto_name`."""
    return _automatic_names(class_name).fullmatch(name) is not None


def unique_name(prefix: str) -> str:
    """`prefix`, then `prefix_1`, `prefix_2`, ..."""
    used = _uses[prefix]
    _uses[prefix] += 1
    return f"{prefix}_{used}" if used else prefix


def auto_name(class_name: str) -> str:
    """A unique name for an object of the class: `"Dense"` gives `"dense"`, then `"dense_1"`."""
    return unique_name(snake_case(class_name))


def get_uid(prefix: str = "") -> int:
    """Return the next number for a prefix, counted from 1.

    Args:
        prefix: any string. Default: `""`.

    Returns:
        An int that was not returned for this prefix before.

    Example:
        >>> first = keras.backend.get_uid("my_layer")
        >>> keras.backend.get_uid("my_layer") - first
        1
    """
    _uses[prefix] += 1
    return _uses[prefix]


def reset_names() -> None:
    """Reset all counters."""
    _uses.clear()


def name_or_automatic(name: object, class_name: str) -> str:
    """The name that was given, checked; without one an automatic name for an object of the class."""
    return auto_name(class_name) if name is None or name == "" else check_name(name)


def check_name(name: object) -> str:
    """A name that can be a part of a path.

    Raises:
        ValueError: not a string, or holding a slash.
    """
    if not isinstance(name, str) or "/" in name:
        raise ValueError(
            f"Argument `name` must be a string and cannot contain character `/`. "
            f"Received: {name!r} (of type {type(name).__name__})."
        )
    return name


class name_scope:
    """Put a name before the paths of the variables that are made inside the scope.

    Args:
        name: a string without slashes.
        caller: object that opens the scope. Default: `None`.
        deduplicate: whether a scope adds nothing if the innermost open one has the same `caller`. Default: `True`.
        override_parent: path that replaces those of the open scopes. Default: `None`.

    Raises:
        ValueError: the name is no string, or holds a slash.

    Example:
        >>> with keras.name_scope("encoder"):
        ...     weight = keras.Variable(1.0, name="scale")
        >>> weight.path
        'encoder/scale'
    """

    def __init__(
        self, name: str, caller: object = None, deduplicate: bool = True, override_parent: str | None = None
    ) -> None:
        self.name = check_name(name)
        self.caller = caller
        self.deduplicate = deduplicate
        self.override_parent = override_parent
        self._outer: list | None = None

    def __enter__(self) -> name_scope:
        scopes = _names.scopes
        self._outer = scopes
        if self.override_parent is not None:
            scopes = [(part, None) for part in self.override_parent.strip("/").split("/") if part]
        elif self.deduplicate and self.caller is not None and scopes and scopes[-1][1] is self.caller:
            return self
        _names.scopes = [*scopes, (self.name, self.caller)]
        return self

    def __exit__(self, *error: object) -> None:
        if self._outer is not None:
            _names.scopes, self._outer = self._outer, None


def in_scope_of(caller: object) -> bool:
    """Whether a name scope is open that an object opened."""
    return any(opened_by is caller for _, opened_by in _names.scopes)


def current_path() -> str:
    """The open name scopes, joined by slashes."""
    return "/".join(name for name, _ in _names.scopes)
