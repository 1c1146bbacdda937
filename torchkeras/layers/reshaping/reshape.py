"""Layers that move values without changing them: Flatten, Reshape, Permute, RepeatVector."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Unpack

from torch import Tensor

from torchkeras.core.settings import standardize_data_format
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.layers.base.input_spec import InputSpec
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.base.options import LayerOptions
from torchkeras.layers.spatial import product

Shape = tuple[int | None, ...]


class DtypeKeeping(Layer):
    """A layer that only moves values: its outputs have the dtype of its inputs."""

    keras_module = None

    def compute_output_spec(self, inputs: KerasTensor) -> KerasTensor:
        return KerasTensor(self.compute_output_shape(inputs.shape), inputs.dtype, sparse=inputs.sparse)


class Flatten(DtypeKeeping):
    """Join all axes but the batch axis into one.

    Args:
        data_format: order of the inputs' axes. `"channels_last"` joins the axes as they are; `"channels_first"` moves
            the channel axis to the end before it joins them, so that both orders give the same features. `None` means
            `keras.config.image_data_format()`. Default: `None`.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of at least one dimension.

    Input shape:
        `(batch, ...)`.

    Output shape:
        `(batch, features)`, where `features` is the product of the joined sizes (1 for an input `(batch,)`).

    Example:
        >>> keras.layers.Flatten()(torch.zeros(2, 3, 4, 5)).shape
        torch.Size([2, 60])
    """

    def __init__(self, data_format: str | None = None, **kwargs: Unpack[LayerOptions]) -> None:
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
    """Give each sample another shape with the same number of values.

    Args:
        target_shape: tuple of ints, the shape of a sample without the batch axis. One of them may be -1: its size is
            computed from the others.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of the input shape.

    Input shape:
        `(batch, ...)`, with as many values for each sample as `target_shape` has.

    Output shape:
        `(batch, *target_shape)`.

    Raises:
        ValueError: `target_shape` has more than one -1 or another negative size, or the number of values differs.

    Example:
        >>> layer = keras.layers.Reshape((-1, 2))
        >>> layer(torch.arange(6).reshape(1, 6)).tolist()
        [[[0, 1], [2, 3], [4, 5]]]
        >>> layer.compute_output_shape((None, 3, 4))
        (None, 6, 2)
    """

    _tk_nothing_to_build = True

    def __init__(self, target_shape: Sequence[int], **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(**kwargs)
        if not isinstance(target_shape, Sequence) or isinstance(target_shape, str):
            raise ValueError(
                f"target_shape must be a tuple of ints, such as (2, 3) or (-1,). Received: {target_shape!r}"
            )
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

    def _resolve(self, dims: Sequence[int]) -> tuple[int, ...]:
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
    """Reorder the axes behind the batch axis.

    Axis `i` of the outputs is axis `dims[i - 1]` of the inputs.

    Args:
        dims: tuple of ints: the input axes in the order of the outputs. They are counted from 1, since the batch axis
            stays first; `(2, 1)` swaps the two axes of a batch of matrices.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of `len(dims) + 1` dimensions.

    Input shape:
        `(batch, ...)`.

    Output shape:
        The input shape with its axes in the new order.

    Raises:
        ValueError: `dims` is no permutation of `1, ..., len(dims)`.

    Example:
        >>> keras.layers.Permute((2, 1))(torch.zeros(8, 10, 64)).shape
        torch.Size([8, 64, 10])
    """

    def __init__(self, dims: Sequence[int], **kwargs: Unpack[LayerOptions]) -> None:
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
    """Repeat each sample's vector as `n` equal steps of a sequence.

    Args:
        n: number of repetitions, a positive int.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of two dimensions.

    Input shape:
        `(batch, features)`.

    Output shape:
        `(batch, n, features)`.

    Raises:
        TypeError: `n` is no int.
        ValueError: `n` is not positive.

    Example:
        >>> keras.layers.RepeatVector(3)(torch.tensor([[1.0, 2.0]])).tolist()
        [[[1.0, 2.0], [1.0, 2.0], [1.0, 2.0]]]
    """

    def __init__(self, n: int, **kwargs: Unpack[LayerOptions]) -> None:
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
