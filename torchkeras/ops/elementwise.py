"""Elementwise ops."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchkeras.core.dtypes import torch_dtype
from torchkeras.core.op import op
from torchkeras.core.tensors import convert_to_tensor
from torchkeras.ops.promote import float_tensor, pair, tensor


@op
def absolute(x: Tensor) -> Tensor:
    """The absolute value."""
    return torch.abs(tensor(x))


@op
def negative(x: Tensor) -> Tensor:
    """`-x`."""
    return torch.negative(tensor(x))


@op
def exp(x: Tensor) -> Tensor:
    """`e ** x`."""
    return torch.exp(float_tensor(x))


@op
def expm1(x: Tensor) -> Tensor:
    """`exp(x) - 1`, exact near 0."""
    return torch.expm1(float_tensor(x))


@op
def log(x: Tensor) -> Tensor:
    """The natural logarithm."""
    return torch.log(float_tensor(x))


@op
def log1p(x: Tensor) -> Tensor:
    """`log(1 + x)`, exact near 0."""
    return torch.log1p(float_tensor(x))


@op
def log2(x: Tensor) -> Tensor:
    """The logarithm to base 2."""
    return torch.log2(float_tensor(x))


@op
def log10(x: Tensor) -> Tensor:
    """The logarithm to base 10."""
    return torch.log10(float_tensor(x))


@op
def sqrt(x: Tensor) -> Tensor:
    """The square root."""
    return torch.sqrt(float_tensor(x))


@op(file_module="keras.src.ops.math")
def rsqrt(x: Tensor) -> Tensor:
    """`1 / sqrt(x)`."""
    return torch.rsqrt(float_tensor(x))


@op
def square(x: Tensor) -> Tensor:
    """`x * x`."""
    return torch.square(tensor(x))


@op
def sign(x: Tensor) -> Tensor:
    """-1, 0 or 1."""
    return torch.sign(tensor(x))


@op
def floor(x: Tensor) -> Tensor:
    """Rounded down."""
    return torch.floor(float_tensor(x))


@op
def ceil(x: Tensor) -> Tensor:
    """Rounded up."""
    return torch.ceil(float_tensor(x))


@op
def sin(x: Tensor) -> Tensor:
    """The sine."""
    return torch.sin(float_tensor(x))


@op
def cos(x: Tensor) -> Tensor:
    """The cosine."""
    return torch.cos(float_tensor(x))


@op
def tan(x: Tensor) -> Tensor:
    """The tangent."""
    return torch.tan(float_tensor(x))


@op
def arcsin(x: Tensor) -> Tensor:
    """The inverse sine."""
    return torch.arcsin(float_tensor(x))


@op
def arccos(x: Tensor) -> Tensor:
    """The inverse cosine."""
    return torch.arccos(float_tensor(x))


@op
def arctan(x: Tensor) -> Tensor:
    """The inverse tangent."""
    return torch.arctan(float_tensor(x))


@op
def sinh(x: Tensor) -> Tensor:
    """The hyperbolic sine."""
    return torch.sinh(float_tensor(x))


@op
def cosh(x: Tensor) -> Tensor:
    """The hyperbolic cosine."""
    return torch.cosh(float_tensor(x))


@op
def tanh(x: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    return torch.tanh(float_tensor(x))


@op
def isnan(x: Tensor) -> Tensor:
    """Where `x` is not a number."""
    return torch.isnan(float_tensor(x))


@op
def isinf(x: Tensor) -> Tensor:
    """Where `x` is infinite."""
    return torch.isinf(float_tensor(x))


@op
def isfinite(x: Tensor) -> Tensor:
    """Where `x` is a finite number."""
    return torch.isfinite(float_tensor(x))


@op
def logical_not(x: Tensor) -> Tensor:
    """Where `x` is false."""
    return torch.logical_not(tensor(x))


@op
def reciprocal(x: Tensor) -> Tensor:
    """`1 / x`."""
    return torch.reciprocal(float_tensor(x))


@op(file_module="keras.src.ops.math")
def erf(x: Tensor) -> Tensor:
    """The error function."""
    return torch.erf(float_tensor(x))


@op(file_module="keras.src.ops.core")
def stop_gradient(variable: Tensor) -> Tensor:
    """`x`, through which no gradient flows."""
    return tensor(variable).detach()


@op
def add(x1: Tensor, x2: Tensor) -> Tensor:
    """`x1 + x2`."""
    return torch.add(*pair(x1, x2))


@op
def subtract(x1: Tensor, x2: Tensor) -> Tensor:
    """`x1 - x2`."""
    return torch.subtract(*pair(x1, x2))


@op
def multiply(x1: Tensor, x2: Tensor) -> Tensor:
    """`x1 * x2`."""
    return torch.multiply(*pair(x1, x2))


@op
def power(x1: Tensor, x2: Tensor) -> Tensor:
    """`x1 ** x2`."""
    return torch.pow(*pair(x1, x2))


@op
def mod(x1: Tensor, x2: Tensor) -> Tensor:
    """The remainder, with the divisor's sign."""
    return torch.remainder(*pair(x1, x2))


