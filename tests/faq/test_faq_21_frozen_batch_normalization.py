"""FAQ: `BatchNormalization.trainable = False` also means inference mode; no other layer does that."""

import numpy as np
import pytest
import torch

import torchkeras as keras
from torchkeras import layers


@pytest.fixture
def x(rng):
    return (rng.normal(size=(16, 3)) * 3 + 5).astype("float32")


def test_frozen_it_uses_and_keeps_its_moving_statistics(x):
    layer = layers.BatchNormalization()
    layer.build((None, 3))
    layer.trainable = False
    before = layer.get_weights()
    outputs = layer(x, training=True)
    np.testing.assert_allclose(outputs.detach(), x / np.sqrt(1 + layer.epsilon), rtol=1e-4)
    assert all(np.array_equal(a, b) for a, b in zip(before, layer.get_weights(), strict=True))
    layer.trainable = True
    outputs = layer(x, training=True).detach().numpy()
    np.testing.assert_allclose(outputs.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(outputs.std(0), 1, atol=1e-3)
    assert not np.array_equal(before[2], layer.get_weights()[2])


@pytest.mark.parametrize("where", ["layer", "model"])
def test_in_fit(where, x):
    norm = layers.BatchNormalization()
    inner = keras.Sequential([keras.Input((3,)), norm])
    model = keras.Sequential([keras.Input((3,)), inner, layers.Dense(1)])
    frozen = norm if where == "layer" else inner
    frozen.trainable = False
    model.compile(optimizer="sgd", loss="mse")
    before = norm.get_weights()
    model.fit(x, x[:, :1], verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(before, norm.get_weights(), strict=True))
    frozen.trainable = True
    model.compile(optimizer="sgd", loss="mse")
    model.fit(x, x[:, :1], verbose=0)
    assert not any(np.array_equal(a, b) for a, b in zip(before, norm.get_weights(), strict=True))


@pytest.mark.parametrize("make", [lambda: layers.Dropout(0.5), lambda: layers.GaussianNoise(1.0)])
def test_no_other_layer_does_that(make, x):
    layer = make()
    layer.trainable = False
    assert not torch.equal(layer(torch.as_tensor(x), training=True), torch.as_tensor(x))
