"""A graph of operations between symbolic tensors, as one operation."""

from __future__ import annotations

from typing import Any

import torch

from torchkeras.core import tree
from torchkeras.core.operations.operation import Operation
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.core.types import ArrayLike, Nest
from torchkeras.models.graph import Graph


class Function(Operation):
    """Compute `outputs` from `inputs`: a graph of operations as one operation, without training or saving.

    Use `keras.Model` for a graph that is trained or saved.

    Args:
        inputs: KerasTensors from `keras.Input`, one or a nest (list, tuple, dict) of them.
        outputs: KerasTensors that were computed from the inputs, one or a nest of them.
        name: a string; by default numbered after the class. Default: `None`.

    Raises:
        ValueError: nothing is given, or an output can't be computed from the inputs.

    Example:
        >>> x = keras.Input((3,))
        >>> function = keras.Function(inputs=x, outputs=keras.ops.sum(x, axis=-1))
        >>> function(np.ones((2, 3))).tolist()
        [3.0, 3.0]
    """

    keras_module = "keras"

    def __init__(self, inputs: Nest[KerasTensor], outputs: Nest[KerasTensor], name: str | None = None) -> None:
        super().__init__(name=name)
        self._tk_graph = Graph(inputs, outputs, takes_apart=False)

    @property
    def operations(self) -> list[Any]:
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

    def call(self, inputs: Nest[ArrayLike]) -> Nest[torch.Tensor]:
        """Compute the outputs.

        Args:
            inputs: tensors or arrays, nested as the symbolic inputs are, of shapes that fit them.

        Returns:
            Tensors, nested as the symbolic outputs are.

        Raises:
            ValueError: the structure or a shape does not fit.
        """
        values = self._checked(inputs)
        return self._tk_graph.run([x if isinstance(x, torch.Tensor) else convert_to_tensor(x) for x in values])

    def compute_output_spec(self, inputs: Nest[KerasTensor]) -> Nest[KerasTensor]:
        """Return the outputs as KerasTensors, for KerasTensors as inputs."""
        return self._tk_graph.specs(self._checked(inputs))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shapes of the outputs, for shapes of the inputs."""
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
        """Raise an error: a function has no config; make a `keras.Model` for a graph that is to be saved."""
        raise self._no_config("it is made of symbolic tensors. Make a keras.Model of a graph that is to be saved.")


class _Shape:
    """A shape that counts as a leaf."""

    def __init__(self, sizes: Any) -> None:
        self.sizes = tuple(sizes)
