"""The lists of a layer's weights, and what its hooks write, are Keras's for every arrangement of weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import torchkeras
from tests.interop.weight_order_cases import ARRANGEMENTS, MODELS

keras = pytest.importorskip("keras")

LISTS = ("weights", "variables", "trainable_weights", "non_trainable_weights", "trainable_variables",
         "non_trainable_variables", "metrics_variables")  # fmt: skip


def made(lib, kind, arrange):
    """A layer or model of the library with the weights of the case."""

    def sub(name, *weights):
        layer = type("Sub", (lib.layers.Layer,), {"call": lambda self, x: x})(name=name)
        for attribute, trainable in weights:
            setattr(layer, attribute, layer.add_weight(shape=(1,), name=name + attribute, trainable=trainable))
        layer.built = True
        return layer

    base = lib.layers.Layer if kind == "layer" else lib.Model
    layer = type("Case", (base,), {"call": lambda self, x: x})(name="case")
    arrange(lib, layer, lambda name, trainable=True: layer.add_weight((1,), name=name, trainable=trainable), sub)
    layer.built = True
    return layer


def names(layer):
    return {kind: [v.path.split("/")[-1] for v in getattr(layer, kind)] for kind in LISTS}


def array(value):
    return value.detach().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)


def written(layer):
    """The arrays that the hook of a layer writes, by key."""
    store = {}
    layer.save_own_variables(store)
    return {key: array(value.value if hasattr(value, "value") else value) for key, value in store.items()}


def number(layer):
    """Give each weight a value of its own, by its place in `weights`."""
    for i, weight in enumerate(layer.weights):
        weight.assign(np.full(tuple(weight.shape), float(i), "float32"))


arrangements = pytest.mark.parametrize("arrange", ARRANGEMENTS, ids=lambda f: f.__name__)
kinds = pytest.mark.parametrize("kind", ["layer", "model"])


@arrangements
@kinds
def test_lists_of_weights(arrange, kind):
    ours, theirs = made(torchkeras, kind, arrange), made(keras, kind, arrange)
    assert names(ours) == names(theirs)


@arrangements
@kinds
def test_what_the_hooks_write_and_read(arrange, kind):
    ours, theirs = made(torchkeras, kind, arrange), made(keras, kind, arrange)
    number(ours)
    number(theirs)
    mine, wanted = written(ours), written(theirs)
    assert list(mine) == list(wanted)
    for key, value in wanted.items():
        np.testing.assert_array_equal(mine[key], value)
    fresh = made(torchkeras, kind, arrange)
    fresh.load_own_variables(wanted)
    assert {key: value.tolist() for key, value in written(fresh).items()} == {k: v.tolist() for k, v in wanted.items()}


@arrangements
def test_weights_of_keras_fit_ours(arrange, rng):
    ours, theirs = made(torchkeras, "layer", arrange), made(keras, "layer", arrange)
    for weight in theirs.weights:
        weight.assign(rng.normal(size=weight.shape).astype("float32"))
    ours.set_weights(theirs.get_weights())
    for mine, weight in zip(ours.weights, theirs.weights, strict=True):
        assert mine.name == weight.name
        np.testing.assert_array_equal(mine.numpy(), np.asarray(weight.value.detach()))


@pytest.mark.parametrize("make", MODELS, ids=lambda f: f.__name__)
def test_lists_of_models(make):
    ours, theirs = make(torchkeras), make(keras)
    assert {k: [v.shape for v in getattr(ours, k)] for k in LISTS} == {
        k: [tuple(v.shape) for v in getattr(theirs, k)] for k in LISTS
    }
    assert names(ours) == names(theirs)


def dead_weights(lib, s, weight, sub):
    s.a, s.b = weight("a"), weight("b")
    s.a = weight("c")
    s.held = [weight("w0")]
    s.held = [weight("v0")]


def test_a_replaced_weight_is_gone():
    """Keras goes on to list and to save what nobody holds any more; a torch module does not."""
    ours, theirs = made(torchkeras, "layer", dead_weights), made(keras, "layer", dead_weights)
    assert [w.name for w in theirs.weights] == ["a", "b", "c", "w0", "v0"]
    assert [w.name for w in ours.weights] == ["b", "c", "v0"]
    assert {id(w) for w in ours.weights} == {id(p) for p in ours.parameters()}


def rebuilt(lib):
    """A layer that adds to what the hooks of its base class write."""

    class Listed(lib.layers.Layer):
        def build(self, input_shape):
            self.held = [self.add_weight((2,), name="w0"), self.add_weight((2,), name="w1", trainable=False)]
            self.named = {"k": self.add_weight((2,), name="k")}

        def call(self, x):
            return x * self.held[0] + self.held[1] + self.named["k"]

        def save_own_variables(self, store):
            super().save_own_variables(store)
            store["mine"] = np.ones(3)

        def load_own_variables(self, store):
            super().load_own_variables({key: store[key] for key in store.keys() if key != "mine"})

    return lib.Sequential([lib.Input((2,)), Listed()])


@pytest.mark.parametrize("source", [torchkeras, keras], ids=["ours", "keras"])
@pytest.mark.parametrize("target", [torchkeras, keras], ids=["ours", "keras"])
def test_weights_in_lists_go_through_files_of_layers_with_hooks(source, target, tmp_path, rng):
    one, two = rebuilt(source), rebuilt(target)
    one.set_weights([rng.normal(size=(2,)).astype("float32") for _ in range(3)])
    one.save_weights(tmp_path / "file.weights.h5")
    two.load_weights(tmp_path / "file.weights.h5")
    for a, b in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_files_without_the_weights_in_lists_load_with_a_warning(rng):
    """Layers with hooks of their own wrote such files once."""
    layer = made(torchkeras, "layer", ARRANGEMENTS[1])
    number(layer)
    before = layer.get_weights()
    with pytest.warns(UserWarning, match=r"has no values for .*first\.0"):
        layer.load_own_variables({"0": np.full(1, 7.0), "1": np.full(1, 8.0), "2": np.full(1, 9.0)})
    attributes = {"z": 7.0, "y": 8.0, "n": 9.0}
    for weight, old in zip(layer.weights, before, strict=True):
        assert weight.item() == attributes.get(weight.name, old.item())
