"""Asymmetric quantization of a matrix in groups of rows, each with a scale and a zero point per column."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.core.tensors.dtypes import torch_dtype
from torchkeras.core.types import ArrayLike
from torchkeras.quantizers.abs_max import on_host


def abs_max_quantize_grouped_with_zero_point(
    inputs: ArrayLike,
    block_size: int,
    value_range: Sequence[int] = (-8, 7),
    dtype: str = "int8",
    epsilon: float = 1e-07,
    to_numpy: bool = False,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Quantize a matrix in groups of rows, each with a scale and a zero point per column.

    In each group and column, `scale = (max - min + epsilon) / (value_range[1] - value_range[0])`,
    `zero_point = round(-min / scale) + value_range[0]`, and `outputs = round(inputs / scale) + zero_point`, clipped to
    `value_range`; `(outputs - zero_point) * scale` gives approximately the inputs back. Zeros fill up the last group.

    Args:
        inputs: float tensor of shape `(inputs, outputs)`.
        block_size: number of rows in a group.
        value_range: smallest and largest quantized value. Default: `(-8, 7)`.
        dtype: dtype of the quantized tensor. Default: `"int8"`.
        epsilon: number that is added to each range of values, against division by zero. Default: `1e-07`.
        to_numpy: whether to compute on the CPU, which saves memory on the device. The groups are then measured as
            Keras does it in NumPy: a group of equal values is not widened by 1 on both sides, and a single group is
            measured with the zeros that fill it up; bfloat16 is computed in float32. Default: `False`.

    Returns:
        The quantized tensor, of the shape of `inputs`; the scales, of shape `(groups, outputs)` and the dtype of
        `inputs`; the zero points, of the same shape, in int8.

    Example:
        >>> kernel = torch.arange(6.0).reshape(3, 2)
        >>> outputs, scale, zero = keras.quantizers.abs_max_quantize_grouped_with_zero_point(kernel, block_size=2)
        >>> outputs.shape, scale.shape, zero.dtype
        (torch.Size([3, 2]), torch.Size([2, 2]), torch.int8)
        >>> zero.tolist()
        [[-8, -8], [-8, -8]]
    """
    x = convert_to_tensor(inputs)
    device, given = x.device, x.dtype
    if to_numpy:
        x = x.cpu()
    rows, columns = x.shape
    groups = math.ceil(rows / block_size)
    padded = torch.nn.functional.pad(x, (0, 0, 0, groups * block_size - rows)).reshape(groups, block_size, columns)
    if to_numpy:
        scale, zero = _measured_with_zeros(padded, value_range, epsilon)
    else:
        scale, zero = _measured(padded if groups > 1 else x[None], value_range, epsilon)
    outputs = (torch.round(padded / scale[:, None]) + zero[:, None]).clamp(*value_range).to(torch_dtype(dtype))
    outputs = outputs.reshape(-1, columns)[:rows]
    return outputs.to(device), scale.to(device, given), zero.to(device, torch.int8)


def _measured_with_zeros(
    x: torch.Tensor, value_range: Sequence[int], epsilon: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """The scale and the zero point, over axis 1, with `value_range` as the range of both."""
    low, high = x.amin(1), x.amax(1)
    scale = (on_host(high - low) + epsilon) / (value_range[1] - value_range[0])
    zero = torch.round(-low / scale) + value_range[0]
    return scale, zero.clamp(*value_range)


def _measured(x: torch.Tensor, value_range: Sequence[int], epsilon: float) -> tuple[torch.Tensor, torch.Tensor]:
    """The scale and the zero point, over axis 1, in the signed range of as many whole bits as `value_range` has."""
    low, high = x.amin(1), x.amax(1)
    is_constant = low == high
    low, high = torch.where(is_constant, low - 1, low), torch.where(is_constant, high + 1, high)
    bits = int(math.log2(value_range[1] - value_range[0] + 1))
    span = (high - low) + epsilon if epsilon > 0 else high - low
    scale = span / (2**bits - 1)
    scale = torch.where(scale <= 0, 1e-8, scale)
    smallest, largest = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    zero = torch.round(-low / scale) + smallest
    return scale, zero.clamp(smallest, largest)
