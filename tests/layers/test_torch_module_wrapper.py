"""A torch module in a Keras model under dtype policies: as its author would run it."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import nn

import torchkeras as keras
from torchkeras import layers


def network():
    return nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 3))


MIXED = {"mixed_bfloat16": torch.bfloat16, "mixed_float16": torch.float16}


@pytest.mark.parametrize("policy", MIXED)
def test_a_mixed_policy_is_torchs_autocast(policy):
    module, x = network(), torch.randn(5, 6)
    with torch.autocast("cpu", MIXED[policy]):
        expected = module(x)
    layer = layers.TorchModuleWrapper(module, dtype=policy)
    found = layer(x)
    assert found.dtype == MIXED[policy] and layer.compute_dtype == policy.removeprefix("mixed_")
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    assert {p.dtype for p in module.parameters()} == {torch.float32}
    torch.testing.assert_close(layer(x.to(MIXED[policy])).float(), expected.float(), rtol=0.05, atol=0.05)


def test_between_layers_of_a_mixed_model():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        inputs = keras.Input((6,))
        hidden = layers.Dense(6)(inputs)
        outputs = network()(hidden)
        model = keras.Model(inputs, layers.Dense(1, dtype="float32")(outputs))
        row = keras.Sequential([keras.Input((6,)), layers.Dense(6), network(), layers.Dense(1, dtype="float32")])
    finally:
        keras.config.set_dtype_policy("float32")
    assert outputs.dtype == "bfloat16"
    x, y = np.ones((16, 6), "float32"), np.full((16, 1), 10.0)  # so far off that no step goes beyond
    for one in (model, row):
        one.compile("adam", "mse")
        losses = one.fit(x, y, epochs=5, verbose=0).history["loss"]
        assert losses[-1] < losses[0]
        assert one.predict(x, verbose=0).shape == (16, 1)


@pytest.mark.parametrize("policy", ["float64", "bfloat16", "float16"])
def test_a_pure_policy_converts_the_weights(policy):
    module = network()
    expected = copy.deepcopy(module).to(getattr(torch, policy))
    layer, x = layers.TorchModuleWrapper(module, dtype=policy), torch.randn(4, 6)
    assert {p.dtype for p in layer.parameters()} == {getattr(torch, policy)}
    torch.testing.assert_close(layer(x), expected(x.to(getattr(torch, policy))), rtol=0, atol=0)


def test_the_global_policy_is_followed():
    keras.config.set_dtype_policy("float64")
    try:
        layer = layers.TorchModuleWrapper(network())
    finally:
        keras.config.set_dtype_policy("float32")
    assert layer(torch.randn(2, 6)).dtype == torch.float64


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_module_that_was_converted_keeps_its_type(dtype):
    module, x = network().to(dtype), torch.randn(4, 6)
    layer = layers.TorchModuleWrapper(module)
    assert layer.dtype_policy.name == str(dtype).removeprefix("torch.")
    torch.testing.assert_close(layer(x), module(x.to(dtype)), rtol=0, atol=0)


def test_integers_and_modules_without_weights():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        words = layers.TorchModuleWrapper(nn.Embedding(7, 3))
        plain = layers.TorchModuleWrapper(nn.ReLU())
    finally:
        keras.config.set_dtype_policy("float32")
    assert words(torch.tensor([[1, 2]])).dtype == torch.bfloat16
    assert plain(torch.tensor([1, -2])).tolist() == [1, 0]


def test_a_policy_set_later_is_followed():
    layer, x = layers.TorchModuleWrapper(network()), torch.randn(4, 6)
    assert layer(x).dtype == torch.float32
    layer.dtype_policy = "mixed_bfloat16"
    assert layer(x).dtype == torch.bfloat16


def test_mixed_compiles_in_one_graph():
    layer, x = layers.TorchModuleWrapper(network(), dtype="mixed_bfloat16"), torch.randn(4, 6)
    found = torch.compile(layer, fullgraph=True, backend="eager")(x)
    torch.testing.assert_close(found, layer(x))


def test_weights_that_torch_made_on_the_cpu_go_to_where_layers_make_theirs(monkeypatch):
    class Placed(nn.Linear):
        places = []

        def to(self, *args, **kwargs):
            self.places.append(args[0])
            return self

    for device, wanted in (("cuda:0", [torch.device("cuda:0")]), ("cpu", []), ("meta", [])):
        Placed.places = []
        monkeypatch.setattr("torchkeras.layers.core.torch_module.current_device", lambda: torch.device(device))
        layers.TorchModuleWrapper(Placed(2, 3))
        assert Placed.places == wanted
    Placed.places = []
    monkeypatch.setattr("torchkeras.layers.core.torch_module.current_device", lambda: torch.device("cuda:0"))
    layers.TorchModuleWrapper(Placed(2, 3, device="meta"))  # its place was chosen
    assert not Placed.places


INSIDE = {
    "an attribute": (lambda module: module, lambda inner: inner),
    "a list of torch": (lambda module: torch.nn.ModuleList([module]), lambda inner: inner[0]),
    "a list": (lambda module: [module], lambda inner: inner[0]),
    "a dict": (lambda module: {"a": [module]}, lambda inner: inner["a"][0]),
}


class Holder(keras.Model):
    def __init__(self, inner, take=lambda inner: inner, policy="mixed_bfloat16"):
        super().__init__(dtype=policy)
        self.inner, self.take = inner, take
        self.head = layers.Dense(1, dtype=policy)

    def call(self, inputs):
        return self.head(self.take(self.inner)(inputs))


@pytest.mark.parametrize("name", INSIDE)
def test_a_bare_torch_module_under_a_mixed_policy_runs_under_autocast(name):
    inside, take = INSIDE[name]
    module, x = network(), torch.randn(4, 6)
    model = Holder(inside(module), take)
    wrapped = Holder(layers.TorchModuleWrapper(copy.deepcopy(module), dtype="mixed_bfloat16"))
    assert model(x).dtype is wrapped(x).dtype is torch.bfloat16
    wrapped.head.set_weights(model.head.get_weights())
    for one in (model, wrapped):
        one.zero_grad()
        one(x, training=True).float().sum().backward()
    torch.testing.assert_close(model(x), wrapped(x), rtol=0, atol=0)
    parts = [[*module.parameters(), *model.head.parameters()], [*wrapped.parameters()]]
    for mine, theirs in zip(*parts, strict=True):
        assert mine.grad.dtype is torch.float32
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=0, atol=0)
    assert module(x).dtype is torch.float32  # called by itself it is what it was
    compiled = torch.compile(model, fullgraph=True, backend="eager")(x)
    torch.testing.assert_close(compiled, model(x), rtol=0.05, atol=0.05)  # in float32 between the two parts
    assert pickle.loads(pickle.dumps(module))(x).dtype is torch.float32
    torch.testing.assert_close(copy.deepcopy(model)(x), model(x))


@pytest.mark.parametrize("policy", ["float64", "bfloat16"])
@pytest.mark.parametrize("name", INSIDE)
def test_a_pure_policy_converts_a_bare_torch_module(name, policy):
    inside, take = INSIDE[name]
    dtype, x = getattr(torch, policy), torch.randn(4, 6)
    module = nn.Sequential(network(), nn.BatchNorm1d(3), layers.Dense(2, dtype="float32"), nn.Linear(2, 2))
    model = Holder(inside(module), lambda inner: take(inner)[:2], policy)
    expected = copy.deepcopy(module[:2]).to(dtype).eval()
    module[2].build((None, 3))
    assert model(x).dtype is dtype
    torch.testing.assert_close(take(model.inner)[:2](x.to(dtype)), expected(x.to(dtype)), rtol=0, atol=0)
    assert module[0][0].weight.dtype is module[1].running_mean.dtype is module[3].weight.dtype is dtype
    assert module[2].kernel.dtype is torch.float32  # a layer has a policy of its own


def test_a_torch_module_that_was_converted_before_keeps_its_type():
    model = Holder(nn.Linear(6, 3).to(torch.float16), lambda inner: lambda x: inner(x.half()).double(), "float64")
    model(torch.randn(4, 6))
    assert model.inner.weight.dtype is torch.float16


def test_a_bare_torch_module_trains_in_mixed_precision():
    model = Holder(network())
    model.compile("sgd", "mse")
    x, y = np.ones((8, 6), "float32"), np.full((8, 1), 5.0)  # far off
    losses = model.fit(x, y, epochs=5, batch_size=4, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert model.predict(x, verbose=0).shape == (8, 1)


def test_a_part_of_a_bare_torch_module_under_a_mixed_policy_is_told_how_to_be_wrapped():
    with pytest.raises(RuntimeError) as caught:
        Holder(torch.nn.Sequential(torch.nn.Linear(4, 2)), lambda inner: inner[0])(torch.ones(3, 4))
    assert "self.inner = keras.layers.TorchModuleWrapper(module)" in " ".join(caught.value.__notes__)
