"""GPTQ and AWQ: integers with a scale and a zero point for each group of features, which calibration finds.

Until a layer is calibrated it computes with its float weight. Files have no float weight: a layer that is read from one
is calibrated.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from torchkeras.dtype_policies import DTypePolicy
from torchkeras.layers.base.values import assign
from torchkeras.layers.weight_forms.form import WeightForm, register, variable
from torchkeras.layers.weight_forms.layouts import Layout, columns_of, rows_of
from torchkeras.layers.weight_forms.products import EinsumProduct, Product
from torchkeras.quantizers import AWQConfig, GPTQConfig, QuantizationConfig, pack_int4, unpack_int4
from torchkeras.quantizers.affine import from_integers, round_by_groups
from torchkeras.quantizers.awq import awq_round
from torchkeras.quantizers.gptq import Hessian, Rounded, gptq_round


class CalibratedForm(WeightForm):
    """A weight `(integers - zero) * scale` by groups of features, in Keras's layout `(outputs, features)`.

    Raises:
        NotImplementedError: the axes that the product sums over are not the first ones of the weight.
    """

    def __init__(
        self, layout: Layout, product: Product | None, config: QuantizationConfig | None, policy: DTypePolicy
    ) -> None:
        super().__init__(layout, product, config, policy)
        if tuple(layout.summed) != tuple(range(len(layout.summed))):
            raise NotImplementedError(
                f"{self.mode.upper()} needs a {layout.name} whose first axes are those that the product sums over; "
                f"it has the shape {layout.shape} and sums over the axes {tuple(layout.summed)}."
            )
        self.keeps_weight = True  # type: ignore[misc]
        self.features, self.outputs = rows_of(layout), columns_of(layout)
        self.bits: int = getattr(config, "weight_bits", None) or policy.weight_bits  # type: ignore[attr-defined]
        self.group_size: int = getattr(config, "group_size", None) or policy.group_size  # type: ignore[attr-defined]

    # ------------------------------------------------------------------ variables

    def build(self, layer: nn.Module) -> None:
        self.keeps_weight = bool(layer.built)  # type: ignore[misc]
        columns = (self.outputs + 1) // 2 if self.bits == 4 else self.outputs
        groups = 1 if self.group_size == -1 else math.ceil(self.features / self.group_size)
        shapes = {"scale": (self.outputs, groups), "zero": (self.outputs, groups)}
        variable(layer, self._named("quantized_{}"), name=self.name, shape=(columns, self.features), **_BYTES)
        variable(layer, self._named("{}_scale"), shape=shapes["scale"], initializer="ones")
        is_einsum = isinstance(self.given_product, EinsumProduct)
        zero = self._named("{}_zero")
        variable(layer, zero, name="zero_point" if is_einsum else zero, shape=shapes["zero"], **_BYTES)
        self.build_more(layer)
        variable(layer, "g_idx", shape=(self.features,), initializer="zeros", dtype="float32")

    def build_more(self, layer: nn.Module) -> None:
        """Make the variables that stand before the groups in files."""

    def fill(self, layer: nn.Module, value: Tensor) -> None:
        """The variables get their values by calibration."""

    def read_from(self, layer: nn.Module, names: list[str], count: int) -> list[str]:
        zero = self._named("{}_zero")
        if count != len(names) - 1 or zero not in names:
            return names
        # Keras 3.15.1 leaves the zero points out when it saves, and can't read its file again.
        if not getattr(self.config, "symmetric", False):
            raise ValueError(
                f"Layer {layer.name!r}: the file lacks the zero points ({zero!r}) of the {self.mode.upper()} integers, "
                "which Keras 3.15.1 leaves out of its files; without them the weights are lost. Quantize the float "
                "model here, or in Keras with symmetric=True."
            )
        assign(getattr(layer, zero), torch.full((1, 1), 2 ** (self.bits - 1)).expand(getattr(layer, zero).shape))
        return [name for name in names if name != zero]

    def loaded(self, layer: nn.Module) -> None:
        self.finish(layer)

    def _named(self, pattern: str) -> str:
        return pattern.format(self.name)

    # ------------------------------------------------------------------ calibration

    def statistics(self, device: torch.device) -> Statistics:
        """A new collector of the numbers about the inputs by which the weight is rounded."""
        raise NotImplementedError

    def found(self, weight: Tensor, statistics: Statistics) -> dict[str, Tensor]:
        """The values of the variables for a float matrix `(outputs, features)`."""
        raise NotImplementedError

    def calibrate(self, layer: nn.Module, statistics: Statistics) -> None:
        """Round the float weight by what was seen of the inputs, and drop it.

        Args:
            layer: the layer.
            statistics: from `statistics()`, after the inputs went through `update`.
        """
        with torch.no_grad():
            weight = self.layout.to_matrix(self.float_weight(layer).detach()).t()
            values = self.found(weight, statistics)
        for name, value in values.items():
            assign(getattr(layer, name), value)
        self.finish(layer)

    def finish(self, layer: nn.Module) -> None:
        """From now on the layer computes with the integers; the float weight goes."""
        if self.keeps_weight:
            delattr(layer, self.name)
            layer._tk_deleted.pop(self.name, None)  # type: ignore[operator,union-attr]
        self.keeps_weight = False  # type: ignore[misc]

    def as_variables(self, rounded: Rounded) -> dict[str, Tensor]:
        """The values of the variables for a matrix as integers."""
        integers = rounded.integers
        return {
            self._named("quantized_{}"): pack_int4(integers, axis=0, dtype="uint8")[0] if self.bits == 4 else integers,
            self._named("{}_scale"): rounded.scale,
            self._named("{}_zero"): rounded.zero,
            "g_idx": rounded.group_of_input.float(),
        }

    def as_rows(self, inputs: Tensor) -> Tensor:
        """Inputs of the layer as `(samples, features)`, with the features in the order of the weight's rows."""
        product = self.given_product
        if isinstance(product, EinsumProduct):
            of_inputs, of_weight, _ = product.letters
            summed = [of_inputs.index(letter) for letter in of_weight[: len(self.layout.summed)]]
            inputs = inputs.permute(*(i for i in range(inputs.ndim) if i not in summed), *summed)
        return inputs.reshape(-1, self.features)

    # ------------------------------------------------------------------ computing

    def dequantized(self, layer: nn.Module) -> Tensor:
        if self.keeps_weight:
            return self.float_weight(layer)
        return self.layout.from_matrix(self.matrix(layer).t()).to(self.compute_dtype())

    def matrix(self, layer: nn.Module) -> Tensor:
        """The float matrix `(outputs, features)` that the integers stand for."""
        integers = getattr(layer, self._named("quantized_{}"))
        if self.bits == 4:
            integers = unpack_int4(integers, self.outputs, axis=0, dtype="uint8")
        scale, zero = (getattr(layer, self._named(name)) for name in ("{}_scale", "{}_zero"))
        return from_integers(integers, scale, zero, layer.g_idx)  # type: ignore[arg-type]

    def product(self, layer: nn.Module, inputs: Tensor) -> Tensor:
        weight = self.dequantized(layer)
        return self.given_product(inputs.to(weight.dtype), weight)


