"""The operation: what a functional graph is made of; layers and ops are such."""

from __future__ import annotations

import inspect
from typing import Any

from torchkeras.core import naming
from torchkeras.core.config.configurable import Configurable
from torchkeras.core.operations.rematerializable import Rematerializable
from torchkeras.core.symbolic.infer import infer
from torchkeras.core.symbolic.keras_tensor import any_symbolic, set_building
from torchkeras.core.symbolic.node import Node


class Graphed:
    """What an operation tells of its place in functional graphs: the calls recorded of it."""

    name: str
    _inbound_nodes: list[Node]

    def _tk_record(self, args: tuple, kwargs: dict, outputs: Any) -> Any:
        Node(self, args, kwargs, outputs)
        return outputs

    @property
    def input(self) -> Any:
        """The symbolic input of the first recorded call.

        Raises:
            AttributeError: it was never called symbolically.
        """
        return _single(self._tk_first_node("input").input_tensors)

    @property
    def output(self) -> Any:
        """The symbolic output of the first recorded call (errors as with `input`)."""
        return _single(self._tk_first_node("output").output_tensors)

    def _tk_first_node(self, what: str) -> Node:
        if not self._inbound_nodes:
            raise AttributeError(
                f"{type(self).__name__} {self.name!r} has no {what}: it was never called on a symbolic tensor. Only "
                f"layers of Sequential models with a known input shape and of functional models have one."
            )
        set_building(True)  # who asks for a symbolic tensor is about to build upon it
        return self._inbound_nodes[0]


def _single(tensors: list) -> Any:
    return tensors[0] if len(tensors) == 1 else tensors


class Operation(Graphed, Rematerializable, Configurable):
    """A computation that takes tensors or KerasTensors; subclasses define `call` and `compute_output_spec`.

    Without a `compute_output_spec`, shapes are found by running `call` on tensors without values.
    """

    keras_module = None
    _tk_config_base = True
    quantization_mode: Any = None

    def __init__(self, name: str | None = None) -> None:
        self.name = naming.check_name(name or naming.auto_name(type(self).__name__))
        self._inbound_nodes: list[Node] = []
        self._tk_follow_remat_scope()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if any_symbolic(args, kwargs):
            return self.symbolic_call(*args, **kwargs)
        if self.quantization_mode is not None:
            return self.quantized_call(*args, **kwargs)
        return self.call(*args, **kwargs)

    def symbolic_call(self, *args: Any, **kwargs: Any) -> Any:
        """Infer the outputs and record the call."""
        return self._tk_record(args, kwargs, self.compute_output_spec(*args, **kwargs))

    def call(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must define call().")

    def quantized_call(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must define quantized_call() to be called when quantized.")

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        return infer(self.call, args, kwargs)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, and the name where the constructor takes one.

        Raises:
            NotImplementedError: an argument has no form in a file; the class must then say its config itself.
        """
        if type(self).get_config is Operation.get_config:
            for parameter in inspect.signature(type(self).__init__).parameters.values():
                if parameter.kind is parameter.VAR_POSITIONAL:
                    raise self._no_config(f"it takes any number of them as *{parameter.name}.")
        try:
            config = super().get_config()
        except TypeError as error:
            raise self._no_config(str(error)) from error
        if "name" in config:
            config["name"] = self.name
        return config

    def _no_config(self, reason: str) -> NotImplementedError:
        return NotImplementedError(
            f"The config of {type(self).__name__} {self.name!r} can't be told from its constructor's arguments: "
            f"{reason} Define get_config()."
        )
