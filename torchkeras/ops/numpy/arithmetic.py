"""Functions of two numbers, on each pair of elements."""

from __future__ import annotations

import torch
from torch import Tensor

from torchkeras.core.operations.op import op
from torchkeras.core.symbolic.infer import infer_elementwise
from torchkeras.core.tensors.promotion import FLOATS, float_tensor


@op(dtype="common", elementwise=True, scalar=True)
def add(x1: Tensor, x2: Tensor) -> Tensor:
    """Add two tensors elementwise: `x1 + x2`.

    Args:
        x1, x2: tensors that broadcast against each other.

    Returns:
        A tensor of the shape to which `x1` and `x2` broadcast.

    Example:
        >>> keras.ops.add([1.0, 2.0], [10.0, 20.0])
        tensor([11., 22.])
    """
    return torch.add(x1, x2)


@op(dtype="common", elementwise=True, scalar=True)
def subtract(x1: Tensor, x2: Tensor) -> Tensor:
    """Subtract two tensors elementwise: `x1 - x2`.

    Args:
        x1, x2: tensors that broadcast against each other.

    Returns:
        A tensor of the shape to which `x1` and `x2` broadcast.

    Example:
        >>> keras.ops.subtract([5.0, 2.0], [1.0, 4.0])
        tensor([ 4., -2.])
    """
    return torch.subtract(x1, x2)


@op(dtype="common", elementwise=True, scalar=True)
def multiply(x1: Tensor, x2: Tensor) -> Tensor:
    """Multiply two tensors elementwise: `x1 * x2`.

    Args:
        x1, x2: tensors that broadcast against each other.

    Returns:
        A tensor of the shape to which `x1` and `x2` broadcast.

    Example:
        >>> keras.ops.multiply([2.0, 3.0], [4.0, 5.0])
        tensor([ 8., 15.])
    """
    return torch.multiply(x1, x2)


@op(dtype="common_float", elementwise=True, scalar=True)
def divide(x1: Tensor, x2: Tensor) -> Tensor:
    """Divide two tensors elementwise: `x1 / x2`. Integers give floats.

    Args:
        x1, x2: tensors that broadcast against each other.

    Returns:
        A tensor of the shape to which `x1` and `x2` broadcast.

    Example:
        >>> keras.ops.divide([1.0, 6.0], [4.0, 3.0])
        tensor([0.2500, 2.0000])
    """
    return torch.true_divide(x1, x2)


@op(dtype="common_float", elementwise=True, scalar=True)
def true_divide(x1: Tensor, x2: Tensor) -> Tensor:
    """Divide two tensors elementwise: `x1 / x2`. Integers give floats.

    Args:
        x1, x2: tensors that broadcast against each other.

    Returns:
        A tensor of the shape to which `x1` and `x2` broadcast.

    Example:
        >>> keras.ops.true_divide([1.0, 6.0], [4.0, 3.0])
        tensor([0.2500, 2.0000])
    """
    return torch.true_divide(x1, x2)


@op(dtype="common", elementwise=True, scalar=True)
def power(x1: Tensor, x2: Tensor) -> Tensor:
    """Raise `x1` to the power `x2`, elementwise.

    Args:
        x1, x2: tensors that broadcast against each other.

    Returns:
        A tensor of the shape to which `x1` and `x2` broadcast.

    Example:
        >>> keras.ops.power([2.0, 3.0], [3.0, 2.0])
        tensor([8., 9.])
    """
    if type(x2) is int and x2 < 0 and not (x1.is_floating_point() or x1.is_complex()):
        x2 = torch.full_like(x1, x2)  # torch takes negative powers of integers in a tensor alone
    return torch.pow(x1, x2)


@op(dtype="common", elementwise=True, scalar=True)
def mod(x1: Tensor, x2: Tensor) -> Tensor:
    """Return the remainder of the division `x1 / x2`, with the sign of `x2`.

    Args:
        x1, x2: tensors that broadcast against each other.

    Returns:
        A tensor of the shape to which `x1` and `x2` broadcast.

    Example:
        >>> keras.ops.mod([7.0, -7.0], 3.0)
        tensor([1., 2.])
    """
    return torch.remainder(x1 if x1.dtype is not torch.bool else x1.int(), x2)


@op(dtype="common", elementwise=True, scalar=True)
def fmod(x1: Tensor, x2: Tensor) -> Tensor:
    """Return the remainder of the division `x1 / x2`, with the sign of `x1`.

    Args:
        x1, x2: tensors that broadcast against each other.

    Returns:
        A tensor of the shape to which `x1` and `x2` broadcast.

    Example:
        >>> keras.ops.fmod([7.0, -7.0], 3.0)
        tensor([ 1., -1.])
    """
    return torch.fmod(x1 if x1.dtype is not torch.bool else x1.int(), x2)


