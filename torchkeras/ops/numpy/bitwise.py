"""Bits of integers."""

from __future__ import annotations

import torch
from torch import Tensor

from torchkeras.core.operations.op import op


@op(dtype="common", elementwise=True, scalar=True)
def bitwise_and(x: Tensor, y: Tensor) -> Tensor:
    """Combine bits with `x & y`.

    Args:
        x, y: tensors of integers or booleans that broadcast against each other.

    Returns:
        A tensor of the shape to which `x` and `y` broadcast.

    Example:
        >>> keras.ops.bitwise_and([6], [3])
        tensor([2], dtype=torch.int32)
    """
    return torch.bitwise_and(x, y)


@op(dtype="common", elementwise=True, scalar=True)
def bitwise_or(x: Tensor, y: Tensor) -> Tensor:
    """Combine bits with `x | y`.

    Args:
        x, y: tensors of integers or booleans that broadcast against each other.

    Returns:
        A tensor of the shape to which `x` and `y` broadcast.

    Example:
        >>> keras.ops.bitwise_or([6], [3])
        tensor([7], dtype=torch.int32)
    """
    return torch.bitwise_or(x, y)


@op(dtype="common", elementwise=True, scalar=True)
def bitwise_xor(x: Tensor, y: Tensor) -> Tensor:
    """Combine bits with `x ^ y`.

    Args:
        x, y: tensors of integers or booleans that broadcast against each other.

    Returns:
        A tensor of the shape to which `x` and `y` broadcast.

    Example:
        >>> keras.ops.bitwise_xor([6], [3])
        tensor([5], dtype=torch.int32)
    """
    return torch.bitwise_xor(x, y)


@op(elementwise=True)
def bitwise_invert(x: Tensor) -> Tensor:
    """Invert each bit: `~x`.

    Args:
        x: tensor of integers or booleans.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.bitwise_invert([6])
        tensor([-7], dtype=torch.int32)
    """
    return torch.bitwise_not(x)


@op(elementwise=True)
def bitwise_not(x: Tensor) -> Tensor:
    """Invert each bit: `~x`.

    Args:
        x: tensor of integers or booleans.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.bitwise_not([6])
        tensor([-7], dtype=torch.int32)
    """
    return torch.bitwise_not(x)


@op(dtype="common", elementwise=True, scalar=True)
def bitwise_left_shift(x: Tensor, y: Tensor) -> Tensor:
    """Shift the bits of `x` to the left by `y` places: `x << y`.

    Args:
        x, y: tensors of integers that broadcast against each other.

    Returns:
        A tensor of the shape to which `x` and `y` broadcast.

    Example:
        >>> keras.ops.bitwise_left_shift([3], [2])
        tensor([12], dtype=torch.int32)
    """
    return torch.bitwise_left_shift(x, y)


@op(dtype="common", elementwise=True, scalar=True)
def left_shift(x: Tensor, y: Tensor) -> Tensor:
    """Shift the bits of `x` to the left by `y` places: `x << y`.

    Args:
        x, y: tensors of integers that broadcast against each other.

    Returns:
        A tensor of the shape to which `x` and `y` broadcast.

    Example:
        >>> keras.ops.left_shift([3], [2])
        tensor([12], dtype=torch.int32)
    """
    return torch.bitwise_left_shift(x, y)


@op(dtype="common", elementwise=True, scalar=True)
def bitwise_right_shift(x: Tensor, y: Tensor) -> Tensor:
    """Shift the bits of `x` to the right by `y` places: `x >> y`. The sign is kept.

    Args:
        x, y: tensors of integers that broadcast against each other.

    Returns:
        A tensor of the shape to which `x` and `y` broadcast.

    Example:
        >>> keras.ops.bitwise_right_shift([12], [2])
        tensor([3], dtype=torch.int32)
    """
    return torch.bitwise_right_shift(x, y)


@op(dtype="common", elementwise=True, scalar=True)
def right_shift(x: Tensor, y: Tensor) -> Tensor:
    """Shift the bits of `x` to the right by `y` places: `x >> y`. The sign is kept.

    Args:
        x, y: tensors of integers that broadcast against each other.

    Returns:
        A tensor of the shape to which `x` and `y` broadcast.

    Example:
        >>> keras.ops.right_shift([12], [2])
        tensor([3], dtype=torch.int32)
    """
    return torch.bitwise_right_shift(x, y)
