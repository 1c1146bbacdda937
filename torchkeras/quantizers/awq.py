"""AWQ: scales up the weights of inputs that are large before it rounds, so that their errors are small."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from torchkeras.quantizers.affine import (
    affine_parameters,
    from_integers,
    groups_of_inputs,
    round_by_groups,
    round_to_integers,
)
from torchkeras.quantizers.gptq import Rounded


def awq_scales(
    weight: Tensor, magnitudes: Tensor, bits: int = 4, group_size: int = -1, num_grid_points: int = 20
) -> Tensor:
    """The factors of the inputs with which rounding does least harm.

    Tries `magnitudes ** ratio`, divided by the geometric mean of its extremes, for `num_grid_points + 1` ratios from 0
    to 1. The harm is the mean squared error of the weights, each times the magnitude of its input
    (Lin et al., 2023, arXiv:2306.00978).

    Args:
        weight: float tensor of shape `(outputs, inputs)`.
        magnitudes: largest absolute value of each input, of shape `(inputs,)`.
        bits: number of bits of an integer. Default: `4`.
        group_size: number of inputs that share a scale; -1 for all. Default: `-1`.
        num_grid_points: number of steps between the ratios. Default: `20`.

    Returns:
        A tensor of shape `(inputs,)`: 1 for all where that is best.
    """
    weight, magnitudes = weight.float(), magnitudes.float()
    magnitudes = torch.where(magnitudes < 1e-8, 1.0, magnitudes)
    group = groups_of_inputs(weight.shape[1], group_size, weight.device)
    losses, candidates = [], []
    for i in range(num_grid_points + 1):
        scales = magnitudes.pow(i / num_grid_points).clamp(min=1e-4)
        scales = scales / (scales.max() * scales.min()).sqrt().clamp(min=1e-8)
        found = from_integers(*round_by_groups(weight * scales, bits, group_size), group) / scales
        losses.append(((weight - found) * magnitudes).square().mean())
        candidates.append(scales)
    return candidates[int(torch.stack(losses).argmin())]


# Limits from the largest absolute value of a group down to half of it are tried.
_LIMITS = [1.0 - 0.5 * i / 20 for i in range(20)]


def clipped(weight: Tensor, products: Sequence[Tensor], bits: int = 4) -> Tensor:
    """Clip the values of each output within each group so that rounding changes the output least.

    A smaller range makes the steps of the integers smaller, which may be worth the error of the largest values. With an
    error `d` of the group's weights the output's squared error over all inputs is `d @ products @ d`.

    Args:
        weight: float tensor of shape `(outputs, inputs)`.
        products: for each group of inputs the sum of `outer(x, x)` over its inputs `x`.
        bits: number of bits of an integer. Default: `4`.

    Returns:
        A tensor of the shape of `weight`.
    """
    parts = []
    for part, product in zip(weight.split([len(p) for p in products], dim=1), products, strict=True):
        largest = part.abs().amax(1, keepdim=True)
        best, least = part, torch.full_like(largest, torch.inf)
        for share in _LIMITS:
            candidate = torch.clamp(part, -share * largest, share * largest)
            scale, zero = affine_parameters(candidate, bits)
            error = (round_to_integers(candidate, scale, zero, bits) - zero) * scale - part
            harm = ((error @ product) * error).sum(1, keepdim=True)
            best, least = torch.where(harm < least, candidate, best), torch.minimum(harm, least)
        parts.append(best)
    return torch.cat(parts, 1)


def awq_round(
    weight: Tensor,
    magnitudes: Tensor,
    bits: int = 4,
    group_size: int = -1,
    num_grid_points: int = 20,
    products: Sequence[Tensor] | None = None,
) -> tuple[Rounded, Tensor]:
    """Round a weight with the factors of `awq_scales`.

    Args:
        weight, magnitudes, bits, group_size, num_grid_points: as in `awq_scales`.
        products: see `clipped`; `None` does not clip. Default: `None`.

    Returns:
        The integers of the scaled weight with their scales and zero points, and the factors.
    """
    scales = awq_scales(weight, magnitudes, bits, group_size, num_grid_points)
    scaled = weight.float() * scales
    if products is not None:
        parts = scales.split([len(p) for p in products])
        scaled = clipped(scaled, [p / torch.outer(s, s) for p, s in zip(products, parts, strict=True)], bits)
    integers, scale, zero = round_by_groups(scaled, bits, group_size)
    group = groups_of_inputs(weight.shape[1], group_size, weight.device)
    return Rounded(integers.to(torch.uint8), scale, zero, group), scales
