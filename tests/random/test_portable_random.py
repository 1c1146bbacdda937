"""`enable_portable_random()`: draws that depend on the seed alone, not on the device or the compiler."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import torchkeras as keras
from torchkeras.core.variables.portable_random import random_words

L = keras.layers
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def portable():
    keras.config.enable_portable_random()
    yield
    keras.config.disable_portable_random()


# Random123's known answers for philox4x32-10: counter, key, words.
def test_the_words_are_those_of_the_paper():
    ones = 0xFFFFFFFF
    assert random_words(0, 4, CPU).tolist() == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    keys = [1, 1 << 33, (ones << 32) | 7]
    found = {tuple(random_words(key, 8, CPU).tolist()) for key in keys}
    assert len(found) == len(keys)
    for key in keys:  # NumPy's generator of the same family counts in 64 bits: compare with plain Python integers
        assert random_words(key, 12, CPU).tolist() == [word for i in range(3) for word in _words(i, key)]


def _words(counter, key):
    c, k = [counter, 0, 0, 0], [key & 0xFFFFFFFF, (key >> 32) & 0xFFFFFFFF]
    for _ in range(10):
        one, two = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(two >> 32) ^ c[1] ^ k[0], two & 0xFFFFFFFF, (one >> 32) ^ c[3] ^ k[1], one & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


def draws(count, seed):
    shape = (count,)
    return {
        "uniform": (keras.random.uniform(shape, 2.0, 5.0, seed=seed), 3.5, 9 / 12),
        "double": (keras.random.uniform(shape, dtype="float64", seed=seed), 0.5, 1 / 12),
        "half": (keras.random.uniform(shape, dtype="bfloat16", seed=seed), 0.5, 1 / 12),
        "normal": (keras.random.normal(shape, 1.0, 2.0, seed=seed), 1.0, 4.0),
        "randint": (keras.random.randint(shape, -3, 8, seed=seed), 2.0, 10.0),
        "wide randint": (keras.random.randint(shape, 0, 1 << 31, dtype="int64", seed=seed) / (1 << 31), 0.5, 1 / 12),
        "dropout": (keras.random.dropout(torch.ones(shape), 0.25, seed=seed), 1.0, 1 / 0.75 - 1.0),
    }


def test_the_distributions(rng):
    count, seed = 40000, int(rng.integers(1 << 31))
    for name, (values, mean, variance) in draws(count, seed).items():
        found = values.double()
        assert abs(found.mean() - mean) < 6 * (variance / count) ** 0.5 + 0.004 * (name == "half"), name
        assert abs(found.var() - variance) < 0.06 * variance, name
    for (values, *_), (again, *_) in zip(draws(9, seed).values(), draws(9, seed).values(), strict=True):
        assert values.equal(again)
    whole, part = (keras.random.uniform((size,), seed=seed) for size in (9, 6))
    assert whole[:6].equal(part)


MODELS = {
    "dropout": lambda: L.Dropout(0.5),
    "seeded": lambda: L.Dropout(0.5, seed=3),
    "noise": lambda: L.GaussianNoise(0.3),
    "recurrent": lambda: keras.Sequential([L.Reshape((3, 2)), L.LSTM(3, dropout=0.3, recurrent_dropout=0.2)]),
}


@pytest.mark.parametrize("name", MODELS)
def test_no_generator_of_a_device_is_asked(name, monkeypatch, rng):
    """Training with draws of tensors forbidden to torch's generators; twice, it gives the same numbers."""

    def forbidden(*args, **kwargs):
        raise AssertionError("torch's generator")

    for function in ("rand", "randn", "normal", "bernoulli"):
        monkeypatch.setattr(torch, function, forbidden)
    monkeypatch.setattr(torch.nn.functional, "dropout", forbidden)
    x, found = rng.normal(size=(8, 6)).astype("float32"), []
    keras.utils.set_random_seed(5)
    start = [np.ones((8, 6), "float32")]
    for _ in range(2):
        keras.utils.set_random_seed(5)
        model = keras.Sequential([keras.Input((6,)), MODELS[name](), L.Dense(1, kernel_initializer="ones")])
        model.compile("sgd", "mse")
        found.append(model.fit(x, start[0][:, :1], epochs=2, batch_size=4, verbose=0).history["loss"])
    assert found[0] == found[1] and found[0][0] != found[0][1]


def test_compiled_draws_are_the_same(rng):
    keras.utils.set_random_seed(int(rng.integers(1 << 31)))
    layers = [L.Dropout(0.5), L.Dropout(0.5, seed=3), L.GaussianNoise(0.1, seed=4)]
    x, found = torch.ones(4, 5), []
    for wrap in (lambda layer: layer, lambda layer: torch.compile(layer, fullgraph=True, backend="aot_eager")):
        torch.manual_seed(1)
        found.append([])
        for layer in layers:
            if hasattr(layer, "seed_generator"):
                layer.seed_generator.state.assign([7, 0])
            call = wrap(layer)
            found[-1] += [call(x, training=True), call(x, training=True)]
    for eager, compiled in zip(*found, strict=True):
        torch.testing.assert_close(eager, compiled)
        assert not eager.equal(x)
