"""Special functions, and the logarithm of a sum of exponentials."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from torchkeras.core.operations.op import op
from torchkeras.core.types import Axes
from torchkeras.ops.numpy.axes import ALL_AXES

op = functools.partial(op, file_module="keras.src.ops.math")


@op(dtype="float", elementwise=True)
def erf(x: Tensor) -> Tensor:
    """Compute the error function of each element.

    Args:
        x: tensor.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.erf([0.0, 1.0])
        tensor([0.0000, 0.8427])
    """
    return torch.erf(x)


@op(dtype="float", elementwise=True)
def erfc(x: Tensor) -> Tensor:
    """Compute `1 - erf(x)` of each element, precisely also where it is small.

    Args:
        x: tensor.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.erfc([0.0, 1.0])
        tensor([1.0000, 0.1573])
    """
    return torch.erfc(x)


@op(dtype="float", elementwise=True)
def erfinv(x: Tensor) -> Tensor:
    """Compute the inverse of `erf`; it is infinite at -1 and 1.

    Args:
        x: tensor with values in [-1, 1].

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.erfinv([0.0, 0.5])
        tensor([0.0000, 0.4769])
    """
    return torch.erfinv(x)


@op(dtype="float", elementwise=True)
def rsqrt(x: Tensor) -> Tensor:
    """Compute `1 / sqrt(x)` of each element.

    Args:
        x: tensor.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.rsqrt([1.0, 4.0])
        tensor([1.0000, 0.5000])
    """
    return torch.rsqrt(x)


@op(dtype="float")
def logsumexp(x: Tensor, axis: Axes | None = None, keepdims: bool = False) -> Tensor:
    """Compute `log(sum(exp(x)))` along axes without overflow.

    Args:
        x: tensor.
        axis: axis or axes to reduce; `None` for all. Default: `None`.
        keepdims: whether reduced axes stay, with size 1. Default: `False`.

    Returns:
        A tensor without the reduced axes.

    Example:
        >>> keras.ops.logsumexp([0.0, 0.0])
        tensor(0.6931)
    """
    return torch.logsumexp(x, ALL_AXES[x.dim()] if axis is None else axis, keepdim=keepdims)


@op(dtype="float", elementwise=True)
def lgamma(x: Tensor) -> Tensor:
    """Compute the logarithm of the absolute value of the gamma function. Keras has it from 3.16 on.

    Args:
        x: tensor.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.lgamma([1.0, 4.0])  # log(3!)
        tensor([0.0000, 1.7918])
    """
    return torch.lgamma(x)


@op(dtype="narrow_float", elementwise=True)
def gammainc(x1: Tensor, x2: Tensor) -> Tensor:
    """Compute the regularized lower incomplete gamma function `P(x1, x2)`. Keras has it from 3.16 on.

    Args:
        x1: positive tensor, the parameter.
        x2: tensor of values not below 0, the upper end of the integral; it broadcasts against `x1`.

    Returns:
        A tensor of the shape to which `x1` and `x2` broadcast, from 0 to 1.

    Example:
        >>> keras.ops.gammainc([1.0], [2.0])  # 1 - exp(-2)
        tensor([0.8647])
    """
    return torch.special.gammainc(x1, x2)
