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
    """Say for each pair of elements whether they are equal.

    Args:
        x1, x2: tensors that broadcast against each other.

    Returns:
        A boolean tensor of the shape to which `x1` and `x2` broadcast.

    Example:
        >>> keras.ops.equal([1, 2], [1, 3])
        tensor([ True, False])
    """
    return torch.eq(x1, x2)


@op(dtype="common", elementwise=True, scalar=True)
def not_equal(x1: Tensor, x2: Tensor) -> Tensor:
    """Say for each pair of elements whether they differ.

    Args:
        x1, x2: tensors that broadcast against each other.

    Returns:
        A boolean tensor of the shape to which `x1` and `x2` broadcast.

    Example:
        >>> keras.ops.not_equal([1, 2], [1, 3])
        tensor([False,  True])
    """
    return torch.ne(x1, x2)


@op(dtype="common", elementwise=True, scalar=True)
def less(x1: Tensor, x2: Tensor) -> Tensor:
    """Say for each pair of elements whether `x1 < x2`.

    Args:
        x1, x2: tensors that broadcast against each other.

    Returns:
        A boolean tensor of the shape to which `x1` and `x2` broadcast.

    Example:
        >>> keras.ops.less([1, 2], [2, 2])
        tensor([ True, False])
    """
    return torch.lt(x1, x2)


@op(dtype="common", elementwise=True, scalar=True)
def less_equal(x1: Tensor, x2: Tensor) -> Tensor:
    """Say for each pair of elements whether `x1 <= x2`.

    Args:
        x1, x2: tensors that broadcast against each other.

    Returns:
        A boolean tensor of the shape to which `x1` and `x2` broadcast.

    Example:
        >>> keras.ops.less_equal([1, 2], [0, 2])
        tensor([False,  True])
    """
    return torch.le(x1, x2)


@op(dtype="common", elementwise=True, scalar=True)
def greater(x1: Tensor, x2: Tensor) -> Tensor:
    """Say for each pair of elements whether `x1 > x2`.

    Args:
        x1, x2: tensors that broadcast against each other.

    Returns:
        A boolean tensor of the shape to which `x1` and `x2` broadcast.

    Example:
        >>> keras.ops.greater([1, 2], [0, 2])
        tensor([ True, False])
    """
    return torch.gt(x1, x2)


@op(dtype="common", elementwise=True, scalar=True)
def greater_equal(x1: Tensor, x2: Tensor) -> Tensor:
    """Say for each pair of elements whether `x1 >= x2`.

    Args:
        x1, x2: tensors that broadcast against each other.

    Returns:
        A boolean tensor of the shape to which `x1` and `x2` broadcast.

    Example:
        >>> keras.ops.greater_equal([1, 2], [2, 2])
        tensor([False,  True])
    """
    return torch.ge(x1, x2)


@op(elementwise=True)
def logical_not(x: Tensor) -> Tensor:
    """Negate each element: true where `x` is false (or 0).

    Args:
        x: tensor.

    Returns:
        A boolean tensor of the shape of `x`.

    Example:
        >>> keras.ops.logical_not([True, False])
        tensor([False,  True])
    """
    return torch.logical_not(x)


@op(elementwise=True)
def logical_and(x1: Tensor, x2: Tensor) -> Tensor:
    """Say for each pair of elements whether both are true (or not 0).

    Args:
        x1, x2: tensors that broadcast against each other.

    Returns:
        A boolean tensor of the shape to which `x1` and `x2` broadcast.

    Example:
        >>> keras.ops.logical_and([True, True], [True, False])
        tensor([ True, False])
    """
    return torch.logical_and(x1, x2)


@op(elementwise=True)
def logical_or(x1: Tensor, x2: Tensor) -> Tensor:
    """Say for each pair of elements whether at least one is true (or not 0).

    Args:
        x1, x2: tensors that broadcast against each other.

    Returns:
        A boolean tensor of the shape to which `x1` and `x2` broadcast.

    Example:
        >>> keras.ops.logical_or([True, False], [False, False])
        tensor([ True, False])
    """
    return torch.logical_or(x1, x2)


@op(elementwise=True)
def logical_xor(x1: Tensor, x2: Tensor) -> Tensor:
    """Say for each pair of elements whether exactly one is true (or not 0).

    Args:
        x1, x2: tensors that broadcast against each other.

    Returns:
        A boolean tensor of the shape to which `x1` and `x2` broadcast.

    Example:
        >>> keras.ops.logical_xor([True, True], [True, False])
        tensor([False,  True])
    """
    return torch.logical_xor(x1, x2)


@op(elementwise=True)
def isnan(x: Tensor) -> Tensor:
    """Say for each element whether it is NaN.

    Args:
        x: tensor.

    Returns:
        A boolean tensor of the shape of `x`.

    Example:
        >>> keras.ops.isnan([1.0, float("nan")])
        tensor([False,  True])
    """
    return torch.isnan(x)


@op(elementwise=True)
def isinf(x: Tensor) -> Tensor:
    """Say for each element whether it is infinite.

    Args:
        x: tensor.

    Returns:
        A boolean tensor of the shape of `x`.

    Example:
        >>> keras.ops.isinf([1.0, float("-inf")])
        tensor([False,  True])
    """
    return torch.isinf(x)


