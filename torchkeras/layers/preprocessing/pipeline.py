"""Pipeline: layers one after another, as a single layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torchkeras.core import tree
from torchkeras.core.config.serialization import deserialize_keras_object, serialize_keras_object
from torchkeras.layers.base.layer import Layer


class Pipeline(Layer):
    """Apply layers one after another, such as those that augment images, as a single layer.

    Unlike a `Sequential` model it needs no shapes, and its layers run in training mode unless the call says otherwise.

    Args:
        layers: the layers, in order.
        name: name of the layer. Default: `None`.

    Call arguments:
        inputs: the inputs of the first layer; whatever it takes.
        training: training mode of the layers. Default: `True`.
        mask: mask of the inputs. Default: `None`.

    Raises:
        ValueError: a config without a list of layers.

    Example:
        >>> Rescaling = keras.layers.Rescaling
        >>> pipeline = keras.layers.Pipeline([Rescaling(1 / 255), Rescaling(2.0, offset=-1.0)])
        >>> pipeline(torch.tensor([[0.0, 255.0]])).tolist()
        [[-1.0, 1.0]]
    """

    def __init__(self, layers: Sequence[Layer], name: str | None = None) -> None:
        super().__init__(name=name)
        self._pipeline_layers = list(layers)

    @property
    def layers(self) -> list[Layer]:
        """The layers, in order."""
        return self._pipeline_layers

    def call(self, inputs: Any, training: bool | None = True, mask: Any = None) -> Any:
        for layer in self._pipeline_layers:
            spec, kwargs = layer._tk_call_spec, {}
            if spec.masks:
                kwargs["mask"] = mask
            if spec.has_training and training is not None:
                kwargs["training"] = training
            inputs = layer(inputs, **kwargs)
            mask = tree.map_structure(lambda tensor: getattr(tensor, "_keras_mask", None), inputs)
        return inputs

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Pipeline:
        """Make a pipeline of the result of `get_config()`."""
        layers = config.get("layers")
        if not isinstance(layers, (list, tuple)):
            raise ValueError(
                "`Pipeline` config must contain a `layers` key mapping to a list of serialized layers. "
                f"Received config with layers={layers}."
            )
        return cls([deserialize_keras_object(layer, custom_objects) for layer in layers], config.get("name"))

    def get_config(self) -> dict[str, Any]:
        return {"layers": serialize_keras_object(list(self._pipeline_layers)), "name": self.name}
