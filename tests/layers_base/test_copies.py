"""Copies and pickles of layers that hold something that has none."""

import copy
import io
import pickle
import threading

import numpy as np
import pytest
import torch

import torchkeras as keras
from torchkeras import layers


class InInit(layers.Layer):
    def __init__(self, units=4, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.lock = threading.Lock()
        self.dense = layers.Dense(units)
        self.note = "as made"

    def build(self, input_shape):
        self.dense.build(input_shape)
        self.scale = self.add_weight((), "ones")

    def call(self, x):
        with self.lock:
            return self.dense(x) * self.scale


class InBuild(layers.Layer):
    def build(self, input_shape):
        self.kernel = self.add_weight((input_shape[-1], 4))
        self.locks = [threading.Lock()]

    def call(self, x):
        with self.locks[0]:
            return x @ self.kernel


class OfItself(layers.Layer):
    """A function that uses the layer itself: of a copy it must use the copy."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(4)
        self.function = lambda x: self.dense(x)
        self.lock = threading.Lock()

    def call(self, x):
        return self.function(x)


class Subclass(keras.Model):
    def __init__(self, units=4):
        super().__init__()
        self.lock = threading.Lock()
        self.inner = InInit(units)

    def call(self, x):
        return self.inner(x)


class WithoutConfig(layers.Layer):
    def __init__(self, lock):
        super().__init__()
        self.lock = lock

    def call(self, x):
        return x


def functional():
    x = keras.Input((3,))
    shared = InInit()
    return keras.Model(x, shared(InBuild()(x)[:, :3]) + shared(x))


CASES = {
    "init": InInit,
    "build": InBuild,
    "itself": OfItself,
    "subclass": Subclass,
    "stack": lambda: keras.Sequential([keras.Input((3,)), InInit(), InBuild()]),
    "functional": functional,
    "nested": lambda: keras.Sequential([keras.Input((3,)), functional(), InBuild()]),
}


def through_pickle(layer):
    return pickle.loads(pickle.dumps(layer))


def through_torch(layer):
    file = io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


WAYS = {"deepcopy": copy.deepcopy, "pickle": through_pickle, "torch.save": through_torch}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", CASES)
def test_the_copy_is_equal_and_a_thing_of_its_own(case, way, rng):
    layer = CASES[case]()
    x = rng.normal(size=(2, 3)).astype("float32")
    layer(x)
    for weight in layer.weights:
        weight.assign(rng.normal(size=tuple(weight.shape)))
    layer.weights[0].requires_grad_(False)
    twin = WAYS[way](layer)
    expected = layer(x).detach()
    assert torch.equal(twin(x), expected)
    assert [w.path for w in twin.weights] == [w.path for w in layer.weights]
    assert list(twin.state_dict()) == list(layer.state_dict())
    assert [w.requires_grad for w in twin.weights] == [w.requires_grad for w in layer.weights]
    for weight in twin.weights:
        weight.assign(weight * 0 + 1)
    assert torch.equal(layer(x), expected) and not torch.equal(twin(x), expected)
    again = WAYS[way](twin)
    assert torch.equal(again(x), twin(x))


@pytest.mark.parametrize("way", WAYS)
def test_a_compiled_copy_trains_on(way, rng):
    model = CASES["stack"]()
    x, y = rng.normal(size=(8, 3)), rng.normal(size=(8, 4))
    model.compile("adam", "mse")
    model.fit(x, y, verbose=0, shuffle=False)
    twin = WAYS[way](model)
    for one in (model, twin):
        one.fit(x, y, verbose=0, shuffle=False, epochs=2)
    for mine, theirs in zip(twin.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-6)


def test_other_state_is_kept():
    layer = InInit()
    layer.note = "changed"
    layer.trainable = False
    layer.later = [1, 2]
    for way in WAYS.values():
        twin = way(layer)
        assert (twin.note, twin.trainable, twin.later, twin.built) == ("changed", False, [1, 2], False)
        assert twin.lock is not layer.lock and twin(np.ones((1, 3))).shape == (1, 4)


@pytest.mark.parametrize("way", WAYS)
def test_without_a_config_python_says_what_fails(way):
    with pytest.raises(TypeError, match=r"cannot pickle '_thread\.lock' object"):
        WAYS[way](keras.Sequential([WithoutConfig(threading.Lock())]))


def test_what_can_be_copied_is_copied_as_ever():
    """Python copies a function as itself; the config plays no part."""

    class Own(layers.Layer):
        def get_config(self):
            raise AssertionError("not asked")

    layer = Own()
    layer.function = lambda x: x
    layer.items = {"a": [1]}
    twin = copy.deepcopy(layer)
    assert twin.function is layer.function and twin.items == layer.items and twin.items is not layer.items
