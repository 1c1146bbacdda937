"""Integers with a scale and a zero point for each group of inputs: the form that GPTQ and AWQ round to."""

from __future__ import annotations

import torch
from torch import Tensor


def affine_parameters(
    weight: Tensor, bits: int, symmetric: bool = False, per_channel: bool = True
) -> tuple[Tensor, Tensor]:
    """The scale and zero point by which the values of each row fit into `bits` bits.

    `integers = round(weight / scale) + zero`, from 0 to `2**bits - 1`. The range always contains 0, so that the zero
    point is one of the integers.

    Args:
        weight: float tensor of shape `(outputs, inputs)`.
        bits: number of bits.
        symmetric: whether the zero point is the middle, `2**(bits - 1)`. Default: `False`.
        per_channel: whether each row has a range of its own. Default: `True`.

    Returns:
        Scale and zero point of shape `(outputs, 1)`, floats both.
    """
    low, high = torch.aminmax(weight, dim=1, keepdim=True)
    if not per_channel:
        low, high = low.min().expand_as(low), high.max().expand_as(high)
    low, high = low.clamp(max=0), high.clamp(min=0)
    most = 2**bits - 1
    if symmetric:
        high = torch.maximum(-low, high)
        low = -high
    scale = (high - low) / most
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    zero = torch.full_like(scale, 2 ** (bits - 1)) if symmetric else torch.round(-low / scale)
    return scale, zero


def round_to_integers(weight: Tensor, scale: Tensor, zero: Tensor, bits: int) -> Tensor:
    """The nearest integers, as floats: `clip(round(weight / scale) + zero, 0, 2**bits - 1)`."""
    return torch.clamp(torch.round(weight / scale) + zero, 0, 2**bits - 1)


def from_integers(integers: Tensor, scale: Tensor, zero: Tensor, group_of_input: Tensor) -> Tensor:
    """The floats that integers stand for: `(integers - zero) * scale`.

    Args:
        integers: tensor of shape `(outputs, inputs)`.
        scale, zero: tensors of shape `(outputs, groups)`.
        group_of_input: the number of each input's group, of shape `(inputs,)`, of any type.

    Returns:
        A tensor of shape `(outputs, inputs)` in the type of `scale`.
    """
    if scale.shape[1] > 1:
        group = group_of_input.to(torch.int64)
        scale, zero = scale[:, group], zero[:, group]
    return (integers.to(scale.dtype) - zero.to(scale.dtype)) * scale


def groups_of_inputs(inputs: int, group_size: int, device: torch.device | None = None) -> Tensor:
    """The number of each input's group; 0 for all if `group_size` is -1."""
    size = inputs if group_size == -1 else group_size
    return torch.arange(inputs, device=device).div(size, rounding_mode="floor")


def round_by_groups(
    weight: Tensor, bits: int, group_size: int, symmetric: bool = False, per_channel: bool = True
) -> tuple[Tensor, Tensor, Tensor]:
    """Integers, scale and zero point of a matrix, each value rounded to the nearest.

    Args:
        weight: float tensor of shape `(outputs, inputs)`.
        bits: number of bits.
        group_size: number of inputs that share a scale; -1 for all.
        symmetric, per_channel: see `affine_parameters`.

    Returns:
        Integers of the shape of `weight`, scale and zero point of shape `(outputs, groups)`: floats all.
    """
    size = weight.shape[1] if group_size == -1 else group_size
    parts = weight.split(size, dim=1)
    found = [affine_parameters(part, bits, symmetric, per_channel) for part in parts]
    rounded = [round_to_integers(part, *pair, bits) for part, pair in zip(parts, found, strict=True)]
    scale, zero = (torch.cat(column, 1) for column in zip(*found, strict=True))
    return torch.cat(rounded, 1), scale, zero
