"""Objects from identifiers (names, configs, classes, callables): the `get` and `deserialize` of each namespace."""

from __future__ import annotations

import inspect
from typing import Any

from torchkeras.core import registry
from torchkeras.core.config.resolve import unknown_identifier
from torchkeras.core.config.serialization import deserialize_keras_object
from torchkeras.core.types import Config


def get_object(identifier: object, module: str, kind: str, base: type | None = None) -> Any:
    """The object that an identifier stands for.

    Args:
        identifier: name, config, class, callable, instance of `base`, or `None`.
        module: Keras's namespace, whose names and classes are meant, such as `"keras.losses"`.
        kind: the word for such an object in errors, such as `"loss"`.
        base: the class of objects that need not be callable.

    Returns:
        The object; `None` for `None`.

    Raises:
        ValueError: nothing has that name, or the identifier is of another type, or a dict of something else.
    """
    if identifier is None:
        return None
    if isinstance(identifier, dict):
        return deserialize_keras_object(with_module(identifier, module))
    if isinstance(identifier, str):
        return _by_name(identifier, module, kind, base)
    if isinstance(identifier, type):
        return identifier()
    if callable(identifier) or (base is not None and isinstance(identifier, base)):
        return identifier
    raise _unknown_type(identifier, kind)


def deserialize_object(
    config: object, module: str, kind: str, base: type | None = None, custom_objects: dict[str, Any] | None = None
) -> Any:
    """The object that a description (of `serialize()`) or a name stands for.

    Args:
        config: the description, or a name.
        module, kind, base: as for `get_object`.
        custom_objects: classes and functions by name, beside the registered ones.

    Returns:
        The object; `None`, a callable or an instance of `base` as it is.

    Raises:
        ValueError: nothing has that name, or `config` is of another type, or a dict of something else.
        TypeError: the description names something else, or the class does not take the config.
    """
    if isinstance(config, str):
        with registry.custom_object_scope(custom_objects or {}):
            return _by_name(config, module, kind, base)
    if isinstance(config, dict):
        return deserialize_keras_object(with_module(config, module), custom_objects)
    if config is None or callable(config) or (base is not None and isinstance(config, base)):
        return config
    raise _unknown_type(config, kind)


def _unknown_type(identifier: object, kind: str) -> ValueError:
    return ValueError(
        f"Could not interpret {kind} identifier: {identifier!r}. It must be a name, a config, a callable or an "
        f"instance."
    )


def with_module(config: Config, module: str) -> Config:
    """A description that names the module in which its class is looked up, if it named none.

    Raises:
        ValueError: the dict is no description.
    """
    if "class_name" not in config and "config" not in config:
        raise ValueError(f"Unknown `config` as a `dict`: it must have a 'class_name'; received config={config}.")
    given = {"config": {}, **config} if "class_name" in config else config
    return given if config.get("module") else {**given, "module": module}


def _by_name(name: str, module: str, kind: str, base: type | None) -> Any:
    found = registry.find_custom(name)
    if found is None:
        found = registry.lookup(module, name)
    if found is None:
        raise unknown_identifier(name, kind, module, base)
    return found() if inspect.isclass(found) else found
