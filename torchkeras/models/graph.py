"""The graph of a functional model: found from its outputs, ordered as Keras does, compiled into a flat plan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from torchkeras.core import tree
from torchkeras.core.symbolic.keras_tensor import KerasTensor, canonical, set_building
from torchkeras.core.symbolic.node import Node
from torchkeras.core.types import Nest
from torchkeras.models.plan import Slot, Step, join_steps


class Graph:
    """The operations between symbolic inputs and outputs, and the plan that runs them.

    Args:
        inputs, outputs: nests of KerasTensors.
        takes_apart: whether outputs that are a list or tuple of one come without it.

    Raises:
        ValueError: an output can't be computed from the inputs.
    """

    # The expected input of a model that takes one tensor.
    entry: tuple | None = None

    def __init__(self, inputs: Any, outputs: Any, takes_apart: bool = True) -> None:
        outputs = tree.map_structure(canonical, outputs)
        self.inputs_struct = inputs
        self.warned_keys: set[frozenset] = set()
        self.outputs_struct = outputs
        self.inputs: list[KerasTensor] = tree.flatten(inputs)
        self.outputs: list[KerasTensor] = tree.flatten(outputs)
        for kind, tensors in (("inputs", self.inputs), ("outputs", self.outputs)):
            for tensor in tensors:
                if not isinstance(tensor, KerasTensor):
                    raise ValueError(f"All `{kind}` values must be KerasTensors; received {tensor!r}.")
            if not tensors:
                raise ValueError(f"`{kind}` argument cannot be empty: KerasTensors are needed there.")
        self.nodes, self.operations = _ordered(self.inputs, outputs)
        self._plan(takes_apart)
        set_building(False)

    @property
    def chain(self) -> list[Any]:
        """The operations in an order in which they can run."""
        return list({id(node.operation): node.operation for node in self.nodes}.values())

    def _plan(self, takes_apart: bool) -> None:
        places = {id(tensor): i for i, tensor in enumerate(self.inputs)}
        produced: list[tuple[Node, tuple, tuple]] = []
        for node in self.nodes:
            if any(id(t) not in places for t in node.input_tensors) or node.is_input:
                continue
            targets = tuple(places.setdefault(id(t), len(places)) for t in node.output_tensors)
            template = _slotted(node, places)
            produced.append((node, template, targets))
        self.size = len(places)
        self.output_places = [places[id(t)] for t in self.outputs]
        last_use: dict[int, int] = {}
        for i, (node, _, _) in enumerate(produced):
            for tensor in node.input_tensors:
                last_use[places[id(tensor)]] = i
        for place in self.output_places:
            last_use.pop(place, None)
        dropped_after: dict[int, list[int]] = {}
        for place, last in last_use.items():
            dropped_after.setdefault(last, []).append(place)
        self.steps = []
        for i, (node, template, targets) in enumerate(produced):
            drop = tuple(dropped_after.get(i, ()))
            args, kwargs = template
            simple = (
                len(args) == 1 and isinstance(args[0], Slot) and not kwargs and isinstance(node.outputs, KerasTensor)
            )
            source = args[0].index if simple else -1
            self.steps.append(Step(node.operation, source, targets[0], None if simple else template, targets, drop))
        self._run_steps = join_steps(self.steps)
        self._calls = [(*step, step.listed) for step in self._run_steps]
        self._single_output = len(self.outputs) == 1 and (
            isinstance(self.outputs_struct, KerasTensor)
            or takes_apart
            and isinstance(self.outputs_struct, (list, tuple))
            and self.outputs_struct[0] is self.outputs[0]
        )
        self._tk_row = self._as_row()

    def _as_row(self) -> list[Any] | None:
        """The operations, where each takes the one output of that before it and nothing else; else `None`."""
        if len(self.inputs) != 1 or not self._single_output:
            return None
        place = 0
        for step in self._run_steps:
            if step.template is not None or step.source != place:
                return None
            place = step.target
        return [step.operation for step in self._run_steps] if self.output_places == [place] else None

    def run(self, inputs: list[Any]) -> Any:
        """The outputs for a flat list of input tensors."""
        if self._tk_row is not None:
            (value,) = inputs
            for operation in self._tk_row:
                value = operation(value)
            return value
        slots = inputs + [None] * (self.size - len(inputs))
        for operation, source, target, template, targets, drop, listed in self._calls:
            if template is None:
                slots[target] = operation(slots[source])
            else:
                if listed is None:
                    args, kwargs = _filled(template, slots)
                    outputs = operation(*args, **kwargs)
                    del args, kwargs  # nothing but the slots holds a value, so that each is freed after its last use
                else:
                    outputs = operation([slots[place] for place in listed])
                if len(targets) == 1 and not isinstance(outputs, (list, tuple, dict)):
                    slots[target] = outputs
                else:
                    for place, value in zip(targets, tree.flatten(outputs)):
                        slots[place] = value
                        del value
                del outputs
            for place in drop:
                slots[place] = None
        if self._single_output:
            return slots[self.output_places[0]]
        return tree.pack_sequence_as(self.outputs_struct, [slots[place] for place in self.output_places])

    def specs(self, inputs: list[KerasTensor]) -> Any:
        """The outputs as KerasTensors for other symbolic inputs; nothing is recorded."""
        return self.walk(inputs, lambda operation, args, kwargs: operation.compute_output_spec(*args, **kwargs))

    def check_names(self) -> None:
        """Raise a `ValueError` where two operations have the same name."""
        for name, count in Counter(operation.name for operation in self.operations).items():
            if count > 1:
                raise ValueError(
                    f'The name "{name}" is used {count} times in the model. All operation names should be unique: give '
                    f"the layers other names."
                )

    def walk(self, inputs: list[Any], visit: Callable[[Any, tuple[Any, ...], dict[str, Any]], Any]) -> Any:
        """Run with `visit(operation, args, kwargs)` in the place of each call; all values are kept to the end."""
        slots = inputs + [None] * (self.size - len(inputs))
        for step in self.steps:
            args, kwargs = _filled(step.template, slots) if step.template else ((slots[step.source],), {})
            for place, value in zip(step.targets, tree.flatten(visit(step.operation, args, kwargs))):
                slots[place] = value
        return tree.pack_sequence_as(self.outputs_struct, [slots[place] for place in self.output_places])


def _slotted(node: Node, places: dict[int, int]) -> tuple[Any, Any]:
    """The arguments of a node's call, with slots in the places of symbolic tensors."""
    kwargs = _telling(node)
    if len(node.args) == 1 and not kwargs and isinstance(node.args[0], KerasTensor):
        return (Slot(places[id(node.args[0])]),), kwargs
    return tree.map_structure(lambda v: Slot(places[id(v)]) if isinstance(v, KerasTensor) else v, (node.args, kwargs))


