"""Limits that the environment sets, as Keras reads them."""

import pytest

from tests import fresh_process
from torchkeras.core.variables import session


def test_the_environment_limits_epochs_and_batches():
    code = """
import numpy as np, torchkeras as keras
print(keras.config.max_epochs(), keras.config.max_steps_per_epoch())
model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
model.compile("sgd", "mse")
model.fit(np.ones((8, 2)), np.ones((8, 1)), batch_size=1, epochs=5, verbose=0)
print(len(model.history.epoch), int(model.optimizer.iterations))
"""
    done = fresh_process.run(code, KERAS_MAX_EPOCHS="2", KERAS_MAX_STEPS_PER_EPOCH="3")
    assert done.stdout.split() == ["2", "3", "2", "6"], done.stderr


def test_a_limit_that_is_no_number(monkeypatch):
    monkeypatch.setenv("KERAS_MAX_EPOCHS", "few")
    with pytest.raises(ValueError, match="KERAS_MAX_EPOCHS must be a whole number; received 'few'"):
        session._whole_number("KERAS_MAX_EPOCHS")
