"""The training mode of a layer that becomes part of a torch module, and of a torch module in a layer."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import torchkeras as keras
from torchkeras import layers


def model():
    return keras.Sequential([keras.Input((64,)), layers.Dropout(0.5), layers.BatchNormalization()])


class Net(nn.Module):
    def __init__(self, part):
        super().__init__()
        self.part = part

    def forward(self, x):
        return self.part(x)


class InList(nn.Module):
    def __init__(self, part):
        super().__init__()
        self.parts = nn.ModuleList([part])

    def forward(self, x):
        return self.parts[0](x)


@pytest.mark.parametrize("wrap", [nn.Sequential, Net, InList, lambda part: Net(nn.Sequential(part))])
def test_a_model_in_a_torch_module_trains_with_it(wrap):
    whole = wrap(model())
    x = torch.ones(8, 64)
    assert all(module.training for module in whole.modules())
    assert float((whole(x) == 0).float().mean()) < 1  # batch statistics
    dropout = next(m for m in whole.modules() if isinstance(m, layers.Dropout))
    assert 0.2 < float((dropout(x) == 0).float().mean()) < 0.8
    normalization = next(m for m in whole.modules() if isinstance(m, layers.BatchNormalization))
    assert not torch.equal(normalization.moving_mean, torch.zeros(64))
    whole.eval()
    torch.testing.assert_close(dropout(x), x)


def test_a_model_of_its_own_is_inference():
    one, x = model(), torch.ones(8, 64)
    torch.testing.assert_close(one(x), one(x, training=False))
    assert not any(module.training for module in one.modules())


def test_a_mode_that_was_chosen_stays():
    frozen = model().eval()
    assert not any(module.training for module in Net(frozen).part.modules())
    trained = model().train()
    assert all(module.training for module in Net(trained).eval().train().part.modules())


def test_compiling_and_exporting_keep_the_mode():
    one, x = model(), torch.ones(8, 64)
    expected = one(x)
    torch.testing.assert_close(torch.compile(one, backend="eager")(x), expected)
    torch.testing.assert_close(torch.export.export(one, (x,)).module()(x), expected)
    torch.testing.assert_close(torch.export.export(one, (x,), strict=True).module()(x), expected)
    torch.testing.assert_close(copy.deepcopy(one)(x), expected)
    assert not any(module.training for module in one.modules())


class WithTorch(keras.Model):
    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(0.5)
        self.row = [nn.Dropout(0.5), nn.Sequential(nn.Dropout(0.5), layers.Dropout(0.5))]

    def call(self, x):
        for module in (self.drop, *self.row):
            x = module(x)
        return x


def test_torch_modules_in_a_model_follow_it():
    one, x = WithTorch(), torch.ones(4, 64)
    torch.testing.assert_close(one(x), x)
    one.train()
    assert float((one(x) == 0).float().mean()) > 0.7
    whole = nn.Sequential(WithTorch())
    assert float((whole(x) == 0).float().mean()) > 0.7


def test_layers_made_by_build_take_the_mode_of_their_layer():
    class Late(layers.Layer):
        def build(self, shape):
            self.inner = layers.Dropout(0.5)

        def call(self, x):
            return self.inner(x)

    x = torch.ones(4, 64)
    assert float((Late().train()(x) == 0).float().mean()) > 0.2
    torch.testing.assert_close(Late()(x), x)


def test_a_loop_of_ones_own_sees_the_gradients_of_dropout():
    net = nn.Sequential(nn.Linear(4, 64), keras.Sequential([layers.Dropout(0.5), layers.Dense(1)]))
    x = torch.randn(16, 4)
    outputs = {float(net(x).sum().detach()) for _ in range(4)}
    assert len(outputs) > 1
    net.eval()
    assert len({float(net(x).sum().detach()) for _ in range(4)}) == 1


def test_fit_leaves_the_mode_alone():
    one = model()
    one.compile("sgd", "mse")
    x = torch.randn(16, 64)
    one.fit(x, x, verbose=0)
    torch.testing.assert_close(one(x), one(x, training=False))


@pytest.mark.parametrize("wrap", [torch.nn.Sequential, lambda layer: keras.Sequential([keras.Input((6, 6, 3)), layer])])
def test_layers_that_train_by_default_follow_a_chosen_mode(wrap):
    """Image layers augment where nobody says anything, as in Keras; `eval()` says something."""
    layer = keras.layers.RandomBrightness(0.9)
    x = torch.rand(2, 6, 6, 3) * 100 + 50
    assert not torch.equal(layer(x), x)
    module = wrap(layer).eval()
    assert torch.equal(module(x), x)
    assert not torch.equal(module.train()(x), x)
