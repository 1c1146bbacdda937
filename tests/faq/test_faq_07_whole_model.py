"""FAQ 7: a whole model in one file: architecture, weights, compile configuration, optimizer state."""

import numpy as np
import pytest

import torchkeras as keras


@pytest.fixture
def data(rng):
    return rng.normal(size=(64, 8)).astype("float32"), rng.normal(size=(64, 1)).astype("float32")


def compiled():
    model = keras.Sequential(
        [
            keras.Input((8,)),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.Dropout(0.3, seed=1),
            keras.layers.Dense(1),
        ]
    )
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss="mse", metrics=["mae"])
    return model


@pytest.mark.parametrize("load", ["saving", "models"])
def test_training_goes_on_exactly_where_it_stopped(tmp_path, data, load):
    """Also with dropout that has a seed: how far it got is in the file."""
    x, y = data
    model = compiled()
    model.fit(x, y, epochs=2, shuffle=False, verbose=0)
    model.save(tmp_path / "my_model.keras")
    del_model = model  # the FAQ deletes it; here it is what the loaded one is compared with
    model = getattr(keras, load).load_model(tmp_path / "my_model.keras")

    np.testing.assert_array_equal(model.predict(x, verbose=0), del_model.predict(x, verbose=0))
    assert model.evaluate(x, y, verbose=0) == pytest.approx(del_model.evaluate(x, y, verbose=0), rel=1e-6)
    before = del_model.fit(x, y, epochs=3, shuffle=False, verbose=0).history
    after = model.fit(x, y, epochs=3, shuffle=False, verbose=0).history
    assert before == after


def test_what_comes_back(tmp_path):
    model = compiled()
    model.save(str(tmp_path / "my_model.keras"))
    loaded = keras.saving.load_model(str(tmp_path / "my_model.keras"))
    assert loaded.get_config() == model.get_config()
    assert isinstance(loaded.optimizer, keras.optimizers.Adam)
    assert float(loaded.optimizer.learning_rate) == pytest.approx(0.01)
    assert loaded.loss == "mse"
