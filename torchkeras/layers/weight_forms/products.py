"""Products of inputs with a weight that is kept as integers, with a gradient for the inputs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from torchkeras.core.fast_paths.linear import linear
from torchkeras.core.torch_internals import int_mm
from torchkeras.layers.weight_forms.digits import multiplies_integers_fast, product_with_bytes
from torchkeras.quantizers import Quantizer


class Product(Protocol):
    """A product of inputs and a weight, linear in both.

    Attributes:
        summed: the inputs' axes that it sums over.
        keeps_last_axis: whether the weight's last axis is the outputs' last one, so that a product of the weight with
            a matrix is that of the outputs.
        is_one: whether it is one product of matrices, without a transposition.
    """

    summed: tuple[int, ...]
    keeps_last_axis: bool
    is_one: bool

    def __call__(self, inputs: Tensor, weight: Tensor) -> Tensor:
        """The product of floats."""

    def of_integers(self, inputs: Tensor, weight: Tensor) -> Tensor:
        """The product of int8 tensors, exact, as int32 or floats."""

    def by_rows(self, inputs: Tensor, compute: Callable[[Tensor], Tensor]) -> Tensor:
        """The product where `compute` multiplies rows `(rows, features)` with the weight as a matrix.

        Only of products that are one of matrices; see `is_one`.
        """

    def gradient(self, upstream: Tensor, weight: Tensor) -> Tensor:
        """The gradient for the inputs."""

    def scale_of_outputs(self, scale: Tensor) -> Tensor:
        """The scale of the inputs, with size 1 in the place of the summed axes, so that it fits the outputs."""


class MatrixProduct:
    """`inputs @ weight`, over the inputs' last axis."""

    summed: tuple[int, ...] = (-1,)
    keeps_last_axis = is_one = True

    def __call__(self, inputs: Tensor, weight: Tensor) -> Tensor:
        return linear(inputs, weight, None)

    def of_integers(self, inputs: Tensor, weight: Tensor) -> Tensor:
        return self.by_rows(inputs, lambda rows: product_of_integers(rows, weight))

    def by_rows(self, inputs: Tensor, compute: Callable[[Tensor], Tensor]) -> Tensor:
        if inputs.ndim == 2:
            return compute(inputs)
        products = compute(inputs.reshape(-1, inputs.shape[-1]))
        return products.view(*inputs.shape[:-1], products.shape[-1])

    def gradient(self, upstream: Tensor, weight: Tensor) -> Tensor:
        return upstream @ weight.t()

    def scale_of_outputs(self, scale: Tensor) -> Tensor:
        return scale


class EinsumProduct:
    """`einsum(equation, inputs, weight)`.

    Args:
        inputs, weight, outputs: letters of the equation, one for each axis.
        bound: how many of the weight's first axes one matrix product sums over; 0 if the equation is none.
        shape: the weight's shape.
    """

    def __init__(self, inputs: str, weight: str, outputs: str, bound: int, shape: tuple[int, ...]) -> None:
        self.shape, self.is_one = shape, bound > 0
        self.letters = inputs, weight, outputs
        self.summed = tuple(i for i, letter in enumerate(inputs) if letter not in outputs)
        self.keeps_last_axis = weight[-1] == outputs[-1]
        self.bound = bound

    def __call__(self, inputs: Tensor, weight: Tensor) -> Tensor:
        if not self.bound:
            return torch.einsum("{},{}->{}".format(*self.letters), inputs, weight)
        rows = math.prod(weight.shape[: self.bound])
        products = linear(inputs.reshape(-1, rows), weight.reshape(rows, -1), None)
        return products.view(inputs.shape[: inputs.ndim - self.bound] + weight.shape[self.bound :])

    def of_integers(self, inputs: Tensor, weight: Tensor) -> Tensor:
        if not self.bound:
            return self(inputs.float(), weight.float())
        return self.by_rows(inputs, lambda rows: product_of_integers(rows, weight.reshape(rows.shape[1], -1)))

    def by_rows(self, inputs: Tensor, compute: Callable[[Tensor], Tensor]) -> Tensor:
        products = compute(inputs.reshape(-1, math.prod(self.shape[: self.bound])))
        return products.view(*inputs.shape[: inputs.ndim - self.bound], *self.shape[self.bound :])

    def gradient(self, upstream: Tensor, weight: Tensor) -> Tensor:
        inputs, letters, outputs = self.letters
        return torch.einsum(f"{outputs},{letters}->{inputs}", upstream, weight)

    def scale_of_outputs(self, scale: Tensor) -> Tensor:
        inputs, _, outputs = self.letters
        own = [letter for letter in outputs if letter in inputs]
        order = [*(inputs.index(letter) for letter in own), *self.summed]
        sizes = dict(zip(inputs, scale.shape, strict=True))
        return scale.permute(order).reshape([sizes.get(letter, 1) for letter in outputs])


