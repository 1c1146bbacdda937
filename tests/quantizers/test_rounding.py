"""GPTQ and AWQ as formulas: against the definition in float64, and against rounding each value to the nearest."""

from __future__ import annotations

import itertools

import pytest
import torch

from torchkeras.quantizers import affine
from torchkeras.quantizers.awq import awq_round, awq_scales
from torchkeras.quantizers.gptq import Hessian, gptq_round


def correlated(samples: int, features: int) -> torch.Tensor:
    """Inputs that depend on each other and differ in size, as those of layers do."""
    return torch.randn(samples, features) @ torch.randn(features, features) * torch.linspace(0.1, 3, features)


def floats(rounded) -> torch.Tensor:
    return affine.from_integers(rounded.integers, rounded.scale, rounded.zero, rounded.group_of_input)


def error(weight: torch.Tensor, found: torch.Tensor, inputs: torch.Tensor) -> float:
    return float(((weight - found) @ inputs.t()).square().mean())


@pytest.mark.parametrize(
    ("bits", "symmetric", "per_channel"), list(itertools.product((2, 4, 8), (False, True), (False, True)))
)
def test_parameters_cover_each_row_and_have_zero_among_the_integers(bits, symmetric, per_channel):
    weight = torch.randn(6, 40) + torch.tensor([-9.0, -1, 0, 1, 9, 0]).unsqueeze(1)
    weight[5] = 0
    scale, zero = affine.affine_parameters(weight, bits, symmetric, per_channel)
    integers = affine.round_to_integers(weight, scale, zero, bits)
    assert 0 <= integers.min() and integers.max() <= 2**bits - 1
    assert zero.min() >= 0 and (zero <= 2**bits - 1).all() and (zero == zero.round()).all()
    off = ((integers - zero) * scale - weight).abs()
    reach = scale * (1.01 if symmetric else 0.51) + 1e-5  # an even number of integers has no middle
    assert (off <= reach + (0 if not symmetric else scale / 2)).all()
    if symmetric:
        assert (zero == 2 ** (bits - 1)).all()
    if not per_channel:
        assert scale.unique().numel() == zero.unique().numel() == 1


def one_by_one(weight, hessian, bits, group_size, damping):
    """The definition, with the exact inverse for the columns that are left, in float64.

    Returns:
        The integers, and each row's smallest distance between a value that was rounded and the middle of two integers.
    """
    weight, hessian = weight.double().clone(), hessian.double()
    hessian = hessian + damping * hessian.diagonal().mean() * torch.eye(len(hessian), dtype=torch.float64)
    size = weight.shape[1] if group_size == -1 else group_size
    integers, distances = [], []
    for i in range(weight.shape[1]):
        if i % size == 0:
            low = weight[:, i : i + size].amin(1, keepdim=True).clamp(max=0)
            scale, zero = affine.affine_parameters(weight[:, i : i + size], bits)
            distances.append((low / scale).frac().abs().sub(0.5).abs())
        column = weight[:, i : i + 1]
        integers.append(affine.round_to_integers(column, scale, zero, bits))
        distances.append((column / scale).frac().abs().sub(0.5).abs())
        inverse = torch.linalg.inv(hessian[i:, i:])
        weight[:, i:] -= (column - (integers[-1] - zero) * scale) / inverse[0, 0] * inverse[:1]
    return torch.cat(integers, 1), torch.cat(distances, 1).amin(1)


