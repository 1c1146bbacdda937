"""Layers in a row."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, Self

import torch

from torchkeras.core import naming, tree
from torchkeras.core.config.limits import limited
from torchkeras.core.config.serialization import deserialize_keras_object
from torchkeras.core.memo import memoized
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.tensors.strings import is_string_array
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.core.input_layer import Input, InputLayer
from torchkeras.layers.core.torch_module import TorchModuleWrapper
from torchkeras.models import inputs as model_inputs
from torchkeras.models.child_keys import ChildKeys
from torchkeras.models.graph import Graph
from torchkeras.models.graph_config import described
from torchkeras.models.model import Model


class Sequential(Model):
    """Pass an input through layers in turn: a plain stack with one input and one output.

    Args:
        layers: a list of layers; a plain `nn.Module` is taken as a layer too. With a first `keras.Input` (or
            `input_shape=` on the first layer) the model is built at once, else on its first data. Default: `None`.
        trainable: whether training changes the weights. Default: `True`.
        name: a string; by default numbered after the class. Default: `None`.

    Raises:
        ValueError: an entry is no layer, or two layers have one name.

    Example:
        >>> model = keras.Sequential([keras.Input((16,)), keras.layers.Dense(8, activation="relu")])
        >>> model.add(keras.layers.Dense(4))
        >>> model(np.ones((2, 16))).shape
        torch.Size([2, 4])

        Without an `Input` the weights are made on the first call:

        >>> model = keras.Sequential([keras.layers.Dense(8), keras.layers.Dense(4)])
        >>> model.built
        False
        >>> model.build((None, 16))
        >>> len(model.weights)
        4
    """

    _tk_config_base = True
    # Built on its first data, it takes other sizes as far as its layers do.
    _tk_checks_sizes = False
    # Its layers do.
    _tk_builds_weights = False

    def __init__(
        self,
        layers: Sequence[torch.nn.Module | KerasTensor] | torch.nn.Module | KerasTensor | None = None,
        trainable: bool = True,
        name: str | None = None,
    ) -> None:
        super().__init__(trainable=trainable, name=name)
        self.__dict__.update(_tk_row=[], _tk_names={}, _tk_child_keys=ChildKeys(self))
        if layers is not None:
            for layer in layers if isinstance(layers, (list, tuple)) else [layers]:
                self.add(layer, rebuild=False)  # type: ignore[arg-type]
            self._tk_rebuild()

    def add(self, layer: torch.nn.Module | KerasTensor, rebuild: bool = True) -> None:
        """Append a layer to the stack. A layer that is in it already stands in both places, with the same weights.

        Args:
            layer: a layer, a plain `nn.Module`, or, as the first, the result of `keras.Input`.
            rebuild: whether to build the model now, if its input shape is known. Default: `True`.

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
        known = self._tk_names.get(layer.name)
        if known is not None and known is not layer and known.name == layer.name:
            raise ValueError(
                f"All layers added to a Sequential model should have unique names. Name {layer.name!r} is already the "
                f"name of a layer in this model, {self.name!r}: give another `name`."
            )
        row.append(layer)
        self._tk_names[layer.name] = layer
        if not isinstance(layer, InputLayer) and known is not layer:
            self._tk_child_keys.add(layer)
        if rebuild:
            self._tk_rebuild()
        else:
            self._tk_forget()

    def pop(self, rebuild: bool = True) -> Layer:
        """Remove the last layer.

        Args:
            rebuild: whether to build the model now, if its input shape is known. Default: `True`.

        Returns:
            The removed layer.

        Example:
            >>> model = keras.Sequential([keras.layers.Dense(8), keras.layers.Dense(4, name="last")])
            >>> model.pop().name, len(model.layers)
            ('last', 1)
        """
        layer = self._tk_row.pop()
        if all(layer is not other for other in self._tk_row):
            self._tk_names.pop(layer.name, None)
            if not isinstance(layer, InputLayer):
                self._tk_child_keys.pop()
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

    def _tk_first_call(self, args: tuple, kwargs: dict[str, Any]) -> Any:
        self.__dict__["_tk_first_data_is_text"] = bool(args) and is_string_array(args[0])
        return super()._tk_first_call(args, kwargs)

    def build(self, input_shape: Any = None) -> None:
        """Make the weights of all layers.

        Args:
            input_shape: sizes of the input, the batch size first; `None` for any size. Default: `None`, the shape of
                the model's `Input`.

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
            dtype = "string" if self.__dict__.pop("_tk_first_data_is_text", False) else dtype
            x = start = Input(batch_shape=input_shape, dtype=dtype, name=None)
            self._tk_row.insert(0, start._keras_history.operation)
            row = self._tk_row
        else:
            self.built = True
            return
        try:
            for layer in row[1:]:
                x = _called(layer, x)
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
        """Pass the inputs through the layers in turn.

        Args:
            inputs: a tensor or array.
            training: whether layers such as dropout behave as in training. Default: `None`, as the enclosing call.
            mask: the mask of the inputs, a boolean tensor. Default: `None`.

        Returns:
            The output of the last layer.
        """
        if self.__dict__.get("_tk_graph") is not None:
            return super().call(inputs, training=training, mask=mask)
        x = inputs
        for layer in self.layers:
            x = _called(layer, x)
        return x

    call._tk_runs_graph = True  # type: ignore[attr-defined]

    @property
    def layers(self) -> list[Layer]:
        """The layers, without the input layer."""
        return [layer for layer in self._tk_row if not isinstance(layer, InputLayer)]

    @layers.setter
    def layers(self, value: object) -> None:
        raise AttributeError(
            "`Sequential.layers` attribute is reserved: the model makes the list of its layers. Use `add()` and "
            "`pop()` to change it."
        )

    @property
    def input(self) -> Any:
        """The symbolic input of the first call in another model, as for any layer; before one, the stack's own."""
        return Layer.input.fget(self) if self._inbound_nodes else super().input  # type: ignore[attr-defined]

    @property
    def output(self) -> Any:
        """The symbolic output of the first call in another model, as for any layer; before one, the stack's own."""
        return Layer.output.fget(self) if self._inbound_nodes else super().output  # type: ignore[attr-defined]

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the output for a shape of the input.

        Args:
            input_shape: sizes of the input, the batch size first, `None` for any size.

        Returns:
            A tuple.
        """
        for layer in self.layers:
            input_shape = layer.compute_output_shape(input_shape)
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the configs of the layers, from which `from_config` makes an equal model with fresh weights.

        A subclass whose constructor takes other arguments, and makes the layers itself, has those in the config.
        """
        config = Layer.get_config(self)
        config.pop("layers", None)
        if not _takes_layers(type(self)):
            return config
        policy = config["dtype"]
        config = {"name": self.name, "trainable": self.trainable, "dtype": policy}
        config["layers"] = [described(layer) for layer in self._tk_row]
        if self.built and self._tk_build_shapes:
            config["build_input_shape"] = self._tk_build_shapes["input_shape"]
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Self:
        """Make a model, with fresh weights, from the result of `get_config()`.

        Args:
            config: a dict.
            custom_objects: classes and functions by name. Default: `None`.

        Returns:
            The model.

        Raises:
            ValueError: the dict lacks the model's name or its layers, or an entry describes no layer.
        """
        if cls is not Sequential and isinstance(config, dict) and "layers" not in config:
            return super().from_config(config, custom_objects)
        if not isinstance(config, dict) or not {"name", "layers"} <= set(config):
            raise ValueError(
                f"A Sequential model configuration must be a dictionary containing the 'name' and 'layers' keys. "
                f"Received: config={config}"
            )
        for row in config["layers"]:
            if not isinstance(row, dict) or "config" not in row:
                raise ValueError(
                    f"The provided configuration is not a valid Keras configuration. Expected a dictionary containing "
                    f"a 'config' key. Received: config={row}"
                )
        shape = config.get("build_input_shape")
        model = cls(name=config["name"])
        made: dict[str, tuple[Any, Layer]] = {}
        with limited():
            for row in config["layers"]:
                # A layer that stands in several places has the same config, and so the same name, in each.
                name = row["config"].get("name") if isinstance(row["config"], dict) else None
                known = made.get(name) if isinstance(name, str) else None
                if known is not None and known[0] == row:
                    layer: Any = known[1]
                else:
                    layer = deserialize_keras_object(row, custom_objects)
                    made[layer.name] = row, layer
                model.add(layer, rebuild=False)
            model._tk_rebuild()
            if shape and not model.built:
                model.build(tuple(shape) if tree.is_shape_tuple(shape) else shape)
        if config.get("trainable") is False:
            model.trainable = False
        return model


