"""What activations promise by themselves: formulas in float64, what `get` takes, compilation, errors."""

from __future__ import annotations

import pytest
import torch

from torchkeras import activations
from torchkeras.core.registry import custom_object_scope, register_keras_serializable

X = torch.linspace(-5, 5, 41, dtype=torch.float64)
FORMULAS = {
    "celu": lambda x: x.clamp(min=0) + torch.expm1(x).clamp(max=0),
    "elu": lambda x: torch.where(x > 0, x, torch.expm1(x)),
    "exponential": torch.exp,
    "gelu": lambda x: x * (1 + torch.erf(x / 2**0.5)) / 2,
    "hard_shrink": lambda x: x * (x.abs() > 0.5),
    "hard_sigmoid": lambda x: (x / 6 + 0.5).clamp(0, 1),
    "hard_silu": lambda x: x * (x / 6 + 0.5).clamp(0, 1),
    "hard_tanh": lambda x: x.clamp(-1, 1),
    "leaky_relu": lambda x: torch.where(x > 0, x, 0.2 * x),
    "linear": lambda x: x,
    "log_sigmoid": lambda x: -torch.log1p(torch.exp(-x)),
    "log_softmax": lambda x: x - torch.log(torch.exp(x).sum()),
    "mish": lambda x: x * torch.tanh(torch.log1p(torch.exp(x))),
    "relu": lambda x: x * (x > 0),
    "relu6": lambda x: x.clamp(0, 6),
    "selu": lambda x: 1.0507009873554805 * torch.where(x > 0, x, 1.6732632423543772 * torch.expm1(x)),
    "sigmoid": lambda x: 1 / (1 + torch.exp(-x)),
    "silu": lambda x: x / (1 + torch.exp(-x)),
    "soft_shrink": lambda x: x.sign() * (x.abs() - 0.5).clamp(min=0),
    "softmax": lambda x: torch.exp(x) / torch.exp(x).sum(),
    "softplus": lambda x: torch.log1p(torch.exp(x)),
    "softsign": lambda x: x / (1 + x.abs()),
    "sparse_plus": lambda x: torch.where(x < 1, (x.clamp(min=-1) + 1) ** 2 / 4, x),
    "sparse_sigmoid": lambda x: ((x + 1) / 2).clamp(0, 1),
    "squareplus": lambda x: (x + (x**2 + 4).sqrt()) / 2,
    "tanh": torch.tanh,
    "tanh_shrink": lambda x: x - torch.tanh(x),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_formula(name):
    torch.testing.assert_close(getattr(activations, name)(X), FORMULAS[name](X), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("name", [*FORMULAS, "sparsemax", "glu"])
def test_compiles_to_one_graph(name):
    function = torch.compile(getattr(activations, name), fullgraph=True, backend="eager")
    x = X[:40]
    torch.testing.assert_close(function(x), getattr(activations, name)(x))


@pytest.mark.parametrize("axis", [None, (0, 1), (2, 0), (0, 1, 2), [1]])
def test_softmax_over_several_axes_sums_to_one(axis, rng):
    x = torch.from_numpy(rng.normal(size=(2, 3, 4)))
    y = activations.softmax(x, axis)
    axes = (0, 1, 2) if axis is None else tuple(axis)
    torch.testing.assert_close(y.sum(axes), torch.ones_like(y.sum(axes)))
    torch.testing.assert_close(activations.log_softmax(x, axis), y.log())


def test_keywords():
    torch.testing.assert_close(activations.relu(x=X, max_value=2), X.clamp(0, 2))


def test_get_takes_callables_and_none(rng):
    module = torch.nn.Softplus()
    for given in (module, torch.relu, torch.nn.functional.silu, activations.gelu):
        assert activations.get(given) is given
    assert activations.get(None) is activations.linear
    assert isinstance(activations.get(torch.nn.ReLU), torch.nn.ReLU)


def test_registered_functions_go_round():
    @register_keras_serializable(package="test_activations")
    def doubled(x):
        return 2 * x

    def tripled(x):
        return 3 * x

    assert activations.deserialize(activations.serialize(doubled)) is doubled
    assert activations.get("test_activations>doubled") is doubled
    assert activations.deserialize("tripled", custom_objects={"tripled": tripled}) is tripled
    with custom_object_scope({"tripled": tripled}):
        assert activations.get("tripled") is tripled
        assert activations.get(activations.serialize(tripled)) is tripled


@pytest.mark.parametrize("given", ["rellu", "relu()", "", 3, object()])
def test_unknown_activations(given):
    with pytest.raises(ValueError, match="activation"):
        activations.get(given)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"Did you mean 'relu'.*sparsemax"):
        activations.get("rellu")
