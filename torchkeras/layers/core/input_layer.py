"""The entrance of a functional model: `Input` and the layer behind it."""

from __future__ import annotations

from typing import Any

from torchkeras.core.symbolic.keras_tensor import KerasTensor, standardize_shape
from torchkeras.core.symbolic.node import Node
from torchkeras.core.tensors.dtypes import standardize_dtype
from torchkeras.layers.base.layer import Layer


class InputLayer(Layer):
    """The layer that `Input` makes; its output is the symbolic input.

    Args:
        shape: sizes of one sample.
        batch_size: default any.
        dtype: default `floatx()`.
        batch_shape: `(batch_size, *shape)` instead of the two.
        optional: whether a model's call may leave it out (`None`).
    """

    def __init__(
        self,
        shape: Any = None,
        batch_size: int | None = None,
        dtype: Any = None,
        sparse: bool | None = None,
        ragged: bool | None = None,
        batch_shape: Any = None,
        input_tensor: Any = None,
        optional: bool = False,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if "input_shape" in kwargs:
            shape = kwargs.pop("input_shape")
        if "batch_input_shape" in kwargs:
            batch_shape = kwargs.pop("batch_input_shape")
        if shape is not None and batch_shape is not None:
            raise ValueError(f"Give shape or batch_shape, not both; received shape={shape}, batch_shape={batch_shape}.")
        if batch_size is not None and batch_shape is not None:
            raise ValueError(f"batch_shape says the batch size too; received batch_size={batch_size} as well.")
        if sparse or ragged:
            raise ValueError("Inputs are dense here; received sparse=True or ragged=True.")
        super().__init__(name=name, **kwargs)
        self._input_dtype = None if dtype is None else standardize_dtype(dtype)
        if input_tensor is not None:
            if not isinstance(input_tensor, KerasTensor):
                raise ValueError(f"input_tensor must be a KerasTensor; received {input_tensor!r}.")
            self._input_dtype = self._input_dtype or input_tensor.dtype
            if shape is None and batch_shape is None:
                batch_shape = input_tensor.shape
        if shape is None and batch_shape is None:
            raise ValueError("Input needs shape or batch_shape; received neither.")
        self.batch_shape = standardize_shape(
            batch_shape if batch_shape is not None else (batch_size, *standardize_shape(shape))
        )
        self.sparse, self.ragged, self.optional = bool(sparse), bool(ragged), optional
        output = input_tensor
        if output is None:
            output = KerasTensor(self.batch_shape, self.dtype, name=name)
        self._input_tensor = output
        Node(self, (), {}, output)
        self.built = True

    @property
    def dtype(self) -> str:
        return self._input_dtype or super().dtype

    def call(self, *args: Any) -> Any:
        """Hand the input on."""
        return args[0] if args else self._input_tensor

    def compute_output_shape(self, input_shape: Any = None) -> tuple:
        return self.batch_shape

    def get_config(self) -> dict[str, Any]:
        return {
            "batch_shape": self.batch_shape,
            "dtype": self.dtype,
            "sparse": self.sparse,
            "ragged": self.ragged,
            "name": self.name,
            "optional": self.optional,
        }


def Input(
    shape: Any = None,
    batch_size: int | None = None,
    dtype: Any = None,
    sparse: bool | None = None,
    ragged: bool | None = None,
    batch_shape: Any = None,
    name: str | None = None,
    tensor: Any = None,
    optional: bool = False,
) -> Any:
    """A symbolic tensor to build a functional model from.

    Args:
        shape: sizes of one sample, `None` for any size.
        batch_size: default any.
        dtype: default `floatx()`.
        batch_shape: `(batch_size, *shape)` instead of the two.
        name: of the input layer.
        tensor: an existing KerasTensor to take.
        optional: whether a call of the model may leave it out.
    """
    layer = InputLayer(
        shape=shape,
        batch_size=batch_size,
        dtype=dtype,
        sparse=sparse,
        ragged=ragged,
        batch_shape=batch_shape,
        input_tensor=tensor,
        optional=optional,
        name=name,
    )
    return layer._inbound_nodes[0].outputs
