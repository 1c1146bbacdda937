"""Gradients of k batches together do what the k-times batch does."""

import numpy as np
import pytest
import torch

import torchkeras as keras

K, BATCH, STEPS, WORDS = 4, 6, 5, 7
OPTIMIZERS = {
    "SGD": lambda **a: keras.optimizers.SGD(0.1, momentum=0.9, **a),
    "Adam": lambda **a: keras.optimizers.Adam(0.01, epsilon=1e-3, **a),
    "AdamW": lambda **a: keras.optimizers.AdamW(0.01, epsilon=1e-3, global_clipnorm=0.5, **a),
    "Muon": lambda **a: keras.optimizers.Muon(0.01, **a),
}


@pytest.fixture
def float64():
    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    yield
    keras.config.set_floatx(before)


def sequences():
    """Sequences with a mask, of which each batch has another number of valid entries."""
    return keras.Sequential(
        [
            keras.Input((WORDS,), dtype="int32"),
            keras.layers.Embedding(9, 4, mask_zero=True),
            keras.layers.Dense(3, kernel_regularizer="l2"),
        ]
    )


def vectors():
    return keras.Sequential([keras.Input((WORDS,)), keras.layers.Dense(5, activation="tanh"), keras.layers.Dense(3)])


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "mean_with_sample_weight"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_k_batches_equal_one_of_k_times_the_size(name, masked, weighted, reduction, rng, float64):
    rows = K * BATCH * STEPS
    x = rng.integers(0, 9, size=(rows, WORDS)) if masked else rng.normal(size=(rows, WORDS))
    if masked:  # some batches are nearly all padding
        x *= rng.uniform(size=(rows, WORDS)) < np.repeat(rng.uniform(0.1, 1.0, size=rows // BATCH), BATCH)[:, None]
    y = rng.normal(size=(rows, WORDS, 3) if masked else (rows, 3))
    weight = rng.uniform(0.1, 2.0, size=(rows, WORDS) if masked else rows) if weighted else None
    models = [(sequences if masked else vectors)() for _ in range(2)]
    models[1].set_weights(models[0].get_weights())
    for model, batch, arguments in zip(models, (BATCH, K * BATCH), ({"gradient_accumulation_steps": K}, {})):
        loss = keras.losses.MeanSquaredError(reduction=reduction)
        model.compile(OPTIMIZERS[name](**arguments), loss)
        model.fit(x, y, sample_weight=weight, batch_size=batch, shuffle=False, verbose=0)
    for accumulated, whole in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_allclose(accumulated, whole, rtol=1e-6, atol=1e-6)
    assert int(models[0].optimizer.iterations) == int(models[1].optimizer.iterations) == STEPS


def test_a_batch_without_anything_valid_counts_nothing(rng, float64):
    x, y = rng.integers(1, 9, size=(2 * BATCH, WORDS)), rng.normal(size=(2 * BATCH, WORDS, 3))
    x[:BATCH] = 0
    model, other = sequences(), sequences()
    other.set_weights(model.get_weights())
    model.compile(keras.optimizers.SGD(0.1, gradient_accumulation_steps=2), "mse")
    other.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(x, y, batch_size=BATCH, shuffle=False, verbose=0)
    other.fit(x[BATCH:], y[BATCH:], batch_size=BATCH, verbose=0)
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-9)
        assert np.isfinite(a).all()


def test_weights_are_forgotten_after_each_update():
    variable = keras.Variable(torch.zeros(()))
    optimizer = keras.optimizers.SGD(1.0, gradient_accumulation_steps=2)
    for grad, weight in [(1.0, 1.0), (4.0, 2.0), (1.0, 5.0), (3.0, 5.0), (1.0, None), (2.0, None)]:
        optimizer.batch_weight = weight
        optimizer.apply([torch.tensor(grad)], [variable])
    assert float(variable) == pytest.approx(-(1 + 2 * 4) / 3 - 2 - 1.5)
