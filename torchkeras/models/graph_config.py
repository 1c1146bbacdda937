"""Functional models as configs, and back: layers, their calls, and who feeds whom."""

from __future__ import annotations

from typing import Any

from torchkeras.core import tree
from torchkeras.core.config.serialization import deserialize_keras_object, serialize_keras_object
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.models.graph import Graph


def graph_to_config(graph: Graph) -> dict[str, Any]:
    """`layers`, `input_layers` and `output_layers` as Keras 3 writes them. Calls outside the graph are left out."""
    kept = {id(node) for node in graph.nodes} | {id(t._keras_history.operation._inbound_nodes[0]) for t in graph.inputs}
    numbers: dict[tuple[int, int], int] = {}
    for operation in graph.operations:
        inside = [node for node in operation._inbound_nodes if id(node) in kept]
        for new, node in enumerate(inside):
            numbers[id(operation), node.index] = new

    def place(tensor: KerasTensor) -> list:
        history = tensor._keras_history  # type: ignore[attr-defined]
        number = numbers.get((id(history.operation), history.node_index), history.node_index)
        return [history.operation.name, number, history.tensor_index]

    def argument(value: Any) -> Any:
        if isinstance(value, KerasTensor):
            spec = {"shape": value.shape, "dtype": value.dtype, "keras_history": place(value)}
            return {"class_name": "__keras_tensor__", "config": spec}
        return serialize_keras_object(value)

    layers = []
    for operation in graph.operations:
        calls = []
        for node in operation._inbound_nodes:
            if id(node) in kept and not node.is_input:
                args, kwargs = tree.map_structure(argument, (node.args, node.kwargs))
                calls.append({"args": args, "kwargs": kwargs})
        row = described(operation)
        row["name"] = operation.name
        row["inbound_nodes"] = calls
        layers.append(row)

    def end(tensor: KerasTensor) -> list:
        name, number, index = place(tensor)
        return [name, number + _offset(tensor._keras_history.operation), index]  # type: ignore[attr-defined]

    return {
        "layers": layers,
        "input_layers": tree.map_structure(end, graph.inputs_struct),
        "output_layers": tree.map_structure(end, graph.outputs_struct),
    }


def _offset(operation: Any) -> int:
    """Among a model's ends, and there alone, Keras counts the calls of a functional model from 1."""
    return 1 if getattr(type(operation), "_tk_counts_from_one", False) else 0


def described(operation: Any) -> dict[str, Any]:
    """`serialize_keras_object` as Keras has it for what lies outside its public namespaces: with the name twice."""
    row = serialize_keras_object(operation)
    if row["module"].startswith("keras.src."):
        row["registered_name"] = row["class_name"]
    return row


def graph_from_config(config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> tuple[Any, Any]:
    """The symbolic inputs and outputs that a config describes; the layers are made and called in turn.

    Raises:
        ValueError: a call needs a tensor that no layer makes.
    """
    operations: dict[str, Any] = {}
    waiting: list[tuple[Any, list]] = []
    for row in config["layers"]:
        if "module" not in row:
            row = {**row, "registered_name": row.get("registered_name")}
        operation = deserialize_keras_object(row, custom_objects)
        if "name" in row and isinstance(row["name"], str):
            operation.name = row["name"]
        operations[operation.name] = operation
        waiting.append((operation, list(row.get("inbound_nodes", []))))
    while waiting:
        made = [_call_what_can(operation, calls, operations) for operation, calls in waiting]
        waiting = [(operation, calls) for operation, calls in waiting if calls]
        if waiting and not any(made):
            missing = [operation.name for operation, _ in waiting]
            raise ValueError(
                f"The config's layers {missing} need tensors that no layer of it makes before them: its calls form a "
                f"loop, or lack a call."
            )
    ends = (_tensors_at(config[key], operations) for key in ("input_layers", "output_layers"))
    return tuple(ends)  # type: ignore[return-value]


def _call_what_can(operation: Any, calls: list, operations: dict[str, Any]) -> bool:
    """Make the calls, in order, whose inputs are there, and take them off the list; `False` if it made none."""
    before = len(calls)
    while calls:
        try:
            args, kwargs = _arguments(calls[0], operations)
            if type(operation).__name__ == "GetItem" and isinstance(args[-1], list):
                args = [args[0], tuple(args[-1])]  # JSON has no tuples; a list of indices goes as an array
        except _NotYetError:
            break
        if not any(isinstance(value, KerasTensor) for value in tree.flatten((args, kwargs))):
            raise ValueError(
                f"A call of layer or operation {operation.name!r} in the config has no symbolic input: it would be "
                f"computed while the model is made. No saved model has such a call."
            )
        operation(*args, **kwargs)
        calls.pop(0)
    return len(calls) < before


class _NotYetError(Exception):
    """An input of a call is not made yet."""


def _arguments(call: Any, operations: dict[str, Any]) -> tuple[list, dict]:
    if isinstance(call, dict):
        found = _resolved({"args": call.get("args", []), "kwargs": call.get("kwargs", {})}, operations)
        return found["args"], found["kwargs"]
    # Keras 1 and 2: [[layer, node, tensor, kwargs], ...]
    tensors = [_tensor_at(row[:3], operations) for row in call]
    kwargs = call[0][3] if call and len(call[0]) > 3 else {}
    return [tensors[0] if len(tensors) == 1 else tensors], dict(kwargs)


def _resolved(value: Any, operations: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        if value.get("class_name") == "__keras_tensor__":
            return _tensor_at(value["config"]["keras_history"], operations)
        if "class_name" in value and "config" in value:
            return deserialize_keras_object(value)
        return {key: _resolved(item, operations) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_resolved(item, operations) for item in value)
    return value


def _tensor_at(row: list, operations: dict[str, Any]) -> Any:
    name, node_index, tensor_index = row
    operation = operations.get(name)
    if operation is None:
        raise ValueError(f"Missing node: {name}. The config has the layers {sorted(operations)}.")
    nodes = operation._inbound_nodes
    if node_index >= len(nodes):
        raise _NotYetError
    return nodes[node_index].output_tensors[tensor_index]


def _tensors_at(structure: Any, operations: dict[str, Any]) -> Any:
    if isinstance(structure, (list, tuple)) and len(structure) == 3 and isinstance(structure[0], str):
        name, node_index, tensor_index = structure
        return _tensor_at([name, max(node_index - _offset(operations.get(name)), 0), tensor_index], operations)
    if isinstance(structure, dict):
        return {key: _tensors_at(value, operations) for key, value in structure.items()}
    return type(structure)(_tensors_at(value, operations) for value in structure)