def _telling(node: Node) -> dict[str, Any]:
    """A call's keyword arguments without those that only repeat what the call would find by itself."""
    spec = getattr(node.operation, "_tk_call_spec", None)
    if spec is None:
        return node.kwargs
    return {name: value for name, value in node.kwargs.items() if not spec.says_nothing(name, value)}


def _filled(value: Any, slots: list) -> Any:
    if type(value) is Slot:
        return slots[value.index]
    if isinstance(value, (list, tuple)):
        filled = [_filled(item, slots) for item in value]
        if isinstance(value, list):
            return filled
        return type(value)(*filled) if hasattr(value, "_fields") else tuple(filled)
    if isinstance(value, dict):
        return {key: _filled(item, slots) for key, item in value.items()}
    return value


# ---------------------------------------------------------------------------- order


def _ordered(inputs: list[KerasTensor], outputs: Nest[KerasTensor]) -> tuple[list[Node], list[Any]]:
    """Nodes in an order in which they can run, operations in Keras's order: deepest first, then as found.

    An operation's depth is its longest way to an output.
    """
    nodes, found = _discover(inputs, outputs)
    depths: dict[int, int] = {}
    operation_depth: dict[int, int] = {}
    for node in reversed(nodes):
        depth = max(depths.get(id(node), 0), operation_depth.get(id(node.operation), 0))
        depths[id(node)] = operation_depth[id(node.operation)] = depth
        for parent in node.parent_nodes:
            depths[id(parent)] = max(depths.get(id(parent), 0), depth + 1)
    operations = {id(node.operation): node.operation for node in nodes}
    for tensor in inputs:  # an input that reaches no output belongs to the model all the same
        history = getattr(tensor, "_keras_history", None)
        operation = None if history is None else history.operation
        if operation is not None and id(operation) not in operations and _node_of(tensor).is_input:
            operations[id(operation)] = operation
            operation_depth[id(operation)] = 0
            found[id(operation)] = -1
    ranked = sorted(operations.values(), key=lambda o: (-operation_depth[id(o)], found[id(o)]))
    return nodes, ranked


def _discover(inputs: list[KerasTensor], outputs: Nest[KerasTensor]) -> tuple[list[Node], dict[int, int]]:
    """The nodes between inputs and outputs, each behind those it needs, and the order in which operations were met."""
    given = {id(tensor) for tensor in inputs}
    nodes: list[Node] = []
    done: set[int] = set()
    met: dict[int, int] = {}
    for path, output in tree.flatten_with_path(outputs):
        known = len(nodes)
        stack = [] if _is_outside(output, given) else [(_node_of(output), False)]
        while stack:  # an explicit stack: models may be deeper than Python's recursion
            node, ready = stack.pop()
            if ready:
                if id(node) not in done:
                    done.add(id(node))
                    nodes.append(node)
                continue
            if id(node) in done:
                continue
            met.setdefault(id(node.operation), len(met))
            stack.append((node, True))
            if all(id(t) in given for t in node.output_tensors):
                continue
            for tensor in reversed(node.input_tensors):
                if not _is_outside(tensor, given):
                    stack.append((_node_of(tensor), False))
        for node in nodes[known:]:
            if node.is_input and not all(id(t) in given for t in node.output_tensors):
                needed = node.output_tensors[0]
                raise ValueError(
                    f"Output with path `{'.'.join(map(str, path))}` is not connected to `inputs`: it also needs the "
                    f"symbolic input {needed.name!r} of {node.operation.name!r}, which is not among "
                    f"{[t.name for t in inputs]}. Add it to `inputs`."
                )
    return nodes, met


def _is_outside(tensor: KerasTensor, given: set[int]) -> bool:
    """Whether what made the tensor lies outside of the graph: the tensor is given, and not by an input layer."""
    return id(tensor) in given and (not hasattr(tensor, "_keras_history") or not _node_of(tensor).is_input)


def _node_of(tensor: KerasTensor) -> Node:
    history = getattr(tensor, "_keras_history", None)
    if history is None:
        raise ValueError(
            f"Output is not connected to `inputs`: {tensor!r} was made by no layer or op. Start from torchkeras.Input."
        )
    return history.operation._inbound_nodes[history.node_index]
