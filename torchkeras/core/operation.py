"""The operation: what a functional graph is made of; layers and ops are such."""

from __future__ import annotations

from typing import Any

from torchkeras.core import naming, tree
from torchkeras.core.configurable import Configurable
from torchkeras.core.infer import infer
from torchkeras.core.keras_tensor import any_symbolic
from torchkeras.core.node import Node


class Graphed:
    """What an operation tells of its place in functional graphs: the calls recorded of it."""

    name: str
    _inbound_nodes: list[Node]

    def _record(self, args: tuple, kwargs: dict, outputs: Any) -> Any:
        Node(self, args, kwargs, outputs)
        return outputs

    @property
    def input(self) -> Any:
        """The symbolic input of the only recorded call.

        Raises:
            AttributeError: it was not called symbolically.
            ValueError: it was called more than once, with different inputs.
        """
        return self._node_attribute("input", lambda node: _single(node.input_tensors))

    @property
    def output(self) -> Any:
        """The symbolic output of the only recorded call (errors as with `input`)."""
        return self._node_attribute("output", lambda node: _single(node.output_tensors))

    def _node_attribute(self, what: str, read: Any) -> Any:
        nodes = self._inbound_nodes
        if not nodes:
            raise AttributeError(
                f"{type(self).__name__} {self.name!r} has no {what}: it was never called on a symbolic tensor. Only "
                f"layers of Sequential models with a known input shape and of functional models have one."
            )
        values = [read(node) for node in nodes]
        if any(tree.flatten(v) != tree.flatten(values[0]) and not _same(v, values[0]) for v in values[1:]):
            raise ValueError(
                f"{type(self).__name__} {self.name!r} was called {len(nodes)} times, so its {what} is not one thing; "
                f"use the tensors that those calls returned."
            )
        return values[0]


def _single(tensors: list) -> Any:
    return tensors[0] if len(tensors) == 1 else tensors


def _same(a: Any, b: Any) -> bool:
    left, right = tree.flatten(a), tree.flatten(b)
    return len(left) == len(right) and all(x is y for x, y in zip(left, right))


class Operation(Graphed, Configurable):
    """A computation that takes tensors or KerasTensors; subclasses define `call` and `compute_output_spec`."""

    keras_module = None
    _config_base = True

    def __init__(self, name: str | None = None) -> None:
        self.name = naming.check_name(name or naming.auto_name(type(self).__name__))
        self._inbound_nodes: list[Node] = []

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if any_symbolic(args, kwargs):
            return self.symbolic_call(*args, **kwargs)
        return self.call(*args, **kwargs)

    def symbolic_call(self, *args: Any, **kwargs: Any) -> Any:
        """Infer the outputs and record the call."""
        return self._record(args, kwargs, self.compute_output_spec(*args, **kwargs))

    def call(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must define call().")

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        return infer(self.call, args, kwargs)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.setdefault("name", self.name)
        return config
