"""The names of the arguments that a constructor takes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Self

from torchkeras.core.memo import memoized
from torchkeras.core.nearest_names import candidates

_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class ChecksKeywords:
    """Base of classes whose error about an unknown constructor argument names the nearest ones."""

    def __new__(cls, *args: object, **kwargs: object) -> Self:
        if kwargs:
            check_keywords(cls, kwargs)
        return super().__new__(cls)


def check_keywords(cls: type, given: Mapping[str, object]) -> None:
    """Raise Python's own error, with the nearest names, for arguments that the constructor of the class can't take.

    Raises:
        TypeError: there is no argument of that name, and `__init__` takes no `**kwargs`.
    """
    known = _keywords_of(cls.__init__)  # type: ignore[misc]
    if known is None or given.keys() <= known:
        return
    unknown = [name for name in given if name not in known]
    raise TypeError(
        f"{cls.__init__.__qualname__}() got an unexpected keyword argument {unknown[0]!r}. "  # type: ignore[misc]
        f"{candidates(unknown, known)}"
    )


@memoized
def _keywords_of(constructor: Callable) -> frozenset[str] | None:
    """The names that a call may use for arguments; `None` if it may use any name."""
    # A decorator may take arguments that the function below it does not know: its own signature counts.
    parameters = list(inspect.signature(constructor, follow_wrapped=False).parameters.values())[1:]
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    return frozenset(p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))


def accepted_keywords(cls: type) -> tuple[frozenset[str], bool]:
    """The names of arguments that the class and the bases to which it passes others take; whether any name is taken."""
    return _accepted_keywords(cls)


@lru_cache(None)
def _accepted_keywords(cls: type) -> tuple[frozenset[str], bool]:
    names: set[str] = set()
    for base in cls.__mro__:
        if "__init__" not in base.__dict__ or base is object:
            continue
        parameters = list(inspect.signature(base.__init__).parameters.values())[1:]  # type: ignore[misc]
        names |= {p.name for p in parameters if p.kind not in _VARIADIC}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            return frozenset(names), False
    return frozenset(names), True


def keywords_of(method: Callable[..., Any]) -> list[str]:
    """The names of a method's arguments, without `self`."""
    parameters = list(inspect.signature(method).parameters.values())[1:]
    return [parameter.name for parameter in parameters if parameter.kind not in _VARIADIC]
