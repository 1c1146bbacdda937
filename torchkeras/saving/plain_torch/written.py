"""The classes of a written source, made of its text: modules that are pickled carry the text along."""

from __future__ import annotations

import linecache
import re
from itertools import count
from typing import Any

from torch import nn

_numbers = count()
_namespaces: dict[str, dict[str, Any]] = {}
_MOST_KEPT = 64


def namespace_of(text: str, name: str, constants: dict[str, nn.Module] | None = None) -> dict[str, Any]:
    """Run a source, and make its modules ones that `pickle`, `copy` and `torch.save` take.

    Args:
        text: the source; all of it is names and numbers that this package wrote.
        name: for tracebacks.
        constants: modules that the source names.

    Returns:
        The names that it defines.
    """
    label = f"<torch form of {name} {next(_numbers)}>"
    linecache.cache[label] = (len(text), None, text.splitlines(True), label)
    namespace: dict[str, Any] = {"__name__": "torch_form", **(constants or {})}
    exec(compile(text, label, "exec"), namespace)
    _namespaces[text] = namespace
    if len(_namespaces) > _MOST_KEPT:
        del _namespaces[next(iter(_namespaces))]
    for key in re.findall(r"^class (\w+)\(", text, re.MULTILINE):
        found = namespace[key]
        if issubclass(found, nn.Module):
            found.__reduce__ = lambda self: (remade, (text, type(self).__name__), self.__dict__)  # type: ignore[method-assign,assignment]
    return namespace


def remade(text: str, name: str) -> nn.Module:
    """An instance of a class of a source, without its attributes: for `pickle`."""
    namespace = _namespaces.get(text) or namespace_of(text, name)
    cls = namespace[name]
    return cls.__new__(cls)
