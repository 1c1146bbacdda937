"""Masking: time steps that hold one value throughout are padding."""

from __future__ import annotations

from typing import Unpack

import torch
from torch import Tensor

from torchkeras import ops
from torchkeras.core.tensors.masks import set_mask
from torchkeras.core.types import Shape
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.base.options import LayerOptions


class Masking(Layer):
    """Mask the time steps of a sequence whose features all equal `mask_value`, and set them to zero.

    Layers behind it that use masks (recurrent layers, attention, `GlobalAveragePooling1D`) skip the masked steps.

    Args:
        mask_value: number that marks padding. Default: `0.0`.
        **kwargs: the arguments of `Layer`.

    Call arguments:
        inputs: a tensor of the shape `(batch, steps, features)`.

    Returns:
        A tensor of the shape of the inputs, with the mask `(batch, steps)` on it: `True` for steps that count.

    Example:
        >>> x = np.array([[[1.0, 2.0], [0.0, 0.0], [3.0, 0.0]]], "float32")
        >>> layer = keras.layers.Masking(mask_value=0.0)
        >>> layer.compute_mask(x).tolist()
        [[True, False, True]]
        >>> keras.layers.LSTM(4)(layer(x)).shape
        torch.Size([1, 4])
    """

    _tk_nothing_to_build = True

    def __init__(self, mask_value: float = 0.0, **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(**kwargs)
        self.mask_value = mask_value
        self.supports_masking = True

    def compute_mask(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return which steps count: those with a feature other than `mask_value`."""
        return ops.any(ops.not_equal(inputs, self.mask_value), axis=-1)  # type: ignore[arg-type]

    def call(self, inputs: Tensor) -> Tensor:
        mask = self.compute_mask(inputs)
        outputs = torch.where(mask.unsqueeze(-1), inputs, 0)
        set_mask(outputs, mask)
        return outputs

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape
