"""Functions of one number, on each element."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchkeras.core.operations.op import op
from torchkeras.core.tensors.dtypes import torch_dtype
from torchkeras.core.tensors.promotion import FLOATS, common

_BOUNDS = frozenset((int, float, type(None)))


@op(elementwise=True)
def absolute(x: Tensor) -> Tensor:
    """The absolute value."""
    return torch.abs(x) if x.dtype is not torch.bool else x.clone()


@op(dtype="float", elementwise=True)
def fabs(x: Tensor) -> Tensor:
    """The absolute value, as a float.

    Raises:
        TypeError: `x` is complex.
    """
    if x.dtype.is_complex:
        raise TypeError(f"fabs() takes real numbers; received dtype {x.dtype}. Use absolute() for complex ones.")
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
def exp2(x: Tensor) -> Tensor:
    """`2 ** x`."""
    return torch.exp2(x)


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
    """`x * x`; booleans give integers."""
    return torch.square(x if x.dtype is not torch.bool else x.int())


@op(elementwise=True)
def sign(x: Tensor) -> Tensor:
    """-1, 0 or 1."""
    return torch.sign(x)


@op(dtype="narrow_float", elementwise=True)
def floor(x: Tensor) -> Tensor:
    """Rounded down."""
    return torch.floor(x)


@op(dtype="narrow_float", elementwise=True)
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
def sinc(x: Tensor) -> Tensor:
    """`sin(pi x) / (pi x)`, 1 at 0."""
    return torch.sinc(x)


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
def arcsinh(x: Tensor) -> Tensor:
    """The inverse hyperbolic sine."""
    return torch.arcsinh(x)


@op(dtype="float", elementwise=True)
def arccosh(x: Tensor) -> Tensor:
    """The inverse hyperbolic cosine."""
    return torch.arccosh(x)


@op(dtype="float", elementwise=True)
def arctanh(x: Tensor) -> Tensor:
    """The inverse hyperbolic tangent."""
    return torch.arctanh(x)


@op(dtype="float", elementwise=True)
def reciprocal(x: Tensor) -> Tensor:
    """`1 / x`."""
    return torch.reciprocal(x)


@op(elementwise=True)
def trunc(x: Tensor) -> Tensor:
    """Rounded toward zero."""
    return torch.trunc(x) if x.dtype is not torch.bool else x.clone()


@op(elementwise=True)
def round(x: Tensor, decimals: int = 0) -> Tensor:
    """Rounded to `decimals` places, halves to even."""
    if x.dtype in FLOATS or x.dtype is torch.bool:  # torch refuses booleans, as Keras does
        return torch.round(x, decimals=decimals) if decimals else torch.round(x)
    return x.clone() if decimals >= 0 else torch.round(x.double(), decimals=decimals).to(x.dtype)


@op(elementwise=True)
def clip(x: Tensor, x_min: Any, x_max: Any) -> Tensor:
    """Cut to `[x_min, x_max]`; a bound is a number, a tensor that broadcasts, or `None`."""
    if x_min.__class__ in _BOUNDS and x_max.__class__ in _BOUNDS and x.dtype is not torch.bool:
        return torch.clamp(x, x_min, x_max)
    wide, *given, _ = common([x, *(bound for bound in (x_min, x_max) if bound is not None), 0])
    low, high = [None if bound is None else given.pop(0) for bound in (x_min, x_max)]
    result = torch.clamp(wide, low, high)
    return result.half() if x.dtype is torch.float16 else result  # as in Keras, whatever the bounds' type


@op(elementwise=True)
def nan_to_num(x: Tensor, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Tensor:
    """With numbers for NaN and the infinities (these by default the greatest and the least of the type)."""
    return torch.nan_to_num(x, nan, posinf, neginf)


@op(elementwise=True)
def copy(x: Tensor) -> Tensor:
    """The same values in other memory."""
    return x.clone()


@op(elementwise=True)
def conjugate(x: Tensor) -> Tensor:
    """The complex conjugate."""
    return torch.conj(x)


@op(dtype="float", elementwise=True)
def angle(x: Tensor) -> Tensor:
    """The angle of complex numbers, in radians."""
    return torch.angle(x)


@op(elementwise=True)
def real(x: Tensor) -> Tensor:
    """The real part."""
    return torch.real(x)


@op(elementwise=True)
def imag(x: Tensor) -> Tensor:
    """The imaginary part, 0 for real numbers."""
    return torch.imag(x) if x.dtype.is_complex else torch.zeros_like(x)


@op(elementwise=True)
def cbrt(x: Tensor) -> Tensor:
    """The real cube root."""
    x = _wide_float(x)
    return torch.copysign(torch.pow(torch.abs(x), 1 / 3), x)


@op(elementwise=True)
def deg2rad(x: Tensor) -> Tensor:
    """Degrees to radians."""
    return torch.deg2rad(_wide_float(x))


@op(elementwise=True)
def rad2deg(x: Tensor) -> Tensor:
    """Radians to degrees."""
    return torch.rad2deg(_wide_float(x))


@op(elementwise=True)
def i0(x: Tensor) -> Tensor:
    """The modified Bessel function of the first kind, of order 0."""
    return torch.i0(_wide_float(x))


def _wide_float(x: Tensor) -> Tensor:
    """`x` as floats; in these ops Keras makes int64 float64."""
    if x.dtype in FLOATS:
        return x
    return x.to(torch.float64 if x.dtype is torch.int64 else torch_dtype(None))
