"""Results of pure functions, kept."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from torch.compiler import is_dynamo_compiling

T = TypeVar("T")

_MOST = 4096


def memoized(function: Callable[..., T]) -> Callable[..., T]:
    """A pure function of hashable arguments that keeps its results.

    As `functools.lru_cache`, of which `torch.compile` would warn its users: here it traces the function itself.
    """
    results: dict[tuple, Any] = {}

    @functools.wraps(function)
    def called(*args: Any) -> Any:
        if is_dynamo_compiling():
            return function(*args)
        found = results.get(args, results)
        if found is results:
            if len(results) >= _MOST:
                results.clear()
            found = results[args] = function(*args)
        return found

    return called
