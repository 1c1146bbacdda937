"""What regularizers promise by themselves: formulas, user functions and classes, errors."""

from __future__ import annotations

import pytest
import torch

from torchkeras import regularizers


@pytest.fixture
def w(rng):
    return torch.from_numpy(rng.normal(size=(4, 6)))


@pytest.mark.parametrize(
    ("regularizer", "formula"),
    [
        (regularizers.L1(0.1), lambda w: 0.1 * w.abs().sum()),
        (regularizers.L2(0.1), lambda w: 0.1 * (w**2).sum()),
        (regularizers.L1L2(0.1, 0.2), lambda w: 0.1 * w.abs().sum() + 0.2 * (w**2).sum()),
        (regularizers.L1L2(), lambda w: w.sum() * 0),
    ],
)
def test_formula(regularizer, formula, w):
    torch.testing.assert_close(regularizer(w), formula(w))


@pytest.mark.parametrize("mode", ["rows", "columns"])
def test_orthogonal_is_the_mean_absolute_cosine(mode, w):
    vectors = w if mode == "rows" else w.T
    pairs = [(a, b) for i, a in enumerate(vectors) for b in vectors[:i]]
    mean = sum(torch.cosine_similarity(a, b, dim=0).abs() for a, b in pairs) / len(pairs)
    torch.testing.assert_close(regularizers.OrthogonalRegularizer(0.3, mode)(w), 0.3 * mean)
    orthogonal = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64)).Q
    assert regularizers.OrthogonalRegularizer(1.0, mode)(orthogonal) < 1e-12


def test_users_functions_and_classes(w):
    class Cubic(regularizers.Regularizer):
        def __init__(self, strength):
            self.strength = strength

        def __call__(self, x):
            return self.strength * (x.abs() ** 3).sum()

    assert Cubic(2.0).get_config() == {"strength": 2.0}
    described = regularizers.serialize(Cubic(2.0))
    restored = regularizers.deserialize(described, custom_objects={"Cubic": Cubic})
    torch.testing.assert_close(restored(w), Cubic(2.0)(w))

    def largest(x):
        return x.max()

    assert regularizers.get(largest) is largest
    assert regularizers.get(None) is None
    assert type(regularizers.get(regularizers.L1)) is regularizers.L1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: regularizers.L1(-1.0), "l1 must.*-1.0"),
        (lambda: regularizers.L2(float("nan")), "l2 must"),
        (lambda: regularizers.L1L2(l2=float("inf")), "l2 must"),
        (lambda: regularizers.L1("0.1"), "l1 must"),
        (lambda: regularizers.OrthogonalRegularizer(None), "factor must"),
        (lambda: regularizers.OrthogonalRegularizer(mode="diagonal"), "argument `mode`"),
        (lambda: regularizers.OrthogonalRegularizer()(torch.ones(2, 2, 2)), r"\(2, 2, 2\)"),
        (lambda: regularizers.get("l3"), "Known: .*L1L2"),
        (lambda: regularizers.get(0.01), "Could not interpret regularizer identifier: 0.01"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
