"""FAQ: `trainable` in a training loop written by hand."""

import numpy as np
import pytest
import torch

import torchkeras as keras
from torchkeras import layers


@pytest.mark.parametrize("how", ["apply_gradients", "apply"])
def test_only_trainable_weights_are_updated(how, rng):
    model = keras.Sequential([keras.Input((3,)), layers.Dense(4, activation="tanh"), layers.Dense(1)])
    model.layers[0].trainable = False
    optimizer = keras.optimizers.SGD(learning_rate=0.1)
    loss_fn = keras.losses.MeanSquaredError()
    before = model.get_weights()
    losses = []
    inputs = torch.as_tensor(rng.normal(size=(8, 3)), dtype=torch.float32)
    targets = inputs.sum(1, keepdim=True) + 1
    for _ in range(5):
        predictions = model(inputs, training=True)
        loss_value = loss_fn(targets, predictions)
        model.zero_grad()
        loss_value.backward()
        trainable_weights = model.trainable_weights
        gradients = [v.value.grad for v in trainable_weights]
        with torch.no_grad():
            if how == "apply":
                optimizer.apply(gradients, trainable_weights)
            else:
                optimizer.apply_gradients(zip(gradients, model.trainable_weights, strict=True))
        losses.append(loss_value.item())
    assert losses[-1] < losses[0]
    changed = [not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]
    assert changed == [False, False, True, True]


def test_changes_take_effect_at_once(rng):
    """There is no compile() here that would have noted what trains."""
    layer = layers.Dense(1)
    layer.build((None, 3))
    optimizer = keras.optimizers.SGD(0.1)
    optimizer.build(layer.trainable_weights)
    inputs = torch.as_tensor(rng.normal(size=(8, 3)), dtype=torch.float32)
    for trainable in (True, False, True):
        layer.trainable = trainable
        before = layer.get_weights()
        loss = layer(inputs).square().mean()
        weights = layer.trainable_weights
        if weights:
            gradients = torch.autograd.grad(loss, weights)
            optimizer.apply_gradients(zip(gradients, weights, strict=True))
        assert np.array_equal(before[0], layer.get_weights()[0]) is not trainable


def test_torchs_optimizers_do_the_same(rng):
    model = keras.Sequential([keras.Input((3,)), layers.Dense(4), layers.Dense(1)])
    model.layers[0].trainable = False
    optimizer = torch.optim.Adam(model.trainable_weights, lr=0.1)
    before = model.get_weights()
    inputs = torch.as_tensor(rng.normal(size=(8, 3)), dtype=torch.float32)
    model(inputs).square().mean().backward()
    optimizer.step()
    assert [not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)] == [
        False,
        False,
        True,
        True,
    ]
