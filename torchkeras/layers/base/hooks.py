"""Layers that override `save_own_variables` and still, at times, save just what every layer saves."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

Hook = TypeVar("Hook", bound=Callable)


def default_unless(attribute: str) -> Callable[[Hook], Hook]:
    """Decorator: this override of a saving hook does what the base's does while `attribute` of the object is false.

    Files then compare all shapes before a value is read, as for a layer without hooks of its own.
    """

    def mark(hook: Hook) -> Hook:
        hook._tk_default_unless = attribute  # type: ignore[attr-defined]
        return hook

    return mark


def is_default(obj: object, name: str, base: type) -> bool:
    """Whether the hook `name` of an object does what the hook of `base` does."""
    hook = getattr(type(obj), name)
    if hook is getattr(base, name):
        return True
    attribute = getattr(hook, "_tk_default_unless", None)
    return attribute is not None and not getattr(obj, attribute)
