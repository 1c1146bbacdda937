"""The same values in another shape: Flatten, Reshape, Permute, RepeatVector."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from torchkeras.core.settings import standardize_data_format
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.layers.base.input_spec import InputSpec
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.spatial import product

Shape = tuple[int | None, ...]


class DtypeKeeping(Layer):
    """A layer that only moves values: its outputs have the dtype of its inputs."""

    keras_module = None

    def compute_output_spec(self, inputs: KerasTensor) -> KerasTensor:
        return KerasTensor(self.compute_output_shape(inputs.shape), inputs.dtype, sparse=inputs.sparse)


class Flatten(DtypeKeeping):
    """`(batch, *)` to `(batch, features)`, channels last whatever `data_format` says of the inputs."""

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = standardize_data_format(data_format)
        self.input_spec = InputSpec(min_ndim=1)
        self._channels_first = self.data_format == "channels_first"

    def call(self, inputs: Tensor) -> Tensor:
        if self._channels_first and inputs.ndim > 1:
            inputs = inputs.movedim(1, -1)
        # By its size, not -1: an empty batch leaves -1 ambiguous.
        return inputs.reshape(inputs.shape[0], math.prod(inputs.shape[1:]))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], product(input_shape[1:]))


class Reshape(DtypeKeeping):
    """`(batch, *)` to `(batch, *target_shape)`; one dimension may be -1."""

    def __init__(self, target_shape: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        target_shape = tuple(target_shape)
        if any(isinstance(dim, int) and dim < -1 for dim in target_shape) or target_shape.count(-1) > 1:
            raise ValueError(
                "Each dimension in `target_shape` must be a non-negative integer, and at most one unknown dimension "
                f"may be -1. Received: target_shape={target_shape}."
            )
        self.target_shape = target_shape
        self._known = math.prod([dim for dim in target_shape if dim != -1])

    def call(self, inputs: Tensor) -> Tensor:
        return inputs.reshape(inputs.shape[0], *self._resolve(inputs.shape[1:]))

    def _resolve(self, dims: Any) -> tuple[int, ...]:
        size, known = math.prod(dims), self._known
        unknown = -1 in self.target_shape
        if size != known and (not unknown or known == 0 or size % known):
            raise ValueError(
                "The total size of the tensor must be unchanged. Layer "
                f"'{self.name}' received: input_shape={tuple(dims)}, target_shape={self.target_shape}"
            )
        return tuple(size // known if dim == -1 else dim for dim in self.target_shape)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        if None in input_shape[1:]:
            return (input_shape[0], *(None if dim == -1 else dim for dim in self.target_shape))
        return (input_shape[0], *self._resolve(input_shape[1:]))


class Permute(DtypeKeeping):
    """The dimensions after the batch in the order `dims`, counted from 1."""

    def __init__(self, dims: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dims = tuple(dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ValueError(
                "Invalid permutation argument `dims` for Permute Layer. The set of indices in `dims` must be "
                f"consecutive and start from 1. Received dims={dims}"
            )
        self.input_spec = InputSpec(ndim=len(self.dims) + 1)

    def call(self, inputs: Tensor) -> Tensor:
        return inputs.permute(0, *self.dims)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], *(input_shape[dim] for dim in self.dims))


class RepeatVector(Layer):
    """`(batch, features)` to `(batch, n, features)`."""

    def __init__(self, n: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(n, int) or isinstance(n, bool):
            raise TypeError(f"Expected an integer value for `n`, got {type(n)}.")
        if n <= 0:
            raise ValueError(f"Argument `n` should be a positive integer. Received: n={n}")
        self.n = n
        self.input_spec = InputSpec(ndim=2)

    def call(self, inputs: Tensor) -> Tensor:
        return inputs.unsqueeze(1).expand(-1, self.n, -1)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], self.n, input_shape[1])
