"""Gradients that wait for more when `fit` ends are applied there, weighted by their samples."""

import numpy as np
import pytest

import torchkeras as keras

ROWS = (4, 2)  # two batches of unequal size, where three are accumulated

ARGUMENTS = {
    "plain": dict,
    "average": lambda: {"use_ema": True, "ema_momentum": 0.5},
    "schedule": lambda: {
        "learning_rate": keras.optimizers.schedules.ExponentialDecay(0.1, decay_steps=1, decay_rate=0.5)
    },
}


def models(kind):
    """Two models alike: the first accumulates three batches, the other trains on each batch."""
    made = []
    for steps in (3, None):
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, activation="tanh"), keras.layers.Dense(2)])
        arguments = {"learning_rate": 0.05, **ARGUMENTS[kind]()}
        model.compile(keras.optimizers.Adam(epsilon=1e-3, gradient_accumulation_steps=steps, **arguments), "mse")
        made.append(model)
    made[1].set_weights(made[0].get_weights())
    return made


@pytest.mark.parametrize("kind", ARGUMENTS)
@pytest.mark.parametrize("fits", [1, 3])
def test_two_of_three_batches_train_as_one_batch_of_both(kind, fits, rng):
    accumulating, whole = models(kind)
    for _ in range(fits):  # nothing of a fit leaks into the next one
        x, y = rng.normal(size=(sum(ROWS), 3)), rng.normal(size=(sum(ROWS), 2))
        accumulating.fit(x, y, batch_size=ROWS[0], shuffle=False, verbose=0)
        whole.fit(x, y, batch_size=sum(ROWS), shuffle=False, verbose=0)
        for mine, theirs in zip(accumulating.get_weights(), whole.get_weights(), strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)
    assert int(accumulating.optimizer.iterations) == int(whole.optimizer.iterations) == fits


@pytest.mark.parametrize("kind", ARGUMENTS)
def test_the_rest_of_a_longer_fit_is_an_update_of_its_own(kind, rng):
    accumulating, whole = models(kind)
    x, y = rng.normal(size=(18, 3)), rng.normal(size=(18, 2))
    accumulating.fit(x, y, batch_size=4, shuffle=False, verbose=0)  # 4, 4, 4 and the rest of 4, 2

    def batches():
        yield x[:12], y[:12]
        yield x[12:], y[12:]

    whole.fit(batches(), verbose=0)
    for mine, theirs in zip(accumulating.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)
    assert int(accumulating.optimizer.iterations) == int(whole.optimizer.iterations) == 2
