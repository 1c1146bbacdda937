"""Complex numbers of polar coordinates, and how near a signal comes to another."""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

from torchkeras.core.operations.op import op
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.tensors.dtypes import promote

op = functools.partial(op, file_module="keras.src.ops.nn")


@op(dtype="common_float", elementwise=True)
def polar(abs_: Tensor, angle: Tensor) -> Tensor:
    """Make complex numbers of absolute values and angles.

    Args:
        abs_: tensor of absolute values.
        angle: tensor of angles, in radians.

    Returns:
        A complex tensor.

    Example:
        >>> keras.ops.polar(np.array([1.0], "float32"), np.array([0.0], "float32"))
        tensor([1.+0.j])
    """
    return torch.complex(abs_ * torch.cos(angle), abs_ * torch.sin(angle))


def _describe_ratio(x1: Tensor, x2: Tensor, max_val: float) -> KerasTensor:
    if len(x1.shape) != len(x2.shape):
        raise ValueError(f"Inputs must have the same rank. Received shapes: {tuple(x1.shape)}, {tuple(x2.shape)}")
    return KerasTensor((), promote(x1.dtype, x2.dtype, float))


@op(dtype="common_float", name="PSNR", spec=_describe_ratio)
def psnr(x1: Tensor, x2: Tensor, max_val: float) -> Tensor:
    """Compute the peak signal-to-noise ratio `20 log10(max_val) - 10 log10(mean((x1 - x2)**2))`, in decibels.

    Args:
        x1: tensor.
        x2: tensor of the same shape.
        max_val: range of the values.

    Returns:
        A number.

    Raises:
        ValueError: the shapes differ.

    Example:
        >>> keras.ops.psnr(np.ones(4), np.zeros(4), max_val=1.0)
        tensor(0., dtype=torch.float64)
    """
    if x1.shape != x2.shape:
        raise ValueError(f"The shapes must be one. Received: x1.shape={tuple(x1.shape)}, x2.shape={tuple(x2.shape)}")
    return 20 * math.log10(max_val) - 10 * torch.log10(torch.mean(torch.square(x1 - x2)))
