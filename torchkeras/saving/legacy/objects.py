"""Single objects in the form of Keras 2: `{"class_name": ..., "config": ...}`, functions by name."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from torchkeras.core.registry import CustomObjectScope, get_custom_objects, get_registered_name, get_registered_object

_NESTED = "__passive_serialization__"  # marks an object within a config


def serialize_keras_object(instance: Any) -> Any:
    """Describe an object in the form of Keras 2.

    New code uses `keras.saving.serialize_keras_object`, whose descriptions say more.

    Args:
        instance: object with `get_config()`, function, class or `None`.

    Returns:
        A dict with `class_name` and `config`; for a function or class its name; `None` for `None`.

    Raises:
        ValueError: the object has neither `get_config()` nor a name.

    Example:
        >>> keras.utils.legacy.serialize_keras_object(keras.initializers.Constant(2.0))
        {'class_name': 'Constant', 'config': {'value': 2.0}}
    """
    instance = inspect.unwrap(instance)
    if instance is None:
        return None
    if hasattr(instance, "get_config") and not inspect.isclass(instance):
        config = {name: _value(value) for name, value in instance.get_config().items()}
        return {"class_name": get_registered_name(type(instance)), "config": config}
    if hasattr(instance, "__name__"):
        return get_registered_name(instance)
    raise ValueError(f"Cannot serialize {instance} because it doesn't implement `get_config()`.")


def _value(value: object) -> Any:
    if isinstance(value, str):
        return value
    try:
        described = serialize_keras_object(value)
    except ValueError:
        return value  # plain data
    return {**described, _NESTED: True} if isinstance(described, dict) else described


def deserialize_keras_object(
    identifier: Any,
    module_objects: Mapping[str, Any] | None = None,
    custom_objects: Mapping[str, Any] | None = None,
    printable_module_name: str = "object",
) -> Any:
    """Make the object that a description in the form of Keras 2 means.

    Names are looked up in `custom_objects`, among registered objects, and in `module_objects`; nothing is imported.
    New code uses `keras.saving.deserialize_keras_object`.

    Args:
        identifier: description with `class_name` and `config`, name, function, or `None`.
        module_objects: classes and functions by name, such as `globals()` of the module that asks. Default: `None`.
        custom_objects: the user's classes and functions by name. Default: `None`.
        printable_module_name: noun for the object in errors. Default: `"object"`.

    Returns:
        The object. A class that is given by its name is called without arguments.

    Raises:
        ValueError: the name is unknown, or the description has another form.

    Example:
        >>> config = {"class_name": "Constant", "config": {"value": 2.0}}
        >>> keras.utils.legacy.deserialize_keras_object(config, vars(keras.initializers)).value
        2.0
    """
    if identifier is None or inspect.isfunction(identifier):
        return identifier
    if isinstance(identifier, dict):
        return _from_config(identifier, module_objects, dict(custom_objects or {}), printable_module_name)
    if isinstance(identifier, str):
        found = _look_up(identifier, module_objects, custom_objects, printable_module_name)
        return found() if inspect.isclass(found) else found
    raise ValueError(f"Could not interpret serialized {printable_module_name}: {identifier}")


def _look_up(
    name: str, module_objects: Mapping[str, Any] | None, custom_objects: Mapping[str, Any] | None, noun: str
) -> Any:
    found = get_registered_object(name, dict(custom_objects or {}), dict(module_objects or {}))
    if found is None:
        raise ValueError(
            f"Unknown {noun}: '{name}'. Please ensure you are using a `keras.utils.custom_object_scope` and that this "
            "object is included in the scope, or register it by `keras.saving.register_keras_serializable`."
        )
    return found


def _from_config(
    description: dict[str, Any], module_objects: Mapping[str, Any] | None, custom_objects: dict[str, Any], noun: str
) -> Any:
    if "class_name" not in description or "config" not in description:
        raise ValueError(
            f"Improper config format for {description}. Expecting python dict contains `class_name` and `config` as "
            "keys"
        )
    kind = _look_up(description["class_name"], module_objects, custom_objects, noun)
    config = description["config"]
    if isinstance(config, dict):
        config = {name: _inner(name, value, module_objects, custom_objects) for name, value in config.items()}
    with CustomObjectScope(custom_objects):
        if not hasattr(kind, "from_config"):
            return kind(**config)  # a function that makes an object
        if "custom_objects" in inspect.signature(kind.from_config).parameters:
            return kind.from_config(config, custom_objects={**get_custom_objects(), **custom_objects})
        return kind.from_config(config)


def _inner(name: str, value: object, module_objects: Mapping[str, Any] | None, custom_objects: dict[str, Any]) -> Any:
    """An argument within a config: marked descriptions and names of functions are made what they mean."""
    if name == "name":
        return value
    if isinstance(value, dict) and _NESTED in value:
        return deserialize_keras_object(value, module_objects, custom_objects, "config_item")
    if isinstance(value, str):
        found = get_registered_object(value, custom_objects, dict(module_objects or {}))
        return found if inspect.isfunction(found) else value
    return value
