"""Functions of one number, on each element."""

from __future__ import annotations

import torch
from torch import Tensor

from torchkeras.core.operations.op import op
from torchkeras.core.tensors.dtypes import torch_dtype
from torchkeras.core.tensors.promotion import FLOATS, common
from torchkeras.core.types import ArrayLike

_BOUNDS = (int, float, type(None))  # no set: the guards of dynamo on a set of classes fail


@op(elementwise=True)
def absolute(x: Tensor) -> Tensor:
    """Take the absolute value of each element. Also called `abs`.

    Args:
        x: tensor.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.absolute([-1.5, 2.0])
        tensor([1.5000, 2.0000])
    """
    return torch.abs(x) if x.dtype is not torch.bool else x.clone()


@op(dtype="float", elementwise=True)
def fabs(x: Tensor) -> Tensor:
    """Take the absolute value of each element, as a float.

    Args:
        x: tensor.

    Returns:
        A tensor of the shape of `x`.

    Raises:
        TypeError: `x` is complex.

    Example:
        >>> keras.ops.fabs([-1, 2])
        tensor([1., 2.])
    """
    if x.dtype.is_complex:
        raise TypeError(f"fabs() takes real numbers; received dtype {x.dtype}. Use absolute() for complex ones.")
    return torch.abs(x)


@op(elementwise=True)
def negative(x: Tensor) -> Tensor:
    """Negate each element: `-x`.

    Args:
        x: tensor.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.negative([1.0, -2.0])
        tensor([-1.,  2.])
    """
    return torch.negative(x)


@op(dtype="float", elementwise=True)
def exp(x: Tensor) -> Tensor:
    """Compute `e ** x` of each element.

    Args:
        x: tensor.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.exp([0.0, 1.0])
        tensor([1.0000, 2.7183])
    """
    return torch.exp(x)


@op(dtype="float", elementwise=True)
def exp2(x: Tensor) -> Tensor:
    """Compute `2 ** x` of each element.

    Args:
        x: tensor.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.exp2([0.0, 3.0])
        tensor([1., 8.])
    """
    return torch.exp2(x)


@op(dtype="float", elementwise=True)
def expm1(x: Tensor) -> Tensor:
    """Compute `exp(x) - 1` of each element, precisely also near 0.

    Args:
        x: tensor.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.expm1([0.0, 1.0])
        tensor([0.0000, 1.7183])
    """
    return torch.expm1(x)


@op(dtype="float", elementwise=True)
def log(x: Tensor) -> Tensor:
    """Compute the natural logarithm of each element.

    Args:
        x: tensor.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.log([1.0, 10.0])
        tensor([0.0000, 2.3026])
    """
    return torch.log(x)


@op(dtype="float", elementwise=True)
def log1p(x: Tensor) -> Tensor:
    """Compute `log(1 + x)` of each element, precisely also near 0.

    Args:
        x: tensor.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.log1p([0.0, 1.0])
        tensor([0.0000, 0.6931])
    """
    return torch.log1p(x)


@op(dtype="float", elementwise=True)
def log2(x: Tensor) -> Tensor:
    """Compute the logarithm to base 2 of each element.

    Args:
        x: tensor.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.log2([1.0, 8.0])
        tensor([0., 3.])
    """
    return torch.log2(x)


@op(dtype="float", elementwise=True)
def log10(x: Tensor) -> Tensor:
    """Compute the logarithm to base 10 of each element.

    Args:
        x: tensor.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.log10([1.0, 1000.0])
        tensor([0., 3.])
    """
    return torch.log10(x)


@op(dtype="float", elementwise=True)
def sqrt(x: Tensor) -> Tensor:
    """Compute the square root of each element.

    Args:
        x: tensor.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.sqrt([1.0, 9.0])
        tensor([1., 3.])
    """
    return torch.sqrt(x)


@op(elementwise=True)
def square(x: Tensor) -> Tensor:
    """Square each element: `x * x`. Booleans become integers.

    Args:
        x: tensor.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.square([2.0, -3.0])
        tensor([4., 9.])
    """
    return torch.square(x if x.dtype is not torch.bool else x.int())


@op(elementwise=True)
def sign(x: Tensor) -> Tensor:
    """Return the sign of each element: -1, 0 or 1.

    Args:
        x: tensor.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.sign([-2.0, 0.0, 3.0])
        tensor([-1.,  0.,  1.])
    """
    return torch.sign(x)


@op(dtype="narrow_float", elementwise=True)
def floor(x: Tensor) -> Tensor:
    """Round each element down.

    Args:
        x: tensor.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.floor([1.7, -1.2])
        tensor([ 1., -2.])
    """
    return torch.floor(x)


@op(dtype="narrow_float", elementwise=True)
def ceil(x: Tensor) -> Tensor:
    """Round each element up.

    Args:
        x: tensor.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.ceil([1.2, -1.7])
        tensor([ 2., -1.])
    """
    return torch.ceil(x)


