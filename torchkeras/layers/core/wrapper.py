"""Wrapper: a layer around a layer."""

from __future__ import annotations

from typing import Any, Self

from torchkeras.core.config.serialization import deserialize_keras_object
from torchkeras.layers.base.layer import Layer


class Wrapper(Layer):
    """Base of layers that hold another, as `layer`."""

    _tk_config_base = True

    def __init__(self, layer: Layer, **kwargs: Any) -> None:
        if not isinstance(layer, Layer):
            raise ValueError(
                f"Layer {layer} supplied to {type(self).__name__} isn't a supported layer type. Please ensure wrapped "
                "layer is a valid Keras layer."
            )
        super().__init__(**kwargs)
        self.layer = layer

    def build(self, input_shape: Any = None) -> None:
        if not self.layer.built:
            self.layer.build(input_shape)

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        config = dict(config)
        layer = deserialize_keras_object(config.pop("layer"), custom_objects)
        return cls(layer, **config)
