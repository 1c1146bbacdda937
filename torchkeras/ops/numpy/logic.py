"""Comparisons, logic, and choices by condition."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchkeras.core.operations.op import op
from torchkeras.core.symbolic.infer import infer_elementwise
from torchkeras.core.symbolic.keras_tensor import KerasTensor


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


@op(elementwise=True)
def logical_and(x1: Tensor, x2: Tensor) -> Tensor:
    """Where both are true."""
    return torch.logical_and(x1, x2)


@op(elementwise=True)
def logical_or(x1: Tensor, x2: Tensor) -> Tensor:
    """Where one is true."""
    return torch.logical_or(x1, x2)


@op(elementwise=True)
def logical_xor(x1: Tensor, x2: Tensor) -> Tensor:
    """Where just one is true."""
    return torch.logical_xor(x1, x2)


@op(elementwise=True)
def isnan(x: Tensor) -> Tensor:
    """Where `x` is not a number."""
    return torch.isnan(x)


@op(elementwise=True)
def isinf(x: Tensor) -> Tensor:
    """Where `x` is infinite."""
    return torch.isinf(x)


@op(elementwise=True)
def isposinf(x: Tensor) -> Tensor:
    """Where `x` is positive infinity."""
    return torch.isposinf(x)


@op(elementwise=True)
def isneginf(x: Tensor) -> Tensor:
    """Where `x` is negative infinity."""
    return torch.isneginf(x)


@op(elementwise=True)
def isfinite(x: Tensor) -> Tensor:
    """Where `x` is a finite number."""
    return torch.isfinite(x)


@op(elementwise=True)
def isreal(x: Tensor) -> Tensor:
    """Where `x` has no imaginary part."""
    return torch.isreal(x)


@op(elementwise=True)
def signbit(x: Tensor) -> Tensor:
    """Where the sign is a minus, that of -0.0 included."""
    return torch.signbit(x)


@op(dtype="common", elementwise=True, call=("rtol", "atol"))
def isclose(x1: Tensor, x2: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """Where `|x1 - x2| <= atol + rtol * |x2|`; NaN beside NaN is close if `equal_nan`."""
    return torch.isclose(x1, x2, rtol, atol, equal_nan)


@op(dtype="common", name="AllClose", spec=lambda *_, **__: KerasTensor((), "bool"))
def allclose(x1: Tensor, x2: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """Whether `isclose` holds everywhere: a scalar that stays on the device."""
    return torch.all(torch.isclose(x1, x2, rtol, atol, equal_nan))


@op(dtype="common", name="IsIn")
def isin(x1: Tensor, x2: Tensor, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Where an element of `x1` is among those of `x2` (if `invert`: is not)."""
    return torch.isin(x1, x2, assume_unique=assume_unique, invert=invert)


def _where_spec(condition: Any, x1: Any = None, x2: Any = None) -> KerasTensor:
    if x1 is not None or x2 is not None:
        return infer_elementwise(where, (condition, x1, x2), {})
    return KerasTensor((len(condition.shape), None), "int64")


@op(dtype="common", keep=("condition",), spec=_where_spec)
def where(condition: Tensor, x1: Tensor | None = None, x2: Tensor | None = None) -> Tensor:
    """`x1` where the condition holds, `x2` elsewhere; without them its indices, `(rank, number of places)`.

    Raises:
        ValueError: just one of `x1` and `x2` is given.
    """
    if (x1 is None) is not (x2 is None):
        raise ValueError("`x1` and `x2` either both should be `None` or both be given; where() received one of them.")
    condition = condition if condition.dtype is torch.bool else condition.bool()
    return torch.where(condition, x1, x2) if x1 is not None else torch.nonzero(condition).T
