"""8-bit integers: one scale for each output; inputs become integers as well, unless the config says otherwise."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn.functional import embedding

from torchkeras.layers.weight_forms.form import WeightForm, register, variable
from torchkeras.layers.weight_forms.products import MatrixProduct, Product, differentiable, product_with_integers
from torchkeras.quantizers import AbsMaxQuantizer, QuantizationConfig, Quantizer


@register
class Int8Form(WeightForm):
    """`weight = integers / scale`, with integers in [-127, 127] and one scale for each output."""

    mode = "int8"
    names = ("{}", "bias", "{}_scale")

    def build(self, layer: nn.Module) -> None:
        integers = variable(layer, self.name, shape=self.layout.shape, initializer="zeros", dtype="int8")
        if integers.ndim == 2 and self.layout.summed == (0,):
            # In memory column after column: torch's product with a single row then takes a fifth of the time.
            integers.data = integers.data.t().contiguous().t()
        variable(layer, f"{self.name}_scale", shape=self.layout.shape_of_scale(), initializer="ones")

    def quantized(self, value: Tensor, by_default: bool = False) -> dict[str, Tensor]:
        default = AbsMaxQuantizer(axis=self.layout.summed)
        quantizer = QuantizationConfig.weight_quantizer_or_default(None if by_default else self.config, default)
        integers, scale = quantize_weight(value, quantizer, self.layout.summed)
        return {self.name: integers, f"{self.name}_scale": self.layout.kept_scale(scale)}

    def dequantized(self, layer: nn.Module) -> Tensor:
        dtype = self.compute_dtype()
        scale = self.layout.scale_of_weight(getattr(layer, f"{self.name}_scale"))
        return (getattr(layer, self.name).to(dtype) / scale).to(dtype)

    def inputs_quantizer(self) -> Quantizer | None:
        """The quantizer of the inputs; `None` leaves them as floats."""
        return QuantizationConfig.activation_quantizer_or_default(self.config, AbsMaxQuantizer())

    def product(self, layer: nn.Module, inputs: Tensor) -> Tensor:
        return self._product(layer, inputs, self.given_product, getattr(layer, self.name), _same)

    def scores(self, layer: nn.Module, inputs: Tensor) -> Tensor:
        return self._product(layer, inputs, MatrixProduct(), getattr(layer, self.name).t(), Tensor.t)

    def _product(
        self, layer: nn.Module, inputs: Tensor, product: Product, integers: Tensor, turned: Callable[[Tensor], Tensor]
    ) -> Tensor:
        scale, quantizer, dtype = getattr(layer, f"{self.name}_scale"), self.inputs_quantizer(), self.compute_dtype()
        return differentiable(
            inputs,
            lambda x: product_with_integers(product, x, integers, scale, quantizer, dtype),
            product,
            lambda: turned(self.dequantized(layer)),
        )

    def rows(self, layer: nn.Module, indices: Tensor) -> Tensor:
        integers = embedding(indices, getattr(layer, self.name)).to(self.compute_dtype())
        scale = embedding(indices, getattr(layer, f"{self.name}_scale").unsqueeze(-1))
        return (integers / scale).to(self.compute_dtype())


def quantize_weight(value: Tensor, quantizer: Quantizer | None, axes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Integers and scale of a weight, by a quantizer that may be the user's."""
    if isinstance(quantizer, AbsMaxQuantizer):
        return quantizer(value, axis=axes, to_numpy=True)
    return quantizer(value, to_numpy=True)  # type: ignore[call-arg,misc]


def _same(weight: Tensor) -> Tensor:
    return weight
