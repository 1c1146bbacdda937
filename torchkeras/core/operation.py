"""The operation: what a functional graph is made of; layers and ops are such."""

from __future__ import annotations

from typing import Any

from torchkeras.core import naming
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
        """The symbolic input of the first recorded call.

        Raises:
            AttributeError: it was never called symbolically.
        """
        return _single(self._first_node("input").input_tensors)

    @property
    def output(self) -> Any:
        """The symbolic output of the first recorded call (errors as with `input`)."""
        return _single(self._first_node("output").output_tensors)

    def _first_node(self, what: str) -> Node:
        if not self._inbound_nodes:
            raise AttributeError(
                f"{type(self).__name__} {self.name!r} has no {what}: it was never called on a symbolic tensor. Only "
                f"layers of Sequential models with a known input shape and of functional models have one."
            )
        return self._inbound_nodes[0]


def _single(tensors: list) -> Any:
    return tensors[0] if len(tensors) == 1 else tensors


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
