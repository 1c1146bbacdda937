"""FAQ: spellings of Keras 2 that its users still type."""

import numpy as np
import pytest

import torchkeras as keras
from torchkeras.layers import LSTM, Dense
from torchkeras.models import Sequential


def test_input_dim(rng):
    model = Sequential()
    model.add(Dense(2, input_dim=3, name="dense_1"))
    model.add(Dense(3, name="dense_2"))
    assert model.built and model.input_shape == (None, 3) and model.output_shape == (None, 3)
    assert [w.shape for w in model.get_weights()] == [(3, 2), (2,), (2, 3), (3,)]
    assert model.predict(rng.normal(size=(4, 3)), verbose=0).shape == (4, 3)


def test_input_shape():
    model = Sequential([Dense(2, input_shape=(5, 3))])
    assert model.input_shape == (None, 5, 3)


def test_input_shape_with_a_batch_size():
    model = Sequential()
    model.add(LSTM(32, input_shape=(10, 16), batch_size=32, stateful=True))
    assert model.input_shape == (32, 10, 16) and model.layers[0].stateful


def test_batch_input_shape():
    model = Sequential([LSTM(4, batch_input_shape=(2, 10, 16), stateful=True)])
    assert model.input_shape == (2, 10, 16)


@pytest.mark.parametrize("optimizer", ["rmsprop", "sgd"])
def test_compile_by_position(optimizer, rng):
    model = Sequential([Dense(1, input_dim=3)])
    model.compile(optimizer, loss="mse")
    assert model.fit(rng.normal(size=(8, 3)), rng.normal(size=(8, 1)), verbose=0).history["loss"]
    model.compile(optimizer, "mse", metrics=["mae"])
    assert len(model.evaluate(np.ones((2, 3)), np.ones((2, 1)), verbose=0)) == 2
    assert type(model.optimizer).__name__.lower() == optimizer


def test_experimental_steps_per_execution():
    model = Sequential([Dense(1, input_dim=3)])
    model.compile("sgd", loss="mse", experimental_steps_per_execution=3)
    assert model.steps_per_execution == 3


def test_experimental_callbacks(tmp_path):
    assert keras.callbacks.experimental.BackupAndRestore(backup_dir=tmp_path)
