"""Layers to configs and back."""

from __future__ import annotations

from torchkeras.core.config.identifiers import deserialize_object
from torchkeras.core.config.serialization import serialize_keras_object
from torchkeras.core.types import Config
from torchkeras.layers.base.layer import Layer


def serialize(layer: Layer) -> Config:
    """Return a JSON-ready description of a layer, which `deserialize` reads.

    Args:
        layer: layer or model.

    Returns:
        A dict with `class_name`, `config`, `module` and, of a built layer, `build_config`. Weights are not in it.

    Example:
        >>> keras.layers.serialize(keras.layers.Dropout(0.5))["class_name"]
        'Dropout'
    """
    return serialize_keras_object(layer)


def deserialize(config: str | Config, custom_objects: dict[str, object] | None = None) -> Layer:
    """Return the layer that `serialize` described.

    Args:
        config: result of `serialize`, or a name.
        custom_objects: classes and functions by name, beside the registered ones. Default: `None`.

    Returns:
        The layer.

    Raises:
        ValueError: no layer has that name.
        TypeError: the description names something that is neither Keras's nor registered.

    Example:
        >>> config = keras.layers.serialize(keras.layers.Dense(3, activation="relu"))
        >>> keras.layers.deserialize(config).units
        3
    """
    return deserialize_object(config, "keras.layers", "layer", Layer, custom_objects)
