"""Layers and weights in lists, dicts, sets and tuples are in torch's hands as those in attributes are."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch

from torchkeras import layers


def dense():
    return layers.Dense(3, bias_initializer="uniform")


class Holder(layers.Layer):
    """Holds layers and weights in every way, and uses those that `use` names."""

    def __init__(self, use, **kwargs):
        super().__init__(**kwargs)
        self.use = use
        self.blocks = [dense(), dense()]
        self.mixed = [dense(), 3, None, "text"]
        self.pair = (dense(), dense())
        self.named = {"a": dense(), "b.c": dense(), "items": dense()}
        self.group = {dense()}
        self.nest = [{"x": [dense()]}, (dense(), [dense()])]
        self.sizes = [2, 3]

    def build(self, input_shape):
        self.scales = [self.add_weight((3,), "uniform") for _ in range(2)]
        self.parts = {"a": self.add_weight((3,), "uniform"), "m": self.add_weight((3,), "ones", trainable=False)}
        self.single = (self.add_weight((3,), "uniform"),)
        self.kernel = self.add_weight((3,), "uniform")
        self.again = self.kernel
        self.listed_again = [self.kernel]
        self.first_scale = self.scales[0]
        for layer in self._flatten_layers(include_self=False):
            layer.build(input_shape)

    def call(self, x):
        return self.use(self, x)


def each_of(held):
    def use(self, x):
        for layer in held(self):
            x = layer(x)
        return x

    return use


USES = {
    "loop": each_of(lambda self: self.blocks),
    "index": lambda self, x: self.blocks[-1](self.blocks[0](x)) * len(self.blocks),
    "slice": each_of(lambda self: self.blocks[:1]),
    "reversed": each_of(lambda self: reversed(self.blocks)),
    "unpacked": lambda self, x: torch.stack([layer(x) for layer in [*self.blocks, *self.pair]]).sum(0),
    "mixed": lambda self, x: self.mixed[0](x) * self.mixed[1],
    "tuple": each_of(lambda self: self.pair),
    "dict": each_of(lambda self: self.named.values()),
    "dict items": each_of(lambda self: [layer for _, layer in self.named.items()]),
    "dict keys": lambda self, x: self.named["a"](x) + self.named.get("items")(x) if "b.c" in self.named else x,
    "set": each_of(lambda self: self.group),
    "nest": lambda self, x: self.nest[0]["x"][0](x) + self.nest[1][1][0](x),
    "weights in a list": lambda self, x: x * self.scales[0] + sum(self.scales),
    "weights in a dict": lambda self, x: x * self.parts["a"] + self.parts["m"],
    "weights in a loop": lambda self, x: x * sum(w for w in self.parts.values()) + sum(w for w in self.scales),
    "weights in a tuple": lambda self, x: x * self.single[0],
    "second names": lambda self, x: x * self.again + self.listed_again[0] * self.first_scale,
    "zip": lambda self, x: sum(layer(x) * w for layer, w in zip(self.blocks, reversed(self.scales), strict=True)),
    "numbers": lambda self, x: self.kernel * x * self.sizes[1] * len(self.sizes),
}
uses = pytest.mark.parametrize("use", USES)


@pytest.fixture
def x(rng):
    return torch.from_numpy(rng.normal(size=(2, 3)).astype("float32"))


@uses
def test_compiles_in_one_graph(use, x):
    torch._dynamo.reset()
    layer = Holder(USES[use])
    wanted = layer(x)
    torch.testing.assert_close(torch.compile(layer, fullgraph=True, backend="eager")(x), wanted)


@pytest.mark.parametrize(
    "use", ["loop", "dict", "tuple", "nest", "weights in a list", "weights in a dict", "second names"]
)
def test_exports(use, x):
    layer = Holder(USES[use])
    wanted = layer(x)
    torch.testing.assert_close(torch.export.export(layer, (x,)).module()(x), wanted)


@uses
def test_functional_call_uses_the_weights_it_is_given(use, x):
    layer = Holder(USES[use])
    before = layer(x)
    zeros = {name: torch.zeros_like(w) for name, w in layer.state_dict().items()}
    assert not torch.func.functional_call(layer, zeros, (x,)).any()
    torch.testing.assert_close(layer(x), before)


def test_every_name_leads_to_its_module_and_weight(x):
    layer = Holder(USES["loop"])
    layer(x)
    for name, module in layer.named_modules():
        assert layer.get_submodule(name) is module
    for name, parameter in layer.named_parameters():
        assert layer.get_parameter(name) is parameter
    for name, buffer in layer.named_buffers():
        assert layer.get_buffer(name) is buffer
    assert "named.items_.kernel" in layer.state_dict()  # a name that dicts use otherwise


@uses
@pytest.mark.parametrize(
    "again", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))], ids=["copy", "pickle"]
)
def test_copies(use, again, x):
    layer = Holder(None)
    layer.build((None, 3))
    other = again(layer)
    layer.use = other.use = USES[use]
    torch.testing.assert_close(other(x), layer(x))
    assert list(other.state_dict()) == list(layer.state_dict())
    other.load_state_dict(layer.state_dict())
    wanted = layer(x)
    for weight in other.weights:
        torch.nn.init.zeros_(weight)
    assert not other(x).any()
    torch.testing.assert_close(layer(x), wanted)


@uses
def test_moved_to_another_type(use, x):
    layer = Holder(USES[use])
    wanted = layer(x)
    layer.double()
    assert layer(x.double()).dtype == torch.float64
    torch.testing.assert_close(layer(x.double()).float(), wanted)
    assert all(w.dtype == torch.float64 for w in layer.weights)


@pytest.mark.parametrize("use", ["weights in a list", "weights in a tuple", "second names", "numbers"])
def test_weights_are_cast_where_they_are_read(use, x):
    assert Holder(USES[use], dtype="mixed_bfloat16")(x).dtype == torch.bfloat16


def test_a_weight_in_a_list_may_be_replaced_in_place(x):
    layer = Holder(USES["weights in a list"])
    layer(x)
    layer.double()
    layer.parts["more"] = layer.add_weight((3,), "ones")
    assert layer.parts["m"].dtype == torch.float64
    assert {id(w) for w in layer.weights} == {*map(id, layer.parameters()), *map(id, layer.buffers())}


class TwoNames(layers.Layer):
    def build(self, input_shape):
        self.a = self.add_weight((2,), "ones")
        self.c = self.add_weight((2,), "ones")
        self.b = self.a
        self.held = [self.a, {"k": self.a}]

    def call(self, x):
        return x * self.a * self.b * self.held[0] * self.held[1]["k"]


def test_a_weight_with_several_names_is_listed_once_and_read_by_all():
    layer = TwoNames()
    layer.build((None, 2))
    assert list(layer.state_dict()) == ["a", "c"]
    assert layer.a is layer.b is layer.held[0] is layer.held[1]["k"]
    assert [w is v for w, v in zip(layer.weights, [layer.a, layer.c], strict=True)] == [True, True]
    assert "b" in dir(layer)
    other = copy.deepcopy(layer)
    torch.nn.init.zeros_(other.b)
    assert not other.a.any() and layer.a.all()


def test_a_weight_goes_on_under_its_next_name():
    layer = TwoNames()
    layer.build((None, 2))
    weight = layer.a
    del layer.a
    assert layer.b is weight and list(layer.state_dict()) == ["c", "b"] and not hasattr(layer, "a")
    assert [w is v for w, v in zip(layer.weights, [weight, layer.c], strict=True)] == [True, True]
    layer.b = None
    assert layer.held[0] is weight and "held.0" in layer.state_dict()
    layer.held.pop(0)
    assert layer.held[0]["k"] is weight and "held.0.k" in layer.state_dict()
    del layer.held
    assert list(layer.state_dict()) == ["c"] and len(layer.weights) == 1


def test_a_list_of_another_layer_is_shared_by_a_copy():
    one, two = Holder(None), Holder(None)
    two.blocks = one.blocks
    assert two.blocks == one.blocks and two.blocks is not one.blocks
    two.blocks.append(dense())
    assert len(one.blocks) == 2 and "blocks.2" in dict(two.named_modules())
    one.also = one.blocks
    assert one.also is one.blocks


class Regularized(layers.Layer):
    def build(self, input_shape):
        self.held = [self.add_weight((2,), "ones", regularizer="l2") for _ in range(2)]
        self.again = self.held[0]

    def call(self, x):
        return x * self.held[0] * self.held[1]


def test_regularizers_of_weights_in_lists_count_once():
    layer = Regularized()
    layer(torch.ones(1, 2))
    assert [loss.item() for loss in layer.losses] == pytest.approx([0.02, 0.02])