def product_of_integers(a: Tensor, b: Tensor) -> Tensor:
    """`a @ b` for int8 matrices: in integers where torch has a kernel for them, else in float32."""
    if _has_kernel(a, b):
        return int_mm(a, b)
    return a.float() @ b.float()


def _has_kernel(a: Tensor, b: Tensor) -> bool:
    if int_mm is None:
        return False
    if a.device.type == "cuda":  # cuBLASLt asks for it
        return a.shape[0] > 16 and a.shape[1] % 8 == 0 and b.shape[1] % 8 == 0
    return a.device.type in ("cpu", "meta")


def product_with_integers(
    product: Product, inputs: Tensor, integers: Tensor, scale: Tensor, quantizer: Quantizer | None, dtype: torch.dtype
) -> Tensor:
    """The product of inputs and `integers / scale`.

    Args:
        product: the product.
        inputs: float tensor.
        integers: the weight, int8.
        scale: the weight's scale, so that it fits the outputs.
        quantizer: makes integers of the inputs; `None` leaves them as floats.
        dtype: dtype of the outputs.
    """
    if quantizer is None and product.is_one and multiplies_integers_fast(inputs):
        sums = product.by_rows(
            inputs, lambda rows: product_with_bytes(rows, integers.reshape(rows.shape[1], -1)).to(dtype)
        )
        return sums.div(scale).to(dtype)
    if quantizer is None and isinstance(product, MatrixProduct):
        rows, columns = integers.shape
        sums = product_by_columns(inputs, rows, columns, lambda part: integers[:, part].to(dtype))
        return sums.div(scale).to(dtype)
    if quantizer is None:
        return product(inputs, integers.to(dtype)).div(scale).to(dtype)
    small, own_scale = quantizer(inputs, axis=product.summed)  # type: ignore[call-arg]
    sums = product.of_integers(small, integers)
    return sums.to(scale.dtype).div(product.scale_of_outputs(own_scale) * scale).to(dtype)


# So many entries of a weight become floats at a time: a part stays in the cache, and no float weight is ever whole.
_ENTRIES = 2**20


def product_by_columns(
    inputs: Tensor, rows: int, columns: int, floats: Callable[[slice], Tensor], entries: int = _ENTRIES
) -> Tensor:
    """The product of inputs and a matrix `(rows, columns)` whose columns are made as they are needed.

    Args:
        inputs: float tensor.
        rows, columns: sizes of the matrix.
        floats: makes the columns of a slice.
        entries: how many entries of the matrix become floats at a time. Default: as many as a cache holds.
    """
    product, step = MatrixProduct(), max(entries // max(rows, 1), 64)
    if torch.compiler.is_compiling() or step >= columns:
        return product(inputs, floats(slice(None)))
    return torch.cat([product(inputs, floats(slice(i, i + step))) for i in range(0, columns, step)], -1)


class _WithGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, compute: Callable[[Tensor], Tensor], gradient: Callable) -> Tensor:
        ctx.gradient = gradient
        return compute(inputs)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        return ctx.gradient(upstream), None, None


def differentiable(
    inputs: Tensor, compute: Callable[[Tensor], Tensor], product: Product, weight: Callable[[], Tensor]
) -> Tensor:
    """`compute(inputs)`, whose gradient is that of the product with the float weight.

    The float weight is made again in the backward pass, so that no step keeps it.

    Args:
        inputs: float tensor.
        compute: makes the outputs.
        product: the product that `compute` approximates.
        weight: makes the float weight.
    """
    if not (torch.is_grad_enabled() and inputs.requires_grad):
        return compute(inputs)
    dtype = inputs.dtype

    def gradient(upstream: Tensor) -> Tensor:
        return product.gradient(upstream, weight().to(upstream.dtype)).to(dtype)

    return _WithGradient.apply(inputs, compute, gradient)
