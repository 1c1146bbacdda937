"""FAQ: how to freeze layers and do fine-tuning."""

import numpy as np
import pytest
import torch

import torchkeras as keras
from torchkeras import layers


def test_a_frozen_layer_has_no_trainable_weights():
    layer = layers.Dense(3)
    layer.build(input_shape=(None, 3))
    assert len(layer.weights) == len(layer.trainable_weights) == 2
    assert layer.non_trainable_weights == []
    layer.trainable = False
    assert layer.trainable_weights == []
    assert len(layer.weights) == len(layer.non_trainable_weights) == 2
    layer.trainable = True
    assert len(layer.trainable_weights) == 2


def test_frozen_when_made():
    frozen_layer = layers.Dense(32, trainable=False)
    frozen_layer.build((None, 3))
    assert frozen_layer.trainable is False and frozen_layer.trainable_weights == []


def test_printing_weights_shows_shape_dtype_and_path():
    layer = layers.Dense(3)
    layer.build(input_shape=(None, 3))
    kernel, bias = (repr(weight) for weight in layer.weights)
    for text, shape, name in ((kernel, "(3, 3)", "kernel"), (bias, "(3,)", "bias")):
        assert shape in text and "float32" in text and f"{layer.name}/{name}" in text


def test_trainable_is_recursive():
    inner_model = keras.Sequential([keras.Input(shape=(3,)), layers.Dense(3, activation="relu"), layers.Dense(3)])
    model = keras.Sequential([keras.Input(shape=(3,)), inner_model, layers.Dense(3, activation="sigmoid")])
    model.trainable = False
    assert inner_model.trainable is False
    assert inner_model.layers[0].trainable is False
    assert model.trainable_weights == []
    inner_model.trainable = True
    assert inner_model.layers[1].trainable is True
    assert len(inner_model.trainable_weights) == 4


def test_frozen_weights_are_not_updated(rng):
    layer1, layer2 = layers.Dense(3, activation="relu"), layers.Dense(3, activation="sigmoid")
    model = keras.Sequential([keras.Input(shape=(3,)), layer1, layer2])
    layer1.set_weights([np.abs(weight) for weight in layer1.get_weights()])  # no unit is dead
    layer1.trainable = False
    layer1.bias.assign(np.ones(3))  # no unit is 0 for all samples, or the weights behind it had no gradient
    layer1.kernel.assign(np.abs(layer1.get_weights()[0]))
    before = [layer1.get_weights(), layer2.get_weights()]
    model.compile(optimizer="adam", loss="mse")
    model.fit(rng.random((8, 3)), rng.random((8, 3)), verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(before[0], layer1.get_weights(), strict=True))
    assert all(not np.array_equal(a, b) for a, b in zip(before[1], layer2.get_weights(), strict=True))


def test_transfer_learning_then_fine_tuning(rng):
    base_model = keras.Sequential([keras.Input((3,)), layers.Dense(4), layers.BatchNormalization()], name="base")
    base_model.trainable = False
    inputs = keras.Input(shape=(3,))
    x = base_model(inputs, training=False)
    model = keras.Model(inputs, layers.Dense(1)(x))
    model.compile(optimizer=keras.optimizers.Adam(), loss="mse")
    x_train, y_train = rng.normal(size=(16, 3)), rng.normal(size=(16, 1))
    before = base_model.get_weights()
    model.fit(x_train, y_train, verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(before, base_model.get_weights(), strict=True))
    base_model.trainable = True
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss="mse")
    model.fit(x_train, y_train, verbose=0)
    after = base_model.get_weights()
    assert not np.array_equal(before[0], after[0])
    for moving in (4, 5):  # called with training=False: the statistics stay
        assert np.array_equal(before[moving], after[moving])


@pytest.mark.parametrize("value", [True, False])
def test_torch_knows_too(value):
    layer = layers.Dense(3)
    layer.trainable = value
    layer.build((None, 3))
    assert all(isinstance(p, torch.nn.Parameter) and p.requires_grad is value for p in layer.parameters())
