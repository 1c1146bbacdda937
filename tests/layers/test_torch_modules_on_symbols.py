"""A plain torch module called on a symbolic tensor becomes part of the functional model."""

import copy

import pytest
import torch
from torch import nn

import torchkeras as keras


class Residual(nn.Module):
    """Methods, operators and inner modules."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(6, 6)
        self.last = nn.Linear(6, 2)

    def forward(self, x):
        x = x.flatten(1)
        y = x + torch.relu(self.inner(x)) * 2
        return self.last(y).view(y.size(0), 2, 1) - 1


MODULES = {
    "linear": (lambda: nn.Linear(6, 2), (6,)),
    "sequence": (lambda: nn.Sequential(nn.Linear(6, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 2)), (6,)),
    "convolution": (lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 2)), (3, 6, 6)),
    "own module": (Residual, (2, 3)),
}


@pytest.mark.parametrize("kind", MODULES)
def test_is_a_layer_of_the_model(kind):
    make, shape = MODULES[kind]
    module = make()
    x = keras.Input(shape)
    y = module(keras.layers.Rescaling(2.0)(x))
    model = keras.Model(x, keras.layers.Rescaling(3.0)(y))
    data = torch.randn(5, *shape)
    expected = module.eval()(data * 2) * 3
    torch.testing.assert_close(model(data), expected)
    assert y.shape == (None, *expected.shape[1:])
    assert {id(p) for p in model.parameters()} == {id(p) for p in module.parameters()}
    assert len(model.layers) == 4
    torch.testing.assert_close(copy.deepcopy(model)(data), expected)


def test_a_module_called_twice_is_one_layer_and_trains():
    module = nn.Linear(4, 4)
    x = keras.Input((4,))
    model = keras.Model(x, keras.layers.Dense(1)(module(module(x))))
    assert len(model.layers) == 3
    before = module.weight.detach().clone()
    model.compile("sgd", "mse")
    model.fit(torch.randn(16, 4), torch.randn(16, 1), epochs=1, verbose=0)
    assert not torch.equal(module.weight, before)


def test_a_module_is_the_output():
    x = keras.Input((4,))
    model = keras.Model(x, nn.Linear(4, 2)(x))
    assert model.output_shape == (None, 2)
    assert model(torch.ones(3, 4)).shape == (3, 2)


def test_what_is_not_possible_is_said():
    class Two(nn.Module):
        def forward(self, x):
            return torch.relu(x), torch.tanh(x)

    x = keras.Input((5, 4))
    with pytest.raises(TypeError, match="Two gives tuple.*TorchModuleWrapper"):
        Two()(x)
    with pytest.raises(TypeError, match=r"relu.*KerasTensor"):
        torch.relu(x)
    with pytest.raises(AttributeError, match="flatten"):
        x.flatten(1)
