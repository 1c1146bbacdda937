"""`get`, `serialize` and `deserialize` of activations."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

from torchkeras.activations import activations
from torchkeras.core import registry
from torchkeras.core.config.identifiers import deserialize_object, get_object
from torchkeras.core.config.serialization import serialize_keras_object
from torchkeras.core.types import Config, Identifier

_MODULE, _KIND = "keras.activations", "activation function"


def get(identifier: Identifier | None) -> Callable[..., Any]:
    """Return the activation function that an identifier stands for.

    Args:
        identifier: name such as `"relu"`, config of `serialize`, or callable; `None` stands for `linear`.

    Returns:
        A callable that maps a tensor to a tensor.

    Raises:
        ValueError: no activation has that name.

    Example:
        >>> keras.activations.get("relu") is keras.activations.relu
        True
        >>> keras.activations.get(None) is keras.activations.linear
        True
    """
    return activations.linear if identifier is None else get_object(identifier, _MODULE, _KIND)


def serialize(activation: Callable[..., Any]) -> str | Config:
    """Return the name of an activation of this namespace, or a JSON-ready description of any other callable.

    Args:
        activation: activation function, or registered callable or layer.

    Returns:
        A name, or a dict with `class_name`, `config` and `module`.

    Example:
        >>> keras.activations.serialize(keras.activations.relu)
        'relu'
    """
    public = registry.public_name(activation)
    if public is not None and public[0] == "keras.activations":
        return public[1]
    described = serialize_keras_object(activation)
    if isinstance(activation, types.FunctionType):
        return described | {"config": registry.get_registered_name(activation), "registered_name": "function"}
    return described


def deserialize(config: str | Config | None, custom_objects: dict[str, object] | None = None) -> Callable[..., Any]:
    """Return the activation that `serialize` described.

    Args:
        config: result of `serialize`; `None` stands for `linear`.
        custom_objects: functions and classes by name, beside the registered ones. Default: `None`.

    Returns:
        A callable that maps a tensor to a tensor.

    Raises:
        ValueError: no activation has that name.

    Example:
        >>> keras.activations.deserialize("relu") is keras.activations.relu
        True
    """
    return get(None) if config is None else deserialize_object(config, _MODULE, _KIND, custom_objects=custom_objects)
