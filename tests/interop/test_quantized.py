"""Quantized layers and models against real Keras: weights, outputs, configs, files, errors."""

from __future__ import annotations

import warnings

import keras
import numpy as np
import pytest

import torchkeras as tk

EQUATIONS = {
    "heads": ("abc,cde->abde", (None, 2, 3), "de", (2, 4, 8)),
    "heads back": ("abde,dec->abc", (None, 5), None, (2, 4, 2, 3)),
    "the kernel turned": ("ab,cb->ac", 5, "c", (4, 8)),
}


def einsum(equation, output_shape, bias_axes, shape):
    return lambda k: k.layers.EinsumDense(equation, output_shape, bias_axes=bias_axes, name="layer"), shape


# A function that makes the layer, the shape of its inputs, and the dtype of those.
LAYERS = {
    "dense": (lambda k: k.layers.Dense(7, activation="relu", name="layer"), (5, 12)),
    "dense of three axes": (lambda k: k.layers.Dense(4, use_bias=False, name="layer"), (2, 3, 9)),
    **{name: einsum(*row) for name, row in EQUATIONS.items()},
    "embedding": (lambda k: k.layers.Embedding(11, 7, name="layer"), (2, 5), "int32"),
    "reversible": (lambda k: k.layers.ReversibleEmbedding(11, 7, name="layer"), (2, 5), "int32"),
    "reversible, untied": (
        lambda k: k.layers.ReversibleEmbedding(11, 7, tie_weights=False, logit_soft_cap=5.0, name="layer"),
        (2, 5),
        "int32",
    ),
}
MODES = {
    "int8": lambda k: {"mode": "int8"},
    "int8 of weights alone": lambda k: {"config": k.quantizers.Int8QuantizationConfig(activation_quantizer=None)},
    "int8 by quantizers of the user's": lambda k: {
        "config": k.quantizers.Int8QuantizationConfig(
            k.quantizers.AbsMaxQuantizer(axis=0, value_range=(-100, 100)),
            k.quantizers.AbsMaxQuantizer(axis=-1, value_range=(-90, 90)),
        )
    },
    "int4": lambda k: {"mode": "int4"},
    "int4 in groups": lambda k: {"config": k.quantizers.Int4QuantizationConfig(block_size=4)},
    "int4 by output": lambda k: {"config": k.quantizers.Int4QuantizationConfig(block_size=-1)},
    "int4 of inputs, too": lambda k: {
        "config": k.quantizers.Int4QuantizationConfig(
            activation_quantizer=k.quantizers.AbsMaxQuantizer(axis=-1), block_size=None
        )
    },
    "float8": lambda k: {"mode": "float8"},
}
CASES = [
    (layer, mode)
    for layer, row in LAYERS.items()
    for mode in MODES
    # A table has no products to round, and Keras takes a quantizer's axis for the matrix that it gets.
    if not (len(row) > 2 and mode == "float8") and not (layer not in ("dense",) and "user" in mode)
]


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


@pytest.mark.parametrize(("layer", "mode"), CASES)
def test_quantized_layers_are_keras_own(layer, mode, tmp_path, rng):
    make, shape, *dtype = LAYERS[layer]
    theirs, mine = pair_of_models(make, shape, rng, *dtype)
    x = rng.integers(0, 11, size=shape) if dtype else rng.normal(size=shape).astype("float32")
    theirs.quantize(**MODES[mode](keras))
    mine.quantize(**MODES[mode](tk))
    same_weights(theirs, mine)
    assert [w.path for w in mine.weights] == [w.path for w in theirs.weights]
    expected = theirs(x)
    close(expected, mine(x))
    assert mine.layers[0].get_config() == theirs.layers[0].get_config()
    if "reversible" in layer:
        vectors = rng.normal(size=(3, 7)).astype("float32")
        close(theirs.layers[-1](vectors, reverse=True), mine.layers[-1](vectors, reverse=True))
    assert mine.count_params() == theirs.count_params()
    theirs.save(tmp_path / "theirs.keras")
    mine.save(tmp_path / "mine.keras")
    loaded = tk.models.load_model(tmp_path / "theirs.keras")
    same_weights(keras.models.load_model(tmp_path / "theirs.keras"), loaded)
    close(expected, loaded(x))
    close(keras.models.load_model(tmp_path / "mine.keras")(x), mine(x))
