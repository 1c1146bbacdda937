"""Functions of two numbers, on each pair of elements."""

from __future__ import annotations

import torch
from torch import Tensor

from torchkeras.core.op import op


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
    return torch.remainder(x1, x2)


@op(dtype="common", elementwise=True, scalar=True)
def floor_divide(x1: Tensor, x2: Tensor) -> Tensor:
    """The quotient rounded down."""
    return torch.floor_divide(x1, x2)


@op(dtype="common", elementwise=True)
def maximum(x1: Tensor, x2: Tensor) -> Tensor:
    """The greater of the two."""
    return torch.maximum(x1, x2)


@op(dtype="common", elementwise=True)
def minimum(x1: Tensor, x2: Tensor) -> Tensor:
    """The lesser of the two."""
    return torch.minimum(x1, x2)


@op(dtype="common", elementwise=True)
def arctan2(x1: Tensor, x2: Tensor) -> Tensor:
    """The angle of the point `(x2, x1)`."""
    return torch.arctan2(x1, x2)
