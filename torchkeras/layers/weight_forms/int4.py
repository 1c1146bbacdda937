"""4-bit integers, two in a byte: one scale for each output, or a scale and a zero point for each group of features."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

from torchkeras.dtype_policies import Int4DTypePolicy
from torchkeras.layers.base.values import assign
from torchkeras.layers.weight_forms.digits import (
    exact_product_with_halves,
    multiplies_integers_fast,
    product_with_groups,
    product_with_halves,
)
from torchkeras.layers.weight_forms.form import WeightForm, register, variable
from torchkeras.layers.weight_forms.int8 import quantize_weight
from torchkeras.layers.weight_forms.layouts import columns_of, groups_of_rows, rows_of
from torchkeras.layers.weight_forms.products import (
    MatrixProduct,
    Product,
    differentiable,
    product_by_columns,
    product_with_integers,
)
from torchkeras.quantizers import (
    AbsMaxQuantizer,
    QuantizationConfig,
    Quantizer,
    abs_max_quantize_grouped_with_zero_point,
    pack_int4,
)
from torchkeras.quantizers.configs import Int4QuantizationConfig

_RANGE = (-8, 7)
# The number of the group of each feature; Keras's name.
_GROUPS = "g_idx"


@register
class Int4Form(WeightForm):
    """`weight = integers / scale` with one scale for each output; or in groups `(integers - zero) * scale`.

    The weight is kept as a packed matrix, see `Layout`, with scales `(outputs,)`, or in groups `(groups, outputs)`.
    """

    mode = "int4"
    names = ("{}", "bias", "{}_scale", "{}_zero", "g_idx")
    kept_as = "packed_{}"

    @property
    def block_size(self) -> int | None:
        """The number of features that share a scale; `None` for all."""
        size = None
        if isinstance(self.config, Int4QuantizationConfig):
            size = self.config.block_size
        elif isinstance(self.policy, Int4DTypePolicy):
            size = self.policy.block_size
        return None if size == -1 else size

    def build(self, layer: nn.Module) -> None:
        rows, columns, block_size = rows_of(self.layout), columns_of(self.layout), self.block_size
        kept = list(self.layout.kept_shape(rows, columns))
        kept[self.layout.packed_axis] = (kept[self.layout.packed_axis] + 1) // 2
        variable(layer, self.attribute, name=self.name, shape=tuple(kept), initializer="zeros", dtype="int8")
        if block_size is None:
            variable(layer, f"{self.name}_scale", shape=(columns,), initializer="ones")
            return
        shape = self.layout.kept_shape(math.ceil(rows / block_size), columns)
        variable(layer, f"{self.name}_scale", shape=shape, initializer="ones")
        zero_dtype = self.layout.zero_dtype
        variable(layer, f"{self.name}_zero", shape=shape, initializer="zeros", dtype=zero_dtype)
        if self.layout.has_groups:
            variable(layer, _GROUPS, shape=(rows,), initializer="zeros", dtype="float32")
            assign(getattr(layer, _GROUPS), groups_of_rows(rows, block_size))

    def quantized(self, value: Tensor, by_default: bool = False) -> dict[str, Tensor]:
        matrix, block_size = self.layout.to_matrix(value), self.block_size
        if block_size is None:
            default = AbsMaxQuantizer(axis=0, value_range=_RANGE)
            quantizer = QuantizationConfig.weight_quantizer_or_default(None if by_default else self.config, default)
            integers, scale = quantize_weight(matrix, quantizer, (0,))
            found = {f"{self.name}_scale": scale.squeeze(0)}
        else:
            integers, scale, zero = abs_max_quantize_grouped_with_zero_point(matrix, block_size, to_numpy=True)
            found = {f"{self.name}_scale": self.layout.kept(scale), f"{self.name}_zero": self.layout.kept(zero)}
        return {self.attribute: pack_int4(self.layout.kept(integers), self.layout.packed_axis)[0], **found}

    # ------------------------------------------------------------------ back to floats

    def integers(self, layer: nn.Module) -> Tensor:
        """The matrix of integers `(rows, columns)`, as int8."""
        kept_shape = self.layout.kept_shape(rows_of(self.layout), columns_of(self.layout))
        axis = self.layout.packed_axis
        return self.layout.kept(unpacked(getattr(layer, self.attribute), kept_shape[axis], axis))

    def shown(self, layer: nn.Module) -> Tensor:
        """The integers in the shape of the weight."""
        return self.layout.from_matrix(self.integers(layer))

    def matrix(self, layer: nn.Module) -> Tensor:
        """The float weight as a matrix."""
        integers, dtype = self.integers(layer).to(self.compute_dtype()), self.compute_dtype()
        scale = getattr(layer, f"{self.name}_scale")
        if self.block_size is None:
            return (integers / scale).to(dtype)
        groups = getattr(layer, _GROUPS).to(torch.int32)
        scale = self.layout.kept(scale).index_select(0, groups)
        zero = self.layout.kept(getattr(layer, f"{self.name}_zero")).index_select(0, groups)
        return ((integers - zero.to(scale.dtype)) * scale).to(dtype)

    def dequantized(self, layer: nn.Module) -> Tensor:
        return self.layout.from_matrix(self.matrix(layer))

    # ------------------------------------------------------------------ computing

    def product(self, layer: nn.Module, inputs: Tensor) -> Tensor:
        if self._has_halves(self.given_product) and multiplies_integers_fast(inputs):
            return differentiable(
                inputs,
                lambda x: self._product_of_integers(layer, x),
                self.given_product,
                lambda: self.dequantized(layer),
            )
        if self.inputs_quantizer() is None and self._has_fast_product(self.given_product):
            return differentiable(
                inputs,
                lambda x: self._product_of_halves(layer, x),
                self.given_product,
                lambda: self.dequantized(layer),
            )
        return self._product(layer, inputs, self.given_product, self.layout.from_matrix)

    def scores(self, layer: nn.Module, inputs: Tensor) -> Tensor:
        return self._product(layer, inputs, self.given_product, _same)

    def _product(
        self, layer: nn.Module, inputs: Tensor, product: Product, shaped: Callable[[Tensor], Tensor]
    ) -> Tensor:
        quantizer, dtype = self.inputs_quantizer(), self.compute_dtype()

        def compute(x: Tensor) -> Tensor:
            if self.block_size is not None or not self.layout.columns_are_outputs:
                return self._product_of_floats(layer, x, product, shaped, quantizer)
            scale = self.scale_of_outputs(layer)
            return product_with_integers(product, x, shaped(self.integers(layer)), scale, quantizer, dtype)

        return differentiable(inputs, compute, product, lambda: shaped(self.matrix(layer)))

    def _product_of_floats(
        self,
        layer: nn.Module,
        inputs: Tensor,
        product: Product,
        shaped: Callable[[Tensor], Tensor],
        quantizer: Quantizer | None,
    ) -> Tensor:
        weight = shaped(self.matrix(layer))
        if quantizer is None:
            return product(inputs, weight)
        small, scale = quantizer(inputs, axis=product.summed)  # type: ignore[call-arg]
        return product(small.to(weight.dtype), weight) / product.scale_of_outputs(scale)

    def _has_fast_product(self, product: Product) -> bool:
        block_size = self.block_size
        return (
            not torch.compiler.is_compiling()  # a compiler joins the steps of the plain way itself
            and isinstance(product, MatrixProduct)
            and self.layout.packed_axis == -1
            and (block_size is None or rows_of(self.layout) % block_size == 0)
        )

    def _has_halves(self, product: Product) -> bool:
        """Whether the low and the high integers of the bytes are even and odd columns of one product of matrices."""
        block_size = self.block_size
        one_scale = block_size is None and self.layout.columns_are_outputs
        in_groups = block_size is not None and rows_of(self.layout) % block_size == 0
        return (
            product.is_one
            and self.layout.packed_axis == -1
            and (one_scale or (in_groups and self.inputs_quantizer() is None))
        )

    def _product_of_integers(self, layer: nn.Module, inputs: Tensor) -> Tensor:
        """The product by torch's kernels for integers; see `digits`."""
        packed, scale = getattr(layer, self.attribute), getattr(layer, f"{self.name}_scale")
        columns, product, dtype = columns_of(self.layout), self.given_product, self.compute_dtype()
        if self.block_size is not None:
            zero = getattr(layer, f"{self.name}_zero").to(scale.dtype)
            return product.by_rows(inputs, lambda rows: product_with_groups(rows, packed, scale, zero).to(dtype))
        quantizer = self.inputs_quantizer()
        if quantizer is None:
            return product.by_rows(
                inputs, lambda rows: product_with_halves(rows, packed, columns).div_(scale).to(dtype)
            )
        small, own_scale = quantizer(inputs, axis=product.summed)  # type: ignore[call-arg]
        sums = product.by_rows(small, lambda rows: exact_product_with_halves(rows, packed, columns))
        return sums.to(scale.dtype).div(product.scale_of_outputs(own_scale) * self.scale_of_outputs(layer)).to(dtype)

    def _product_of_halves(self, layer: nn.Module, inputs: Tensor) -> Tensor:
        """The product with the even and with the odd columns, which are the low and the high bits of the bytes.

        The products are joined, which is cheap: joining the columns took most of the time of the plain way.
        """
        packed, scale = getattr(layer, self.attribute), getattr(layer, f"{self.name}_scale")
        zero = None if self.block_size is None else getattr(layer, f"{self.name}_zero")
        products = []
        for start in (0, 1):
            own_scale = scale[..., start::2].contiguous()
            own_zero = None if zero is None else zero[:, start::2].to(scale.dtype)

            def floats(columns: slice) -> Tensor:
                kept = packed[:, : own_scale.shape[-1]][:, columns]  # noqa: B023
                integers = kept >> 4 if start else (kept << 4) >> 4  # noqa: B023
                return _in_groups(integers, own_scale, own_zero, columns).to(inputs.dtype)  # noqa: B023

            products.append(product_by_columns(inputs, packed.shape[0], own_scale.shape[-1], floats))
        even, odd = products
        joined = even.new_empty((*even.shape[:-1], scale.shape[-1]))
        joined[..., ::2], joined[..., 1::2] = even, odd
        return joined

    def scale_of_outputs(self, layer: nn.Module) -> Tensor:
        """The scales, one for each output, so that they fit the outputs."""
        return self.layout.scale_of_columns(getattr(layer, f"{self.name}_scale"))

    def inputs_quantizer(self) -> Quantizer | None:
        """The quantizer of the inputs; `None` leaves them as floats."""
        default = AbsMaxQuantizer(axis=-1) if self.layout.quantizes_inputs else None
        return QuantizationConfig.activation_quantizer_or_default(self.config, default)

    def rows(self, layer: nn.Module, indices: Tensor) -> Tensor:
        dtype, width = self.compute_dtype(), rows_of(self.layout)
        packed = embedding(indices, getattr(layer, self.attribute))
        integers = unpacked(packed, width, -1).to(dtype)
        scale = getattr(layer, f"{self.name}_scale")
        if self.block_size is None:
            return (integers / embedding(indices, scale.unsqueeze(-1))).to(dtype)
        groups = getattr(layer, _GROUPS).to(torch.int32)
        scale = embedding(indices, scale).index_select(-1, groups)
        zero = embedding(indices, getattr(layer, f"{self.name}_zero")).index_select(-1, groups)
        return ((integers - zero.to(scale.dtype)) * scale).to(dtype)


def _in_groups(integers: Tensor, scale: Tensor, zero: Tensor | None, columns: slice) -> Tensor:
    """The floats of integers `(rows, columns)`, for some columns of scales and zero points."""
    floats = integers.to(scale.dtype)
    if zero is None:
        return floats.div_(scale[columns])
    groups = floats.view(scale.shape[0], -1, floats.shape[-1])
    groups.sub_(zero[:, None, columns]).mul_(scale[:, None, columns])
    return floats


def unpacked(packed: Tensor, size: int, axis: int) -> Tensor:
    """The 4-bit integers of bytes, as int8; `unpack_int4` without its checks, which a compiler can't trace."""
    pairs = torch.stack([(packed << 4) >> 4, packed >> 4], axis % packed.ndim + 1)
    return pairs.flatten(axis % packed.ndim, axis % packed.ndim + 1).narrow(axis, 0, size)


def _same(matrix: Tensor) -> Tensor:
    return matrix
