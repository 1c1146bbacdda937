"""Functions of one number, on each element."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchkeras.core.op import op


@op(elementwise=True)
def absolute(x: Tensor) -> Tensor:
    """The absolute value."""
    return torch.abs(x)


@op(elementwise=True)
def negative(x: Tensor) -> Tensor:
    """`-x`."""
    return torch.negative(x)


@op(dtype="float", elementwise=True)
def exp(x: Tensor) -> Tensor:
    """`e ** x`."""
    return torch.exp(x)


@op(dtype="float", elementwise=True)
def expm1(x: Tensor) -> Tensor:
    """`exp(x) - 1`, exact near 0."""
    return torch.expm1(x)


@op(dtype="float", elementwise=True)
def log(x: Tensor) -> Tensor:
    """The natural logarithm."""
    return torch.log(x)


@op(dtype="float", elementwise=True)
def log1p(x: Tensor) -> Tensor:
    """`log(1 + x)`, exact near 0."""
    return torch.log1p(x)


@op(dtype="float", elementwise=True)
def log2(x: Tensor) -> Tensor:
    """The logarithm to base 2."""
    return torch.log2(x)


@op(dtype="float", elementwise=True)
def log10(x: Tensor) -> Tensor:
    """The logarithm to base 10."""
    return torch.log10(x)


@op(dtype="float", elementwise=True)
def sqrt(x: Tensor) -> Tensor:
    """The square root."""
    return torch.sqrt(x)


@op(elementwise=True)
def square(x: Tensor) -> Tensor:
    """`x * x`."""
    return torch.square(x)


@op(elementwise=True)
def sign(x: Tensor) -> Tensor:
    """-1, 0 or 1."""
    return torch.sign(x)


@op(dtype="float", elementwise=True)
def floor(x: Tensor) -> Tensor:
    """Rounded down."""
    return torch.floor(x)


@op(dtype="float", elementwise=True)
def ceil(x: Tensor) -> Tensor:
    """Rounded up."""
    return torch.ceil(x)


@op(dtype="float", elementwise=True)
def sin(x: Tensor) -> Tensor:
    """The sine."""
    return torch.sin(x)


@op(dtype="float", elementwise=True)
def cos(x: Tensor) -> Tensor:
    """The cosine."""
    return torch.cos(x)


@op(dtype="float", elementwise=True)
def tan(x: Tensor) -> Tensor:
    """The tangent."""
    return torch.tan(x)


@op(dtype="float", elementwise=True)
def arcsin(x: Tensor) -> Tensor:
    """The inverse sine."""
    return torch.arcsin(x)


@op(dtype="float", elementwise=True)
def arccos(x: Tensor) -> Tensor:
    """The inverse cosine."""
    return torch.arccos(x)


@op(dtype="float", elementwise=True)
def arctan(x: Tensor) -> Tensor:
    """The inverse tangent."""
    return torch.arctan(x)


@op(dtype="float", elementwise=True)
def sinh(x: Tensor) -> Tensor:
    """The hyperbolic sine."""
    return torch.sinh(x)


@op(dtype="float", elementwise=True)
def cosh(x: Tensor) -> Tensor:
    """The hyperbolic cosine."""
    return torch.cosh(x)


@op(dtype="float", elementwise=True)
def tanh(x: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    return torch.tanh(x)


@op(dtype="float", elementwise=True)
def reciprocal(x: Tensor) -> Tensor:
    """`1 / x`."""
    return torch.reciprocal(x)


@op(dtype="float", elementwise=True)
def round(x: Tensor, decimals: int = 0) -> Tensor:
    """Rounded to `decimals` places, halves to even."""
    return torch.round(x, decimals=decimals)


@op(elementwise=True)
def clip(x: Tensor, x_min: Any, x_max: Any) -> Tensor:
    """Cut to `[x_min, x_max]`."""
    return torch.clip(x, x_min, x_max)
