"""Copies of models with fresh weights, and models from JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torchkeras.core import tree
from torchkeras.core.config.limits import NoLimit, limited
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.types import Nest
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.core.input_layer import Input, InputLayer
from torchkeras.models.model import Functional, Model
from torchkeras.models.sequential import Sequential


@limited(NoLimit())
def clone_model(
    model: Model,
    input_tensors: Nest[KerasTensor] | None = None,
    clone_function: Callable[[Any], Any] | None = None,
    call_function: Callable[..., Nest[KerasTensor]] | None = None,
    recursive: bool = False,
    **kwargs: Any,
) -> Model:
    """Make a model of the same architecture, with new layers and newly initialized weights.

    A compiled model's copy is compiled in the same way. A subclassed model is copied by its `get_config()`.

    Args:
        model: a `Model`.
        input_tensors: KerasTensors, nested as the model's inputs, to build the copy upon; by default new inputs like
            the model's. Default: `None`.
        clone_function: a function that is given a layer and returns its copy; by default
            `type(layer).from_config(layer.get_config())`. For functional and Sequential models. Default: `None`.
        call_function: a function `(layer, *args, **kwargs)` that calls a copied layer and returns its output; by
            default `layer(*args, **kwargs)`. For functional models. Default: `None`.
        recursive: whether `clone_function` is applied to the layers of nested models too. Default: `False`.
        **kwargs: none is known.

    Returns:
        The copy, a model of the same class.

    Raises:
        ValueError: `model` is no model, or an argument is given that the kind of model does not take.

    Example:
        >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, kernel_initializer="ones")])
        >>> copy = keras.models.clone_model(model)
        >>> copy.set_weights(model.get_weights())
        >>> copy(np.ones((1, 3))).tolist()
        [[3.0, 3.0]]
    """
    if not isinstance(model, Model):
        raise ValueError(f"clone_model() copies models; received {model!r} (of type {type(model).__name__}).")

    def clone(layer: Any) -> Any:
        if recursive and isinstance(layer, Sequential):
            return clone_model(layer, clone_function=clone_function, recursive=True)
        if recursive and isinstance(layer, Model) and layer.__dict__.get("_tk_graph") is not None:
            return clone_model(layer, clone_function=clone_function, call_function=call_function, recursive=True)
        if clone_function is not None and not isinstance(layer, InputLayer):
            return clone_function(layer)
        copy = type(layer).from_config(layer.get_config())
        if isinstance(copy, Layer):
            copy.__dict__["_tk_name_given"] = layer.__dict__["_tk_name_given"]
        return copy

    if isinstance(model, Sequential):
        if call_function is not None:
            raise ValueError(
                "call_function is for functional models; the layers of a Sequential one are merely listed."
            )
        return _compiled_like(_clone_sequential(model, input_tensors, clone), model)
    if model.__dict__.get("_tk_graph") is not None:
        return _compiled_like(_clone_functional(model, input_tensors, clone, call_function), model)
    if clone_function is not None or input_tensors is not None:
        raise ValueError(
            f"clone_function and input_tensors need a functional or Sequential model; {type(model).__name__} is a "
            f"subclassed one, of which only its config can be cloned."
        )
    return type(model).from_config(model.get_config())


def _compiled_like(copy: Any, model: Any) -> Any:
    if model.compiled:
        copy.compile_from_config(model.get_compile_config())
    return copy


def _clone_sequential(model: Sequential, input_tensors: Any, clone: Callable) -> Sequential:
    row = [layer for layer in model._tk_row if not isinstance(layer, InputLayer)]
    distinct = {id(layer): clone(layer) for layer in dict.fromkeys(row)}
    copies = [distinct[id(layer)] for layer in row]
    if input_tensors is not None:
        tensors = tree.flatten(input_tensors)
        if len(tensors) != 1:
            raise ValueError(f"A Sequential model takes one input tensor; received {len(tensors)}.")
        copies.insert(0, _as_input(tensors[0]))
    elif isinstance(model._tk_row[0], InputLayer) if model._tk_row else False:
        copies.insert(0, InputLayer.from_config(model._tk_row[0].get_config()))
    return Sequential(copies, name=model.name, trainable=model.trainable)


def _clone_functional(model: Model, input_tensors: Any, clone: Callable, call_function: Callable | None) -> Any:
    graph = model.__dict__["_tk_graph"]
    if input_tensors is not None:
        try:
            tree.assert_same_structure(input_tensors, graph.inputs_struct)
        except ValueError as error:
            raise ValueError(f"`input_tensors` must have the same structure as model.input. {error}") from error
        flat = [_as_input(tensor) for tensor in tree.flatten(input_tensors)]
    else:
        flat = [_new_input(tensor) for tensor in graph.inputs]
    copies: dict[int, Any] = {}

    def visit(operation: Any, args: tuple, kwargs: dict) -> Any:
        if id(operation) not in copies:
            copies[id(operation)] = clone(operation)
        copy = copies[id(operation)]
        return call_function(copy, *args, **kwargs) if call_function is not None else copy(*args, **kwargs)

    outputs = graph.walk(list(flat), visit)
    inputs = tree.pack_sequence_as(graph.inputs_struct, flat)
    cls = type(model) if type(model).__init__ is Functional.__init__ else Functional
    return cls(inputs, outputs, name=model.name, trainable=model.trainable)


def _new_input(tensor: KerasTensor) -> KerasTensor:
    """An input of its own, like the one that made `tensor`."""
    return Input(
        batch_shape=tensor.shape,
        dtype=tensor.dtype,
        name=tensor.name,
        sparse=tensor.sparse,
        optional=getattr(tensor._keras_history.operation, "optional", False),
    )


def _as_input(tensor: Any) -> KerasTensor:
    if isinstance(tensor, KerasTensor) and hasattr(tensor, "_keras_history"):
        return tensor
    return Input(batch_shape=tuple(tensor.shape), dtype=str(tensor.dtype).removeprefix("torch."))
