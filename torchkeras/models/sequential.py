"""Layers in a row."""

from __future__ import annotations

from typing import Any, Self

import torch

from torchkeras.core import naming, tree
from torchkeras.core.config.serialization import deserialize_keras_object
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.base.weight_walk import add_sublayer
from torchkeras.layers.core.input_layer import Input, InputLayer
from torchkeras.layers.core.torch_module import TorchModuleWrapper
from torchkeras.models import inputs as model_inputs
from torchkeras.models.graph import Graph
from torchkeras.models.graph_config import described
from torchkeras.models.model import Model


class Sequential(Model):
    """A model that passes its input through its layers in turn; a plain `nn.Module` is taken as a layer.

    Args:
        layers: to add. A first `Input` (or `input_shape=` on the first layer) makes the model known at once; without
            one it is built on its first data.
        trainable: whether training changes the weights.
        name: default: numbered.
    """

    # Built on its first data, it takes other sizes as far as its layers do.
    _tk_checks_sizes = False

    def __init__(self, layers: Any = None, trainable: bool = True, name: str | None = None) -> None:
        super().__init__(trainable=trainable, name=name)
        self.__dict__["_tk_row"] = []
        if layers is not None:
            for layer in layers if isinstance(layers, (list, tuple)) else [layers]:
                self.add(layer, rebuild=False)
            self._tk_rebuild()

    def add(self, layer: Any, rebuild: bool = True) -> None:
        """Put a layer at the end.

        Raises:
            ValueError: it is no layer, its name is taken, or an `Input` comes behind another layer.
        """
        layer = _as_layer(layer)
        row = self._tk_row
        if isinstance(layer, InputLayer) and row:
            raise ValueError(
                f"Sequential model {self.name!r} has already been configured: it starts with {row[0].name!r}, and an "
                f"Input can only come first."
            )
        if not row and not isinstance(layer, InputLayer):
            shape = getattr(layer, "_tk_input_shape_arg", None)
            if shape is not None:
                row.append(InputLayer(batch_shape=shape, dtype=None if layer.dtype != "int32" else layer.dtype))
        if any(known.name == layer.name for known in row):
            raise ValueError(
                f"All layers of a Sequential model should have unique names; Sequential model {self.name!r} has a "
                f"{layer.name!r} already. Give another `name`."
            )
        row.append(layer)
        if not isinstance(layer, InputLayer):
            add_sublayer(self, layer.name.replace(".", "_"), layer)
        if rebuild:
            self._tk_rebuild()
        else:
            self._tk_forget()

    def pop(self, rebuild: bool = True) -> Any:
        """Take the last layer off."""
        layer = self._tk_row.pop()
        self._modules.pop(layer.name.replace(".", "_"), None)
        self._tk_rebuild() if rebuild else self._tk_forget()
        return layer

    def _tk_forget(self) -> None:
        self.__dict__["_tk_graph"] = None
        self.built = False

    def _tk_rebuild(self) -> None:
        self._tk_forget()
        row = self._tk_row
        if len(row) > 1 and isinstance(row[0], InputLayer):
            self.build(row[0].batch_shape)
        elif len(row) > 1 and isinstance(row[0], Model) and row[0].__dict__.get("_tk_graph") is not None:
            self.build(row[0].input_shape)

    def build(self, input_shape: Any = None) -> None:
        """Build all layers for inputs of the shape (batch size first).

        Raises:
            ValueError: the model is built for another shape, or a layer does not fit.
        """
        row = self._tk_row
        if not row:
            raise ValueError(f"Sequential model {self.name!r} has no layers to build; add some.")
        graph = self.__dict__.get("_tk_graph")
        if graph is not None and input_shape is not None and tuple(input_shape) != graph.inputs[0].shape:
            if tuple(input_shape)[1:] == graph.inputs[0].shape[1:]:
                return
            raise ValueError(
                f"Sequential model {self.name!r} has already been configured for the input shape "
                f"{graph.inputs[0].shape}; received {input_shape}."
            )
        if isinstance(row[0], InputLayer):
            x = start = row[0].output
        elif tree.is_shape_tuple(input_shape):
            dtype = row[0].compute_dtype if isinstance(row[0], Layer) else None
            x = start = Input(batch_shape=input_shape, dtype=dtype, name=None)
            self._tk_row.insert(0, start._keras_history.operation)
            row = self._tk_row
        else:
            self.built = True
            return
        try:
            for layer in row[1:]:
                x = layer(x)
        except NotImplementedError:  # a layer that can't tell its output's shape: known when data comes
            return
        self._tk_set_row_graph(Graph(start, x))

    def _tk_set_row_graph(self, graph: Graph) -> None:
        naming.auto_name("Functional")  # Keras makes a functional model here, and names count alike
        graph.entry = model_inputs.entry_of(graph.inputs)
        self.__dict__["_tk_graph"] = graph
        self.built = True
        self.__dict__["_tk_input_type"] = None
        self._tk_build_shapes = {"input_shape": graph.inputs[0].shape}

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if self.__dict__.get("_tk_graph") is not None:
            return super().call(inputs, training=training, mask=mask)
        x = inputs
        for layer in self.layers:
            x = layer(x)
        return x

    @property
    def layers(self) -> list:
        """The layers, without the input layer."""
        return [layer for layer in self._tk_row if not isinstance(layer, InputLayer)]

    @layers.setter
    def layers(self, value: object) -> None:
        raise AttributeError(
            "`Sequential.layers` attribute is reserved: the model makes the list of its layers. Use `add()` and "
            "`pop()` to change it."
        )

    def compute_output_shape(self, input_shape: Any) -> Any:
        for layer in self.layers:
            input_shape = layer.compute_output_shape(input_shape)
        return input_shape

    def get_config(self) -> dict[str, Any]:
        policy = Layer.get_config(self)["dtype"]
        config = {"name": self.name, "trainable": self.trainable, "dtype": policy}
        config["layers"] = [described(layer) for layer in self._tk_row]
        if self.built and self._tk_build_shapes:
            config["build_input_shape"] = self._tk_build_shapes["input_shape"]
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Self:
        shape = config.get("build_input_shape")
        model = cls(name=config.get("name"))
        for row in config["layers"]:
            model.add(deserialize_keras_object(row, custom_objects), rebuild=False)
        model._tk_rebuild()
        if shape and not model.built:
            model.build(tuple(shape) if tree.is_shape_tuple(shape) else shape)
        if config.get("trainable") is False:
            model.trainable = False
        return model


def _as_layer(layer: Any) -> Any:
    history = getattr(layer, "_keras_history", None)
    if history is not None and isinstance(history.operation, InputLayer):
        return history.operation
    if isinstance(layer, Layer):
        return layer
    if isinstance(layer, torch.nn.Module):
        return TorchModuleWrapper(layer)
    raise ValueError(
        f"Only instances of Layer (or torch modules) can be added to a Sequential model; received {layer!r} "
        f"(of type {type(layer).__name__})."
    )
