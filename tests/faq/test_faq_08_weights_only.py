"""FAQ 8: weights alone."""

import numpy as np

import torchkeras as keras


def make():
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(2)])


def test_save_weights_load_weights(tmp_path, rng):
    model = make()
    model.save_weights(tmp_path / "my_model.weights.h5")
    same = make()
    x = rng.normal(size=(5, 4)).astype("float32")
    assert not np.array_equal(model.predict(x, verbose=0), same.predict(x, verbose=0))
    same.load_weights(tmp_path / "my_model.weights.h5")
    np.testing.assert_array_equal(model.predict(x, verbose=0), same.predict(x, verbose=0))
