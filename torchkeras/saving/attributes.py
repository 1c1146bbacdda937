"""The attributes of an object, read without running any code of its class."""

from __future__ import annotations

import dis
import functools
import types
from typing import Any


def held_by(obj: object) -> dict[str, Any]:
    """The values of the object's attributes by name: those of its classes, its own, its sublayers.

    A property runs code, so it is not read, with two exceptions: a property that only returns an attribute
    (`return self._encoder`) is a second name of that attribute, which Keras's files use; and the properties that
    its classes list in `_tk_saved_properties`.
    """
    own = _own(obj)
    found: dict[str, Any] = {}
    for cls in reversed(type(obj).__mro__):
        found.update(vars(cls))
    aliases = {name: path for name, value in found.items() if (path := _alias(value)) is not None}
    slots = [name for name, value in found.items() if isinstance(value, types.MemberDescriptorType)]
    found = {name: value for name, value in found.items() if not hasattr(type(value), "__get__")}
    found.update(own)
    for name in slots:
        if hasattr(obj, name):
            found[name] = getattr(obj, name)
    for cls in type(obj).__mro__:
        found.update((name, getattr(obj, name, None)) for name in vars(cls).get("_tk_saved_properties", ()))
    for name, path in aliases.items():
        value = _follow(obj, path)
        if value is not _NOTHING:
            found.setdefault(name, value)
    return found


_NOTHING = object()


def _own(obj: object) -> dict[str, Any]:
    """The object's own attributes as the user sees them: lists of layers as lists."""
    own = dict(getattr(obj, "__dict__", {}))
    own.update(own.get("_modules", {}))
    return own


def _follow(obj: object, path: tuple[str, ...]) -> Any:
    """The value at a path of attributes, as far as plain attributes lead."""
    for name in path:
        own = _own(obj)
        if name in own:
            obj = own[name]
            continue
        alias = _alias(getattr(type(obj), name, None))
        obj = _follow(obj, alias) if alias is not None and alias != path else _NOTHING
        if obj is _NOTHING:
            break
    return obj


def _alias(value: object) -> tuple[str, ...] | None:
    """The attributes that a property only passes on: `("a", "b")` for `return self.a.b`; `None` for all else."""
    if isinstance(value, property):
        return _returned_path(value.fget)
    return _returned_path(value.func) if isinstance(value, functools.cached_property) else None


@functools.lru_cache(None)
def _returned_path(getter: object) -> tuple[str, ...] | None:
    code = getattr(getter, "__code__", None)
    if code is None or code.co_argcount != 1:
        return None
    steps = [step for step in dis.get_instructions(code) if step.opname not in ("RESUME", "NOP", "CACHE")]
    if len(steps) < 3 or not steps[0].opname.startswith("LOAD_FAST") or steps[-1].opname != "RETURN_VALUE":
        return None
    if any(step.opname != "LOAD_ATTR" for step in steps[1:-1]):
        return None
    return tuple(step.argval for step in steps[1:-1])
