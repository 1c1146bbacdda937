"""Products of 8-bit floats by torch's scaled matrix product, in the forward pass and in both products of the backward.

Keras rounds to 8 bits and multiplies the rounded values as floats. Here the kernel gets the 8-bit floats themselves:
the numbers are the same to the rounding of sums, and the backward pass keeps a byte for each value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from torchkeras.core.accelerators import nvidia_capability
from torchkeras.core.fast_paths.switch import fast_paths_enabled
from torchkeras.core.tensors.convert import constant
from torchkeras.core.tensors.dtypes import torch_dtype
from torchkeras.core.torch_internals import constant_result, scaled_mm
from torchkeras.quantizers import compute_float8_amax_history, compute_float8_scale
from torchkeras.quantizers.float8 import as_float8

# Inputs and weights are rounded to the 8-bit float of more digits, gradients to that of a wider range.
FORWARD, BACKWARD = "float8_e4m3fn", "float8_e5m2"
_LARGEST = {FORWARD: 448.0, BACKWARD: 57344.0}
# All sizes of a product must be multiples of it, except the number of the first matrix's rows.
_MULTIPLE = 16
_OUTPUTS = ("float32", "bfloat16", "float16")


def multiplies_float8(device: torch.device) -> bool:
    """Whether the device has a kernel for 8-bit floats: Nvidia's from compute capability 8.9 on.

    Torch's kernel for the CPU is left aside: it takes as long as the product of rounded floats (torch 2.13).
    """
    return scaled_mm is not None and device.type == "cuda" and fast_paths_enabled() and _has_kernel(device)


@constant_result
def _has_kernel(device: torch.device) -> bool:
    return nvidia_capability(device) >= (8, 9)


def fits(rows: int, columns: int, dtype: str) -> bool:
    """Whether the kernel takes a weight of that many rows and columns, and makes outputs of that dtype."""
    return rows % _MULTIPLE == 0 and columns % _MULTIPLE == 0 and dtype in _OUTPUTS


def next_values(x: Tensor, scale: Tensor, history: Tensor, dtype: str) -> tuple[Tensor, Tensor]:
    """The next scale and history of a tensor that is rounded to 8 bits in a step of training."""
    largest = constant(_LARGEST[dtype], scale.dtype, scale.device)
    return compute_float8_scale(history.max(), scale, largest), compute_float8_amax_history(x, history)


def float8_product(
    rows: Tensor, weight: Tensor, scales: Sequence[tuple[Tensor, Tensor]], training: bool, dtype: str
) -> Tensor:
    """The product `rounded(rows) @ rounded(weight)`, with a rounded gradient.

    Args:
        rows: matrix `(rows, features)` of the dtype `dtype`.
        weight: matrix `(features, columns)` of that dtype.
        scales: scale and history of the largest values, for the rows, the weight and the gradient of the outputs.
        training: whether the gradients of scales and histories are their next values; else they have none.
        dtype: dtype of the outputs, `"float32"`, `"bfloat16"` or `"float16"`.
    """
    flat = [tensor for pair in scales for tensor in pair]
    return _ScaledProduct.apply(rows, weight, *flat, training, dtype)


class _ScaledProduct(torch.autograd.Function):
    """`rows @ weight`, all three products of forward and backward pass in 8 bits."""

    @staticmethod
    def forward(
        ctx: Any,
        rows: Tensor,
        weight: Tensor,
        rows_scale: Tensor,
        rows_history: Tensor,
        weight_scale: Tensor,
        weight_history: Tensor,
        upstream_scale: Tensor,
        upstream_history: Tensor,
        training: bool,
        dtype: str,
    ) -> Tensor:
        ctx.training, ctx.dtype, ctx.updates = training, dtype, (None,) * 4
        if training:
            of_rows = next_values(rows, rows_scale, rows_history, FORWARD)
            ctx.updates = (*of_rows, *next_values(weight, weight_scale, weight_history, FORWARD))
        rows, by_rows = as_float8(rows, rows_scale, FORWARD, dtype)
        weight, by_weight = as_float8(weight, weight_scale, FORWARD, dtype)
        ctx.save_for_backward(rows, weight, by_rows, by_weight, upstream_scale, upstream_history)
        return _product(rows, _by_columns(weight), by_rows, by_weight, dtype)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple:  # type: ignore[override]
        rows, weight, by_rows, by_weight, scale, history = ctx.saved_tensors
        updates: tuple[Tensor | None, Tensor | None] = (None, None)
        if ctx.training:
            updates = next_values(upstream, scale, history, BACKWARD)
        upstream, by_upstream = as_float8(upstream, scale, BACKWARD, ctx.dtype)
        of_rows = of_weight = None
        if ctx.needs_input_grad[0]:
            of_rows = _product(upstream.contiguous(), weight.t(), by_upstream, by_weight, ctx.dtype)
        if ctx.needs_input_grad[1]:
            rows, upstream = _filled(rows), _filled(upstream)
            of_weight = _product(rows.t().contiguous(), _by_columns(upstream), by_rows, by_upstream, ctx.dtype)
        return of_rows, of_weight, *ctx.updates, *updates, None, None


def _product(a: Tensor, b: Tensor, scale_of_a: Tensor, scale_of_b: Tensor, dtype: str) -> Tensor:
    """The product of two matrices of 8-bit floats, `a` with its rows and `b` with its columns in one piece."""
    return scaled_mm(a, b, scale_a=scale_of_a.float(), scale_b=scale_of_b.float(), out_dtype=torch_dtype(dtype))


def _by_columns(matrix: Tensor) -> Tensor:
    """The matrix with its columns in one piece."""
    return matrix.t().contiguous().t()


def _filled(matrix: Tensor) -> Tensor:
    """The matrix with rows of zeros below, so that their number is a multiple of 16."""
    missing = -len(matrix) % _MULTIPLE
    # As bytes: not every version of torch pads 8-bit floats on every device, and a byte of 0 is the number 0.
    return pad(matrix.view(torch.uint8), (0, 0, 0, missing)).view(matrix.dtype) if missing else matrix
