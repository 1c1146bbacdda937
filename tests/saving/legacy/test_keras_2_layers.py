"""Layers in the spelling of Keras 2 compute what the layers of Keras 3 with these weights compute."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import torchkeras
from tests.saving.legacy import old_files
from torchkeras.saving.safety.budget import BadFileError

GLOROT = {"class_name": "GlorotUniform", "config": {"seed": None, "dtype": "float32"}, "shared_object_id": 1}
SCALING = {
    "class_name": "VarianceScaling",
    "config": {"scale": 1.0, "mode": "fan_avg", "distribution": "uniform", "seed": None},
}
ZEROS = {"class_name": "Zeros", "config": {"dtype": "float32"}}
ONES = {"class_name": "Ones", "config": {}}
L2 = {"class_name": "L1L2", "config": {"l1": 0.0, "l2": 0.01}}
KERNEL = {
    "kernel_initializer": GLOROT,
    "bias_initializer": ZEROS,
    "kernel_regularizer": L2,
    "bias_regularizer": None,
    "activity_regularizer": None,
    "kernel_constraint": {"class_name": "MaxNorm", "config": {"max_value": 2, "axis": 0}},
    "bias_constraint": None,
}
CONV = {
    **KERNEL,
    "kernel_constraint": None,
    "activation": "relu",
    "use_bias": True,
    "dilation_rate": [1, 1],
    "groups": 1,
}
POLICY = {"class_name": "Policy", "config": {"name": "float32"}}
RNN = {
    "return_sequences": True,
    "return_state": False,
    "go_backwards": False,
    "stateful": False,
    "unroll": False,
    "time_major": False,
    "activation": "tanh",
    "use_bias": True,
    "kernel_initializer": SCALING,
    "recurrent_initializer": {"class_name": "Orthogonal", "config": {"gain": 1.0, "seed": None}},
    "bias_initializer": ZEROS,
    "dropout": 0.0,
    "recurrent_dropout": 0.0,
    "implementation": 1,
}
BATCH_NORM = {
    "axis": [3],
    "momentum": 0.99,
    "epsilon": 0.01,
    "center": True,
    "scale": True,
    "beta_initializer": ZEROS,
    "gamma_initializer": ONES,
    "moving_mean_initializer": ZEROS,
    "moving_variance_initializer": ONES,
    "renorm": False,
    "fused": True,
    "virtual_batch_size": None,
}
DEPTHWISE = {
    "kernel_size": [3, 3],
    "strides": [1, 1],
    "padding": "same",
    "data_format": "channels_last",
    "depth_multiplier": 2,
    "depthwise_initializer": SCALING,
    "depthwise_regularizer": None,
    "depthwise_constraint": None,
    "kernel_initializer": SCALING,
    "kernel_regularizer": None,
    "kernel_constraint": None,
    "groups": 1,
    "activation": "linear",
    "use_bias": True,
}
IMAGE = (6, 7, 3)

# The class and arguments in Keras 2, the layer of Keras 3, the shape of a sample.
CASES: list[tuple[str, dict, Any, tuple]] = [
    ("Dense", {"units": 4, "activation": "tanh", "use_bias": True, **KERNEL}, lambda L: L.Dense(4, "tanh"), (5,)),
    ("Dense", {"units": 4, "activation": "softmax_v2"}, lambda L: L.Dense(4, "softmax"), (5,)),
    (
        "Dense",
        {"units": 4, "dtype": POLICY},
        lambda L: L.Dense(4),
        (5,),
    ),
    (
        "Conv2D",
        {
            "filters": 4,
            "kernel_size": [3, 3],
            "strides": [2, 2],
            "padding": "same",
            "data_format": "channels_last",
            **CONV,
        },
        lambda L: L.Conv2D(4, 3, 2, "same", activation="relu"),
        IMAGE,
    ),
    (
        "Convolution2D",
        {"filters": 4, "kernel_size": [3, 3], "padding": "valid"},
        lambda L: L.Conv2D(4, 3),
        IMAGE,
    ),
    ("DepthwiseConv2D", DEPTHWISE, lambda L: L.DepthwiseConv2D(3, padding="same", depth_multiplier=2), IMAGE),
    (
        "SeparableConv2D",
        {**DEPTHWISE, "filters": 5, "pointwise_initializer": SCALING},
        lambda L: L.SeparableConv2D(5, 3, padding="same", depth_multiplier=2),
        IMAGE,
    ),
    (
        "Conv2DTranspose",
        {"filters": 4, "kernel_size": [3, 3], "strides": [2, 2], "padding": "same", "output_padding": None, **CONV},
        lambda L: L.Conv2DTranspose(4, 3, 2, "same", activation="relu"),
        IMAGE,
    ),
    ("BatchNormalization", BATCH_NORM, lambda L: L.BatchNormalization(epsilon=0.01), IMAGE),
    ("BatchNormalizationV1", BATCH_NORM, lambda L: L.BatchNormalization(epsilon=0.01), IMAGE),
    ("LayerNormalization", {"axis": [1], "epsilon": 0.1}, lambda L: L.LayerNormalization(axis=1, epsilon=0.1), (5,)),
    (
        "LSTM",
        {"units": 4, "recurrent_activation": "sigmoid", "unit_forget_bias": True, **RNN},
        lambda L: L.LSTM(4, return_sequences=True),
        (6, 3),
    ),
    (
        "GRU",
        {"units": 4, "recurrent_activation": "sigmoid", **RNN},
        lambda L: L.GRU(4, return_sequences=True, reset_after=False),
        (6, 3),
    ),
    (
        "GRU",
        {"units": 4, "recurrent_activation": "sigmoid", "reset_after": True, **RNN},
        lambda L: L.GRU(4, return_sequences=True),
        (6, 3),
    ),
    ("SimpleRNN", {"units": 4, **RNN}, lambda L: L.SimpleRNN(4, return_sequences=True), (6, 3)),
    (
        "Bidirectional",
        {
            "merge_mode": "concat",
            "layer": {
                "class_name": "LSTM",
                "config": {"name": "lstm_1", "units": 4, "recurrent_activation": "sigmoid", **RNN},
            },
        },
        lambda L: L.Bidirectional(L.LSTM(4, return_sequences=True)),
        (6, 3),
    ),
    (
        "TimeDistributed",
        {
            "layer": {
                "class_name": "TimeDistributed",
                "config": {
                    "name": "inner",
                    "layer": {
                        "class_name": "Dense",
                        "config": {"name": "d", "units": 2, "activation": "relu", **KERNEL},
                    },
                },
            }
        },
        lambda L: L.TimeDistributed(L.TimeDistributed(L.Dense(2, "relu"))),
        (2, 6, 3),
    ),
    (
        "RNN",
        {
            "return_sequences": True,
            "num_constants": None,
            "cell": {
                "class_name": "StackedRNNCells",
                "config": {
                    "name": "cells",
                    "cells": [
                        {
                            "class_name": "GRUCell",
                            "config": {"name": "a", "units": 2, "recurrent_activation": "sigmoid"},
                        },
                        {
                            "class_name": "LSTMCell",
                            "config": {"name": "b", "units": 3, "recurrent_activation": "sigmoid"},
                        },
                    ],
                },
            },
        },
        lambda L: L.RNN([L.GRUCell(2, reset_after=False), L.LSTMCell(3)], return_sequences=True),
        (6, 3),
    ),
    ("LeakyReLU", {"alpha": 0.2}, lambda L: L.LeakyReLU(negative_slope=0.2), (5,)),
    ("LeakyReLU", {"alpha": {"type": "ndarray", "value": 0.2}}, lambda L: L.LeakyReLU(negative_slope=0.2), (5,)),
    ("ReLU", {"max_value": 6.0, "negative_slope": 0.0, "threshold": 0.0}, lambda L: L.ReLU(6.0), (5,)),
    ("ThresholdedReLU", {"theta": 0.5}, lambda L: L.ReLU(threshold=0.5), (5,)),
    ("Dropout", {"rate": 0.5, "noise_shape": None, "seed": None}, lambda L: L.Dropout(0.5), (5,)),
    ("SpatialDropout2D", {"rate": 0.5, "noise_shape": None, "seed": None}, lambda L: L.SpatialDropout2D(0.5), IMAGE),
    ("MaxPooling2D", {"pool_size": [2, 2], "padding": "valid", "strides": [2, 2]}, lambda L: L.MaxPooling2D(), IMAGE),
    ("Flatten", {"data_format": "channels_last"}, lambda L: L.Flatten(), IMAGE),
    (
        "UpSampling2D",
        {"size": [2, 2], "interpolation": "bilinear"},
        lambda L: L.UpSampling2D(interpolation="bilinear"),
        IMAGE,
    ),
]


@pytest.mark.parametrize(
    "class_name, config, make, shape", CASES, ids=lambda value: value if isinstance(value, str) else ""
)
@pytest.mark.parametrize("form", ["list", "dict", "graph"])
def test_layers(tmp_path, class_name, config, make, shape, form, rng):
    reference = keras.Sequential([keras.Input(shape), make(keras.layers)])
    reference.set_weights([rng.uniform(0.2, 1.0, w.shape) for w in reference.get_weights()])
    named = [
        (f"{w.path}:0", np.asarray(w.numpy())) for w in [*reference.trainable_weights, *reference.non_trainable_weights]
    ]
    row = old_files.layer(class_name, "the_layer", **{"dtype": "float32", **config})
    if form == "graph":
        rows = [old_files.input_layer("input_1", shape), old_files.placed(row, [["input_1", 0, 0, {}]])]
        whole = old_files.functional(rows, [["input_1", 0, 0]], [["the_layer", 0, 0]])
    else:
        row["config"]["batch_input_shape"] = [None, *shape]
        whole = old_files.sequential([row], None if form == "list" else "sequential_1")
    path = old_files.write(tmp_path / "m.h5", whole, {"the_layer": named})
    loaded = torchkeras.saving.load_model(path, compile=False)
    x = rng.normal(size=(2, *shape)).astype("float32")
    np.testing.assert_allclose(loaded.predict(x, verbose=0), reference.predict(x, verbose=0), rtol=1e-5, atol=1e-5)


def test_hard_sigmoid_is_that_of_keras_2(tmp_path, rng):
    row = old_files.layer("Activation", "a", activation="hard_sigmoid", batch_input_shape=[None, 9])
    path = old_files.write(tmp_path / "m.h5", old_files.sequential([row]), {})
    x = np.linspace(-4, 4, 9, dtype="float32")[None]
    expected = np.clip(0.2 * x + 0.5, 0, 1)
    model = torchkeras.saving.load_model(path, compile=False)
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, atol=1e-6)
    model.save(tmp_path / "m.keras")
    again = torchkeras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(again.predict(x, verbose=0), expected, atol=1e-6)


def test_a_thresholded_relu_stops_the_threshold_itself(tmp_path):
    row = old_files.layer("ThresholdedReLU", "a", theta=1.0, batch_input_shape=[None, 3])
    path = old_files.write(tmp_path / "m.h5", old_files.sequential([row]), {})
    x = np.array([[0.5, 1.0, 1.5]], "float32")
    model = torchkeras.saving.load_model(path, compile=False)
    np.testing.assert_array_equal(model.predict(x, verbose=0), [[0.0, 0.0, 1.5]])


@pytest.mark.parametrize(
    "class_name, config, words",
    [
        ("LSTM", {"units": 2, "time_major": True}, "time_major"),
        ("Attention", {"causal": True}, "use_causal_mask"),
        ("LocallyConnected2D", {"filters": 2}, "Keras 3 does not have"),
        ("Lambda", {"function": ["4wEAAAA=", None, None], "function_type": "lambda"}, "arbitrary code execution"),
        ("TFOpLambda", {"function": "io.read_file"}, "io.read_file"),
        ("NoSuchLayer", {}, "NoSuchLayer"),
    ],
)
def test_refused(tmp_path, class_name, config, words):
    row = old_files.placed(old_files.layer(class_name, "bad", **config), [["input_1", 0, 0, {}]])
    rows = [old_files.input_layer("input_1", (4, 3)), row]
    path = old_files.write(tmp_path / "m.h5", old_files.functional(rows, [["input_1", 0, 0]], [["bad", 0, 0]]), {})
    with pytest.raises((BadFileError, TypeError, ValueError), match=words):
        torchkeras.saving.load_model(path)


def test_a_lambda_of_a_named_function(tmp_path):
    def double_of_old(x, by=2.0):
        return x * by

    config = {"function": "double_of_old", "function_type": "function", "module": "__main__", "arguments": {"by": 3.0}}
    config |= {"output_shape": None, "output_shape_type": "raw", "output_shape_module": None}
    row = old_files.layer("Lambda", "l", batch_input_shape=[None, 2], **config)
    path = old_files.write(tmp_path / "m.h5", old_files.sequential([row]), {})
    model = torchkeras.saving.load_model(path, custom_objects={"double_of_old": double_of_old}, compile=False)
    np.testing.assert_array_equal(model.predict(np.ones((1, 2)), verbose=0), [[3.0, 3.0]])
    with pytest.raises(TypeError, match="double_of_old"):
        torchkeras.saving.load_model(path)
