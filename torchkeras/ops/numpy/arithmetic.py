"""Functions of two numbers, on each pair of elements."""

from __future__ import annotations

import torch
from torch import Tensor

from torchkeras.core.operations.op import op
from torchkeras.core.symbolic.infer import infer_elementwise
from torchkeras.core.tensors.promotion import FLOATS, float_tensor


@op(dtype="common", elementwise=True, scalar=True)
def add(x1: Tensor, x2: Tensor) -> Tensor:
    """`x1 + x2`."""
    return torch.add(x1, x2)


@op(dtype="common", elementwise=True, scalar=True)
def subtract(x1: Tensor, x2: Tensor) -> Tensor:
    """`x1 - x2`."""
    return torch.subtract(x1, x2)


@op(dtype="common", elementwise=True, scalar=True)
def multiply(x1: Tensor, x2: Tensor) -> Tensor:
    """`x1 * x2`."""
    return torch.multiply(x1, x2)


@op(dtype="common_float", elementwise=True, scalar=True)
def divide(x1: Tensor, x2: Tensor) -> Tensor:
    """`x1 / x2`; integers give floats."""
    return torch.true_divide(x1, x2)


@op(dtype="common_float", elementwise=True, scalar=True)
def true_divide(x1: Tensor, x2: Tensor) -> Tensor:
    """`x1 / x2`; integers give floats. The operator `/` of symbolic tensors."""
    return torch.true_divide(x1, x2)


@op(dtype="common", elementwise=True, scalar=True)
def power(x1: Tensor, x2: Tensor) -> Tensor:
    """`x1 ** x2`."""
    return torch.pow(x1, x2)


@op(dtype="common", elementwise=True, scalar=True)
def mod(x1: Tensor, x2: Tensor) -> Tensor:
    """The remainder, with the divisor's sign."""
    return torch.remainder(x1 if x1.dtype is not torch.bool else x1.int(), x2)


@op(dtype="common", elementwise=True, scalar=True)
def fmod(x1: Tensor, x2: Tensor) -> Tensor:
    """The remainder, with the dividend's sign."""
    return torch.fmod(x1 if x1.dtype is not torch.bool else x1.int(), x2)


@op(dtype="narrow", elementwise=True, scalar=True)
def floor_divide(x1: Tensor, x2: Tensor) -> Tensor:
    """The quotient rounded down."""
    return torch.floor_divide(x1, x2)


@op(dtype="narrow_float", elementwise=True)
def divide_no_nan(x1: Tensor, x2: Tensor) -> Tensor:
    """`x1 / x2`, and 0 where `x2` is 0 (the gradient, too)."""
    zero = x2 == 0
    return (x1 / x2.masked_fill(zero, 1)).masked_fill_(zero, 0)


@op(dtype="narrow", elementwise=True)
def maximum(x1: Tensor, x2: Tensor) -> Tensor:
    """The greater of the two; NaN if one is."""
    return torch.maximum(x1, x2)


@op(dtype="narrow", elementwise=True)
def minimum(x1: Tensor, x2: Tensor) -> Tensor:
    """The lesser of the two; NaN if one is."""
    return torch.minimum(x1, x2)


@op(dtype="narrow", elementwise=True)
def fmax(x1: Tensor, x2: Tensor) -> Tensor:
    """The greater of the two; the other if one is NaN."""
    return torch.fmax(x1, x2)


@op(dtype="narrow", elementwise=True)
def fmin(x1: Tensor, x2: Tensor) -> Tensor:
    """The lesser of the two; the other if one is NaN."""
    return torch.fmin(x1, x2)


@op(dtype="common", elementwise=True)
def gcd(x1: Tensor, x2: Tensor) -> Tensor:
    """The greatest common divisor of integers."""
    return torch.gcd(x1, x2)


@op(dtype="common", elementwise=True)
def lcm(x1: Tensor, x2: Tensor) -> Tensor:
    """The least common multiple of integers."""
    return torch.lcm(x1, x2)


@op(dtype="narrow_float", elementwise=True)
def arctan2(x1: Tensor, x2: Tensor) -> Tensor:
    """The angle of the point `(x2, x1)`."""
    return torch.arctan2(x1, x2)


@op(dtype="narrow_float", elementwise=True)
def hypot(x1: Tensor, x2: Tensor) -> Tensor:
    """`sqrt(x1**2 + x2**2)`, without overflow."""
    return torch.hypot(x1, x2)


@op(dtype="narrow_float", elementwise=True)
def logaddexp(x1: Tensor, x2: Tensor) -> Tensor:
    """`log(exp(x1) + exp(x2))`, without overflow."""
    return torch.logaddexp(x1, x2)


@op(dtype="narrow_float", elementwise=True)
def logaddexp2(x1: Tensor, x2: Tensor) -> Tensor:
    """`log2(2**x1 + 2**x2)`, without overflow."""
    return torch.logaddexp2(x1, x2)


@op(dtype="narrow_float", elementwise=True)
def nextafter(x1: Tensor, x2: Tensor) -> Tensor:
    """The number of the type that comes after `x1` on the way to `x2`."""
    return torch.nextafter(x1, x2)


@op(dtype="narrow", elementwise=True)
def heaviside(x1: Tensor, x2: Tensor) -> Tensor:
    """0 where `x1 < 0`, 1 where `x1 > 0`, `x2` where it is 0."""
    if x1.dtype not in FLOATS and x1.dtype is not torch.bool:  # two booleans stay so, as in Keras
        x1, x2 = float_tensor(x1), float_tensor(x2)
    return torch.heaviside(x1, x2)


# Keras looks at the exponents' type where there are values, not before.
@op(dtype="narrow_float", keep=("x2",), spec=lambda x1, x2: infer_elementwise(hypot, (x1, x2), {}))
def ldexp(x1: Tensor, x2: Tensor) -> Tensor:
    """`x1 * 2**x2`.

    Raises:
        TypeError: `x2` holds no integers.
    """
    if x2.dtype in FLOATS or x2.dtype is torch.bool:
        raise TypeError(f"ldexp() takes integers as exponents; received x2 of dtype {x2.dtype}.")
    return (x1 * torch.pow(2.0, x2)).to(x1.dtype)  # torch.ldexp has a gradient of 0 where x2 < 0
