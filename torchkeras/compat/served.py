"""The modules that stand under Keras's names: what each holds, and the words for a name that none holds."""

from __future__ import annotations

import importlib
import operator
import re
from collections.abc import Iterator
from types import ModuleType

from torchkeras.compat.names import INSTEAD, PRIVATE_MODULES, PUBLIC_MODULES, SERVED_VERSION
from torchkeras.core import registry

_ROOT = "torchkeras"
_SOURCE = re.compile(r"(?P<name>\w+)(?: as (?P<alias>\w+))?")


class ServedModule(ModuleType):
    """A module under one of Keras's names, filled when it is imported."""

    def __init__(self, name: str, names: dict[str, object]) -> None:
        super().__init__(name, f"`{name}`, served by torchkeras.")
        self.__dict__.update(names)
        self.__path__: list[str] = []

    def __getattr__(self, name: str) -> object:
        child = f"{self.__name__}.{name}"
        if is_served(child):
            return importlib.import_module(child)
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        raise AttributeError(explain_missing(self.__name__, name))


def is_served(module: str) -> bool:
    """Whether `keras...` is the name of a module that this package serves."""
    head, _, rest = module.partition(".")
    if head != "keras":
        return False
    if rest == "src" or rest.startswith("src."):
        return rest.removeprefix("src").removeprefix(".") in _private_modules()
    return not rest or rest in PUBLIC_MODULES


def make_module(module: str) -> ModuleType:
    """The module for a served name: the package's own for a public namespace, else a `ServedModule`."""
    rest = module.removeprefix("keras").removeprefix(".")
    if not rest:
        own = {"__version__": SERVED_VERSION, "version": served_version}
        return ServedModule(module, {**public_names(_ROOT, modules=True), **own})
    if rest == "src" or rest.startswith("src."):
        return ServedModule(module, private_names(rest.removeprefix("src").removeprefix(".")))
    return importlib.import_module(f"{_ROOT}.{rest}")


def served_version() -> str:
    """The version of Keras whose API is served."""
    return SERVED_VERSION


def private_names(path: str) -> dict[str, object]:
    """The names of `keras.src.<path>` and what they stand for here."""
    return dict(found for row in rows_of(path) for found in resolve(row))


def rows_of(path: str) -> list[str]:
    """The entries of the table for `keras.src.<path>`, each of one namespace of this package."""
    return [row.strip() for row in PRIVATE_MODULES.get(path, "").split(";") if row.strip()]


def resolve(row: str) -> Iterator[tuple[str, object]]:
    """The names of an entry `namespace: name, name as other`, with their values.

    Raises:
        AttributeError: there is no such name in the namespace.
    """
    namespace, _, names = row.partition(":")
    if namespace == "operations":  # the classes of the ops that Keras's files call by this module
        yield from _operations(names.strip())
        return
    source = f"{_ROOT}.{namespace}".rstrip(".")
    if names.strip() == "*":
        yield from public_names(source).items()
        return
    for found in _SOURCE.finditer(names):
        name, alias = found["name"], found["alias"]
        yield alias or name, operator.attrgetter(name)(importlib.import_module(source))


def public_names(module: str, modules: bool = False) -> dict[str, object]:
    """The names of a namespace without those that start with an underscore, and with its public modules if asked."""
    held = {name: value for name, value in vars(importlib.import_module(module)).items() if not name.startswith("_")}
    return {
        name: value
        for name, value in held.items()
        if not isinstance(value, ModuleType) or (modules and value.__name__.removeprefix(f"{_ROOT}.") in PUBLIC_MODULES)
    }


def _operations(module: str) -> Iterator[tuple[str, object]]:
    for name, found in registry.spellings(f"keras.src.{module}").items():
        if isinstance(found, type) and found.__name__ == name:
            yield name, found


def _private_modules() -> frozenset[str]:
    if not _known:
        for path in PRIVATE_MODULES:
            parts = path.split(".")
            _known.update(".".join(parts[:end]) for end in range(len(parts) + 1))
    return frozenset(_known)


_known: set[str] = set()


def explain_missing(module: str, name: str = "") -> str:
    """The words for a module, or a name in a module, that has no counterpart."""
    full = f"{module}.{name}" if name else module
    if not full.startswith("keras.src"):
        return f"{full} is no name of Keras {SERVED_VERSION}'s API; `keras` is served by torchkeras here."
    path = full.removeprefix("keras.src").removeprefix(".")
    fitting = [key for key in INSTEAD if path == key or path.startswith(f"{key}.")]
    advice = INSTEAD[max(fitting, key=len)] if fitting else "Use the public names of `keras`, which are all served."
    return f"{full} is private to Keras and has no counterpart in torchkeras, which serves `keras` here. {advice}"
