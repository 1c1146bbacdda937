"""GPTQ: rounds the columns of a weight one after the other, and corrects the later ones for each one's error."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from torchkeras.quantizers.affine import affine_parameters, groups_of_inputs, round_to_integers

# Columns whose errors reach those behind them in one product of matrices.
_BLOCK = 128


class Rounded(NamedTuple):
    """A matrix as integers.

    Attributes:
        integers: uint8 tensor of shape `(outputs, inputs)`.
        scale, zero: float tensors of shape `(outputs, groups)`.
        group_of_input: the number of each input's group.
    """

    integers: Tensor
    scale: Tensor
    zero: Tensor
    group_of_input: Tensor


class Hessian:
    """The mean of `2 x x^T` over the inputs `x` of a layer: the second derivatives of its squared error.

    Args:
        features: number of input features.
        device: where it is computed.
    """

    def __init__(self, features: int, device: torch.device) -> None:
        self.matrix = torch.zeros(features, features, device=device)
        self.samples = 0

    def update(self, inputs: Tensor) -> None:
        """Add inputs of shape `(samples, features)`."""
        inputs = inputs.float()
        total = self.samples + len(inputs)
        self.matrix.addmm_(inputs.t(), inputs, beta=self.samples / total, alpha=2 / total)
        self.samples = total


def gptq_round(
    weight: Tensor,
    hessian: Tensor,
    bits: int = 4,
    group_size: int = -1,
    symmetric: bool = False,
    per_channel: bool = True,
    damping: float = 0.01,
    activation_order: bool = False,
) -> Rounded:
    """Round a weight so that the error of the outputs is small, not that of the weight.

    For one column after the other: round it, divide its error by its entry on the diagonal of the factor `U` of the
    inverse Hessian (`inverse = U^T U`), and take that times the factor's row off the columns behind it
    (Frantar et al., 2022, arXiv:2210.17323).

    Args:
        weight: float tensor of shape `(outputs, inputs)`.
        hessian: symmetric tensor of shape `(inputs, inputs)`.
        bits: number of bits of an integer. Default: `4`.
        group_size: number of inputs that share a scale; -1 for all. Default: `-1`.
        symmetric, per_channel: see `affine_parameters`.
        damping: share of the diagonal's mean that is added to the diagonal. Default: `0.01`.
        activation_order: whether inputs with larger entries on the diagonal come first. Default: `False`.

    Returns:
        The integers in the order of `weight`, their scales and zero points.
    """
    weight = weight.float().clone()
    inputs = weight.shape[1]
    hessian = hessian.float()
    order = None
    if activation_order:
        order = torch.argsort(hessian.diagonal(), descending=True, stable=True)
        weight, hessian = weight[:, order], hessian[order][:, order]
    factor = _factor_of_inverse(hessian, damping)
    size = inputs if group_size == -1 else group_size
    block = _BLOCK if group_size == -1 else size * max(1, _BLOCK // size)  # a group lies within a block
    scale, zero = affine_parameters(weight, bits, symmetric, per_channel)
    scales, zeros = [], []
    integers = torch.empty_like(weight)
    for start in range(0, inputs, block):
        now = weight[:, start : start + block]  # a view: corrected in place
        own = factor[start : start + block, start : start + block]
        errors = torch.empty_like(now)
        for i in range(now.shape[1]):
            if group_size == -1 and start == i == 0 or group_size != -1 and i % size == 0:
                if group_size != -1:
                    scale, zero = affine_parameters(now[:, i : i + size], bits, symmetric, per_channel)
                scales.append(scale)
                zeros.append(zero)
            column = now[:, i : i + 1]
            rounded = round_to_integers(column, scale, zero, bits)
            integers[:, start + i : start + i + 1] = rounded
            error = (column - (rounded - zero) * scale) / own[i, i]
            now[:, i + 1 :].addmm_(error, own[i : i + 1, i + 1 :], alpha=-1)
            errors[:, i : i + 1] = error
        weight[:, start + block :].addmm_(errors, factor[start : start + block, start + block :], alpha=-1)
    group = groups_of_inputs(inputs, group_size, weight.device)
    if order is not None:
        back = torch.argsort(order)
        integers, group = integers[:, back], group[back]
    return Rounded(integers.to(torch.uint8), torch.cat(scales, 1), torch.cat(zeros, 1), group)


def _factor_of_inverse(hessian: Tensor, damping: float) -> Tensor:
    """The upper factor `U` of the inverse `U^T U` of a damped Hessian, damped more where it is singular still."""
    diagonal = hessian.diagonal()
    unseen = diagonal == 0  # inputs that were 0 throughout: rounded to the nearest
    mean = torch.where(unseen, 1.0, diagonal).mean()
    for attempt in range(8):
        # Less than 0.01 leaves directions almost free: corrections along them leave the range of the integers.
        share = damping if attempt == 0 else max(damping, 1e-3) * 10.0**attempt
        damped = hessian + torch.diag(share * mean + unseen.to(hessian.dtype))
        lower, failed = torch.linalg.cholesky_ex(damped)
        if not failed:
            factor, failed = torch.linalg.cholesky_ex(torch.cholesky_inverse(lower), upper=True)
            if not failed and bool(torch.isfinite(factor).all()):
                return factor
    raise ValueError(
        f"The Hessian must be finite and have no negative eigenvalues; its diagonal goes from {float(diagonal.min())} "
        f"to {float(diagonal.max())}. Are the inputs of the layer finite?"
    )
