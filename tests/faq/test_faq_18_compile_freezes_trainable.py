"""FAQ: changing `trainable` takes effect at the next `compile()`; the GAN that depends on it."""

import numpy as np
import pytest

import torchkeras as keras
from torchkeras import layers


def same(before, model):
    return [np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]


def test_the_behaviour_is_frozen_at_compile(rng):
    x, y = rng.normal(size=(8, 3)), rng.normal(size=(8, 1))
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2), layers.Dense(1)])
    model.compile(optimizer="sgd", loss="mse")
    model.layers[0].trainable = False
    before = model.get_weights()
    model.fit(x, y, verbose=0)
    assert not any(same(before, model))
    model.compile(optimizer="sgd", loss="mse")
    before = model.get_weights()
    model.fit(x, y, verbose=0)
    assert same(before, model) == [True, True, False, False]


@pytest.mark.parametrize("how", ["train_on_batch", "fit"])
@pytest.mark.parametrize("functional", [True, False])
def test_a_gan(functional, how, rng):
    discriminator = keras.Sequential(
        [keras.Input((4,)), layers.Dense(8, activation="relu"), layers.Dense(1, activation="sigmoid")]
    )
    generator = keras.Sequential([keras.Input((2,)), layers.Dense(4)])
    discriminator.compile(optimizer="adam", loss="binary_crossentropy")
    discriminator.trainable = False
    if functional:
        noise = keras.Input((2,))
        gan = keras.Model(noise, discriminator(generator(noise)))
    else:
        gan = keras.Sequential([generator, discriminator])
    gan.compile(optimizer="adam", loss="binary_crossentropy")

    def train(model, x, y):
        if how == "fit":
            model.fit(x, y, verbose=0)
        else:
            model.train_on_batch(x, y)

    for _ in range(3):
        noise = rng.normal(size=(8, 2)).astype("float32")
        fake = generator.predict(noise, verbose=0)
        real = rng.normal(size=(8, 4)).astype("float32")
        judge, maker = discriminator.get_weights(), generator.get_weights()
        train(discriminator, np.concatenate([real, fake]), np.repeat([[1.0], [0.0]], 8, axis=0))
        assert not any(same(judge, discriminator)) and all(same(maker, generator))
        judge = discriminator.get_weights()
        train(gan, noise, np.ones((8, 1)))
        assert all(same(judge, discriminator)) and not any(same(maker, generator))
    assert discriminator.trainable_weights == []