@pytest.mark.parametrize("group_size", [-1, 5, 16])
def test_gptq_is_its_definition(group_size, monkeypatch):
    monkeypatch.setattr("torchkeras.quantizers.gptq._BLOCK", 7)
    inputs, weight = correlated(90, 32), torch.randn(6, 32)
    hessian = Hessian(32, torch.device("cpu"))
    for part in inputs.split(40):
        hessian.update(part)
    torch.testing.assert_close(hessian.matrix, 2 / 90 * inputs.t() @ inputs, rtol=1e-4, atol=1e-3)
    found = gptq_round(weight, hessian.matrix, 4, group_size, damping=0.01)
    expected, distances = one_by_one(weight, hessian.matrix, 4, group_size, 0.01)
    certain = distances > 1e-3  # nearer to the middle of two integers, float32 may go the other way, as may all behind
    assert certain.any() and found.integers[certain].equal(expected[certain].byte())
    assert found.scale.shape == found.zero.shape == (6, -(-32 // (32 if group_size == -1 else group_size)))


@pytest.mark.parametrize(
    ("bits", "group_size", "symmetric", "per_channel", "order"),
    [
        (4, -1, False, True, False),
        (4, 8, False, True, True),
        (4, 12, True, True, False),
        (3, 16, True, True, True),
        (2, 32, False, True, False),
        (8, 8, True, True, False),
        (4, -1, False, False, True),
    ],
)
def test_gptq_beats_rounding_to_the_nearest(bits, group_size, symmetric, per_channel, order):
    inputs, weight = correlated(200, 48), torch.randn(128, 48)
    inputs[:, 7] = 0  # an input that is never seen
    hessian = inputs.t() @ inputs
    found = gptq_round(weight, hessian, bits, group_size, symmetric, per_channel, 0.01, order)
    integers, scale, zero = affine.round_by_groups(weight, bits, group_size, symmetric, per_channel)
    nearest = affine.from_integers(integers, scale, zero, affine.groups_of_inputs(48, group_size))
    assert found.integers.dtype == torch.uint8 and int(found.integers.max()) < 2**bits
    assert error(weight, floats(found), inputs) < 0.9 * error(weight, nearest, inputs)
    if group_size == 8 and order:  # the groups are those of the inputs in the order in which they were rounded
        first = hessian.diagonal().argsort(descending=True, stable=True)[:8]
        assert (found.group_of_input[first] == 0).all()


def test_gptq_of_a_singular_hessian_and_of_a_broken_one():
    ratios = []
    for _ in range(8):  # one alone may come near 1
        inputs, weight = correlated(4, 24), torch.randn(50, 24)
        found = gptq_round(weight, inputs.t() @ inputs, damping=0.0)
        nearest = affine.from_integers(*affine.round_by_groups(weight, 4, -1), affine.groups_of_inputs(24, -1))
        ratios.append(error(weight, floats(found), inputs) / error(weight, nearest, inputs))
    assert sum(ratios) / len(ratios) < 0.7, ratios
    with pytest.raises(ValueError, match="Are the inputs of the layer finite"):
        gptq_round(weight, torch.full((24, 24), torch.nan))


@pytest.mark.parametrize("group_size", [-1, 8, 12])
def test_awq_takes_the_best_of_the_factors_it_tries(group_size):
    inputs, weight = correlated(100, 32), torch.randn(8, 32)
    largest = inputs.abs().amax(0)
    largest[3] = 0
    scales = awq_scales(weight, largest, group_size=group_size, num_grid_points=10)

    def harm(factors):
        integers, scale, zero = affine.round_by_groups(weight * factors, 4, group_size)
        found = affine.from_integers(integers, scale, zero, affine.groups_of_inputs(32, group_size)) / factors
        return float(((weight - found).double() * torch.where(largest == 0, 1, largest)).square().mean())

    safe = torch.where(largest == 0, 1.0, largest)
    tried = [safe ** (i / 10) for i in range(11)]
    tried = [factors / (factors.max() * factors.min()).sqrt() for factors in tried]
    assert harm(scales) == pytest.approx(min(harm(factors) for factors in tried), rel=1e-4)
    rounded, factors = awq_round(weight, largest, group_size=group_size, num_grid_points=10)
    torch.testing.assert_close(factors, scales)
    nearest = affine.from_integers(
        *affine.round_by_groups(weight, 4, group_size), affine.groups_of_inputs(32, group_size)
    )
    weighted = torch.diag(largest)
    assert error(weight, floats(rounded) / factors, weighted) <= error(weight, nearest, weighted) * 1.0001


@pytest.mark.parametrize("group_size", [8, 12, -1])
def test_clipping_lessens_the_error_of_the_outputs(group_size):
    weight, inputs = torch.randn(6, 24), correlated(200, 24)
    weight[:, ::7] *= 4  # values far out, which widen the range of all others
    magnitudes = inputs.abs().amax(0)
    parts = inputs.split(24 if group_size == -1 else group_size, 1)
    products = [part.t() @ part for part in parts]

    def harm(found, scales):
        """The sum over the groups of the squared errors of their parts of the outputs, which clipping makes smaller."""
        error = (floats(found) / scales - weight).split([part.shape[1] for part in parts], 1)
        return float(sum((x @ e.t()).square().sum() for x, e in zip(parts, error, strict=True)))

    plain = harm(*awq_round(weight, magnitudes, 4, group_size))
    assert harm(*awq_round(weight, magnitudes, 4, group_size, products=products)) < plain
