"""FAQ: the difference between the `training` argument and the `trainable` attribute."""

import numpy as np
import pytest
import torch

import torchkeras as keras


class AutoScaleDropout(keras.layers.Layer):
    def __init__(self, rate, **kwargs):
        super().__init__(**kwargs)
        self.rate = rate
        self.seed_generator = keras.random.SeedGenerator(1337)

    def build(self, input_shape):
        self.scale = self.add_weight(name="scale", shape=(), initializer="ones", trainable=True)

    def call(self, inputs, training=False):
        if training:
            dropped = keras.random.dropout(inputs, rate=self.rate, seed=self.seed_generator)
            return dropped * self.scale
        return inputs


@pytest.mark.parametrize("trainable", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_all_four_combinations(training, trainable):
    layer = AutoScaleDropout(0.5)
    layer.trainable = trainable
    inputs = torch.ones((100, 10), requires_grad=True)
    outputs = layer(inputs, training=training)
    zeros = int((outputs == 0).sum())
    if training:  # whether the layer drops is the argument's business
        assert 0 < zeros < 1000
    else:
        np.testing.assert_array_equal(outputs.detach().numpy(), inputs.detach().numpy())
    assert (layer.trainable_weights == []) is not trainable  # what may change is the attribute's
    outputs.sum().backward()
    assert (layer.scale.grad is not None) is (training and trainable)


@pytest.mark.parametrize("trainable", [True, False])
def test_in_fit(trainable, rng):
    layer = AutoScaleDropout(0.5)
    layer.trainable = trainable
    model = keras.Sequential([keras.Input((4,)), layer, keras.layers.Dense(1)])
    model.compile(optimizer="sgd", loss="mse")
    x, y = rng.normal(size=(16, 4)), rng.normal(size=(16, 1))
    model.fit(x, y, epochs=2, verbose=0)
    assert (layer.scale.item() != 1.0) is trainable
    np.testing.assert_array_equal(model.predict(x, verbose=0), model.predict(x, verbose=0))


def test_a_frozen_dropout_still_drops():
    layer = keras.layers.Dropout(0.5)
    layer.trainable = False
    x = torch.ones((50, 10))
    assert (layer(x, training=True) == 0).any() and not (layer(x, training=False) == 0).any()
    assert not (layer(x) == 0).any()
