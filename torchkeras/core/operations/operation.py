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
    """The part of an operation that knows the symbolic calls recorded of it."""

    name: str
    _inbound_nodes: list[Node]

    def _tk_record(self, args: tuple, kwargs: dict, outputs: Any) -> Any:
        Node(self, args, kwargs, outputs)
        return outputs

    @property
    def input(self) -> Any:
        """The symbolic input of the first recorded call.

        Raises:
            AttributeError: it was never called on a symbolic tensor.
        """
        return _single(self._tk_first_node("input").input_tensors)

    @property
    def output(self) -> Any:
        """The symbolic output of the first recorded call.

        Raises:
            AttributeError: it was never called on a symbolic tensor.
        """
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
    """Base class of computations that take tensors or symbolic tensors.

    Subclasses define `call`, and may define `compute_output_spec`; without it, shapes are found by running `call` on
    tensors without values.

    Args:
        name: a string without slashes; `None` numbers it. Default: `None`.

    Example:
        >>> class Double(keras.Operation):
        ...     def call(self, x):
        ...         return 2 * x
        >>> Double()(keras.Input((3,))).shape
        (None, 3)
    """

    keras_module: str | None = None
    _tk_config_base = True
    quantization_mode: Any = None

    def __init__(self, name: str | None = None) -> None:
        self.name = naming.name_or_automatic(name, type(self).__name__)
        self._inbound_nodes: list[Node] = []
        self._tk_follow_remat_scope()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if any_symbolic(args, kwargs):
            return self.symbolic_call(*args, **kwargs)
        if self.quantization_mode is not None:
            return self.quantized_call(*args, **kwargs)
        return self.call(*args, **kwargs)

    def symbolic_call(self, *args: Any, **kwargs: Any) -> Any:
        """Infer the outputs of a call on symbolic tensors, and record the call.

        Args:
            *args: positional arguments of `call`.
            **kwargs: arguments of `call` by name.

        Returns:
            Symbolic tensors.
        """
        return self._tk_record(args, kwargs, self.compute_output_spec(*args, **kwargs))

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the outputs. Subclasses define it.

        Args:
            *args: tensors, and other arguments.
            **kwargs: arguments by name.

        Raises:
            NotImplementedError: the class does not define it.
        """
        raise NotImplementedError(f"{type(self).__name__} must define call().")

    def quantized_call(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the outputs of a quantized operation. Subclasses may define it.

        Args:
            *args: as for `call`.
            **kwargs: as for `call`.

        Raises:
            NotImplementedError: the class does not define it.
        """
        raise NotImplementedError(f"{type(self).__name__} must define quantized_call() to be called when quantized.")

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Infer shapes and dtypes of the outputs.

        Args:
            *args: positional arguments of `call`.
            **kwargs: arguments of `call` by name.

        Returns:
            Symbolic tensors, in the structure of the outputs.
        """
        return infer(self.call, args, kwargs)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, and the name if the constructor takes one, as JSON-ready values.

        Raises:
            NotImplementedError: an argument can't be written to a file; the class must then define `get_config`.
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