_BYTES = {"initializer": "zeros", "dtype": "uint8"}


class Statistics:
    """Collects the numbers about a layer's inputs by which it is calibrated."""

    def update(self, inputs: Tensor) -> None:
        """Add inputs of shape `(samples, features)`."""
        raise NotImplementedError


class SecondMoments(Hessian, Statistics):
    """The Hessian that GPTQ needs."""


class Magnitudes(Statistics):
    """The largest absolute value of each feature, which AWQ needs, and the products of those that share a scale.

    Args:
        features: number of features.
        device: where the numbers are kept.
        group_size: number of features that share a scale, -1 for all; `None` leaves the products out.
    """

    def __init__(self, features: int, device: torch.device, group_size: int | None = None) -> None:
        self.largest = torch.zeros(features, device=device)
        self.size = features if group_size == -1 else group_size
        self.products: list[Tensor] | None = None
        if self.size is not None:
            sizes = [min(self.size, features - i) for i in range(0, features, self.size)]
            self.products = [torch.zeros(size, size, device=device) for size in sizes]

    def update(self, inputs: Tensor) -> None:
        if not len(inputs):
            return
        inputs = inputs.float()
        self.largest = torch.maximum(self.largest, inputs.abs().amax(0))
        if self.products is not None:
            for product, part in zip(self.products, inputs.split(self.size, 1), strict=True):  # type: ignore[arg-type]
                product.addmm_(part.t(), part)


