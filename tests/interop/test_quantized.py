"""Quantized layers and models against real Keras: weights, outputs, configs, files, errors."""

from __future__ import annotations

import warnings

import keras
import numpy as np
import pytest

import torchkeras as tk

LAYERS = {
    "dense": (lambda k: k.layers.Dense(7, activation="relu", name="layer"), (5, 12)),
}
MODES = {
    "int8": lambda k: {"mode": "int8"},
    "int8 of weights alone": lambda k: {"config": k.quantizers.Int8QuantizationConfig(activation_quantizer=None)},
}


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def pair_of_models(layer, shape, rng, dtype=None):
    """The same model in Keras and here, with the same weights."""
    models = []
    for k in (keras, tk):
        made = layer(k)
        models.append(k.Sequential([k.Input(shape[1:], dtype=dtype), made], name="model"))
    theirs, mine = models
    weights = [rng.normal(size=w.shape).astype("float32") for w in theirs.weights]
    theirs.set_weights(weights)
    mine.set_weights(weights)
    return theirs, mine


def close(theirs, mine, rtol=1e-3):
    theirs, mine = np.asarray(keras.ops.convert_to_numpy(theirs)), np.asarray(tk.ops.convert_to_numpy(mine))
    assert theirs.shape == mine.shape
    np.testing.assert_allclose(mine, theirs, rtol=rtol, atol=rtol * max(np.abs(theirs).max(), 1))


def same_weights(theirs, mine):
    assert [w.name for w in mine.weights] == [w.name for w in theirs.weights]
    assert [w.trainable for w in mine.weights] == [w.trainable for w in theirs.weights]
    for w, v in zip(theirs.weights, mine.weights, strict=True):
        a, b = keras.ops.convert_to_numpy(w), tk.ops.convert_to_numpy(v)
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        np.testing.assert_array_equal(a, b, err_msg=w.path)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("layer", LAYERS)
def test_quantized_layers_are_keras_own(layer, mode, tmp_path, rng):
    make, shape = LAYERS[layer]
    theirs, mine = pair_of_models(make, shape, rng)
    x = rng.normal(size=shape).astype("float32")
    theirs.quantize(**MODES[mode](keras))
    mine.quantize(**MODES[mode](tk))
    same_weights(theirs, mine)
    assert [w.path for w in mine.weights] == [w.path for w in theirs.weights]
    expected = theirs(x)
    close(expected, mine(x))
    assert mine.layers[0].get_config() == theirs.layers[0].get_config()
    assert mine.count_params() == theirs.count_params()
    theirs.save(tmp_path / "theirs.keras")
    mine.save(tmp_path / "mine.keras")
    loaded = tk.models.load_model(tmp_path / "theirs.keras")
    same_weights(theirs, loaded)
    close(expected, loaded(x))
    close(keras.models.load_model(tmp_path / "mine.keras")(x), mine(x))