@op(dtype="float", elementwise=True)
def reciprocal(x: Tensor) -> Tensor:
    """Compute `1 / x` of each element.

    Args:
        x: tensor.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.reciprocal([2.0, 4.0])
        tensor([0.5000, 0.2500])
    """
    return torch.reciprocal(x)


@op(elementwise=True)
def trunc(x: Tensor) -> Tensor:
    """Round each element towards zero.

    Args:
        x: tensor.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.trunc([1.7, -1.7])
        tensor([ 1., -1.])
    """
    return torch.trunc(x) if x.dtype is not torch.bool else x.clone()


@op(elementwise=True)
def round(x: Tensor, decimals: int = 0) -> Tensor:
    """Round each element; halves go to the even neighbour.

    Args:
        x: tensor.
        decimals: number of decimal places to keep. Default: `0`.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.round([0.5, 1.5, 2.26], decimals=0)
        tensor([0., 2., 2.])
    """
    if x.dtype in FLOATS or x.dtype is torch.bool:  # torch refuses booleans, as Keras does
        return torch.round(x, decimals=decimals) if decimals else torch.round(x)
    return x.clone() if decimals >= 0 else torch.round(x.double(), decimals=decimals).to(x.dtype)


@op(elementwise=True)
def clip(x: Tensor, x_min: ArrayLike | None, x_max: ArrayLike | None) -> Tensor:
    """Limit each element to an interval.

    Args:
        x: tensor.
        x_min: lower limit: number or tensor that broadcasts; `None` for none.
        x_max: upper limit: number or tensor that broadcasts; `None` for none.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.clip([-2.0, 0.5, 3.0], 0.0, 1.0)
        tensor([0.0000, 0.5000, 1.0000])
    """
    if x_min.__class__ in _BOUNDS and x_max.__class__ in _BOUNDS and x.dtype is not torch.bool:
        return torch.clamp(x, x_min, x_max)
    wide, *bounds, _ = common([x, *(bound for bound in (x_min, x_max) if bound is not None), 0])
    low = None if x_min is None else bounds[0]
    high = None if x_max is None else bounds[-1]
    result = torch.clamp(wide, low, high)
    return result.half() if x.dtype is torch.float16 else result  # as in Keras, whatever the bounds' type


@op(elementwise=True)
def nan_to_num(x: Tensor, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Tensor:
    """Replace NaN and infinities by numbers.

    Args:
        x: tensor.
        nan: number in place of NaN. Default: `0.0`.
        posinf: number in place of infinity; `None`: the largest of the dtype. Default: `None`.
        neginf: number in place of minus infinity; `None`: the smallest of the dtype. Default: `None`.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.nan_to_num([1.0, float("nan"), float("inf")], posinf=9.0)
        tensor([1., 0., 9.])
    """
    return torch.nan_to_num(x, nan, posinf, neginf)


@op(elementwise=True)
def copy(x: Tensor) -> Tensor:
    """Copy the values to memory of their own.

    Args:
        x: tensor.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.copy([1.0, 2.0])
        tensor([1., 2.])
    """
    return x.clone()


@op(elementwise=True)
def conjugate(x: Tensor) -> Tensor:
    """Return the complex conjugate of each element. Also called `conj`.

    Args:
        x: tensor.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.conjugate([1 + 2j])
        tensor([1.-2.j])
    """
    return torch.conj(x)


@op(dtype="float", elementwise=True)
def angle(x: Tensor) -> Tensor:
    """Return the angle of each complex number, in radians.

    Args:
        x: tensor.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.angle([1j, -1 + 0j])
        tensor([1.5708, 3.1416])
    """
    return torch.angle(x)


@op(elementwise=True)
def real(x: Tensor) -> Tensor:
    """Return the real part of each element.

    Args:
        x: tensor.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.real([1 + 2j])
        tensor([1.])
    """
    return torch.real(x)


@op(elementwise=True)
def imag(x: Tensor) -> Tensor:
    """Return the imaginary part of each element; 0 for real numbers.

    Args:
        x: tensor.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.imag([1 + 2j])
        tensor([2.])
    """
    return torch.imag(x) if x.dtype.is_complex else torch.zeros_like(x)


@op(elementwise=True)
def cbrt(x: Tensor) -> Tensor:
    """Compute the real cube root of each element.

    Args:
        x: tensor.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.cbrt([8.0, -27.0])
        tensor([ 2., -3.])
    """
    x = wide_float(x)
    return torch.copysign(torch.pow(torch.abs(x), 1 / 3), x)


@op(elementwise=True)
def i0(x: Tensor) -> Tensor:
    """Compute the modified Bessel function of the first kind, of order 0.

    Args:
        x: tensor.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.i0([0.0, 1.0])
        tensor([1.0000, 1.2661])
    """
    return torch.i0(wide_float(x))


def wide_float(x: Tensor) -> Tensor:
    """`x` as floats; in these ops Keras makes int64 float64."""
    if x.dtype in FLOATS:
        return x
    return x.to(torch.float64 if x.dtype is torch.int64 else torch_dtype(None))
