"""Masking: time steps that hold one value throughout are padding."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.core.tensors.masks import set_mask
from torchkeras.layers.base.layer import Layer


class Masking(Layer):
    """Masks the steps of `(batch, steps, features)` whose features all equal `mask_value`, and sets them to zero."""

    _tk_nothing_to_build = True

    def __init__(self, mask_value: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mask_value = mask_value
        self.supports_masking = True

    def compute_mask(self, inputs: Tensor, previous_mask: Any = None) -> Tensor:
        return (convert_to_tensor(inputs) != self.mask_value).any(dim=-1)

    def call(self, inputs: Tensor) -> Tensor:
        mask = self.compute_mask(inputs)
        outputs = torch.where(mask.unsqueeze(-1), inputs, 0)
        set_mask(outputs, mask)
        return outputs

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape
