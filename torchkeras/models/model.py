"""The model: a layer that can be compiled, trained, saved and described."""

from __future__ import annotations

import inspect
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, Self

import torch

from torchkeras import saving
from torchkeras.core import tree
from torchkeras.core.config.limits import limited
from torchkeras.core.memo import memoized
from torchkeras.core.operations.tracebacks import complete
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.types import Nest
from torchkeras.distributed import is_main_process, write_once
from torchkeras.distributed.calls import together, writing_together
from torchkeras.distributed.sharded_weights import holds_parts
from torchkeras.export.exportable import Exportable
from torchkeras.layers.base import symbolic
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.base.weight_walk import sublayers
from torchkeras.models import graph_config
from torchkeras.models import inputs as model_inputs
from torchkeras.models.child_keys import ChildKeys
from torchkeras.models.graph import Graph
from torchkeras.models.module_tree import module_tree
from torchkeras.models.quantization import QuantizableModel
from torchkeras.models.state_tree import set_state_tree, state_tree
from torchkeras.models.summary import print_summary, summary_as_html
from torchkeras.training.step import library_default
from torchkeras.training.trainer import Trainer


class Model(Exportable, Trainer, QuantizableModel, Layer):
    """Group layers into an object that can be trained and saved: `compile`, `fit`, `evaluate`, `predict`, `save`.

    There are three ways to make one. A functional model, `Model(inputs, outputs)`, is a graph of layer calls. A
    subclass creates its layers in `__init__` and uses them in `call`. `keras.Sequential` is a plain stack of layers.
    Every model is a `torch.nn.Module` too: `parameters()`, `state_dict()`, `to(device)` and hooks work as in torch.

    Args:
        inputs: inputs of a functional model: a `keras.Input`, or a list, tuple or dict of them.
        outputs: outputs of a functional model: results of layer calls, one or a list, tuple or dict of them.
        name: name of the model. Default: `None`, derived from the name of the class.
        trainable: whether training changes the weights. Default: `True`.
        dtype: dtype name or dtype policy. Default: `None`, `keras.config.dtype_policy()`.

    Raises:
        ValueError: an output can't be computed from the inputs, or two layers have one name.
        TypeError: positional arguments that are no symbolic inputs and outputs.

    Example:
        A functional model:

        >>> x = keras.Input(shape=(3,))
        >>> hidden = keras.layers.Dense(4, activation="relu")(x)
        >>> model = keras.Model(inputs=x, outputs=keras.layers.Dense(2)(hidden))
        >>> model(np.ones((5, 3))).shape
        torch.Size([5, 2])

        A subclass:

        >>> class Classifier(keras.Model):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.hidden = keras.layers.Dense(4, activation="relu")
        ...         self.dropout = keras.layers.Dropout(0.5)
        ...         self.scores = keras.layers.Dense(2)
        ...
        ...     def call(self, inputs, training=None):
        ...         return self.scores(self.dropout(self.hidden(inputs), training=training))
        >>> model = Classifier()
        >>> model.compile(optimizer="adam", loss="mse")
        >>> history = model.fit(np.ones((8, 3)), np.ones((8, 2)), epochs=2, verbose=0)
        >>> model.predict(np.ones((8, 3)), verbose=0).shape
        (8, 2)
    """

    keras_module = "keras"
    _tk_config_base = True
    _tk_saved_properties = ("layers",)  # Keras's files have the sublayers under this name too
    _tk_graph: Graph | None = None
    _tk_checks_sizes = True

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        made = Functional if cls is Model and _is_functional(args, kwargs) else cls
        return super().__new__(made, *args, **kwargs)  # type: ignore[return-value]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if not _is_functional(args, kwargs):
            if args:
                name = type(self).__name__
                raise TypeError(f"{name}() takes symbolic inputs and outputs, or keyword arguments only; got {args}.")
            super().__init__(**kwargs)
            self._tk_init_trainer()
            return
        named = dict(zip(("inputs", "outputs", "name"), args)) | kwargs
        inputs, outputs = named.pop("inputs"), named.pop("outputs")
        if named.get("trainable", True) is None:
            del named["trainable"]
        super().__init__(**named)
        self._tk_init_trainer()
        model_inputs.warn_of_keys(inputs)
        self._tk_set_graph(Graph(*_linked(inputs, outputs)))

    def _tk_set_graph(self, graph: Graph) -> None:
        graph.entry = model_inputs.entry_of(graph.inputs)
        self.__dict__["_tk_graph"] = graph
        if _functional_like(type(self)):
            self.__dict__["_tk_init_args"] = ((), {})  # the graph says more
        graph.check_names()
        held = {id(module) for module in self._modules.values()}
        layers = [layer for layer in graph.operations if isinstance(layer, torch.nn.Module) and id(layer) not in held]
        keys = self.__dict__["_tk_child_keys"] = ChildKeys(self)
        keys.extend(layers)
        self.built = True
        # Inputs take the types of their Input layers, not the model's.
        self.__dict__["_tk_input_type"] = None
        self._tk_build_shapes = {"input_shape": None}  # Keras writes so: the inputs say it all

    # ------------------------------------------------------------------ calling

    @library_default
    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Compute the outputs; a subclass without symbolic inputs and outputs defines this method.

        Call the model itself, `model(inputs)`, not this method.

        Args:
            inputs: tensors or arrays, nested as the model's inputs are.
            training: whether layers such as dropout behave as in training. Default: `None`, as the enclosing call.
            mask: masks of the inputs, boolean tensors in the same nest. Default: `None`.

        Returns:
            Tensors, nested as the model's outputs are.

        Raises:
            NotImplementedError: the subclass does not define it.
        """
        graph = self.__dict__.get("_tk_graph")
        if graph is None:
            raise complete(
                NotImplementedError(
                    f"Model {type(self).__name__} has no call(): define call(self, inputs), or make it as "
                    f"Model(inputs, outputs) from symbolic tensors."
                )
            )
        values = model_inputs.standardize(graph, inputs, self.name, self._tk_checks_sizes)
        if mask is not None:
            model_inputs.attach_masks(values, mask)
        return graph.run(values)

    call._tk_runs_graph = True  # type: ignore[attr-defined]

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Return the outputs as KerasTensors, for KerasTensors as inputs."""
        graph = self.__dict__.get("_tk_graph")
        if graph is None:
            if type(self).compute_output_shape is Model.compute_output_shape:  # no rule of the subclass's own
                return symbolic.inferred(self, args, kwargs)
            return super().compute_output_spec(*args, **kwargs)
        inputs = args[0] if args else kwargs["inputs"]
        values = model_inputs.standardize(graph, inputs, self.name, self._tk_checks_sizes)
        return graph.specs(values)

    def compute_output_shape(self, *args: Any, **kwargs: Any) -> Any:
        """Return the shapes of the outputs, for shapes of the inputs nested as the inputs are."""
        graph = self.__dict__.get("_tk_graph")
        if graph is None:
            return super().compute_output_shape(*args, **kwargs)
        shapes = args[0] if args else kwargs["input_shape"]
        flat = [shapes] if tree.is_shape_tuple(shapes) else _flat_shapes(shapes)
        tensors = [KerasTensor(shape, known.dtype) for shape, known in zip(flat, graph.inputs)]
        return tree.map_structure(lambda t: t.shape, graph.specs(tensors))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Take a state whose keys are of another kind, see `ChildKeys.translated`."""
        keys = self.__dict__.get("_tk_child_keys")
        renamed = None if keys is None else keys.translated(state_dict, prefix)
        if renamed is not None:
            items = list(state_dict.items())
            state_dict.clear()
            for key, value in items:
                part, dot, rest = key.removeprefix(prefix).partition(".")
                known = key.startswith(prefix) and part in renamed
                state_dict[f"{prefix}{renamed[part]}{dot}{rest}" if known else key] = value
        super()._load_from_state_dict(state_dict, prefix, *args)

    # ------------------------------------------------------------------ copies

    def __getstate__(self) -> dict[str, Any]:
        # Operations come first, in the order of the graph: each then refers to those before it alone, so that copying
        # and pickling stay shallow however deep the model is.
        graph = self.__dict__.get("_tk_graph")
        return self.__dict__ if graph is None else {"_chain": graph.chain, **self.__dict__}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__({name: value for name, value in state.items() if name != "_chain"})

    # ------------------------------------------------------------------ structure

    def _tk_graph_attribute(self, what: str) -> Any:
        graph = self.__dict__.get("_tk_graph")
        if graph is None:
            raise AttributeError(
                f"Model {self.name!r} ({type(self).__name__}) has no {what}: only functional models, and Sequential "
                f"models with a known input shape, are made of symbolic tensors. A subclassed model runs its call()."
            )
        return graph

    @property
    def inputs(self) -> list[Any]:
        """The symbolic inputs of a functional model, flat."""
        return self._tk_graph_attribute("inputs").inputs

    @property
    def outputs(self) -> list[Any]:
        """The symbolic outputs of a functional model, flat."""
        return self._tk_graph_attribute("outputs").outputs

    @property
    def input(self) -> Any:
        """The symbolic inputs as the model was given them; of a subclass, those of its first symbolic call."""
        own = self.__dict__.get("_tk_graph") is not None or not self._inbound_nodes
        return self._tk_graph_attribute("input").inputs_struct if own else super().input

    @property
    def output(self) -> Any:
        """The symbolic outputs as the model was given them; of a subclass, those of its first symbolic call."""
        own = self.__dict__.get("_tk_graph") is not None or not self._inbound_nodes
        return self._tk_graph_attribute("output").outputs_struct if own else super().output

    @property
    def input_shape(self) -> Any:
        """The shape of the only input, or the list of the inputs' shapes."""
        return _only([t.shape for t in self._tk_graph_attribute("input_shape").inputs])

    @property
    def output_shape(self) -> Any:
        """The shape of the only output, or the list of the outputs' shapes."""
        return _only([t.shape for t in self._tk_graph_attribute("output_shape").outputs])

    @property
    def operations(self) -> list[Any]:
        """The layers and ops of a functional model."""
        return list(self._tk_graph_attribute("operations").operations)

    @property
    def layers(self) -> list[Layer]:
        """The model's direct layers."""
        graph = self.__dict__.get("_tk_graph")
        if graph is None:
            return sublayers(self)  # type: ignore[return-value]
        own = [operation for operation in graph.operations if isinstance(operation, Layer)]
        return own + [layer for layer in sublayers(self) if all(layer is not known for known in own)]  # type: ignore[misc]

    @layers.setter
    def layers(self, value: Any) -> None:
        raise AttributeError(
            "`Model.layers` attribute is reserved: the model makes the list of its layers. Use another name."
        )

    def get_layer(self, name: str | None = None, index: int | None = None) -> Any:
        """Find a layer of the model by its name or by its place in `layers`.

        Args:
            name: the layer's name. Default: `None`.
            index: the place in `layers`; a negative one counts from the end. Default: `None`.

        Returns:
            The layer.

        Raises:
            ValueError: there is no such layer, or both or neither are given.

        Example:
            >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="scores")])
            >>> model.get_layer("scores") is model.get_layer(index=0)
            True
        """
        if name is None and index is None:
            raise ValueError("Provide either a layer name or layer index at `get_layer`.")
        if name is not None and index is not None:
            raise ValueError(f"Provide only a layer name or a layer index. Received: index={index}, name={name}.")
        layers = self.layers
        if index is not None:
            if -len(layers) <= index < len(layers):
                return layers[index]
            raise ValueError(
                f"Was asked to retrieve layer at index {index} but model {self.name!r} only has {len(layers)} layers."
            )
        for layer in layers:
            if getattr(layer, "name", None) == name:
                return layer
        raise ValueError(
            f"No such layer: {name}. Existing layers of model {self.name!r} are: "
            f"{[getattr(x, 'name', x) for x in layers]}."
        )

    def reset_states(self) -> None:
        """Set the states of all stateful recurrent layers back to zero."""
        for layer in self._flatten_layers(include_self=False):
            if getattr(layer, "stateful", False) and hasattr(layer, "reset_state"):
                layer.reset_state()

    reset_state = reset_states

    def summary(
        self,
        line_length: int | None = None,
        positions: Sequence[float] | None = None,
        print_fn: Callable[[str], object] | None = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: Sequence[str] | None = None,
        *,
        show_memory: bool = False,
        show_flops: bool = False,
    ) -> None:
        """Print a table of the layers, their output shapes and numbers of parameters.

        Args:
            line_length: width of the table in characters. Default: `None`, 88 (108 with connections, 12 more for each
                further column), or what fits into the terminal.
            positions: where the columns end, as fractions of the width: `[0.4, 0.7, 1.0]`. Default: `None`.
            print_fn: a function that is given the whole text. Default: `None`, `print`.
            expand_nested: whether to show the layers of nested models. Default: `False`.
            show_trainable: whether to add a column that says which layers train. Default: `False`.
            layer_range: patterns of the names of the first and the last layer to show. Default: `None`, all.
            show_memory: whether to add a column of the bytes that the weights take. Keras has no such argument.
                Default: `False`.
            show_flops: whether to add a column of the floating point operations of matrix products and convolutions
                for one sample, counted by running the model once. Keras has no such argument. Default: `False`.

        Raises:
            ValueError: `layer_range` is not two patterns, or names no layers.

        Example:
            >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
            >>> lines = []
            >>> model.summary(print_fn=lines.append)
            >>> "Total params: 8" in lines[0]
            True
        """
        print_summary(
            self, line_length, positions, print_fn, expand_nested, show_trainable, layer_range, show_memory, show_flops
        )

    def _repr_html_(self) -> str:
        """The summary as a notebook shows it."""
        return summary_as_html(self)

    def get_state_tree(self, value_format: str = "backend_tensor") -> dict[str, Any]:
        """Return all variables of the model, its optimizer and its metrics as nested dicts.

        Args:
            value_format: `"backend_tensor"` for the variables themselves, `"numpy_array"` for copies as arrays.

        Returns:
            A dict with the entries `"trainable_variables"`, `"non_trainable_variables"`, `"optimizer_variables"` and
            `"metrics_variables"`, each of them nested as the variables' paths are.

        Raises:
            ValueError: the format is unknown, or two variables of a kind have one path.

        Example:
            >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="scores")], name="model")
            >>> tree = model.get_state_tree(value_format="numpy_array")
            >>> tree["trainable_variables"]["model"]["scores"]["kernel"].shape
            (3, 2)
        """
        return state_tree(self, value_format)

    def set_state_tree(self, state_tree: dict[str, Any]) -> None:
        """Set the variables of the model, its optimizer and its metrics to the values of a tree.

        Args:
            state_tree: a dict as `get_state_tree` returns it. Variables that it lacks keep their values.

        Raises:
            ValueError: the tree has an unknown entry, or a value has another shape than its variable.
        """
        set_state_tree(self, state_tree)

    # ------------------------------------------------------------------ description and files

    def __str__(self) -> str:
        return module_tree(self)

    def get_config(self) -> dict[str, Any]:
        """Return a JSON-ready description, from which `from_config` makes an equal model with fresh weights.

        A functional model describes its layers and their connections; a subclass describes the constructor's
        arguments, or overrides this method.
        """
        graph = self.__dict__.get("_tk_graph")
        if graph is None or not _functional_like(type(self)):
            return super().get_config()
        return {"name": self.name, "trainable": self.trainable, **graph_config.graph_to_config(graph)}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Self:
        """Make a model, with fresh weights, from the result of `get_config()`.

        Args:
            config: a dict.
            custom_objects: classes and functions by name. Default: `None`.

        Returns:
            The model.
        """
        if not {"layers", "input_layers", "output_layers"} <= set(config):
            return super().from_config(config)
        with limited():
            inputs, outputs = graph_config.graph_from_config(config, custom_objects)
        named = {key: value for key, value in config.items() if key not in ("layers", "input_layers", "output_layers")}
        return (Functional if cls is Model else cls)(inputs=inputs, outputs=outputs, **named)  # type: ignore[return-value]

    def get_compile_config(self) -> dict[str, Any]:
        """Return the arguments of `compile()` as JSON-ready values; empty for a model that is not compiled."""
        return super().get_compile_config() or {}

    def to_json(self, **kwargs: Any) -> str:
        """Return the architecture, without weights, as JSON; `keras.models.model_from_json` reads it.

        Args:
            **kwargs: arguments of `json.dumps`, such as `indent`.

        Returns:
            A string.
        """
        return json.dumps(graph_config.described(self), **kwargs)

    def save(
        self,
        filepath: Any,
        overwrite: bool = True,
        zipped: bool | None = None,
        include_optimizer: bool = True,
        **kwargs: Any,
    ) -> None:
        """Save the whole model: architecture, weights, compile configuration and optimizer state.

        `keras.saving.load_model` reads the file, here and in Keras. With several processes, rank 0 writes and the
        others wait.

        Args:
            filepath: a path that ends in `.keras` (or in `.h5`, for Keras's older format), or a binary file object.
            overwrite: whether to replace an existing file without asking. Default: `True`.
            zipped: `False` for a folder that holds the parts of the file as files. Default: `None`, one file.
            include_optimizer: whether to write the optimizer's state. Default: `True`.
            **kwargs: further arguments of `keras.saving.save_model`.

        Example:
            >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
            >>> model.save("model.keras")
            >>> loaded = keras.saving.load_model("model.keras")
            >>> bool((loaded(np.ones((1, 3))) == model(np.ones((1, 3)))).all())
            True
        """
        named = {"overwrite": overwrite, "zipped": zipped, "include_optimizer": include_optimizer, **kwargs}
        self._tk_write(filepath, lambda target: saving.save_model(self, target, **named))

    def save_weights(self, filepath: Any, overwrite: bool = True, max_shard_size: Any = None) -> None:
        """Save the weights, and the optimizer's state if the model is compiled, without the architecture.

        Args:
            filepath: a path that ends in `.weights.h5` or `.safetensors`, or in `.weights.json` for several files.
            overwrite: whether to replace an existing file without asking. Default: `True`.
            max_shard_size: the largest size of a file in GB. The weights then go to several files beside an index.
                Default: `None`, one file.
        """
        named = {"overwrite": overwrite, "max_shard_size": max_shard_size}
        self._tk_write(filepath, lambda target: saving.save_weights(self, target, **named))

    def _tk_write(self, filepath: Any, write: Callable[[Any], None]) -> None:
        """With several processes rank 0 writes and the others wait for it; file objects are each rank's own."""
        if hasattr(filepath, "write"):
            write(filepath)
            return
        path = os.fspath(filepath)
        if not holds_parts(self):
            write_once(path, lambda: write(filepath))
            return
        with writing_together(path):
            if not is_main_process():
                self._tk_save_along(write, os.path.basename(path))
            write_once(path, lambda: write(filepath))

    def _tk_save_along(self, write: Callable[[Any], None] | None = None, name: str = "along.weights.h5") -> None:
        """Take part in gathering the weights of a sharded model, which another rank saves."""
        if holds_parts(self):
            with tempfile.TemporaryDirectory() as folder:
                path = os.path.join(folder, name)
                write(path) if write is not None else saving.save_weights(self, path)

    def load_weights(self, filepath: Any, skip_mismatch: bool = False, **kwargs: Any) -> None:
        """Load weights from a file into the model, which must be built. On an error no weight changes.

        Args:
            filepath: a file of weights (`.weights.h5`, `.safetensors`), the index of several files, a whole model
                (`.keras`), or an older HDF5 file (`.h5`).
            skip_mismatch: whether to skip, with a warning, layers whose weights have other shapes or another number.
                Default: `False`.
            **kwargs: further arguments of `keras.saving.load_weights`, such as `by_name`.

        Raises:
            ValueError: the weights do not fit the model, the model is not built, or the file is missing or corrupt.
        """
        with together("load_weights()") if holds_parts(self) else nullcontext():
            saving.load_weights(self, filepath, skip_mismatch=skip_mismatch, **kwargs)


class _FunctionalType(type):
    """Makes a subclass of `Model` whose constructor gave it inputs and outputs an instance of `Functional`."""

    def __instancecheck__(cls, instance: Any) -> bool:
        if type.__instancecheck__(cls, instance):
            return True
        own = getattr(instance, "__dict__", {})
        return cls is Functional and isinstance(instance, Model) and bool(own.get("_tk_graph")) and "_tk_row" not in own


class Functional(Model, metaclass=_FunctionalType):
    """A model made of symbolic inputs and outputs; `keras.Model(inputs, outputs)` makes one.

    Args:
        inputs: KerasTensors from `keras.Input`, one or a nest of them.
        outputs: KerasTensors that were computed from the inputs, one or a nest of them.
        name: name of the model; `None` numbers it. Default: `None`.
        **kwargs: the other arguments of `Model`.

    Raises:
        ValueError: an output can't be computed from the inputs, or two layers have one name.

    Example:
        >>> x = keras.Input(shape=(3,))
        >>> model = keras.Model(x, keras.layers.Dense(2)(x))
        >>> isinstance(model, keras.models.Functional), model.output_shape
        (True, (None, 2))
    """

    keras_module = "keras.src.models.functional"
    _tk_counts_from_one = True

    def __init__(
        self, inputs: Nest[KerasTensor], outputs: Nest[KerasTensor], name: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(inputs=inputs, outputs=outputs, name=name, **kwargs)


def _is_functional(args: tuple, kwargs: dict) -> bool:
    return len(args) >= 2 or (len(args) == 1 and "outputs" in kwargs) or {"inputs", "outputs"} <= set(kwargs)


@memoized
def _functional_like(cls: type) -> bool:
    """Whether the class's constructor takes inputs and outputs as `Functional`'s does, or passes anything on."""
    parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]  # type: ignore[misc]
    names = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    kinds = {p.kind for p in parameters}
    return names == ["inputs", "outputs", "name"] or {_Kind.VAR_POSITIONAL, _Kind.VAR_KEYWORD} <= kinds


_Kind = inspect.Parameter


def _only(values: list) -> Any:
    return values[0] if len(values) == 1 else values


def _flat_shapes(shapes: Any) -> list:
    if tree.is_shape_tuple(shapes):
        return [tuple(shapes)]
    values = [shapes[key] for key in sorted(shapes)] if isinstance(shapes, dict) else shapes
    return [shape for value in values for shape in _flat_shapes(value)]


def _linked(inputs: Any, outputs: Any) -> tuple[Any, Any]:
    """Inputs in the middle of a graph become the outputs of new input layers; the part behind them is kept."""
    for tensor in tree.flatten(inputs):
        if not isinstance(tensor, KerasTensor):
            raise ValueError(f"All `inputs` values must be KerasTensors (from torchkeras.Input); received {tensor!r}.")
        if not hasattr(tensor, "_keras_history"):
            raise ValueError(f"The input {tensor!r} was made by no layer; make it with torchkeras.Input(shape).")
    if all(tensor._keras_history.operation._inbound_nodes[tensor._keras_history.node_index].is_input
           for tensor in tree.flatten(inputs)):  # fmt: skip
        return inputs, outputs
    return model_inputs.with_new_inputs(inputs, outputs)
