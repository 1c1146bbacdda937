"""Wrapper: a layer around a layer."""

from __future__ import annotations

from typing import Any, Self, Unpack

from torchkeras.core.config.serialization import deserialize_keras_object
from torchkeras.core.types import Nest, Shape
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.base.options import LayerOptions


class Wrapper(Layer):
    """Hold another layer as `layer`: the base of `Bidirectional`, `TimeDistributed` and wrappers of your own.

    Subclasses define `call`. The wrapped layer is built with the wrapper, and its weights are the wrapper's.

    Args:
        layer: the `Layer` to wrap.
        **kwargs: the arguments of `Layer`.

    Raises:
        ValueError: `layer` is no Keras layer.

    Example:
        >>> class Twice(keras.layers.Wrapper):
        ...     def call(self, inputs):
        ...         return 2 * self.layer(inputs)
        >>> wrapper = Twice(keras.layers.Dense(1, kernel_initializer="ones"))
        >>> wrapper(np.ones((1, 3))).tolist(), len(wrapper.weights)
        ([[6.0]], 2)
    """

    _tk_config_base = True

    def __init__(self, layer: Layer, **kwargs: Unpack[LayerOptions]) -> None:
        if not isinstance(layer, Layer):
            raise ValueError(
                f"Layer {layer} supplied to {type(self).__name__} isn't a supported layer type. Please ensure wrapped "
                "layer is a valid Keras layer."
            )
        super().__init__(**kwargs)
        self.layer = layer

    def build(self, input_shape: Nest[Shape] | None = None) -> None:
        """Build the wrapped layer for inputs of the shape."""
        if not self.layer.built:
            self.layer.build(input_shape)

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        """Make a wrapper, and the layer in it, from the result of `get_config()`."""
        config = dict(config)
        layer = deserialize_keras_object(config.pop("layer"), custom_objects)
        return cls(layer, **config)
