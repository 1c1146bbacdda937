"""FAQ 12: whole models in the legacy HDF5 format, of Keras 1, 2 and 3."""

import json
import os

os.environ["KERAS_BACKEND"] = "torch"

import h5py
import keras as real_keras
import numpy as np
import pytest

import torchkeras as keras

pytestmark = pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")


def trained(k):
    model = k.Sequential([k.Input((3,)), k.layers.Dense(4, activation="relu"), k.layers.Dense(2)])
    model.compile(optimizer="adam", loss="mse", metrics=["mae"])
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(16, 3)).astype("float32"), rng.normal(size=(16, 2)).astype("float32")
    model.fit(x, y, epochs=2, shuffle=False, verbose=0)
    return model, x, y


def history(model, x, y):
    return model.fit(x, y, epochs=3, shuffle=False, verbose=0).history


@pytest.mark.parametrize("name", ["m.h5", "m.hdf5"])
def test_save_and_load(tmp_path, name):
    """Architecture, weights, compile configuration and optimizer state: training goes on where it stopped."""
    model, x, y = trained(keras)
    model.save(tmp_path / name)
    loaded = keras.saving.load_model(tmp_path / name)
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))
    assert history(loaded, x, y) == history(model, x, y)


def test_a_file_of_keras_3(tmp_path):
    model, x, y = trained(real_keras)
    model.save(tmp_path / "m.h5")
    loaded = keras.models.load_model(tmp_path / "m.h5")
    mine, theirs = history(loaded, x, y), history(model, x, y)
    for key in theirs:
        np.testing.assert_allclose(mine[key], theirs[key], rtol=1e-4)


def test_the_content_decides_not_the_name(tmp_path):
    model, x, _ = trained(keras)
    model.save(tmp_path / "m.h5")
    os.rename(tmp_path / "m.h5", tmp_path / "m.keras")
    np.testing.assert_array_equal(
        keras.saving.load_model(tmp_path / "m.keras").predict(x, verbose=0), model.predict(x, verbose=0)
    )
    model.save(tmp_path / "zip.keras")
    os.rename(tmp_path / "zip.keras", tmp_path / "zip.h5")
    np.testing.assert_array_equal(
        keras.saving.load_model(tmp_path / "zip.h5").predict(x, verbose=0), model.predict(x, verbose=0)
    )


def write(path, config, weights, version=None, training=None):
    """A file in the layout that Keras has documented since version 1."""
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(config).encode()
        if training is not None:
            file.attrs["training_config"] = json.dumps(training).encode()
        group = file.create_group("model_weights")
        if version is not None:
            file.attrs["keras_version"] = group.attrs["keras_version"] = version.encode()
            group.attrs["backend"] = b"tensorflow"
        group.attrs["layer_names"] = [name.encode() for name in weights]
        for layer, values in weights.items():
            inner = group.create_group(layer)
            inner.attrs["weight_names"] = [name.encode() for name in values]
            for name, value in values.items():
                inner[name] = value


def test_a_file_of_keras_2(tmp_path):
    rng = np.random.default_rng(1)
    kernel, bias = rng.normal(size=(3, 2)).astype("float32"), rng.normal(size=2).astype("float32")
    dense = {"name": "dense_1", "trainable": True, "batch_input_shape": [None, 3], "dtype": "float32", "units": 2}
    config = {
        "class_name": "Sequential",
        "config": [{"class_name": "Dense", "config": {**dense, "activation": "tanh"}}],
    }
    training = {
        "optimizer_config": {
            "class_name": "SGD",
            "config": {"lr": 0.5, "momentum": 0.0, "decay": 0.0, "nesterov": False},
        },
        "loss": "mean_squared_error",
        "metrics": ["accuracy"],
        "sample_weight_mode": None,
        "loss_weights": None,
    }
    weights = {"dense_1": {"dense_1/kernel:0": kernel, "dense_1/bias:0": bias}}
    write(tmp_path / "m.h5", config, weights, "2.1.6", training)
    model = keras.models.load_model(tmp_path / "m.h5")
    x = rng.normal(size=(4, 3)).astype("float32")
    np.testing.assert_allclose(model.predict(x, verbose=0), np.tanh(x @ kernel + bias), rtol=1e-5)
    assert float(model.optimizer.learning_rate) == 0.5
    model.fit(x, np.zeros((4, 2)), verbose=0)


def test_a_file_of_keras_1(tmp_path):
    rng = np.random.default_rng(2)
    kernel, bias = rng.normal(size=(3, 2)).astype("float32"), rng.normal(size=2).astype("float32")
    dense = {"name": "dense_1", "trainable": True, "batch_input_shape": [None, 3], "input_dtype": "float32"}
    dense |= {"output_dim": 2, "init": "glorot_uniform", "activation": "sigmoid", "bias": True, "W_regularizer": None}
    config = {"class_name": "Sequential", "config": [{"class_name": "Dense", "config": dense}]}
    write(tmp_path / "m.h5", config, {"dense_1": {"dense_1_W": kernel, "dense_1_b": bias}})
    model = keras.models.load_model(tmp_path / "m.h5", compile=False)
    x = rng.normal(size=(4, 3)).astype("float32")
    np.testing.assert_allclose(model.predict(x, verbose=0), 1 / (1 + np.exp(-(x @ kernel + bias))), rtol=1e-5)