@op(dtype="narrow", elementwise=True, scalar=True)
def floor_divide(x1: Tensor, x2: Tensor) -> Tensor:
    """Divide two tensors elementwise and round down.

    Args:
        x1, x2: tensors that broadcast against each other.

    Returns:
        A tensor of the shape to which `x1` and `x2` broadcast.

    Example:
        >>> keras.ops.floor_divide([7.0, -7.0], 2.0)
        tensor([ 3., -4.])
    """
    return torch.floor_divide(x1, x2)


@op(dtype="narrow_float", elementwise=True)
def divide_no_nan(x1: Tensor, x2: Tensor) -> Tensor:
    """Divide two tensors elementwise, and give 0 (also as gradient) where `x2` is 0.

    Args:
        x1, x2: tensors that broadcast against each other.

    Returns:
        A tensor of the shape to which `x1` and `x2` broadcast.

    Example:
        >>> keras.ops.divide_no_nan([1.0, 2.0], [0.0, 4.0])
        tensor([0.0000, 0.5000])
    """
    zero = x2 == 0
    return (x1 / x2.masked_fill(zero, 1)).masked_fill_(zero, 0)


@op(dtype="narrow", elementwise=True)
def maximum(x1: Tensor, x2: Tensor) -> Tensor:
    """Return the larger of two elements; NaN if one of them is NaN.

    Args:
        x1, x2: tensors that broadcast against each other.

    Returns:
        A tensor of the shape to which `x1` and `x2` broadcast.

    Example:
        >>> keras.ops.maximum([1.0, 5.0], [3.0, 2.0])
        tensor([3., 5.])
    """
    return torch.maximum(x1, x2)


@op(dtype="narrow", elementwise=True)
def minimum(x1: Tensor, x2: Tensor) -> Tensor:
    """Return the smaller of two elements; NaN if one of them is NaN.

    Args:
        x1, x2: tensors that broadcast against each other.

    Returns:
        A tensor of the shape to which `x1` and `x2` broadcast.

    Example:
        >>> keras.ops.minimum([1.0, 5.0], [3.0, 2.0])
        tensor([1., 2.])
    """
    return torch.minimum(x1, x2)


@op(dtype="narrow", elementwise=True)
def fmax(x1: Tensor, x2: Tensor) -> Tensor:
    """Return the larger of two elements; the other one if one of them is NaN.

    Args:
        x1, x2: tensors that broadcast against each other.

    Returns:
        A tensor of the shape to which `x1` and `x2` broadcast.

    Example:
        >>> keras.ops.fmax([1.0, float("nan")], [3.0, 2.0])
        tensor([3., 2.])
    """
    return torch.fmax(x1, x2)


@op(dtype="narrow", elementwise=True)
def fmin(x1: Tensor, x2: Tensor) -> Tensor:
    """Return the smaller of two elements; the other one if one of them is NaN.

    Args:
        x1, x2: tensors that broadcast against each other.

    Returns:
        A tensor of the shape to which `x1` and `x2` broadcast.

    Example:
        >>> keras.ops.fmin([1.0, float("nan")], [3.0, 2.0])
        tensor([1., 2.])
    """
    return torch.fmin(x1, x2)


@op(dtype="common", elementwise=True)
def gcd(x1: Tensor, x2: Tensor) -> Tensor:
    """Return the greatest common divisor of integers.

    Args:
        x1, x2: tensors of integers that broadcast against each other.

    Returns:
        A tensor of the shape to which `x1` and `x2` broadcast.

    Example:
        >>> keras.ops.gcd([12, 9], [18, 6])
        tensor([6, 3], dtype=torch.int32)
    """
    return torch.gcd(x1, x2)


@op(dtype="common", elementwise=True)
def lcm(x1: Tensor, x2: Tensor) -> Tensor:
    """Return the least common multiple of integers.

    Args:
        x1, x2: tensors of integers that broadcast against each other.

    Returns:
        A tensor of the shape to which `x1` and `x2` broadcast.

    Example:
        >>> keras.ops.lcm([4, 3], [6, 5])
        tensor([12, 15], dtype=torch.int32)
    """
    return torch.lcm(x1, x2)


@op(dtype="narrow_float", elementwise=True)
def arctan2(x1: Tensor, x2: Tensor) -> Tensor:
    """Return the angle of the point `(x2, x1)`, in radians from -pi to pi.

    Args:
        x1: tensor of vertical coordinates.
        x2: tensor of horizontal coordinates, which broadcasts against `x1`.

    Returns:
        A tensor of the shape to which `x1` and `x2` broadcast.

    Example:
        >>> keras.ops.arctan2([1.0, 0.0], [0.0, -1.0])
        tensor([1.5708, 3.1416])
    """
    return torch.arctan2(x1, x2)


