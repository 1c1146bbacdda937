"""Bits of integers."""

from __future__ import annotations

import torch
from torch import Tensor

from torchkeras.core.operations.op import op


@op(dtype="common", elementwise=True, scalar=True)
def bitwise_and(x: Tensor, y: Tensor) -> Tensor:
    """`x & y`."""
    return torch.bitwise_and(x, y)


@op(dtype="common", elementwise=True, scalar=True)
def bitwise_or(x: Tensor, y: Tensor) -> Tensor:
    """`x | y`."""
    return torch.bitwise_or(x, y)


@op(dtype="common", elementwise=True, scalar=True)
def bitwise_xor(x: Tensor, y: Tensor) -> Tensor:
    """`x ^ y`."""
    return torch.bitwise_xor(x, y)


@op(elementwise=True)
def bitwise_invert(x: Tensor) -> Tensor:
    """`~x`."""
    return torch.bitwise_not(x)


@op(elementwise=True)
def bitwise_not(x: Tensor) -> Tensor:
    """`~x`."""
    return torch.bitwise_not(x)


@op(dtype="common", elementwise=True, scalar=True)
def bitwise_left_shift(x: Tensor, y: Tensor) -> Tensor:
    """`x << y`."""
    return torch.bitwise_left_shift(x, y)


@op(dtype="common", elementwise=True, scalar=True)
def left_shift(x: Tensor, y: Tensor) -> Tensor:
    """`x << y`."""
    return torch.bitwise_left_shift(x, y)


@op(dtype="common", elementwise=True, scalar=True)
def bitwise_right_shift(x: Tensor, y: Tensor) -> Tensor:
    """`x >> y`; a negative number keeps its sign."""
    return torch.bitwise_right_shift(x, y)


@op(dtype="common", elementwise=True, scalar=True)
def right_shift(x: Tensor, y: Tensor) -> Tensor:
    """`x >> y`; a negative number keeps its sign."""
    return torch.bitwise_right_shift(x, y)
