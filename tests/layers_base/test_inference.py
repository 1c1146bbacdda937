"""Layers of a user's own on symbolic tensors: what `call` makes on its way, and what it needs values for."""

import numpy as np
import pytest
import torch

import torchkeras as keras
from torchkeras import ops

MADE = {
    "arange": lambda x: x + ops.arange(4, dtype="float32"),
    "zeros": lambda x: x + ops.zeros((4,)),
    "ones of the shape": lambda x: x * ops.ones(ops.shape(x)),
    "full": lambda x: x * ops.full((4,), 2.0),
    "eye": lambda x: ops.matmul(x, ops.eye(4)),
    "linspace": lambda x: x * ops.linspace(0.0, 1.0, 4),
    "a window": lambda x: x * ops.hanning(4),
    "an array": lambda x: x * ops.array([1.0, 2.0, 3.0, 4.0]),
    "a list": lambda x: x + ops.convert_to_tensor([1.0, 2.0, 3.0, 4.0]),
    "a mask": lambda x: ops.where(ops.arange(4) < 2, x, 0.0),
    "scatter": lambda x: x + ops.scatter(np.array([[1]]), np.array([2.0], "float32"), (4,)),
    "torch.arange": lambda x: x + torch.arange(4),
    "an initializer": lambda x: ops.matmul(x, keras.initializers.GlorotUniform(seed=3)((4, 2))),
    "normal": lambda x: x + keras.random.normal(ops.shape(x), seed=3),
    "truncated_normal": lambda x: x + keras.random.truncated_normal(ops.shape(x), seed=3),
    "uniform": lambda x: x + keras.random.uniform((4,), seed=3),
    "randint": lambda x: x + ops.cast(keras.random.randint(ops.shape(x), 0, 9, seed=3), x.dtype),
    "gamma": lambda x: x * keras.random.gamma(ops.shape(x), 2.0, seed=3),
    "beta": lambda x: x * keras.random.beta(ops.shape(x), 2.0, 1.0, seed=3),
    "binomial": lambda x: x * keras.random.binomial(ops.shape(x), 5.0, 0.5, seed=3),
    "categorical": lambda x: ops.cast(keras.random.categorical(x, 3, seed=3), x.dtype),
    "dropout": lambda x: keras.random.dropout(x, 0.5, seed=3),
    "shuffle": lambda x: keras.random.shuffle(x, seed=3),
}
ONES, RISING = torch.ones(4), torch.arange(4.0)
NEEDS_VALUES = {
    "an array of NumPy": lambda x: x + torch.from_numpy(np.tanh(np.asarray(x.detach()))),
    "a tensor from outside": lambda x: x * RISING,
    "tensors from outside": lambda x: x * ONES - RISING,
    "a decision": lambda x: x * 2 if float(ops.sum(x)) > 0 else x * 3,
}


class Called(keras.layers.Layer):
    """A layer that calls a function."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def call(self, x):
        return self.function(x)


@pytest.mark.parametrize("function", [*MADE.values(), *NEEDS_VALUES.values()], ids=[*MADE, *NEEDS_VALUES])
def test_the_shape_is_found_and_the_model_computes(function, rng):
    x = torch.tensor(rng.normal(size=(3, 4)), dtype=torch.float32)
    inputs = keras.Input((4,))
    outputs = Called(function)(inputs)
    wanted = function(x)
    assert outputs.shape == (None, *wanted.shape[1:])
    torch.testing.assert_close(keras.Model(inputs, outputs)(x), wanted)


class Holder(keras.layers.Layer):
    """Makes constants and weights when it is built."""

    def build(self, input_shape):
        self.by_ops = ops.arange(input_shape[-1], dtype="float32")
        self.by_torch = torch.ones(input_shape[-1])
        self.drawn = keras.random.normal((input_shape[-1],), seed=3)
        self.weight = self.add_weight(shape=(input_shape[-1],), initializer="ones")

    def call(self, x):
        return x + self.by_ops * self.weight + self.by_torch + self.drawn


class Around(keras.layers.Layer):
    """Builds another layer in its own first call."""

    def __init__(self):
        super().__init__()
        self.inner = Holder()

    def call(self, x):
        return self.inner(x)


@pytest.mark.parametrize("make", [Holder, Around])
def test_what_build_makes_is_real(make, rng):
    layer = make()
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layer(inputs))
    inner = getattr(layer, "inner", layer)
    assert {t.device.type for t in (inner.by_ops, inner.by_torch, inner.drawn, inner.weight)} == {"cpu"}
    x = torch.tensor(rng.normal(size=(3, 4)), dtype=torch.float32)
    wanted = x + torch.arange(4.0) + 1 + keras.random.normal((4,), seed=3)
    torch.testing.assert_close(model(x), wanted)


class Counting(keras.layers.Layer):
    """Changes state, adds a loss and draws, and decides by value."""

    def __init__(self):
        super().__init__()
        self.calls = self.add_weight(shape=(), trainable=False, initializer="zeros")
        self.seeds = keras.random.SeedGenerator(3)
        self.normalization = keras.layers.BatchNormalization()

    def call(self, x):
        self.calls.assign_add(1.0)
        self.add_loss(ops.sum(x))
        x = self.normalization(x + torch.randn(4) + keras.random.normal((4,), seed=self.seeds), training=True)
        return x if bool(ops.all(ops.isfinite(x))) else -x


def test_a_run_with_values_changes_nothing():
    layer = Counting()
    layer.normalization.build((None, 4))
    before = [v.value.clone() for v in layer.variables]
    drawn = torch.get_rng_state()
    model = keras.Model(inputs := keras.Input((4,)), layer(inputs))
    for variable, value in zip(layer.variables, before, strict=True):
        torch.testing.assert_close(variable.value, value)
    assert torch.equal(torch.get_rng_state(), drawn) and not model.losses
    model(torch.ones(2, 4))
    assert float(layer.calls) == 1 and len(model.losses) == 1