@op(dtype="narrow_float", elementwise=True)
def hypot(x1: Tensor, x2: Tensor) -> Tensor:
    """Compute `sqrt(x1**2 + x2**2)` without overflow.

    Args:
        x1, x2: tensors that broadcast against each other.

    Returns:
        A tensor of the shape to which `x1` and `x2` broadcast.

    Example:
        >>> keras.ops.hypot([3.0], [4.0])
        tensor([5.])
    """
    return torch.hypot(x1, x2)


@op(dtype="narrow_float", elementwise=True)
def logaddexp(x1: Tensor, x2: Tensor) -> Tensor:
    """Compute `log(exp(x1) + exp(x2))` without overflow.

    Args:
        x1, x2: tensors that broadcast against each other.

    Returns:
        A tensor of the shape to which `x1` and `x2` broadcast.

    Example:
        >>> keras.ops.logaddexp([0.0], [0.0])
        tensor([0.6931])
    """
    return torch.logaddexp(x1, x2)


@op(dtype="narrow_float", elementwise=True)
def logaddexp2(x1: Tensor, x2: Tensor) -> Tensor:
    """Compute `log2(2**x1 + 2**x2)` without overflow.

    Args:
        x1, x2: tensors that broadcast against each other.

    Returns:
        A tensor of the shape to which `x1` and `x2` broadcast.

    Example:
        >>> keras.ops.logaddexp2([3.0], [3.0])
        tensor([4.])
    """
    return torch.logaddexp2(x1, x2)


@op(dtype="narrow_float", elementwise=True)
def nextafter(x1: Tensor, x2: Tensor) -> Tensor:
    """Return the next number of the dtype after `x1` in the direction of `x2`.

    Args:
        x1: tensor of floats.
        x2: tensor of floats that broadcasts against `x1`.

    Returns:
        A tensor of the shape to which `x1` and `x2` broadcast.

    Example:
        >>> bool(keras.ops.nextafter(1.0, 2.0) > 1.0)
        True
    """
    return torch.nextafter(x1, x2)


@op(dtype="narrow", elementwise=True)
def heaviside(x1: Tensor, x2: Tensor) -> Tensor:
    """Compute the step function: 0 where `x1 < 0`, 1 where `x1 > 0`, `x2` where `x1` is 0.

    Args:
        x1: tensor.
        x2: tensor that broadcasts against `x1`.

    Returns:
        A tensor of the shape to which `x1` and `x2` broadcast.

    Example:
        >>> keras.ops.heaviside([-1.0, 0.0, 2.0], 0.5)
        tensor([0.0000, 0.5000, 1.0000])
    """
    if x1.dtype not in FLOATS and x1.dtype is not torch.bool:  # two booleans stay so, as in Keras
        x1, x2 = float_tensor(x1), float_tensor(x2)
    return torch.heaviside(x1, x2)


# Keras looks at the exponents' type where there are values, not before.
@op(dtype="narrow_float", keep=("x2",), spec=lambda x1, x2: infer_elementwise(hypot, (x1, x2), {}))
def ldexp(x1: Tensor, x2: Tensor) -> Tensor:
    """Compute `x1 * 2**x2`.

    Args:
        x1: tensor.
        x2: tensor of integers that broadcasts against `x1`.

    Returns:
        A tensor of the shape to which `x1` and `x2` broadcast.

    Raises:
        TypeError: `x2` holds no integers.

    Example:
        >>> keras.ops.ldexp([1.0, 3.0], [2, 1])
        tensor([4., 6.])
    """
    if x2.dtype in FLOATS or x2.dtype is torch.bool:
        raise TypeError(f"ldexp() takes integers as exponents; received x2 of dtype {x2.dtype}.")
    return (x1 * torch.pow(2.0, x2)).to(x1.dtype)  # torch.ldexp has a gradient of 0 where x2 < 0


@op(dtype="narrow_float", elementwise=True)
def copysign(x1: Tensor, x2: Tensor) -> Tensor:
    """Return the absolute values of one tensor with the signs of another. Keras has it from 3.16 on.

    Args:
        x1: tensor with the values.
        x2: tensor with the signs; it broadcasts against `x1`.

    Returns:
        A tensor of the shape to which `x1` and `x2` broadcast.

    Example:
        >>> keras.ops.copysign([1.0, -2.0], [-3.0, 3.0])
        tensor([-1.,  2.])
    """
    return torch.copysign(x1, x2)


@op(dtype="narrow_float", elementwise=True)
def float_power(x1: Tensor, x2: Tensor) -> Tensor:
    """Compute `x1**x2` in floats, also of integers. Keras has it from 3.16 on.

    Args:
        x1: tensor, the base.
        x2: tensor, the exponent; it broadcasts against `x1`.

    Returns:
        A tensor of the shape to which `x1` and `x2` broadcast.

    Example:
        >>> keras.ops.float_power([2, 4], [-1, 0])
        tensor([0.5000, 1.0000])
    """
    return torch.pow(x1, x2)