@op
def floor_divide(x1: Tensor, x2: Tensor) -> Tensor:
    """The quotient rounded down."""
    return torch.floor_divide(*pair(x1, x2))


@op
def maximum(x1: Tensor, x2: Tensor) -> Tensor:
    """The greater of the two."""
    return torch.maximum(*pair(x1, x2))


@op
def minimum(x1: Tensor, x2: Tensor) -> Tensor:
    """The lesser of the two."""
    return torch.minimum(*pair(x1, x2))


@op
def equal(x1: Tensor, x2: Tensor) -> Tensor:
    """Where the two are equal."""
    return torch.eq(*pair(x1, x2))


@op
def not_equal(x1: Tensor, x2: Tensor) -> Tensor:
    """Where the two differ."""
    return torch.ne(*pair(x1, x2))


@op
def less(x1: Tensor, x2: Tensor) -> Tensor:
    """Where `x1 < x2`."""
    return torch.lt(*pair(x1, x2))


@op
def less_equal(x1: Tensor, x2: Tensor) -> Tensor:
    """Where `x1 <= x2`."""
    return torch.le(*pair(x1, x2))


@op
def greater(x1: Tensor, x2: Tensor) -> Tensor:
    """Where `x1 > x2`."""
    return torch.gt(*pair(x1, x2))


@op
def greater_equal(x1: Tensor, x2: Tensor) -> Tensor:
    """Where `x1 >= x2`."""
    return torch.ge(*pair(x1, x2))


@op
def logical_and(x1: Tensor, x2: Tensor) -> Tensor:
    """Where both are true."""
    return torch.logical_and(*pair(x1, x2))


@op
def logical_or(x1: Tensor, x2: Tensor) -> Tensor:
    """Where one is true."""
    return torch.logical_or(*pair(x1, x2))


@op
def logical_xor(x1: Tensor, x2: Tensor) -> Tensor:
    """Where just one is true."""
    return torch.logical_xor(*pair(x1, x2))


@op
def arctan2(x1: Tensor, x2: Tensor) -> Tensor:
    """The angle of the point `(x2, x1)`."""
    return torch.arctan2(*pair(x1, x2))


@op
def divide(x1: Tensor, x2: Tensor) -> Tensor:
    """`x1 / x2`; integers give floats."""
    x1, x2 = pair(x1, x2)
    return torch.true_divide(float_tensor(x1), float_tensor(x2))


@op
def round(x: Tensor, decimals: int = 0) -> Tensor:
    """Rounded to `decimals` places, halves to even."""
    return torch.round(float_tensor(x), decimals=decimals)


@op
def clip(x: Tensor, x_min: Any, x_max: Any) -> Tensor:
    """Cut to `[x_min, x_max]`."""
    return torch.clip(tensor(x), x_min, x_max)


@op
def where(condition: Tensor, x1: Tensor = None, x2: Tensor = None) -> Tensor:
    """`x1` where the condition holds, `x2` elsewhere; without them the indices where it does."""
    condition = tensor(condition).bool()
    if x1 is None or x2 is None:
        return torch.where(condition)  # type: ignore[return-value]
    return torch.where(condition, *pair(x1, x2))


@op(file_module="keras.src.ops.core")
def cast(x: Tensor, dtype: Any) -> Tensor:
    """`x` in another type."""
    return convert_to_tensor(x, dtype)


@op
def zeros_like(x: Tensor, dtype: Any = None) -> Tensor:
    """Zeros in the form of `x`."""
    return torch.zeros_like(tensor(x), dtype=None if dtype is None else torch_dtype(dtype))


@op
def ones_like(x: Tensor, dtype: Any = None) -> Tensor:
    """Ones in the form of `x`."""
    return torch.ones_like(tensor(x), dtype=None if dtype is None else torch_dtype(dtype))


@op
def true_divide(x1: Tensor, x2: Tensor) -> Tensor:
    """`x1 / x2`; integers give floats. The operator `/` of symbolic tensors."""
    x1, x2 = pair(x1, x2)
    return torch.true_divide(float_tensor(x1), float_tensor(x2))
