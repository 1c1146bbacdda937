"""Architectures as JSON text."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

import torchkeras.ops  # noqa: F401  its functions are what files may name
from torchkeras.core import tree
from torchkeras.core.config.limits import config_limit, file_limit, limited
from torchkeras.core.config.resolve import resolve_class
from torchkeras.core.config.serialization import (
    SafeModeScope,
    deserialize_keras_object,
    in_safe_mode,
    is_saved_value,
)
from torchkeras.core.registry import custom_object_scope
from torchkeras.core.symbolic.infer import infer
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.types import Config
from torchkeras.layers.base.layer import Layer
from torchkeras.saving.legacy.upgrade import upgraded
from torchkeras.saving.safety.budget import BadFileError, parse_json


def dumped(config: Config) -> str:
    """The JSON text of a serialized model.

    Raises:
        TypeError: the config holds a value that JSON does not have.
    """
    return json.dumps(config, default=_described)


def _described(value: object) -> Any:
    """A value that JSON can't express, in the form that files have."""
    if value is Ellipsis:
        return {"class_name": "__ellipsis__", "config": {}}
    raise TypeError(f"A config must hold JSON values and objects with get_config(); it has {value!r}.")


def model_from_json(json_string: str, custom_objects: dict[str, Any] | None = None) -> Any:
    """Make a model of the architecture that `model.to_json()` wrote, with fresh weights.

    Args:
        json_string: the JSON text.
        custom_objects: `{"name": class or function}`: objects of your own that the text names. Default: `None`.

    Returns:
        The model.

    Raises:
        TypeError: the text names a class or function that is neither Keras's nor given.
        ValueError: it is no JSON of a model, or an object in it has a key twice.

    Example:
        >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
        >>> keras.models.model_from_json(model.to_json()).count_params()
        8
    """
    model = build(parse_json(json_string, "The JSON text"), custom_objects, None, "The JSON text", None)
    if not hasattr(model, "compile_from_config"):
        raise BadFileError(f"The JSON text describes no model but a {type(model).__name__}.")
    return model


def build(
    config: object,
    custom_objects: Any,
    safe_mode: bool | None,
    name: str,
    weight_bytes: int | None,
    keras_version: str | None = None,
) -> Any:
    """The object that a config describes, in the spelling of any Keras; errors say of which text.

    Args:
        weight_bytes: what the file has of values, for which alone memory is granted; `None`: what
            `set_max_model_bytes` says.
        keras_version: the version of Keras that the file states.
    """
    if not isinstance(config, dict) or not isinstance(config.get("class_name"), str) or "config" not in config:
        raise BadFileError(f"{name} describes no model: it must be an object with 'class_name' and 'config'.")
    limit = config_limit(name) if weight_bytes is None else file_limit(weight_bytes, name)
    try:
        safe = SafeModeScope(in_safe_mode(safe_mode))
        with limited(limit), custom_object_scope(custom_objects or {}), safe, _collection_paused():
            return _made(upgraded(config, keras_version), custom_objects, safe_mode)
    except BadFileError as error:
        raise BadFileError(str(error) if name in str(error) else f"{name}: {error}") from error
    except (TypeError, ValueError) as error:
        bad = _bad_file_error(error)
        if bad is not None:
            raise BadFileError(str(bad) if name in str(bad) else f"{name}: {bad}") from error
        cause = _innermost(error)
        if type(cause) in (TypeError, ValueError):
            raise type(cause)(f"{name}: {cause}") from error
        raise
    except RecursionError:
        raise BadFileError(f"{name} is nested too deeply to be a model's config.") from None
    except (KeyError, IndexError, AttributeError, RuntimeError, OverflowError, MemoryError) as error:
        raise BadFileError(f"{name} describes no valid model: {type(error).__name__}: {error}") from error


@contextmanager
def _collection_paused() -> Iterator[None]:
    """Keep Python's garbage collector waiting: it would look through a growing model again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _made(config: dict[str, Any], custom_objects: Any, safe_mode: bool | None) -> Any:
    """The object, built all through before it is compiled: an optimizer's state goes by the model's weights."""
    if not _may_be_layer(config, custom_objects):
        raise BadFileError(f"Its root is no model and no layer but of class {config['class_name']!r}.")
    made = deserialize_keras_object(
        {**config, "compile_config": None, "torch_compile_config": None}, custom_objects, safe_mode
    )
    shapes = (config.get("build_config") or {}).get("input_shape")
    if isinstance(made, Layer) and shapes is not None and _has_unbuilt_layers(made):
        _build_by_run(made, shapes)
    compiled = config.get("compile_config") or config.get("torch_compile_config")
    if compiled and hasattr(made, "compile_from_config"):
        made.compile_from_config(compiled)
    return made


def _may_be_layer(config: dict[str, Any], custom_objects: Any) -> bool:
    """Whether the root of a config is a layer or model, or of an unknown class, about which another error is raised."""
    if is_saved_value(config["class_name"]) or config["class_name"] in ("function", "__lambda__", "__typespec__"):
        return False
    try:
        return issubclass(resolve_class(config, custom_objects), Layer)
    except (TypeError, ValueError):
        return True


def _has_unbuilt_layers(layer: Layer) -> bool:
    """Whether only a call can build what is inside: a subclassed model or layer without a `build` of its own."""
    return type(layer).build is Layer.build and any(not inner.built for inner in layer._flatten_layers())


def _build_by_run(layer: Layer, shapes: object) -> None:
    """Call the layer once: without values, or where it needs some on zeros."""
    try:
        infer(layer.forward, (_tensors(shapes),), {})
    except (RuntimeError, NotImplementedError, TypeError):
        with torch.no_grad():
            layer(tree.map_structure(lambda t: torch.zeros([size or 1 for size in t.shape]), _tensors(shapes)))


def _tensors(shapes: Any) -> Any:
    if isinstance(shapes, dict):
        return {key: _tensors(shape) for key, shape in shapes.items()}
    if all(size is None or isinstance(size, int) for size in shapes):
        return KerasTensor(tuple(shapes))
    return [_tensors(shape) for shape in shapes]


def _bad_file_error(error: BaseException) -> BadFileError | None:
    """The refusal for which other errors were raised, if there was one."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, BadFileError):
            return seen
        seen = seen.__cause__ or seen.__context__
    return None


def _innermost(error: BaseException) -> BaseException:
    """The first error: the levels above repeat it, each with its whole config."""
    while isinstance(error.__cause__, (TypeError, ValueError)):
        error = error.__cause__
    return error
