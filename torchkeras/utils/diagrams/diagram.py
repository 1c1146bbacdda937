"""A model as boxes and arrows, before anybody decides where they stand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torchkeras.core import tree
from torchkeras.core.operations.operation import Operation
from torchkeras.layers.base.layer import Layer
from torchkeras.models import Model, Sequential

Key = int  # the id of the layer: a layer that is called twice has one box


@dataclass
class Style:
    """The facts that a diagram shows; the fields are the arguments of `model_to_dot`."""

    show_shapes: bool = False
    show_dtype: bool = False
    show_layer_names: bool = True
    show_layer_activations: bool = False
    show_trainable: bool = False
    expand_nested: bool = False


@dataclass
class Box:
    """A layer.

    Args:
        key: the layer's.
        name: name of the layer, or "" if it is not shown.
        kind: name of its class.
        activation: name of its activation, or "".
        cells: pairs of a caption and a value, such as `("Output shape", "(None, 3)")`.
        trainable: whether its weights are trained; `None`: it has none, or that is not shown.
    """

    key: Key
    name: str
    kind: str
    activation: str = ""
    cells: list[tuple[str, str]] = field(default_factory=list)
    trainable: bool | None = None


@dataclass
class Diagram:
    """A model, with the models in it that are shown with their layers.

    Args:
        key: the model's.
        name: name of the model.
        parts: boxes and diagrams in the order of the graph.
        edges: pairs of keys of boxes, wherever they lie in it.
    """

    key: Key
    name: str
    parts: list[Box | Diagram] = field(default_factory=list)
    edges: list[tuple[Key, Key]] = field(default_factory=list)

    def all_edges(self) -> list[tuple[Key, Key]]:
        """The edges of the diagram and of all diagrams in it, each once."""
        inner = [edge for part in self.parts if isinstance(part, Diagram) for edge in part.all_edges()]
        return list(dict.fromkeys([*inner, *self.edges]))


def diagram_of(model: Model, style: Style) -> Diagram:
    """The diagram of a model.

    Args:
        model: the model.
        style: what to show.

    Raises:
        ValueError: it is no model, or not built.
    """
    if not isinstance(model, Layer):
        raise ValueError(f"A model is needed to plot one; received {model!r} (of type {type(model).__name__}).")
    if not model.built:
        raise ValueError(
            "This model has not yet been built. Build the model first by calling `build()` or by calling the model on "
            "a batch of data."
        )
    if not _has_graph(model) and not style.expand_nested:
        return Diagram(id(model), model.name, [_box(model, style)])
    return _expanded(model, style)


def _has_graph(layer: Layer) -> bool:
    return isinstance(layer, Sequential) or (isinstance(layer, Model) and layer.__dict__.get("_tk_graph") is not None)


def _expanded(model: Model, style: Style) -> Diagram:
    """A model with its layers. Calls in a model that is no graph are not known: its layers have no arrows."""
    graph = None if isinstance(model, Sequential) else model.__dict__.get("_tk_graph")
    layers = list(model.layers) if graph is None else list(graph.operations)
    diagram = Diagram(id(model), model.name)
    for layer in layers:
        if isinstance(layer, Model) and style.expand_nested and layer.built and layer.layers:
            diagram.parts.append(_expanded(layer, style))
        else:
            diagram.parts.append(_box(layer, style))
    if isinstance(model, Sequential):
        pairs = [(last_box(a, style), first_box(b, style, 0)) for a, b in zip(layers, layers[1:])]
        diagram.edges = list(dict.fromkeys(pairs))
    elif graph is not None:
        diagram.edges = _edges(graph.nodes, style)
    return diagram


def _edges(nodes: list[Any], style: Style) -> list[tuple[Key, Key]]:
    edges = []
    for node in nodes:
        for place, tensor in enumerate(node.input_tensors):
            history = tensor._keras_history
            if history.operation is not None:
                source = last_box(history.operation, style, history.tensor_index)
                edges.append((source, first_box(node.operation, style, place)))
    return list(dict.fromkeys(edges))


def last_box(layer: Layer, style: Style, place: int = 0) -> Key:
    """The box from which an output of a layer comes: within an expanded model, that of the layer that gives it."""
    if not style.expand_nested or not isinstance(layer, Model) or not layer.layers:
        return id(layer)
    if isinstance(layer, Sequential):
        return last_box(layer.layers[-1], style, place)
    if not _has_graph(layer):
        return id(layer.layers[-1])
    history = layer.outputs[place]._keras_history
    return last_box(history.operation, style, history.tensor_index)


def first_box(layer: Layer, style: Style, place: int) -> Key:
    """The box into which an input of a layer goes."""
    if not style.expand_nested or not isinstance(layer, Model) or not layer.layers:
        return id(layer)
    if isinstance(layer, Sequential) or not _has_graph(layer):
        return first_box(layer.layers[0], style, place)
    return id(layer.inputs[place]._keras_history.operation)


def _box(layer: Any, style: Style) -> Box:
    kind = type(layer).__name__
    box = Box(id(layer), layer.name if style.show_layer_names else "", kind)
    if style.show_layer_activations and getattr(layer, "activation", None) is not None:
        activation = layer.activation
        box.activation = getattr(activation, "name", None) or getattr(activation, "__name__", str(activation))
    if style.show_shapes:
        if kind != "InputLayer":
            box.cells.append(("Input shape", _text_of(layer, "input", lambda tensor: tensor.shape)))
        box.cells.append(("Output shape", _text_of(layer, "output", lambda tensor: tensor.shape)))
    if style.show_dtype:
        box.cells.append(("Output dtype", _text_of(layer, "output", lambda tensor: tensor.dtype)))
    if style.show_trainable and getattr(layer, "weights", None):
        box.trainable = bool(layer.trainable)
    return box


def _text_of(layer: Operation | Model, side: str, fact: Callable[[Any], Any]) -> str:
    """Shapes or types of a layer's inputs or outputs; "?" where they are not known or differ from call to call."""
    try:
        found = tree.map_structure(fact, getattr(layer, side))
    except (ValueError, AttributeError):
        return "?"
    if isinstance(found, dict):
        return ", ".join(f"{name}: {value}" for name, value in found.items())
    return str(found)
