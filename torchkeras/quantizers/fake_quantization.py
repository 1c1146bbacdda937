"""Fake quantization: floats rounded to the values that integers of some bits can express."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchkeras.core.operations.op import op


@op(
    name="FakeQuantWithMinMaxVars",
    module="keras.quantizers",
    file_module="keras.src.quantizers.quantizers",
)
def fake_quant_with_min_max_vars(
    inputs: Tensor,
    min_vals: Tensor,
    max_vals: Tensor,
    num_bits: int = 8,
    narrow_range: bool = False,
    axis: int | None = None,
) -> Tensor:
    """Round floats to the values that integers of `num_bits` bits can express between two limits.

    The integers run from 0, or from 1 with `narrow_range`, to `2**num_bits - 1`. The limits are first moved so that
    zero is one of the values. The gradient of the inputs is that of clipping (straight-through; Jacob et al., 2017,
    "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference"); the gradient of
    each limit is the sum over the inputs at or beyond it, so that limits can be trained.

    Args:
        inputs: float tensor.
        min_vals: lower limit: a number, or one for each entry along `axis`.
        max_vals: upper limit, likewise.
        num_bits: number of bits. Default: `8`.
        narrow_range: whether the smallest integer is left out. Default: `False`.
        axis: axis whose entries have limits of their own; `None` if all share them. Default: `None`.

    Returns:
        A tensor of the shape and dtype of `inputs`, computed in float32.

    Raises:
        ValueError: `inputs` has no such axis.

    Example:
        >>> x = torch.tensor([-2.0, 0.0, 0.4, 1.3, 9.0])
        >>> keras.quantizers.fake_quant_with_min_max_vars(x, -1.0, 2.0, num_bits=2)
        tensor([-1.,  0.,  0.,  1.,  2.])
    """
    if axis is not None and not -inputs.ndim <= axis < inputs.ndim:
        raise ValueError(f"axis {axis} is out of bounds for an array with dimension {inputs.ndim}.")
    low, high = _along(min_vals, inputs, axis), _along(max_vals, inputs, axis)
    limits = _nudged(low.detach().float(), high.detach().float(), int(num_bits), narrow_range)
    return _FakeQuantized.apply(inputs, low, high, *limits)


def _along(limit: Tensor, x: Tensor, axis: int | None) -> Tensor:
    """A limit in a shape that broadcasts against `x`, its entries along `axis`."""
    if limit.numel() == 1:
        return limit.reshape(())
    if axis is None or limit.ndim != 1:
        return limit
    shape = [1] * x.ndim
    shape[axis] = -1
    return limit.reshape(shape)


def _nudged(low: Tensor, high: Tensor, num_bits: int, narrow_range: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The limits, moved so that zero is an integer; the size of a step and its reciprocal."""
    first, last = int(narrow_range), 2**num_bits - 1
    span = high - low
    # torch computes `number / tensor` as a product with the reciprocal, which rounds twice.
    step, inverse = span / (last - first), torch.full_like(span, last - first) / span
    zero = torch.round((first - low / step).clamp(first, last))
    return (first - zero) * step, (last - zero) * step, step, inverse


class _FakeQuantized(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(
        x: Tensor, low: Tensor, high: Tensor, least: Tensor, most: Tensor, step: Tensor, inverse: Tensor
    ) -> Tensor:
        zero = torch.floor(-least * inverse + 0.5)
        above = torch.clamp(x.to(least.dtype), least, most) - least
        return (torch.floor((above * inverse - zero) + 0.5) * step).to(x.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        x, low, high, least, most, _, _ = inputs
        ctx.shapes = low.shape, high.shape
        ctx.save_for_backward(x, least, most)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        x, least, most = ctx.saved_tensors
        inside = torch.where((x >= least) & (x <= most), upstream, 0.0)
        below = torch.where(x <= least, upstream, 0.0).sum_to_size(ctx.shapes[0])
        beyond = torch.where(x >= most, upstream, 0.0).sum_to_size(ctx.shapes[1])
        return inside, below, beyond, None, None, None, None
