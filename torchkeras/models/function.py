"""A graph of operations between symbolic tensors, as one operation."""

from __future__ import annotations

from typing import Any

import torch

from torchkeras.core import tree
from torchkeras.core.operations.operation import Operation
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.models.graph import Graph


class Function(Operation):
    """What computes `outputs` from `inputs`: a functional model without layers' state and training.

    Args:
        inputs, outputs: KerasTensors, or nests of them.
        name: default: numbered.

    Raises:
        ValueError: nothing is given, or an output can't be computed from the inputs.
    """

    keras_module = "keras"

    def __init__(self, inputs: Any, outputs: Any, name: str | None = None) -> None:
        super().__init__(name=name)
        self._tk_graph = Graph(inputs, outputs, takes_apart=False)

    @property
    def operations(self) -> list:
        """The operations of the graph, as Keras orders them."""
        return self._tk_graph.operations

    @property
    def inputs(self) -> list[KerasTensor]:
        """The symbolic inputs, flat."""
        return self._tk_graph.inputs

    @property
    def outputs(self) -> list[KerasTensor]:
        """The symbolic outputs, flat."""
        return self._tk_graph.outputs

    def call(self, inputs: Any) -> Any:
        """The outputs for inputs of the structure and shapes that the function was made with.

        Raises:
            ValueError: they have others.
        """
        values = self._checked(inputs)
        return self._tk_graph.run([x if isinstance(x, torch.Tensor) else convert_to_tensor(x) for x in values])

    def compute_output_spec(self, inputs: Any) -> Any:
        return self._tk_graph.specs(self._checked(inputs))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The outputs' shapes for shapes of the inputs."""
        shapes = iter(tree.flatten(tree.map_shape_structure(_Shape, input_shape)))
        inputs = tree.map_structure(lambda t: KerasTensor(next(shapes).sizes, t.dtype), self._tk_graph.inputs_struct)
        return tree.map_structure(lambda t: t.shape, self.compute_output_spec(inputs))

    def _checked(self, inputs: Any) -> list:
        expected = self._tk_graph.inputs_struct
        try:
            tree.assert_same_structure(tree.lists_to_tuples(expected), tree.lists_to_tuples(inputs))
        except ValueError as error:
            raise ValueError(
                f"Function {self.name!r} was called with an invalid input structure. It takes {expected}; "
                f"received {inputs}."
            ) from error
        values = tree.flatten(inputs)
        for value, known in zip(values, self._tk_graph.inputs):
            shape = tuple(value.shape) if hasattr(value, "shape") else ()
            if len(shape) != len(known.shape) or any(
                None not in (size, wanted) and size != wanted for size, wanted in zip(shape, known.shape)
            ):
                raise ValueError(
                    f"Function {self.name!r} was passed incompatible inputs: for {known.name!r} it takes the shape "
                    f"{known.shape}; received {shape}."
                )
        return values

    def get_config(self) -> dict[str, Any]:
        raise self._no_config("it is made of symbolic tensors. Make a keras.Model for what is to be saved.")


class _Shape:
    """A shape that counts as a leaf."""

    def __init__(self, sizes: Any) -> None:
        self.sizes = tuple(sizes)
