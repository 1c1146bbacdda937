"""`get`, `serialize` and `deserialize` of activations."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

from torchkeras.activations import activations
from torchkeras.core import registry
from torchkeras.core.config.serialization import make_deserialize, make_get, serialize_keras_object

_get = make_get("keras.activations", "activation")
_deserialize = make_deserialize("keras.activations")


def get(identifier: Any) -> Callable:
    """The function of a name, a config or a callable; `None` gives `linear`."""
    return activations.linear if identifier is None else _get(identifier)


def serialize(activation: Callable) -> Any:
    """The name of one of these functions; a JSON-ready description of anything else."""
    public = registry.public_name(activation)
    if public is not None and public[0] == "keras.activations":
        return public[1]
    described = serialize_keras_object(activation)
    if isinstance(activation, types.FunctionType):
        return described | {"config": registry.get_registered_name(activation), "registered_name": "function"}
    return described


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Callable:
    """The function that `serialize` described."""
    return get(None) if config is None else _deserialize(config, custom_objects)
