"""A node: one call of an operation in a graph. It links back to what it was made from, never forward."""

from __future__ import annotations

from typing import Any

from torchkeras.core import tree
from torchkeras.core.symbolic.keras_tensor import History, KerasTensor, canonical, set_building


class Node:
    """One symbolic call: its operation, arguments and outputs.

    Links go backwards alone, so that copying or pickling a deep model, layer by layer in order, stays shallow.
    """

    def __init__(self, operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any], outputs: Any) -> None:
        self.operation = operation
        if len(args) == 1 and not kwargs and type(args[0]) is KerasTensor:  # most layers: no walk over the arguments
            self.args, self.kwargs = (canonical(args[0]),), {}
        else:
            self.args, self.kwargs = tree.map_structure(canonical, (args, kwargs))
        self.outputs = outputs
        self.output_tensors = [t for t in tree.flatten(outputs) if isinstance(t, KerasTensor)]
        self.index = len(operation._inbound_nodes)
        operation._inbound_nodes.append(self)
        for i, tensor in enumerate(self.output_tensors):
            tensor._keras_history = History(operation, self.index, i)  # type: ignore[attr-defined]
        #: The symbolic tensors among the arguments, in order.
        self.input_tensors = [t for t in tree.flatten((self.args, self.kwargs)) if isinstance(t, KerasTensor)]
        set_building(True)

    @property
    def is_input(self) -> bool:
        """Whether nothing computes this node's outputs."""
        return not self.input_tensors

    @property
    def parent_nodes(self) -> list[Node]:
        """The nodes that made this node's inputs."""
        parents: dict[int, Node] = {}
        for tensor in self.input_tensors:
            history = getattr(tensor, "_keras_history", None)
            if history is not None:
                node = history.operation._inbound_nodes[history.node_index]
                parents[id(node)] = node
        return list(parents.values())

    def __repr__(self) -> str:
        return f"<Node operation={self.operation.name}, index={self.index}>"


def get_source_inputs(tensor: KerasTensor) -> list[KerasTensor]:
    """List the symbolic tensors from which a tensor is computed and which nothing computes.

    Args:
        tensor: symbolic tensor.

    Returns:
        A list, in the order in which the inputs are found.

    Example:
        >>> x = keras.Input((3,), name="x")
        >>> [source.name for source in keras.utils.get_source_inputs(keras.layers.Dense(2)(x))]
        ['x']
    """
    sources: dict[int, KerasTensor] = {}
    seen: set[int] = set()
    waiting = [canonical(tensor)]
    while waiting:  # a stack of its own: models may be deeper than Python's recursion
        current = waiting.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        history = getattr(current, "_keras_history", None)
        node = None if history is None else history.operation._inbound_nodes[history.node_index]
        if node is None or node.is_input:
            sources[id(current)] = current
        else:
            waiting += reversed(node.input_tensors)
    return list(sources.values())
