"""Layers and weights in attributes, lists, dicts and tuples: found, named, changed, copied."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch

import torchkeras as keras
from torchkeras import layers


def dense(units=2):
    layer = layers.Dense(units)
    layer.build((None, 2))
    return layer


class Holder(layers.Layer):
    """Applies all that it holds."""

    def __init__(self, held=None, **kwargs):
        super().__init__(**kwargs)
        self.held = held

    def call(self, x):
        for layer in self._flatten_layers(recursive=False, include_self=False):
            x = layer(x)
        return x


HELD = {
    "layer": (dense, ["held.kernel", "held.bias"]),
    "list": (lambda: [dense(), dense()], ["held.0.kernel", "held.0.bias", "held.1.kernel", "held.1.bias"]),
    "tuple": (lambda: (dense(), 3), ["held.0.kernel", "held.0.bias"]),
    "dict": (lambda: {"a": dense(), "b": None}, ["held.a.kernel", "held.a.bias"]),
    "nest": (lambda: [{"a": [dense()]}, "text"], ["held.0.a.0.kernel", "held.0.a.0.bias"]),
    "tuples of lists": (
        lambda: ([dense()], dense()),
        ["held.0.0.kernel", "held.0.0.bias", "held.1.kernel", "held.1.bias"],
    ),
    "torch module": (lambda: torch.nn.Linear(2, 2), ["held.weight", "held.bias"]),
    "torch modules": (lambda: [torch.nn.Linear(2, 2)], ["held.0.weight", "held.0.bias"]),
    "nothing": (lambda: [1, "a", None], []),
}
held = pytest.mark.parametrize("kind", HELD)


@held
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_get_weights_copies_and_set_weights_puts_back(kind, dtype):
    holder = Holder(HELD[kind][0]()).to(dtype)
    before, tensors = [w.detach().clone() for w in holder.weights], holder.weights
    kept = holder.get_weights()
    assert {w.dtype.name for w in kept} <= {str(dtype).removeprefix("torch.")}
    with torch.no_grad():
        for tensor in tensors:
            tensor.add_(1.0)
    holder.set_weights(kept)
    assert all(torch.equal(old, new) for old, new in zip(before, holder.weights, strict=True))


@held
def test_names_and_counts(kind):
    make, names = HELD[kind]
    holder = Holder(make())
    assert list(holder.state_dict()) == names
    assert len(holder.weights) == len(holder.trainable_weights) == len(names)
    assert [n for n, _ in holder.named_parameters()] == names


@held
@pytest.mark.parametrize("again", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["deepcopy", "pickle"])
def test_copies_are_whole_and_apart(kind, again):
    make, names = HELD[kind]
    holder = Holder(make())
    x = torch.ones(2, 2)
    other = again(holder)
    assert list(other.state_dict()) == names
    torch.testing.assert_close(other(x), holder(x))
    for weight in other.parameters():
        torch.nn.init.zeros_(weight)
    assert not any((w == 0).all() for n, w in holder.named_parameters() if "kernel" in n or "weight" in n)
    if isinstance(other.held, list):
        other.held.append(dense())
        assert len(list(other.parameters())) == len(names) + 2
        assert len(list(holder.parameters())) == len(names)


@held
def test_state_dict_goes_in_strictly(kind):
    make, _ = HELD[kind]
    one, two = Holder(make()), Holder(make())
    two.load_state_dict(one.state_dict())
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        torch.testing.assert_close(a, b)


MUTATIONS = {
    "append": (lambda held: held.append(dense()), 3),
    "extend": (lambda held: held.extend([dense(), dense()]), 4),
    "insert": (lambda held: held.insert(0, dense()), 3),
    "pop": (lambda held: held.pop(), 1),
    "remove": (lambda held: held.remove(held[0]), 1),
    "clear": (lambda held: held.clear(), 0),
    "set item": (lambda held: held.__setitem__(0, 5), 1),
    "delete item": (lambda held: held.__delitem__(0), 1),
    "nested append": (lambda held: held.append([dense()]), 3),
    "reverse": (lambda held: held.reverse(), 2),
}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_changed_list_is_followed(mutation):
    change, left = MUTATIONS[mutation]
    holder = Holder([dense(), dense()])
    change(holder.held)
    assert len(holder.weights) == 2 * left
    assert {id(w) for w in holder.weights} == {id(p) for p in holder.parameters()}


def test_changes_deep_within_are_followed():
    holder = Holder([{"a": []}])
    holder.held[0]["a"].append(dense())
    holder.held[0]["b"] = dense()
    assert set(holder.state_dict()) == {f"held.0.{n}.{w}" for n in ("a.0", "b") for w in ("kernel", "bias")}
    del holder.held[0]["a"]
    assert set(holder.state_dict()) == {"held.0.b.kernel", "held.0.b.bias"}


def test_a_replaced_attribute_is_forgotten():
    holder = Holder(dense())
    first = holder.held
    holder.held = dense()
    assert len(holder.weights) == 2 and first.kernel is not holder.held.kernel
    holder.held = [dense()]
    assert list(holder.state_dict()) == ["held.0.kernel", "held.0.bias"]
    holder.held = None
    assert holder.weights == []
    holder.held = [dense()]
    del holder.held
    assert holder.weights == [] and not hasattr(holder, "held")


def test_weights_in_lists():
    class Weights(layers.Layer):
        def build(self, input_shape):
            self.scales = [self.add_weight(shape=(2,), name=f"scale_{i}") for i in range(3)]
            self.total = self.add_weight(shape=(), trainable=False, name="total", initializer="zeros")

        def call(self, x):
            return x * sum(self.scales) + self.total

    layer = Weights()
    layer(torch.ones(1, 2))
    assert [w.name for w in layer.weights] == ["scale_0", "scale_1", "scale_2", "total"] or len(layer.weights) == 4
    assert len(layer.trainable_weights) == 3
    assert set(layer.state_dict()) == {"scales.0", "scales.1", "scales.2", "total"}


def test_a_shared_layer_counts_once():
    shared = dense()
    holder = Holder([shared, {"again": shared}])
    assert len(holder.weights) == 2


def test_weights_assigned_under_another_name():
    class Named(layers.Layer):
        def __init__(self):
            super().__init__()
            self.first = self.add_weight(name="other", shape=(2,))
            self.plain = keras.Variable(np.ones(2), trainable=False, name="plain")
            self.parameter = torch.nn.Parameter(torch.ones(3))

    layer = Named()
    assert set(layer.state_dict()) == {"first", "plain", "parameter"}
    assert len(layer.weights) == 3 and len(layer.trainable_weights) == 2


def test_layers_may_be_set_before_init():
    class Early(layers.Layer):
        def __init__(self):
            self.inner = dense()
            super().__init__()

    assert len(Early().weights) == 2


def test_weights_before_init_are_refused():
    class Early(layers.Layer):
        def __init__(self):
            self.add_weight(shape=(2,))

    with pytest.raises(RuntimeError, match=r"super\(\).__init__"):
        Early()


def test_deep_models_copy_and_pickle(rng):
    x = keras.Input((4,))
    y = x
    for _ in range(300):
        y = layers.Dense(4)(y)
        y = layers.ReLU()(y)
    model = keras.Model(x, y)
    data = torch.from_numpy(rng.normal(size=(2, 4)).astype("float32"))
    wanted = model(data)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        torch.testing.assert_close(other(data), wanted)
        assert [layer.name for layer in other.layers] == [layer.name for layer in model.layers]
    again = keras.Model.from_config(model.get_config())
    again.set_weights(model.get_weights())
    torch.testing.assert_close(again(data), wanted)


def test_a_copied_functional_model_is_its_own():
    x = keras.Input((2,))
    shared = layers.Dense(2)
    model = keras.Model(x, shared(shared(x)))
    other = copy.deepcopy(model)
    assert other.layers[1] is not model.layers[1]
    assert other.output is not model.output and other.input is not model.input
    assert other.layers[1].output._keras_history.operation is other.layers[1]
    keras.Model(other.input, layers.Dense(1)(other.output))
    assert len(model.layers[1]._inbound_nodes) == 2


class MakesAWeightInItsCall(layers.Layer):
    def call(self, x):
        self.scale = self.add_weight(initializer="ones")
        return x * self.scale


@pytest.mark.parametrize("inputs", [np.ones((2, 3)), keras.Input((3,))], ids=["values", "symbols"])
def test_weights_made_in_a_call_are_refused(inputs):
    layer = MakesAWeightInItsCall()
    with pytest.raises(ValueError, match="cannot add new elements of state"):
        layer(inputs)
    layer.add_weight()  # outside of a call a built layer takes weights: adapters are made so
    assert len(layer.weights) == 1


def test_a_weight_that_is_untracked_makes_room_for_another():
    layer = layers.Dense(2)
    layer.build((None, 3))
    kernel = layer.kernel
    layer._untrack_variable(kernel)
    assert [weight.name for weight in layer.weights] == ["bias"] and layer.kernel is kernel
    layer.kernel = layer.add_weight((3, 2), "zeros", dtype="int8", trainable=False, name="kernel")
    assert [weight.name for weight in layer.weights] == ["bias", "kernel"]
    assert layer.state_dict()["kernel"].dtype == torch.int8
