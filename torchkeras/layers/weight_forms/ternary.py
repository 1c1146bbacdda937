"""Weights that are -1, 0 or 1 times one scale, five in a byte (Ma et al., 2024, "The Era of 1-bit LLMs")."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

from torchkeras.initializers import Constant
from torchkeras.layers.weight_forms.digits import multiplies_integers_fast, product_with_fives
from torchkeras.layers.weight_forms.form import WeightForm, register, variable
from torchkeras.layers.weight_forms.layouts import columns_of, rows_of
from torchkeras.layers.weight_forms.products import differentiable, product_by_columns
from torchkeras.quantizers.ternary import IN_A_BYTE, ZERO_BYTE, pack_ternary, ternarize, unpack_ternary

# The five values of each byte.
_VALUES = unpack_ternary(torch.arange(256, dtype=torch.uint8).unsqueeze(1), IN_A_BYTE, axis=1).float()


@register
class TernaryForm(WeightForm):
    """`weight = values * scale`, with values -1, 0 and 1 and one scale for all.

    The values of a row share bytes along the outputs. `Layout.threshold` says which values become 0.
    """

    mode = "ternary"
    names = ("{}", "bias", "{}_scale")
    kept_as = "packed_{}"
    takes_low_rank = False

    def build(self, layer: nn.Module) -> None:
        shape = rows_of(self.layout), -(-columns_of(self.layout) // IN_A_BYTE)
        variable(layer, self.attribute, name=self.name, shape=shape, initializer=Constant(ZERO_BYTE), dtype="uint8")
        variable(layer, f"{self.name}_scale", shape=(), initializer="ones")

    def quantized(self, value: Tensor, by_default: bool = False) -> dict[str, Tensor]:
        values, scale = ternarize(value, self.layout.threshold)
        return {self.attribute: pack_ternary(values, axis=-1)[0], f"{self.name}_scale": scale}

    def shown(self, layer: nn.Module) -> Tensor:
        """The values -1, 0 and 1, as int8."""
        return self._values(layer, torch.int8)

    def dequantized(self, layer: nn.Module) -> Tensor:
        dtype = self.compute_dtype()
        return self._values(layer, dtype) * getattr(layer, f"{self.name}_scale").to(dtype)

    def _values(self, layer: nn.Module, dtype: torch.dtype, part: slice = slice(None)) -> Tensor:
        """The values of some columns of bytes."""
        packed = getattr(layer, self.attribute)[:, part]
        columns = columns_of(self.layout) - (part.start or 0) * IN_A_BYTE
        if packed.device.type != "cpu":  # a table would have to be copied there
            return unpack_ternary(packed, columns, axis=1).to(dtype)
        return embedding(packed.to(torch.int32), _VALUES.to(dtype)).flatten(1)[:, :columns]

    def product(self, layer: nn.Module, inputs: Tensor) -> Tensor:
        dtype = self.compute_dtype()

        def compute(x: Tensor) -> Tensor:
            if multiplies_integers_fast(x):
                packed, width = getattr(layer, self.attribute), columns_of(self.layout)
                sums = self.given_product.by_rows(x, lambda rows: product_with_fives(rows, packed)[:, :width].to(dtype))
                return sums * getattr(layer, f"{self.name}_scale").to(dtype)
            rows, columns = getattr(layer, self.attribute).shape
            sums = product_by_columns(
                x.to(dtype), rows, columns, lambda part: self._values(layer, dtype, part), entries=2**20 // IN_A_BYTE
            )
            return sums * getattr(layer, f"{self.name}_scale").to(dtype)

        return differentiable(inputs, compute, self.given_product, lambda: self.dequantized(layer))
