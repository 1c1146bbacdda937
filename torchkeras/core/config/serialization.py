"""Objects to dicts and back, on the allow list only: nothing that a file names is ever imported."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from torchkeras.core import registry
from torchkeras.core.config import configurable
from torchkeras.core.config.limits import limited
from torchkeras.core.config.resolve import resolve_class, resolve_function
from torchkeras.core.state import state
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.tensors import dtypes
from torchkeras.core.types import Config

PLAIN = (str, int, float, bool, type(None))


class _SafeMode:
    """Whether deserialization refuses what could run code. Unset means yes."""

    on: bool = True


safe_mode_setting = _SafeMode()


def enable_unsafe_deserialization() -> None:
    """Let loading rebuild Python lambdas from their saved bytecode from now on. Only for files that you trust.

    torchkeras refuses lambdas in any case; the switch is kept for Keras's scripts.

    Example:
        >>> keras.config.enable_unsafe_deserialization()  # doctest: +SKIP
    """
    safe_mode_setting.on = False


def in_safe_mode(safe_mode: bool | None = None) -> bool:
    """The argument, else the setting of the open scope, else the global one."""
    if safe_mode is not None:
        return safe_mode
    scoped = getattr(state, "safe_mode", None)
    return safe_mode_setting.on if scoped is None else scoped


class SafeModeScope:
    """Say inside whether loading is safe."""

    def __init__(self, safe_mode: bool | None = True) -> None:
        self.safe_mode = safe_mode

    def __enter__(self) -> None:
        self._outer = getattr(state, "safe_mode", None)
        state.safe_mode = self.safe_mode

    def __exit__(self, *error: Any) -> None:
        state.safe_mode = self._outer


# ---------------------------------------------------------------------------- out


def serialize_keras_object(obj: Any) -> Any:
    """Describe an object as JSON-ready values, from which `deserialize_keras_object` makes an equal one.

    Args:
        obj: anything with `get_config()` (layers, models, losses, optimizers, ...), a function, a tensor or array, a
            plain value, or lists, tuples and dicts of them.

    Returns:
        A dict with the keys `"module"`, `"class_name"`, `"config"` and `"registered_name"`; plain values as they are.

    Raises:
        TypeError: `obj` has no `get_config()`.

    Example:

    >>> keras.saving.serialize_keras_object(keras.regularizers.L2(0.5))
    {'module': 'keras.regularizers', 'class_name': 'L2', 'config': {'l2': 0.5}, 'registered_name': None}
    """
    if isinstance(obj, PLAIN):
        return obj
    if obj is Ellipsis:
        return {"class_name": "__ellipsis__", "config": {}}
    if isinstance(obj, (list, tuple)):
        items = [serialize_keras_object(item) for item in obj]
        return tuple(items) if isinstance(obj, tuple) else items
    if isinstance(obj, dict):
        return {key: serialize_keras_object(value) for key, value in obj.items()}
    simple = _serialize_value(obj)
    if simple is not None:
        return simple
    if isinstance(obj, (types.FunctionType, types.BuiltinFunctionType)):
        return _serialize_function(obj)
    if isinstance(obj, type):
        return {"module": obj.__module__, "class_name": "__typespec__", "config": None, "registered_name": obj.__name__}
    if not hasattr(obj, "get_config"):
        raise TypeError(
            f"An object in a config must define get_config(); {obj!r} (of type {type(obj).__name__}) does not."
        )
    return _serialize_object(obj)


def _serialize_value(obj: Any) -> Any:
    if isinstance(obj, KerasTensor):
        return {"class_name": "__keras_tensor__", "config": obj.get_config()}
    if isinstance(obj, torch.Tensor):
        value = {"value": obj.tolist(), "dtype": dtypes.standardize_dtype(obj.dtype)}
        return {"class_name": "__tensor__", "config": value}
    if isinstance(obj, np.ndarray):
        if obj.ndim > 0:
            return {"class_name": "__numpy__", "config": {"value": obj.tolist(), "dtype": obj.dtype.name}}
        return obj.item()
    if isinstance(obj, np.generic):
        return obj.item()
    if isinstance(obj, torch.dtype):
        return dtypes.standardize_dtype(obj)
    if isinstance(obj, bytes):
        return {"class_name": "__bytes__", "config": {"value": obj.decode("utf-8")}}
    if isinstance(obj, slice):
        parts = {"start": obj.start, "stop": obj.stop, "step": obj.step}
        return {"class_name": "__slice__", "config": serialize_keras_object(parts)}
    return None


def _serialize_function(obj: Any) -> dict[str, Any]:
    public = registry.public_name(obj)
    name = public[1] if public is not None else registry.get_registered_name(obj)
    return {"module": "builtins", "class_name": "function", "config": name, "registered_name": "function"}


def _serialize_object(obj: Any) -> dict[str, Any]:
    cls = registered_class(obj)
    public = registry.public_name(cls)
    module, name = public if public is not None else (cls.__module__, cls.__name__)
    config = {
        "module": module,
        "class_name": name,
        "config": serialize_keras_object(obj.get_config()),
        "registered_name": None if public is not None else registry.get_registered_name(cls),
    }
    if hasattr(obj, "get_build_config"):
        build = obj.get_build_config()
        if build is not None:
            config["build_config"] = serialize_keras_object(build)
    if hasattr(obj, "get_compile_config"):
        compiled = obj.get_compile_config()
        if compiled is not None:
            compiled = serialize_keras_object(compiled)
            # Keras reads the former, and could not read what names something of ours.
            config["torch_compile_config" if _names_ours(compiled) else "compile_config"] = compiled
    return config


def _names_ours(config: Any) -> bool:
    if isinstance(config, dict):
        return str(config.get("module")).startswith("torchkeras.") or any(map(_names_ours, config.values()))
    return isinstance(config, (list, tuple)) and any(map(_names_ours, config))


def registered_class(obj: Any) -> type:
    """The class that files know `obj` by: the one it was made as, whatever class FSDP2 has given it since."""
    return getattr(obj, "_serialized_class", None) or getattr(obj, "_tk_class", None) or type(obj)


configurable._SERIALIZER[0] = serialize_keras_object


# ---------------------------------------------------------------------------- in


def deserialize_keras_object(
    config: Any,
    custom_objects: dict[str, Any] | None = None,
    safe_mode: bool | None = True,
    module_objects: dict[str, Any] | None = None,
    **_: Any,
) -> Any:
    """Make the object that `serialize_keras_object` described.

    A description can name the classes and functions of this package, registered objects, and `custom_objects`. Nothing
    is imported, and no code from the description is run.

    Args:
        config: the description: a dict with `"class_name"` and `"config"`, or lists and dicts of them. Plain values
            are returned as they are.
        custom_objects: `{"name": class or function}`: objects of your own that the description names. Default:
            `None`.
        safe_mode: whether to refuse values that would run code. Inside of a load its setting counts instead, and after
            `keras.config.enable_unsafe_deserialization()` `False`. Default: `True`.
        module_objects: `{"name": class or function}` to look a name up in: a string, or a description's class name.
            Of a class an instance is returned, made from the description's config or without arguments. Default:
            `None`.

    Returns:
        The object.

    Raises:
        TypeError: the description names something else, or the class does not take the config.
        ValueError: the description holds something that is not allowed.

    Example:

    >>> config = keras.saving.serialize_keras_object(keras.layers.Dense(3, activation="relu"))
    >>> config["module"], config["class_name"], config["config"]["units"]
    ('keras.layers', 'Dense', 3)
    >>> keras.saving.deserialize_keras_object(config).units
    3
    """
    if isinstance(config, str) and custom_objects and config in custom_objects:
        return custom_objects[config]
    if module_objects is not None and config is not None and not isinstance(config, (list, tuple)):
        found = _of_module(config, custom_objects, module_objects)
        if found is not None:
            return _from_module(found, config, custom_objects, safe_mode)
    if isinstance(config, PLAIN) or config is Ellipsis:
        return config
    if isinstance(config, (list, tuple)):
        items = [deserialize_keras_object(item, custom_objects, safe_mode) for item in config]
        return tuple(items) if isinstance(config, tuple) else items
    if not isinstance(config, dict):
        raise TypeError(f"Could not parse config: a serialized object is a dict, a list or a value; got {config!r}.")
    if "class_name" not in config or "config" not in config:
        return {key: deserialize_keras_object(value, custom_objects, safe_mode) for key, value in config.items()}
    name, inner = config["class_name"], config["config"]
    if not isinstance(name, str):
        raise TypeError(f"class_name must be a string; received {name!r}.")
    if name in _VALUES:
        return _VALUES[name](inner)
    if name == "function":
        return resolve_function(config, custom_objects)
    if name == "__lambda__":
        raise ValueError(
            "The config holds a Python lambda as bytecode, which carries a risk of arbitrary code execution: it is not "
            "loaded, with safe_mode=False neither. Register a named function in its place."
        )
    if name == "__typespec__" and not isinstance(inner, (list, tuple, type(None))):
        raise TypeError(
            f"Expected 'config' to be a list or a tuple for a __typespec__; received {inner!r} in {config}."
        )
    if name == "__typespec__":
        raise ValueError("A config may not hold a '__typespec__': it names a type of another framework.")
    return _instance(resolve_class(config, custom_objects), config, custom_objects, safe_mode)


def _of_module(config: Any, custom_objects: dict[str, Any] | None, module_objects: dict[str, Any]) -> Any:
    """The entry of `module_objects` for a name or description, unless it names one of the user's objects."""
    if isinstance(config, str):
        return module_objects.get(config)
    if not isinstance(config, dict) or "class_name" not in config:
        raise ValueError(f"Unknown `config` as a `dict`: it must have a 'class_name'; received config={config}.")
    names = (config.get("registered_name"), config["class_name"], config.get("config"))
    if any(isinstance(name, str) and registry.find_custom(name, custom_objects) is not None for name in names):
        return None
    name = config.get("config") if config["class_name"] == "function" else config["class_name"]
    return module_objects.get(name) if isinstance(name, str) else None