@op(elementwise=True)
def isposinf(x: Tensor) -> Tensor:
    """Say for each element whether it is positive infinity.

    Args:
        x: tensor.

    Returns:
        A boolean tensor of the shape of `x`.

    Example:
        >>> keras.ops.isposinf([float("inf"), float("-inf")])
        tensor([ True, False])
    """
    return torch.isposinf(x)


@op(elementwise=True)
def isneginf(x: Tensor) -> Tensor:
    """Say for each element whether it is negative infinity.

    Args:
        x: tensor.

    Returns:
        A boolean tensor of the shape of `x`.

    Example:
        >>> keras.ops.isneginf([float("inf"), float("-inf")])
        tensor([False,  True])
    """
    return torch.isneginf(x)


@op(elementwise=True)
def isfinite(x: Tensor) -> Tensor:
    """Say for each element whether it is a finite number.

    Args:
        x: tensor.

    Returns:
        A boolean tensor of the shape of `x`.

    Example:
        >>> keras.ops.isfinite([1.0, float("inf")])
        tensor([ True, False])
    """
    return torch.isfinite(x)


@op(elementwise=True)
def isreal(x: Tensor) -> Tensor:
    """Say for each element whether it has no imaginary part.

    Args:
        x: tensor.

    Returns:
        A boolean tensor of the shape of `x`.

    Example:
        >>> keras.ops.isreal([1 + 0j, 1j])
        tensor([ True, False])
    """
    return torch.isreal(x)


@op(elementwise=True)
def signbit(x: Tensor) -> Tensor:
    """Say for each element whether its sign bit is set, which it also is for -0.0.

    Args:
        x: tensor.

    Returns:
        A boolean tensor of the shape of `x`.

    Example:
        >>> keras.ops.signbit([-1.0, -0.0, 2.0])
        tensor([ True,  True, False])
    """
    return torch.signbit(x)


@op(dtype="common", elementwise=True, call=("rtol", "atol"))
def isclose(x1: Tensor, x2: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """Say for each pair of elements whether `|x1 - x2| <= atol + rtol * |x2|`.

    Args:
        x1, x2: tensors that broadcast against each other.
        rtol: relative tolerance. Default: `1e-05`.
        atol: absolute tolerance. Default: `1e-08`.
        equal_nan: whether NaN counts as close to NaN. Default: `False`.

    Returns:
        A boolean tensor of the shape to which `x1` and `x2` broadcast.

    Example:
        >>> keras.ops.isclose([1.0, 2.0], [1.0, 2.1])
        tensor([ True, False])
    """
    return torch.isclose(x1, x2, rtol, atol, equal_nan)


@op(dtype="common", name="AllClose", spec=lambda *_, **__: KerasTensor((), "bool"))
def allclose(x1: Tensor, x2: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """Say whether `isclose` holds for all pairs of elements.

    Args:
        x1, x2: tensors that broadcast against each other.
        rtol: relative tolerance. Default: `1e-05`.
        atol: absolute tolerance. Default: `1e-08`.
        equal_nan: whether NaN counts as close to NaN. Default: `False`.

    Returns:
        A boolean tensor without axes, which stays on its device.

    Example:
        >>> bool(keras.ops.allclose([1.0, 2.0], [1.0, 2.0]))
        True
    """
    return torch.all(torch.isclose(x1, x2, rtol, atol, equal_nan))


@op(dtype="common", name="IsIn")
def isin(x1: Tensor, x2: Tensor, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Say for each element of `x1` whether it is among those of `x2`.

    Args:
        x1: tensor.
        x2: tensor of the elements to look for.
        assume_unique: whether both tensors hold no element twice, which may be faster. Default: `False`.
        invert: whether to say the opposite. Default: `False`.

    Returns:
        A boolean tensor of the shape of `x1`.

    Example:
        >>> keras.ops.isin([1, 2, 3], [3, 1])
        tensor([ True, False,  True])
    """
    if x1.dtype is torch.bool:
        x1, x2 = x1.byte(), x2.byte()
    return torch.isin(x1, x2, assume_unique=assume_unique, invert=invert)


def _where_spec(condition: Any, x1: Any = None, x2: Any = None) -> KerasTensor:
    if x1 is not None or x2 is not None:
        return infer_elementwise(where, (condition, x1, x2), {})
    return KerasTensor((len(condition.shape), None), "int64")


@op(dtype="common", keep=("condition",), spec=_where_spec)
def where(condition: Tensor, x1: Tensor | None = None, x2: Tensor | None = None) -> Tensor:
    """Choose between two tensors elementwise; with the condition alone, return the indices where it holds.

    Args:
        condition: boolean tensor.
        x1: tensor of the elements where the condition holds; `None`, with `x2`, asks for indices. Default: `None`.
        x2: tensor of the elements where the condition does not hold. Default: `None`.

    Returns:
        A tensor of the shape to which the three broadcast; without `x1` and `x2`, indices of shape `(rank of condition,
        number of places)`.

    Raises:
        ValueError: only one of `x1` and `x2` is given.

    Example:
        >>> keras.ops.where([True, False], [1.0, 2.0], [10.0, 20.0])
        tensor([ 1., 20.])
    """
    if (x1 is None) is not (x2 is None):
        raise ValueError("`x1` and `x2` either both should be `None` or both be given; where() received one of them.")
    condition = condition if condition.dtype is torch.bool else condition.bool()
    return torch.where(condition, x1, x2) if x1 is not None else torch.nonzero(condition).T
