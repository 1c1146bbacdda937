"""The names that a file may use: our own classes and functions (the allow list), and those that the user registered."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torchkeras.core.naming import snake_case

# ---------------------------------------------------------------------------- the allow list

_by_module: dict[str, dict[str, Any]] = {}
_public_names: dict[Any, tuple[str, str]] = {}

_own_classes: set[type] = set()
_complete = False


def claim(cls: type) -> bool:
    """Note a class that is being made as this package's, and return `True`; `False` once the package is complete."""
    if not _complete:
        _own_classes.add(cls)
    return not _complete


def complete() -> None:
    """Say that the package has made all its classes: those made from now on are the user's."""
    global _complete
    _complete = True


def is_own(cls: type) -> bool:
    """Whether this package, not the user, made the class (layers, models, losses, ...: all that have a config)."""
    return cls in _own_classes


# Where Keras's files put a class outside its public namespace, or under an older one.
_MODULE_ALIASES = {
    "keras.src.models.functional": "keras",
    "keras.src.models.sequential": "keras",
    "keras.src.models.model": "keras",
    "keras.src.engine.functional": "keras",
    "keras.src.engine.sequential": "keras",
    "keras.src.engine.training": "keras",
    "keras.models": "keras",
    "keras.mixed_precision": "keras",
    "keras.dtype_policies": "keras",
}


def register_public(obj: Any, module: str, name: str | None = None, aliases: tuple[str, ...] = ()) -> Any:
    """Put a class or function of this package on the allow list under Keras's module, e.g. `"keras.losses"`.

    `aliases` are further strings by which `get()` finds it. Returns `obj`, so it can end a decorator.
    """
    name = name or obj.__name__
    known = _by_module.setdefault(module, {})
    for key in (name, *aliases):
        known[key] = obj
    if isinstance(obj, type):
        known.setdefault(snake_case(name), obj)
    _public_names[obj] = (module, name)
    return obj


def public_name(obj: Any) -> tuple[str, str] | None:
    """Keras's module and name of something on the allow list, else `None`."""
    try:
        return _public_names.get(obj)
    except TypeError:  # unhashable: not ours
        return None


def lookup(module: str, name: str) -> Any:
    """The allowed object of that name under Keras's module (in any spelling that files use), else `None`."""
    for candidate in _spellings(module):
        found = _by_module.get(candidate, {}).get(name)
        if found is not None:
            return found
    return None


def _spellings(module: str) -> Iterator[str]:
    yield module
    if module in _MODULE_ALIASES:
        yield _MODULE_ALIASES[module]
    if module.startswith("torchkeras"):
        module = "keras" + module.removeprefix("torchkeras")
    parts = module.replace("keras.src.", "keras.").split(".")
    for end in range(len(parts), 0, -1):
        yield ".".join(parts[:end])


def known_names(module: str) -> list[str]:
    """The public names on the allow list under Keras's module: classes and functions, without aliases."""
    return sorted({name for obj in _by_module.get(module, {}).values() for mod, name in [_public_names[obj]]})


def spellings(module: str) -> dict[str, Any]:
    """All names, with aliases, by which `get()` finds the objects on the allow list under Keras's module."""
    return dict(_by_module.get(module, {}))


def is_ours(module: str) -> bool:
    """Whether a file's module name claims something of Keras's or of this package."""
    return module.split(".")[0] in ("keras", "torchkeras", "tf_keras", "keras_core")


# ---------------------------------------------------------------------------- the user's objects

_custom_by_name: dict[str, Any] = {}
_custom_names: dict[Any, str] = {}


class _Scopes(threading.local):
    def __init__(self) -> None:
        self.stack: list[dict[str, Any]] = []


_scopes = _Scopes()


