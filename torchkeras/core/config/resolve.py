"""From the names in a config to classes and functions: the user's first, then the allow list; nothing is imported."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable
from typing import Any

from torchkeras.core import registry
from torchkeras.core.config.keras_names import CLASSES
from torchkeras.core.nearest_names import did_you_mean
from torchkeras.core.types import Config

_FUNCTIONS = ("keras.activations", "keras.losses", "keras.metrics", "keras.ops", "keras.initializers")
# Where a class of Keras 1 and 2 may be: their files name no module.
_WITHOUT_MODULE = (
    "keras.layers",
    "keras",
    "keras.optimizers",
    "keras.losses",
    "keras.metrics",
    "keras.initializers",
    "keras.regularizers",
    "keras.constraints",
)


def resolve_class(config: Config, custom_objects: dict[str, Any] | None = None) -> type:
    """The class that a serialized object names.

    Raises:
        TypeError: neither the user nor this package has it.
        ValueError: it is a class of Keras's, and the config gives it a registered name all the same.
    """
    name: Any
    name, registered, module = config["class_name"], config.get("registered_name"), config.get("module")
    found = _of_user((registered, name), custom_objects)
    if found is not None:
        return found
    if isinstance(module, str) and registry.is_ours(module):
        found = registry.lookup(module, name)
        if isinstance(found, type):
            _check_registered_name(config, name)
            return found
    elif module is None:
        for candidate in _WITHOUT_MODULE:
            found = registry.lookup(candidate, name)
            if isinstance(found, type):
                return found
    raise unknown(name, "class", module)


def resolve_function(config: Config, custom_objects: dict[str, Any] | None = None) -> Callable[..., Any]:
    """The function that a serialized object names.

    Raises:
        TypeError: neither the user nor this package has it.
        ValueError: it is a lambda; or one of Keras's, and the config gives it a registered name all the same.
    """
    name, registered = config["config"], config.get("registered_name")
    if not isinstance(name, str):
        raise TypeError(f"Expected 'config' to be a non-null str for a function; received {name!r} in {config}.")
    found = _of_user((registered, name), custom_objects)
    if found is None:
        found = registry.find_registered(name, types.FunctionType)
    if found is not None:
        return found
    for candidate in _FUNCTIONS:
        found = registry.lookup(candidate, name)
        if found is not None and not isinstance(found, type):
            _check_registered_name(config, name)
            return found
    if name == "<lambda>":
        raise ValueError(
            "Requested the deserialization of a Python lambda. A file keeps the code of none: use a named function, "
            "decorated with @keras.saving.register_keras_serializable(); or pass the function as "
            "custom_objects={'<lambda>': ...}, or load with compile=False and compile the model again."
        )
    raise unknown(name, "function", config.get("module"))


def _of_user(names: Iterable[Any], custom_objects: dict[str, Any] | None) -> Any:
    for name in names:
        found = registry.find_custom(name, custom_objects) if isinstance(name, str) and name != "function" else None
        if found is not None:
            return found
    return None


def _check_registered_name(config: Config, name: str) -> None:
    registered = config.get("registered_name")
    if registered and registered not in (name, config["class_name"]):
        raise ValueError(
            f"The config has registered_name={registered!r}, but {name!r} resolved to a Keras built-in, which has no "
            f"registered name. If a class or function of your own is meant, pass it as custom_objects={{{registered!r}:"
            f" ...}}; else remove `registered_name` from the config."
        )


def unknown(name: str, kind: str, module: Any) -> TypeError:
    """The error for a name in a config that is on no list."""
    home = _home_in_keras(name, module) if kind == "class" else None
    if home is not None:
        return TypeError(
            f"Could not locate {kind} {name!r}: Keras has it in {home}, torchkeras does not have it yet. Build the "
            f"model without it, or pass a class of your own that does the same as custom_objects={{{name!r}: ...}}."
        )
    known = [*(registry.known_names(module) if isinstance(module, str) else ()), *registry.custom_names()]
    return TypeError(
        f"Could not locate {kind} {name!r} (module {module!r}).{did_you_mean(name, known)} If it is yours, pass it as "
        f"custom_objects={{{name!r}: {name}}}, open a keras.saving.CustomObjectScope, or decorate it with "
        f"@keras.saving.register_keras_serializable()."
    )


def _home_in_keras(name: str, module: Any) -> str | None:
    """The Keras namespace with a public class of that name, if the config means Keras's."""
    if not (module is None or (isinstance(module, str) and registry.is_ours(module))):
        return None
    return next((home for home, names in CLASSES.items() if name in names.split()), None)


def unknown_identifier(name: str, kind: str, module: str, base: type | None = None) -> ValueError:
    """The error for a name that a namespace's `get()` does not know; `base` itself is no candidate."""
    home = _home_in_keras(name, module)
    if home is not None:
        return ValueError(
            f"Could not interpret {kind} identifier: {name}. Keras has it in {home}, torchkeras does not have it yet."
        )
    spellings = {key: obj for key, obj in registry.spellings(module).items() if obj is not base}
    known = [one for one in registry.known_names(module) if one in spellings]
    meant = did_you_mean(name, spellings | {custom: custom for custom in registry.custom_names()})
    return ValueError(f"Could not interpret {kind} identifier: {name}.{meant} Known: {', '.join(known)}.")
