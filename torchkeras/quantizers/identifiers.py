"""Quantizers and their configs by name, from configs and to configs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torchkeras.core import registry
from torchkeras.core.config.identifiers import deserialize_object, get_object
from torchkeras.core.config.serialization import serialize_keras_object
from torchkeras.core.types import Config, Identifier
from torchkeras.quantizers.abs_max import Quantizer
from torchkeras.quantizers.configs import QuantizationConfig


def get(
    identifier: Identifier | QuantizationConfig | None, **kwargs: object
) -> Quantizer | QuantizationConfig | Callable[..., Any] | None:
    """Return the quantizer, or the config of a quantization, that an identifier stands for.

    Args:
        identifier: name such as `"abs_max_quantizer"` or `"AbsMaxQuantizer"`, config of `serialize`, class, instance or
            callable.
        **kwargs: arguments of the constructor, where the identifier is a name or a class.

    Returns:
        The object, or the callable as it is; `None` for `None`.

    Raises:
        ValueError: nothing has that name.

    Example:
        >>> keras.quantizers.get("abs_max_quantizer", value_range=(-8, 7)).value_range
        (-8, 7)
    """
    if isinstance(identifier, str) and kwargs:
        found = registry.find_custom(identifier) or registry.lookup("keras.quantizers", identifier)
        identifier = identifier if found is None else found
    if isinstance(identifier, type):
        return identifier(**kwargs)
    return get_object(identifier, "keras.quantizers", "quantizer", QuantizationConfig)


def serialize(initializer: Quantizer | QuantizationConfig | Callable[..., Any]) -> Config:
    """Return a JSON-ready description of a quantizer or a config of a quantization, which `deserialize` reads.

    Args:
        initializer: quantizer or config; the name of the argument is Keras's.

    Returns:
        A dict with `class_name`, `config` and `module`.

    Example:
        >>> keras.quantizers.serialize(keras.quantizers.AbsMaxQuantizer())["class_name"]
        'AbsMaxQuantizer'
    """
    return serialize_keras_object(initializer)


def deserialize(
    config: str | Config, custom_objects: dict[str, object] | None = None
) -> Quantizer | QuantizationConfig | Callable[..., Any]:
    """Return the quantizer, or the config of a quantization, that `serialize` described.

    Args:
        config: result of `serialize`, or a name.
        custom_objects: classes and functions by name, beside the registered ones. Default: `None`.

    Returns:
        The object.

    Raises:
        ValueError: nothing has that name.
        TypeError: the description names something that is neither Keras's nor registered.

    Example:
        >>> config = keras.quantizers.serialize(keras.quantizers.Int8QuantizationConfig())
        >>> keras.quantizers.deserialize(config).mode
        'int8'
    """
    return deserialize_object(config, "keras.quantizers", "quantizer", QuantizationConfig, custom_objects)