def register_keras_serializable(package: str = "Custom", name: str | None = None) -> Callable[[Any], Any]:
    """Register the decorated class or function, so that saved files can name it as `package>name`.

    Args:
        package: a string, the namespace of the name. Default: `"Custom"`.
        name: a string. Default: `None`, the name of the class or function.

    Returns:
        A decorator that returns the class or function as it is.

    Raises:
        ValueError: the class has no `get_config`.

    Example:
        >>> @keras.saving.register_keras_serializable("my_package")
        ... class Doubled(keras.layers.Layer):
        ...     def call(self, x):
        ...         return 2 * x
        >>> keras.saving.get_registered_name(Doubled)
        'my_package>Doubled'
    """

    def decorate(obj: Any) -> Any:
        if not hasattr(obj, "__name__"):
            raise ValueError(f"register_keras_serializable() registers a class or a function. Received: {obj!r}")
        if isinstance(obj, type) and not hasattr(obj, "get_config"):
            raise ValueError(
                f"Cannot register a class that does not have a get_config() method; {obj.__name__} has none."
            )
        registered = f"{package}>{name or obj.__name__}"
        _custom_by_name[registered] = obj
        _custom_names[obj] = registered
        return obj

    return decorate


def get_custom_objects() -> dict[str, Any]:
    """Return the dict of all registered objects; objects that are put into it are found when loading.

    Returns:
        The dict itself, not a copy: `{"package>name": class or function}`.

    Example:
        >>> def plus_one(x):
        ...     return x + 1
        >>> keras.saving.get_custom_objects()["plus_one"] = plus_one
        >>> layer = keras.layers.Dense(2, activation="plus_one")
        >>> del keras.saving.get_custom_objects()["plus_one"]
    """
    return _custom_by_name


@contextmanager
def custom_object_scope(*custom_objects: dict[str, Any], **named: Any) -> Iterator[None]:
    """Let loading find the given objects by name inside the scope."""
    merged: dict[str, Any] = dict(named)
    for objects in custom_objects:
        merged.update(objects or {})
    _scopes.stack.append(merged)
    try:
        yield
    finally:
        _scopes.stack.pop()


class CustomObjectScope:
    """Context manager in which loading finds the given objects by name.

    Args:
        custom_objects: `{"name": class or function}`. Default: `None`, no objects.

    Example:
        >>> def plus_one(x):
        ...     return x + 1
        >>> with keras.saving.CustomObjectScope({"plus_one": plus_one}):
        ...     layer = keras.layers.Dense(2, activation="plus_one")
        >>> layer.activation(1)
        2
    """

    def __init__(self, custom_objects: dict[str, Any] | None = None) -> None:
        self.custom_objects = custom_objects or {}

    def __enter__(self) -> CustomObjectScope:
        _scopes.stack.append(dict(self.custom_objects))
        return self

    def __exit__(self, *error: Any) -> None:
        _scopes.stack.pop()


def get_registered_name(obj: Any) -> str:
    """Return the name under which a class or function was registered.

    Args:
        obj: the class or function.

    Returns:
        `"package>name"`; the object's own name if it is not registered.

    Example:
        >>> keras.saving.get_registered_name(keras.layers.Dense)
        'Dense'
    """
    try:
        return _custom_names.get(obj, obj.__name__)
    except TypeError:
        return obj.__name__


def find_custom(name: str, custom_objects: dict[str, Any] | None = None) -> Any:
    """The user's object of that name: in the argument, the open scopes (inner first), the global registry."""
    for objects in (custom_objects or {}, *reversed(_scopes.stack), _custom_by_name):
        if name in objects:
            return objects[name]
    return None


def find_registered(name: str, kind: type) -> Any:
    """The only object of the kind that was registered as `<package>><name>`, whatever the package, else `None`."""
    found = [obj for key, obj in _custom_by_name.items() if key.endswith(f">{name}") and isinstance(obj, kind)]
    return found[0] if len(found) == 1 else None


def custom_names() -> list[str]:
    """The names of the user's objects that loading would find now."""
    return sorted({name for objects in (*_scopes.stack, _custom_by_name) for name in objects})


def get_registered_object(
    name: str, custom_objects: dict[str, Any] | None = None, module_objects: dict[str, Any] | None = None
) -> Any:
    """Return the class or function that loading would find under a name.

    Args:
        name: a string, the registered name.
        custom_objects: `{"name": class or function}`, searched first. Default: `None`.
        module_objects: `{"name": class or function}`, searched last. Default: `None`.

    Returns:
        The class or function; `None` if there is none of that name.

    Example:
        >>> keras.saving.get_registered_object("unknown") is None
        True
        >>> keras.saving.get_registered_object("Mine", custom_objects={"Mine": keras.layers.Dense}).__name__
        'Dense'
    """
    found = find_custom(name, custom_objects)
    return found if found is not None else (module_objects or {}).get(name)
