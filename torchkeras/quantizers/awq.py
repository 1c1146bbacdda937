"""AWQ: scales up the weights of inputs that are large before it rounds, so that their errors are small."""

from __future__ import annotations

import torch
from torch import Tensor

from torchkeras.quantizers.affine import from_integers, groups_of_inputs, round_by_groups
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


def awq_round(
    weight: Tensor, magnitudes: Tensor, bits: int = 4, group_size: int = -1, num_grid_points: int = 20
) -> tuple[Rounded, Tensor]:
    """Round a weight with the factors of `awq_scales`; the arguments are the same.

    Returns:
        The integers of the scaled weight with their scales and zero points, and the factors.
    """
    scales = awq_scales(weight, magnitudes, bits, group_size, num_grid_points)
    integers, scale, zero = round_by_groups(weight.float() * scales, bits, group_size)
    group = groups_of_inputs(weight.shape[1], group_size, weight.device)
    return Rounded(integers.to(torch.uint8), scale, zero, group), scales
