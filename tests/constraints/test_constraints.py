"""What constraints promise by themselves: the sets that they project on, user functions, errors."""

from __future__ import annotations

import pytest
import torch

from torchkeras import constraints


@pytest.fixture
def w(rng):
    return torch.from_numpy(rng.normal(scale=3.0, size=(4, 6)))


@pytest.mark.parametrize("axis", [0, 1, (0, 1)])
def test_norms(axis, w):
    def norms(x):
        return torch.linalg.vector_norm(x, dim=axis)

    ones = torch.ones_like(norms(w))
    torch.testing.assert_close(norms(constraints.UnitNorm(axis)(w)), ones, rtol=1e-5, atol=0)
    largest = float(norms(w).median())
    torch.testing.assert_close(
        norms(constraints.MaxNorm(largest, axis)(w)), norms(w).clamp(max=largest), rtol=1e-5, atol=0
    )
    bounded = constraints.MinMaxNorm(1.0, largest, rate=0.5, axis=axis)(w)
    expected = (norms(w).clamp(1.0, largest) + norms(w)) / 2
    torch.testing.assert_close(norms(bounded), expected, rtol=1e-5, atol=0)


def test_signs(w):
    assert torch.equal(constraints.NonNeg()(w), w.clamp(min=0))


@pytest.mark.parametrize("name", ["MaxNorm", "NonNeg", "UnitNorm", "MinMaxNorm"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_type_and_argument_stay(name, dtype, w):
    w = w.to(getattr(torch, dtype))
    before = w.clone()
    assert getattr(constraints, name)()(w).dtype == w.dtype
    assert torch.equal(w, before)


def test_users_functions_and_classes(w):
    class Centered(constraints.Constraint):
        def __init__(self, center=0.0):
            self.center = center

        def __call__(self, w):
            return w - w.mean() + self.center

    assert Centered(1.0).get_config() == {"center": 1.0}
    described = constraints.serialize(Centered(1.0))
    restored = constraints.deserialize(described, custom_objects={"Centered": Centered})
    torch.testing.assert_close(restored(w), Centered(1.0)(w))
    assert constraints.get(torch.abs) is torch.abs
    assert constraints.get(None) is None
    assert type(constraints.get(constraints.NonNeg)) is constraints.NonNeg


@pytest.mark.parametrize(
    ("given", "message"),
    [("max_nrom", "Did you mean.*UnitNorm"), (2.0, "Could not interpret constraint identifier: 2.0")],
)
def test_errors(given, message):
    with pytest.raises(ValueError, match=message):
        constraints.get(given)
