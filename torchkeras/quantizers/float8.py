"""Scales of 8-bit floats, from the largest values that a tensor had lately."""

from __future__ import annotations

import torch

from torchkeras import ops
from torchkeras.core.tensors.dtypes import torch_dtype
from torchkeras.core.types import ArrayLike


def compute_float8_scale(amax: ArrayLike, scale: ArrayLike, dtype_max: ArrayLike, margin: int = 0) -> torch.Tensor:
    """Compute the scale that fits a largest absolute value into an 8-bit float.

    `amax * 2**margin / dtype_max`, or the old scale where `amax` is not positive or not finite
    (Micikevicius et al., 2022, "FP8 Formats for Deep Learning").

    Args:
        amax: largest absolute value; tensor.
        scale: the old scale, by which values are divided; tensor.
        dtype_max: largest number of the 8-bit float.
        margin: power of two that is left free. Default: `0`.

    Returns:
        The scale, by which values are to be divided.

    Example:
        >>> keras.quantizers.compute_float8_scale(torch.tensor(224.0), torch.tensor(1.0), 448.0)
        tensor(0.5000)
    """
    amax = ops.convert_to_tensor(amax)
    wanted = ops.convert_to_tensor(dtype_max) / amax / 2**margin
    is_usable = ops.logical_and(amax > 0.0, ops.isfinite(amax))
    return ops.reciprocal(ops.where(is_usable, wanted, ops.reciprocal(ops.convert_to_tensor(scale))))


def compute_float8_amax_history(x: ArrayLike, amax_history: torch.Tensor) -> torch.Tensor:
    """Write the largest absolute value of a tensor into a history of such values.

    Args:
        x: tensor.
        amax_history: tensor of one axis.

    Returns:
        The history, moved by one to the left, with the new value at index 0. `amax_history` stays as it is.

    Example:
        >>> history = torch.tensor([1.0, 2.0, 3.0])
        >>> keras.quantizers.compute_float8_amax_history(torch.tensor([0.5, -4.0]), history)
        tensor([4., 3., 1.])
    """
    largest = ops.cast(ops.max(ops.abs(ops.convert_to_tensor(x))), amax_history.dtype)
    return ops.concatenate([ops.reshape(largest, (1,)), ops.roll(amax_history, shift=-1)[1:]])


def quantize_and_dequantize(
    inputs: ArrayLike, scale: ArrayLike, quantized_dtype: str, compute_dtype: str
) -> torch.Tensor:
    """Round values to an 8-bit float and return them in the dtype of computation.

    `cast(clip(inputs / scale, -largest, largest), quantized_dtype) * scale`, where `largest` is the largest number of
    `quantized_dtype`.

    Args:
        inputs: tensor of the dtype `compute_dtype`.
        scale: number by which the values are divided; tensor.
        quantized_dtype: `"float8_e4m3fn"` or `"float8_e5m2"`.
        compute_dtype: dtype of the outputs.

    Returns:
        A tensor of the shape of `inputs`.

    Example:
        >>> x = torch.tensor([1.0, 1.1, 1000.0])
        >>> keras.quantizers.quantize_and_dequantize(x, torch.tensor(1.0), "float8_e4m3fn", "float32")
        tensor([  1.0000,   1.1250, 448.0000])
    """
    rounded, divisor = as_float8(ops.convert_to_tensor(inputs), scale, quantized_dtype, compute_dtype)
    return ops.cast(rounded, compute_dtype) * divisor


def as_float8(
    inputs: torch.Tensor, scale: ArrayLike, quantized_dtype: str, compute_dtype: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Round values to an 8-bit float.

    Args:
        inputs: tensor of the dtype `compute_dtype`.
        scale: number by which the values are divided.
        quantized_dtype: `"float8_e4m3fn"` or `"float8_e5m2"`.
        compute_dtype: dtype in which they are divided.

    Returns:
        The tensor of 8-bit floats, and the scale in `compute_dtype`, by which they are to be multiplied.
    """
    largest = torch.finfo(torch_dtype(quantized_dtype)).max
    divisor = ops.cast(ops.convert_to_tensor(scale), compute_dtype)
    return ops.cast(ops.clip(inputs / divisor, -largest, largest), quantized_dtype), divisor
