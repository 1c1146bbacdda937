"""`tensorflow.keras` served by this package, and nothing else of TensorFlow."""

from __future__ import annotations

import builtins
import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

from torchkeras.compat.finder import serve

_ALIAS = "tensorflow.keras"


class _Import:
    """`__import__` that answers for `tensorflow.keras`, and leaves all else to the one before."""

    def __init__(self, before: Callable[..., ModuleType]) -> None:
        self.before = before

    def __call__(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> Any:
        if level == 0 and name.startswith("tensorflow"):
            if name == "tensorflow" and fromlist and set(fromlist) == {"keras"}:
                return _holder()
            if name == _ALIAS or name.startswith(f"{_ALIAS}."):
                served = self.before(name.removeprefix("tensorflow."), globals, locals, fromlist, 0)
                # `import tensorflow.keras.layers as layers` reads `keras` of what it gets, then `layers`.
                return served if fromlist else _holder()
        return self.before(name, globals, locals, fromlist, level)


class _ImportModule:
    """`importlib.import_module` that answers for `tensorflow.keras`, and leaves all else to the one before."""

    def __init__(self, before: Callable[..., ModuleType]) -> None:
        self.before = before

    def __call__(self, name: str, package: str | None = None) -> ModuleType:
        is_alias = name == _ALIAS or name.startswith(f"{_ALIAS}.")
        return self.before(name.removeprefix("tensorflow.") if is_alias else name, package)


def _holder() -> ModuleType:
    """A module with the one name `keras`, which no other import can find."""
    holder = ModuleType("tensorflow", "`tensorflow.keras`, served by torchkeras; nothing else of TensorFlow is here.")
    holder.__dict__["keras"] = importlib.import_module("keras")
    return holder


def serve_tensorflow_keras() -> None:
    """Serve `keras`, and as `tensorflow.keras` too: in `import` statements and by `importlib.import_module`.

    All else of TensorFlow stays as it is: `import tensorflow` finds the installed one, or fails if there is none, so
    that packages which ask whether TensorFlow is there get the right answer. Calling it again does nothing.

    Raises:
        ImportError: another `keras` is imported already, or TensorFlow is.
    """
    serve()
    if isinstance(builtins.__import__, _Import):
        return
    if "tensorflow" in sys.modules:
        raise ImportError("tensorflow.keras can't be served by torchkeras: TensorFlow is imported already.")
    builtins.__import__ = _Import(builtins.__import__)
    importlib.import_module = _ImportModule(importlib.import_module)  # type: ignore[assignment]
