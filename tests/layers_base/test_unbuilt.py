"""Layers without weights yet inside torch modules: a warning, or an error where values would be lost."""

import copy
import io
import re
import warnings

import numpy as np
import pytest
import torch
from torch import nn

import torchkeras as keras
from tests.torch_promises.cases import LAYERS, built
from torchkeras import layers


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.start = nn.Linear(3, 4)
        self.blocks = nn.ModuleList([layers.Dense(4), layers.Dropout(0.1), keras.Sequential([layers.Dense(2)])])
        self.ready = layers.Dense(1)
        self.ready.build((None, 2))

    def forward(self, x):
        x = self.start(x)
        for block in self.blocks:
            x = block(x)
        return self.ready(x)


def texts(caught):
    return [str(w.message) for w in caught if "without weights yet" in str(w.message)]


@pytest.mark.parametrize(
    "walk", [lambda net: torch.optim.SGD(net.parameters(), 0.1), lambda net: dict(net.named_parameters())]
)
def test_parameters_of_a_torch_module_name_unbuilt_layers_once(walk):
    net = Net()
    with pytest.warns(UserWarning) as caught:
        walk(net)
        walk(net)
        net.state_dict()
    (text,) = texts(caught)
    assert re.search(r"in Net: 'blocks\.0' \(Dense\), 'blocks\.2' \(Sequential\)\..*layer\.build\(input_shape\)", text)
    assert [w.filename for w in caught] == [__file__], "the user's line"


@pytest.mark.parametrize("make", [Net, lambda: keras.Sequential([layers.Dense(2)]), lambda: layers.Dense(2)])
def test_a_state_without_the_weights_of_unbuilt_layers_is_told_once(make):
    module = make()
    with pytest.warns(UserWarning, match="Layers without weights yet: '.*Dense|Sequential"):
        module.state_dict()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        module.state_dict()
    assert not texts(caught)


def test_built_layers_are_silent(recwarn):
    net = Net()
    net(torch.ones(2, 3))
    torch.optim.SGD(net.parameters(), 0.1)
    assert len(net.state_dict()) == len(list(net.parameters())) == 8
    assert not texts(recwarn)


def test_what_keeps_weights_of_no_kind_is_silent(recwarn):
    """Walks that a layer begins, moving a module, copies, and layers that have nothing to build."""

    class Doubling(layers.Layer):
        def call(self, x):
            return x * 2

    for row in LAYERS:
        if not built(row).weights:
            module = nn.Sequential(nn.Linear(1, 1), row.make())
            list(module.parameters())
            module.state_dict()
    module = nn.Sequential(nn.Linear(1, 1), Doubling(), keras.Sequential([layers.Dropout(0.5), Doubling()]))
    list(module.parameters())
    module.state_dict()
    net = Net()
    net.double().train().eval()
    copy.deepcopy(net)
    model = keras.Sequential([layers.Dense(2), layers.TorchModuleWrapper(nn.Linear(2, 2)), layers.Dense(1)])
    list(model.parameters())
    model.compile("sgd", "mse")
    model.fit(np.ones((2, 2)), np.ones((2, 1)), verbose=0)
    assert not texts(recwarn)


@pytest.mark.parametrize("strict", [True, False])
def test_a_state_with_values_for_an_unbuilt_layer_is_refused(strict):
    trained = Net()
    trained(torch.ones(1, 3))
    with pytest.raises(RuntimeError, match=r"layer 'blocks\.0' \(Dense\) is not built.*before load_state_dict"):
        Net().load_state_dict(trained.state_dict(), strict=strict)
    file = io.BytesIO()
    torch.save(trained.state_dict(), file)
    file.seek(0)
    ready = Net()
    ready(torch.ones(1, 3))
    ready.load_state_dict(torch.load(file))
    torch.testing.assert_close(ready.eval()(torch.ones(1, 3)), trained.eval()(torch.ones(1, 3)))


class NoInit(layers.Layer):
    def __init__(self):
        self.units = 3

    def call(self, x):
        return x


class ModelNoInit(keras.Model):
    def __init__(self):
        self.dense = layers.Dense(2)

    def call(self, x):
        return self.dense(x)


USES = {
    "call": lambda layer: layer(np.ones((1, 2))),
    "symbolic call": lambda layer: layer(keras.Input((2,))),
    "name": lambda layer: layer.name,
    "add_weight": lambda layer: layer.add_weight((2,)),
    "get_config": lambda layer: layer.get_config(),
    "in a stack": lambda layer: keras.Sequential([layer]),
}
MODEL_USES = {
    "compile": lambda model: model.compile("sgd", "mse"),
    "predict": lambda model: model.predict(np.ones((1, 2)), verbose=0),
    "summary": lambda model: model.summary(),
    "print": lambda model: print(model),
}


@pytest.mark.parametrize(
    ("cls", "use"),
    [(NoInit, use) for use in USES.values()] + [(ModelNoInit, use) for use in (USES | MODEL_USES).values()],
)
def test_a_forgotten_super_init_is_told_in_one_line(cls, use):
    with pytest.raises(RuntimeError) as raised:
        use(cls())
    message = str(raised.value).splitlines()[0]
    assert f"In layer '{cls.__name__}', you forgot to call `super().__init__()` as the first statement" in message
