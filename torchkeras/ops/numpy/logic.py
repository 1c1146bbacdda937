"""Comparisons, logic, and choices by condition."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchkeras.core.op import op


@op(dtype="common", elementwise=True, scalar=True)
def equal(x1: Tensor, x2: Tensor) -> Tensor:
    """Where the two are equal."""
    return torch.eq(x1, x2)


@op(dtype="common", elementwise=True, scalar=True)
def not_equal(x1: Tensor, x2: Tensor) -> Tensor:
    """Where the two differ."""
    return torch.ne(x1, x2)


@op(dtype="common", elementwise=True, scalar=True)
def less(x1: Tensor, x2: Tensor) -> Tensor:
    """Where `x1 < x2`."""
    return torch.lt(x1, x2)


@op(dtype="common", elementwise=True, scalar=True)
def less_equal(x1: Tensor, x2: Tensor) -> Tensor:
    """Where `x1 <= x2`."""
    return torch.le(x1, x2)


@op(dtype="common", elementwise=True, scalar=True)
def greater(x1: Tensor, x2: Tensor) -> Tensor:
    """Where `x1 > x2`."""
    return torch.gt(x1, x2)


@op(dtype="common", elementwise=True, scalar=True)
def greater_equal(x1: Tensor, x2: Tensor) -> Tensor:
    """Where `x1 >= x2`."""
    return torch.ge(x1, x2)


@op(elementwise=True)
def logical_not(x: Tensor) -> Tensor:
    """Where `x` is false."""
    return torch.logical_not(x)


@op(dtype="common", elementwise=True)
def logical_and(x1: Tensor, x2: Tensor) -> Tensor:
    """Where both are true."""
    return torch.logical_and(x1, x2)


@op(dtype="common", elementwise=True)
def logical_or(x1: Tensor, x2: Tensor) -> Tensor:
    """Where one is true."""
    return torch.logical_or(x1, x2)


@op(dtype="common", elementwise=True)
def logical_xor(x1: Tensor, x2: Tensor) -> Tensor:
    """Where just one is true."""
    return torch.logical_xor(x1, x2)


@op(dtype="float", elementwise=True)
def isnan(x: Tensor) -> Tensor:
    """Where `x` is not a number."""
    return torch.isnan(x)


@op(dtype="float", elementwise=True)
def isinf(x: Tensor) -> Tensor:
    """Where `x` is infinite."""
    return torch.isinf(x)


@op(dtype="float", elementwise=True)
def isfinite(x: Tensor) -> Tensor:
    """Where `x` is a finite number."""
    return torch.isfinite(x)


@op(dtype="common", elementwise=True, keep=("condition",))
def where(condition: Tensor, x1: Tensor | None = None, x2: Tensor | None = None) -> Any:
    """`x1` where the condition holds, `x2` elsewhere; without them the indices where it does."""
    if x1 is None or x2 is None:
        return torch.where(condition.bool())
    return torch.where(condition.bool(), x1, x2)
