"""Special functions, and the logarithm of a sum of exponentials."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor

from torchkeras.core.operations.op import op
from torchkeras.ops.numpy.axes import ALL_AXES

op = functools.partial(op, file_module="keras.src.ops.math")


@op(dtype="float", elementwise=True)
def erf(x: Tensor) -> Tensor:
    """The error function."""
    return torch.erf(x)


@op(dtype="float", elementwise=True)
def erfc(x: Tensor) -> Tensor:
    """`1 - erf(x)`, exact where that is small."""
    return torch.erfc(x)


@op(dtype="float", elementwise=True)
def erfinv(x: Tensor) -> Tensor:
    """The inverse of `erf`, infinite at -1 and 1."""
    return torch.erfinv(x)


@op(dtype="float", elementwise=True)
def rsqrt(x: Tensor) -> Tensor:
    """`1 / sqrt(x)`."""
    return torch.rsqrt(x)


@op(dtype="float")
def logsumexp(x: Tensor, axis: Any = None, keepdims: bool = False) -> Tensor:
    """`log(sum(exp(x)))` along `axis` (default all), without overflow."""
    return torch.logsumexp(x, ALL_AXES[x.dim()] if axis is None else axis, keepdim=keepdims)
