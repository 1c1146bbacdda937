"""A model's layers as the graph that TensorBoard draws."""

from __future__ import annotations

from typing import Any

from torchkeras.core import tree
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.symbolic.node import Node
from torchkeras.layers.base.layer import Layer


def graph_event(model: Layer) -> Any | None:
    """An event with the graph of a functional or Sequential model: a node for each call of a layer.

    The layers of a model within it are drawn in a box of that model's name. A subclassed model has no graph.

    Args:
        model: the model.

    Returns:
        An `Event` of TensorBoard, or `None`.
    """
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.graph_pb2 import GraphDef
    from tensorboard.compat.proto.versions_pb2 import VersionDef

    if not _has_graph(model):
        return None
    graph = GraphDef(versions=VersionDef(producer=22))
    _add_model(graph, model, "", {})
    return Event(graph_def=graph.SerializeToString())


def _has_graph(layer: Layer) -> bool:
    try:
        return bool(layer.inputs and layer.outputs)
    except (AttributeError, ValueError):  # no model, or one that says that it has no inputs
        return False


def _add_model(graph: Any, model: Layer, scope: str, names: dict[int, str]) -> None:
    """Add the calls of a model's layers; `names` has the nodes that give symbolic tensors, and gets those added."""
    calls: dict[str, int] = {}
    for node in _calls(tree.flatten(model.outputs), set(names)):
        layer = node.operation
        calls[layer.name] = number = calls.get(layer.name, 0) + 1
        name = scope + layer.name + (f"_{number - 1}" if number > 1 else "")
        sources = [names[id(tensor)] for tensor in node.input_tensors if id(tensor) in names]
        _add_node(graph, name, layer, sources, node.output_tensors)
        if _has_graph(layer):
            _add_model(graph, layer, f"{name}/", {id(tensor): name for tensor in tree.flatten(layer.inputs)})
        names.update((id(tensor), name) for tensor in node.output_tensors)


def _calls(outputs: list[KerasTensor], given: set[int]) -> list[Node]:
    """The calls that compute symbolic tensors from those that are given, each behind those that it needs."""
    found: dict[int, Node] = {}
    stack = [(tensor, False) for tensor in reversed(outputs)]
    while stack:  # a stack of its own: models may be deeper than Python's recursion
        tensor, ready = stack.pop()
        history = getattr(tensor, "_keras_history", None)
        if history is None or id(tensor) in given:
            continue
        node = history.operation._inbound_nodes[history.node_index]
        if id(node) in found:
            continue
        if ready:
            found[id(node)] = node
        else:
            stack += [(tensor, True), *((source, False) for source in reversed(node.input_tensors))]
    return list(found.values())


def _add_node(graph: Any, name: str, layer: Any, sources: list[str], outputs: list[KerasTensor]) -> None:
    from tensorboard.compat.proto.attr_value_pb2 import AttrValue
    from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto

    shapes = AttrValue()
    for tensor in outputs:
        sizes = [TensorShapeProto.Dim(size=-1 if size is None else size) for size in tensor.shape]
        shapes.list.shape.append(TensorShapeProto(dim=sizes))
    added = graph.node.add(name=name, op=type(layer).__name__, input=sources)
    added.attr["_output_shapes"].CopyFrom(shapes)