def _from_module(found: Any, config: Any, custom_objects: dict[str, Any] | None, safe_mode: bool | None) -> Any:
    if not inspect.isclass(found):
        return found
    description = dict(config) if isinstance(config, dict) else {"class_name": config}
    return _instance(found, {"config": {}, **description}, custom_objects, safe_mode)


def _tensor(inner: dict) -> torch.Tensor:
    return torch.tensor(inner["value"], dtype=dtypes.torch_dtype(inner["dtype"]))


def _array(inner: dict) -> np.ndarray:
    return np.array(inner["value"], dtype=dtypes.standardize_dtype(inner["dtype"]))


def _keras_tensor(inner: dict) -> KerasTensor:
    return KerasTensor(tuple(inner["shape"]), inner.get("dtype", "float32"), name=inner.get("name"))


_VALUES: dict[str, Callable[[Any], Any]] = {
    "__keras_tensor__": _keras_tensor,
    "__tensor__": _tensor,
    "__numpy__": _array,
    "__bytes__": lambda inner: inner["value"].encode("utf-8"),
    "__ellipsis__": lambda inner: Ellipsis,
    "__tuple__": lambda inner: tuple(deserialize_keras_object(item) for item in inner),
    "__slice__": lambda inner: slice(*(deserialize_keras_object(inner[key]) for key in ("start", "stop", "step"))),
}


