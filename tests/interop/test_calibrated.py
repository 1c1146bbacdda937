"""Layers that GPTQ and AWQ quantized against real Keras: AWQ's integers, variables, files both ways."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import torch
from keras.src.quantizers.awq import AWQ
from keras.src.quantizers.gptq import GPTQ

import torchkeras as tk

LAYERS = {
    "dense": (lambda k: k.layers.Dense(7, activation="relu", name="layer"), (32,)),
    "heads": (lambda k: k.layers.EinsumDense("abc,cde->abde", (3, 2, 5), bias_axes="de", name="layer"), (3, 32)),
    "from_heads": (lambda k: k.layers.EinsumDense("abde,dec->abc", (3, 33), bias_axes="c", name="layer"), (3, 4, 8)),
    "matrix": (lambda k: k.layers.EinsumDense("ab,bc->ac", (7,), activation="relu", name="layer"), (32,)),
}
CONFIGS = {
    "gptq": lambda k: k.quantizers.GPTQConfig(None, None, group_size=16),
    "gptq8": lambda k: k.quantizers.GPTQConfig(None, None, weight_bits=8, group_size=-1),
    "gptq_symmetric": lambda k: k.quantizers.GPTQConfig(None, None, group_size=16, symmetric=True),
    "gptq3": lambda k: k.quantizers.GPTQConfig(None, None, weight_bits=3, group_size=12, activation_order=True),
    "awq": lambda k: k.quantizers.AWQConfig(None, None, group_size=16, num_grid_points=6),
    "awq_whole": lambda k: k.quantizers.AWQConfig(None, None, group_size=-1),
}


def pair(layer, rng):
    make, shape = LAYERS[layer]
    models = [k.Sequential([k.Input(shape), make(k)], name="model") for k in (keras, tk)]
    weights = [rng.normal(size=w.shape).astype("float32") for w in models[0].weights]
    for model in models:
        model.set_weights(weights)
    return models


def calibrate(theirs, mine, x):
    """The same inputs through Keras's calibration of one layer, and ours."""
    (outer,), (inner,) = theirs.layers, mine.layers
    calibration = (GPTQ if outer.quantization_mode == "gptq" else AWQ)(outer, outer.quantization_config)
    flat = x.reshape(-1, 32)
    if outer.quantization_mode == "gptq":
        calibration.update_hessian_with_batch(flat)
        calibration.quantize_and_correct_layer()
    else:
        calibration.update_activation_magnitudes(flat)
        calibration.quantize_layer()
    statistics = inner._tk_form.statistics(torch.device("cpu"))
    statistics.update(inner._tk_form.as_rows(torch.as_tensor(x)))
    inner._tk_form.calibrate(inner, statistics)


def array(x):
    return keras.ops.convert_to_numpy(x)


@pytest.mark.parametrize(
    ("layer", "config"),
    [("dense", config) for config in CONFIGS]
    + [(layer, c) for layer in LAYERS if layer != "dense" for c in ("gptq", "awq")],
)
def test_calibrated_layers_are_keras_own(layer, config, tmp_path, rng):
    theirs, mine = pair(layer, rng)
    x = rng.normal(size=(80, 32)).astype("float32") * np.linspace(0.1, 3, 32, dtype="float32")
    x = x.repeat(np.prod(LAYERS[layer][1]) // 32, 0).reshape(-1, *LAYERS[layer][1])
    theirs.layers[0].quantize(config=CONFIGS[config](keras))
    mine.layers[0].quantize(config=CONFIGS[config](tk))
    np.testing.assert_allclose(array(theirs(x)), array(mine(x)), rtol=1e-5, atol=1e-5)  # not calibrated: floats
    calibrate(theirs, mine, x)
    assert [w.path for w in mine.weights] == [w.path for w in theirs.weights]
    for ours, other in zip(mine.weights, theirs.weights, strict=True):
        a, b = array(ours), array(other)
        assert (a.dtype, a.shape) == (b.dtype, b.shape), ours.path
        if config.startswith("awq"):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6, err_msg=ours.path)
    assert mine.layers[0].get_config() == theirs.layers[0].get_config()
    mine.save(tmp_path / "mine.keras")
    loaded = keras.saving.load_model(tmp_path / "mine.keras")
    np.testing.assert_allclose(array(loaded(x)), array(mine(x)), rtol=1e-3, atol=1e-3)
    theirs.save(tmp_path / "theirs.keras")
    if config == "gptq_symmetric":
        loaded = tk.saving.load_model(tmp_path / "theirs.keras")
        np.testing.assert_allclose(array(loaded(x)), array(theirs(x)), rtol=1e-3, atol=1e-3)
    else:  # Keras leaves the zero points out and can't read the file either
        for k in (keras, tk):
            with pytest.raises(ValueError):
                k.saving.load_model(tmp_path / "theirs.keras")
        with pytest.raises(ValueError, match="lacks the zero points"):
            tk.saving.load_model(tmp_path / "theirs.keras")
