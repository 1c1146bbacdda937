"""`get`, `serialize` and `deserialize` of activations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torchkeras.activations import activations
from torchkeras.core import registry
from torchkeras.core.registry import register_public
from torchkeras.core.serialization import deserialize_keras_object, make_get, serialize_keras_object

for _name, _aliases in {"silu": ("swish",), "hard_silu": ("hard_swish",)}.items():
    register_public(getattr(activations, _name), "keras.activations", _name, _aliases)

_get = make_get("keras.activations", "activation")


def get(identifier: Any) -> Callable:
    """The function of a name, a config or a callable; `None` gives `linear`."""
    if identifier is None:
        return activations.linear
    return _get(identifier)


def serialize(activation: Any) -> Any:
    """The name of one of these functions; a description of anything else."""
    public = registry.public_name(activation)
    if public is not None and public[0] == "keras.activations":
        return public[1]
    described = serialize_keras_object(activation)
    if isinstance(described, dict) and described.get("class_name") == "function":
        return described["registered_name"]
    return described


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Callable:
    """The function that `serialize` described."""
    with registry.custom_object_scope(custom_objects or {}):
        if isinstance(config, dict):
            return deserialize_keras_object(config, custom_objects)
        return get(config)