def is_saved_value(class_name: str) -> bool:
    """Whether a serialized form with that class name is a value (a tensor, a slice), not an object with a config."""
    return class_name in _VALUES


def _safe_mode(safe_mode: bool | None) -> bool:
    """The mode of an open scope; else the argument's, unless safe mode was turned off for all of the process."""
    scoped = getattr(state, "safe_mode", None)
    return safe_mode_setting.on and safe_mode is not False if scoped is None else scoped


def _instance(cls: type, config: Config, custom_objects: dict[str, Any] | None, safe_mode: bool | None) -> Any:
    """An object of the class, made from the config, built and compiled as the description says."""
    if isinstance(cls, types.FunctionType):
        return cls
    inner = {} if config["config"] is None else config["config"]
    if not isinstance(inner, dict):
        raise TypeError(f"Expected 'config' to be a dict for {config['class_name']!r}; received {inner!r}.")
    if not hasattr(cls, "from_config"):
        raise TypeError(
            f"Unable to reconstruct an instance of {config['class_name']!r}: {cls!r} is missing a from_config() method."
        )
    if registry.is_own(cls) and not isinstance(inner.get("name"), (str, type(None))):
        raise ValueError(
            f"Argument `name` must be a string; the config of {config['class_name']!r} has name={inner['name']!r} (of "
            f"type {type(inner['name']).__name__})."
        )
    with limited(), registry.custom_object_scope(custom_objects or {}), SafeModeScope(_safe_mode(safe_mode)):
        try:
            instance = cls.from_config(dict(inner))
        except TypeError as error:
            raise TypeError(
                f"{cls.__name__} could not be deserialized properly: from_config() does not take the saved config. If "
                f"the class is yours, its get_config() must return what its constructor takes, or override "
                f"from_config(), in which layers and other objects are explicitly deserialized.\n"
                f"config={inner}\n{error}"
            ) from error
        except (KeyError, AttributeError, IndexError, OverflowError) as error:
            if not registry.is_own(cls):
                raise
            raise ValueError(
                f"{cls.__name__} cannot be made from its config: {type(error).__name__}: {error}. config={inner}"
            ) from error
        if isinstance(instance, configurable.Configurable):
            instance._tk_from_description()
        build = config.get("build_config")
        if build and hasattr(instance, "build_from_config") and not getattr(instance, "built", False):
            instance.build_from_config(deserialize_keras_object(build))
        compiled = config.get("compile_config") or config.get("torch_compile_config")
        if compiled and hasattr(instance, "compile_from_config"):
            instance.compile_from_config(compiled)
    return instance
