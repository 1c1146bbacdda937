"""Identity: the inputs, unchanged."""

from __future__ import annotations

from typing import Unpack

from torch import Tensor

from torchkeras.core import tree
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.types import Nest, Shape
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.base.options import LayerOptions


class Identity(Layer):
    """Return the inputs unchanged.

    Useful as a placeholder where a layer is expected.

    Args:
        **kwargs: `name`, `trainable`, `dtype`, `activity_regularizer` and the other arguments of `Layer`.

    Call arguments:
        inputs: a tensor, or any structure (list, tuple, dict) of tensors.

    Input shape:
        Any.

    Output shape:
        The input shape.

    Example:
        >>> keras.layers.Identity()(torch.tensor([1.0, 2.0])).tolist()
        [1.0, 2.0]
    """

    _tk_nothing_to_build = True

    def __init__(self, **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs: Nest[Tensor]) -> Nest[Tensor]:
        return inputs

    def compute_output_shape(self, input_shape: Nest[Shape]) -> Nest[Shape]:
        return input_shape

    def compute_output_spec(self, inputs: Nest[KerasTensor]) -> Nest[KerasTensor]:
        return tree.map_structure(lambda x: KerasTensor(x.shape, x.dtype, sparse=x.sparse), inputs)