@register
class GPTQForm(CalibratedForm):
    """Rounded by GPTQ: 2, 3, 4 or 8 bits; 4 bits lie two in a byte."""

    mode = "gptq"
    takes_low_rank = False
    names: ClassVar[tuple[str, ...]] = ("bias", "quantized_{}", "{}_scale", "{}_zero", "g_idx")

    def build(self, layer: nn.Module) -> None:
        super().build(layer)
        if isinstance(self.given_product, EinsumProduct):
            layer.gptq_unpacked_column_size = self.outputs  # type: ignore[assignment]

    def statistics(self, device: torch.device) -> SecondMoments:
        return SecondMoments(self.features, device)

    def found(self, weight: Tensor, statistics: Statistics) -> dict[str, Tensor]:
        config, moments = self.config, statistics
        assert isinstance(config, GPTQConfig) and isinstance(moments, SecondMoments)
        rounded = gptq_round(
            weight,
            moments.matrix,
            self.bits,
            self.group_size,
            config.symmetric,
            config.per_channel,
            config.hessian_damping,
            config.activation_order,
        )
        return self.as_variables(rounded)


@register
class AWQForm(CalibratedForm):
    """Rounded by AWQ to 4 bits, two in a byte; the features have factors, by which the weight is divided again."""

    mode = "awq"
    names: ClassVar[tuple[str, ...]] = ("bias", "quantized_{}", "{}_scale", "{}_zero", "awq_scales", "g_idx")

    def build_more(self, layer: nn.Module) -> None:
        variable(layer, "awq_scales", shape=(self.features,), initializer="ones")

    def statistics(self, device: torch.device) -> Magnitudes:
        clips = isinstance(self.config, AWQConfig) and self.config.apply_clip
        return Magnitudes(self.features, device, self.group_size if clips else None)

    def found(self, weight: Tensor, statistics: Statistics) -> dict[str, Tensor]:
        config, magnitudes = self.config, statistics
        assert isinstance(config, AWQConfig) and isinstance(magnitudes, Magnitudes)
        rounded, scales = awq_round(
            weight, magnitudes.largest, self.bits, self.group_size, config.num_grid_points, magnitudes.products
        )
        return {**self.as_variables(rounded), "awq_scales": scales}

    def matrix(self, layer: nn.Module) -> Tensor:
        return super().matrix(layer) / layer.awq_scales  # type: ignore[operator]

    def quantized(self, value: Tensor, by_default: bool = False) -> dict[str, Tensor]:
        """The values for a weight that is rounded without calibration: a low-rank term was added to it."""
        weight = self.layout.to_matrix(value).t()
        integers, scale, zero = round_by_groups(weight.float(), self.bits, self.group_size)
        groups = torch.arange(self.features, device=value.device)
        groups = groups.div(self.features if self.group_size == -1 else self.group_size, rounding_mode="floor")
        rounded = Rounded(integers.to(torch.uint8), scale, zero, groups)
        return {**self.as_variables(rounded), "awq_scales": torch.ones_like(weight[0], dtype=torch.float32)}
