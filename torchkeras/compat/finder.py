"""The import hook that answers `import keras` with this package."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from types import ModuleType

from torchkeras.compat.served import ServedModule, explain_missing, is_served, make_module


class KerasFinder(MetaPathFinder, Loader):
    """Finds and makes `keras`, `keras.*` and what is served of `keras.src.*`, in the place of an installed Keras."""

    def __init__(self) -> None:
        self._own_specs: dict[str, ModuleSpec | None] = {}

    def find_spec(self, fullname: str, path: Sequence[str] | None = None, target: object = None) -> ModuleSpec | None:
        """The spec of a served module; `None` for names outside `keras`.

        Raises:
            ModuleNotFoundError: `fullname` lies below `keras` and is not served; for a private name in words that a
                `from` import shows, too.
        """
        if fullname != "keras" and not fullname.startswith("keras."):
            return None
        if is_served(fullname):
            return ModuleSpec(fullname, self, is_package=True)
        # Without a `name`, which a `from` import takes for a name that may be an attribute, and words of its own.
        name = None if fullname.startswith("keras.src") else fullname
        raise ModuleNotFoundError(explain_missing(fullname), name=name)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The module of a spec: a namespace of this package is the module itself, so that its classes are the same."""
        module = make_module(spec.name)
        if not isinstance(module, ServedModule):
            self._own_specs[spec.name] = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Give a namespace of this package its own spec back, which the import system has replaced."""
        name = module.__spec__.name if module.__spec__ is not None else ""
        if name in self._own_specs:
            module.__spec__ = self._own_specs.pop(name)


_FINDER = KerasFinder()


def serve() -> None:
    """Serve this package as `keras` for the rest of the process: `import keras`, `keras.*` and much of `keras.src.*`.

    Calling it again does nothing.

    Raises:
        ImportError: another `keras` is imported already.
    """
    if _FINDER in sys.meta_path:
        return
    other = sys.modules.get("keras")
    if other is not None:
        raise ImportError(
            f"torchkeras can't be served as `keras`: Keras {getattr(other, '__version__', '')} is imported already "
            f"(from {getattr(other, '__file__', 'an unknown place')}), and what holds its classes would not see the "
            "change. Import torchkeras.as_keras before anything imports keras: at the top of the script, by `python -m "
            "torchkeras as-keras SCRIPT`, or by `pytest -p torchkeras.as_keras`.",
            name="keras",
        )
    sys.meta_path.insert(0, _FINDER)


def take_over() -> None:
    """Serve this package as `keras` from inside a module that is being imported as `keras`, in its place."""
    serve()
    spec = _FINDER.find_spec("keras")
    if spec is not None:
        sys.modules["keras"] = module_from_spec(spec)
