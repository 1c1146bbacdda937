"""Attributes that a layer holds without owning what is in them."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


class _Depth(threading.local):
    def __init__(self) -> None:
        self.scopes = 0


depth = _Depth()


class DotNotTrackScope:
    """Layers, weights and lists that become attributes inside the scope are held, yet are no parts of the layer."""

    def __enter__(self) -> None:
        depth.scopes += 1

    def __exit__(self, *error: object) -> None:
        depth.scopes -= 1


class Tracker:
    """Keras's `layer._tracker`: other packages ask it to let weights join a built layer, which they always may."""

    locked = False

    def unlock(self) -> None:
        """Do nothing: the layer is not locked."""

    def lock(self, msg: str | None = None) -> None:
        """Do nothing: layers are not locked."""


def is_tracking_enabled() -> bool:
    """Whether what becomes an attribute of a layer becomes a part of it."""
    return depth.scopes == 0


def no_automatic_dependency_tracking(method: F) -> F:
    """Decorate a method of a layer: what it sets as attributes does not become a part of the layer.

    Args:
        method: the method.

    Returns:
        The method, which runs inside a `DotNotTrackScope`.
    """

    @functools.wraps(method)
    def untracked(*args: Any, **kwargs: Any) -> Any:
        with DotNotTrackScope():
            return method(*args, **kwargs)

    return untracked  # type: ignore[return-value]