@memoized
def _takes_layers(cls: type) -> bool:
    """Whether the class's constructor takes no arguments but those of `Sequential`'s, or passes any on."""
    parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]  # type: ignore[misc]
    kinds = {p.kind for p in parameters}
    named = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    return named <= {"layers", "trainable", "name", "dtype"} or inspect.Parameter.VAR_POSITIONAL in kinds


def _as_layer(layer: Any) -> Any:
    history = getattr(layer, "_keras_history", None)
    if history is not None and isinstance(history.operation, InputLayer):
        return history.operation
    if isinstance(layer, Layer):
        return layer
    if isinstance(layer, torch.nn.Module):
        return TorchModuleWrapper(layer)
    raise ValueError(
        f"Only instances of `keras.Layer` (or torch modules) can be added to a Sequential model. Received: {layer!r} "
        f"(of type {type(layer)})."
    )


def _called(layer: torch.nn.Module, x: Any) -> Any:
    """The output of a layer of the stack.

    Raises:
        ValueError: the layer needs more than the input tensor.
    """
    try:
        return layer(x)
    except TypeError as error:
        function = layer.call if isinstance(layer, Layer) else layer.forward
        required = [
            p.name
            for p in inspect.signature(function).parameters.values()
            if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        ]
        if len(required) < 2:
            raise
        raise ValueError(
            f"Layers added to a Sequential model can only have a single required positional argument, the input "
            f"tensor. {type(layer).__name__} {getattr(layer, 'name', '')!r} has {required}: give the others defaults."
        ) from error
