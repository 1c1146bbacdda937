"""Special functions."""

from __future__ import annotations

import torch
from torch import Tensor

from torchkeras.core.op import op


@op(dtype="float", elementwise=True, file_module="keras.src.ops.math")
def erf(x: Tensor) -> Tensor:
    """The error function."""
    return torch.erf(x)


@op(dtype="float", elementwise=True, file_module="keras.src.ops.math")
def rsqrt(x: Tensor) -> Tensor:
    """`1 / sqrt(x)`."""
    return torch.rsqrt(x)
