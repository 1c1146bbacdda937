"""Layers, weights and models of Keras 1, made by its documented formulas from layers of Keras 3."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import torchkeras
from tests.saving.legacy.old_files import functional, layer, placed, sequential, write

IMAGE, IMAGE_TH = (6, 7, 3), (3, 6, 7)
COMMON = {"init": "glorot_uniform", "W_regularizer": {"name": "WeightRegularizer", "l1": 0.0, "l2": 0.01}}
COMMON |= {"b_regularizer": None, "W_constraint": {"name": "MaxNorm", "m": 2, "axis": 0}, "bias": True}
CONV = {**COMMON, "activation": "relu", "border_mode": "valid", "subsample": [1, 1]}
RNN = {"output_dim": 4, "init": "glorot_uniform", "inner_init": "orthogonal", "activation": "tanh"}
RNN |= {"return_sequences": True, "go_backwards": False, "stateful": False, "unroll": False, "consume_less": "cpu"}
RNN |= {"W_regularizer": None, "U_regularizer": None, "b_regularizer": None, "dropout_W": 0.0, "dropout_U": 0.0}


CONV_RNN = {key: value for key, value in RNN.items() if key != "output_dim"} | {
    "nb_filter": 4, "nb_row": 3, "nb_col": 2, "border_mode": "same", "subsample": [1, 1], "forget_bias_init": "one",
    "inner_activation": "sigmoid", "return_sequences": False,
}  # fmt: skip


def same(weights: list) -> list:
    return weights


def theano_order(weights: list) -> list:
    """Kernels with the channels first, as `th` has them."""
    kernel, *rest = weights
    return [np.transpose(kernel, (3, 2, 0, 1)), *rest]


def turned(weights: list) -> list:
    """Kernels as Theano's convolution takes them: turned by 180 degrees."""
    kernel, *rest = weights
    return [np.flip(kernel, (0, 1)), *rest]


def one_dimensional(weights: list) -> list:
    kernel, *rest = weights
    return [kernel[:, None], *rest]


def per_gate(order: list[int]):
    """Three arrays per gate, in the order of Keras 1."""

    def split(weights: list) -> list:
        parts = [np.split(w, len(order), -1) for w in weights]
        return [part[gate] for gate in order for part in parts]

    return split


def gates_of_both(order: list[int]):
    def split(weights: list) -> list:
        return per_gate(order)(weights[:3]) + per_gate(order)(weights[3:])

    return split


# Class and arguments in Keras 1, the layer of Keras 3, the shape of a sample, and the weights in Keras 1's layout.
CASES: list[tuple[str, dict, Any, tuple, Any]] = [
    ("Dense", {"output_dim": 4, "activation": "tanh", **COMMON}, lambda L: L.Dense(4, "tanh"), (5,), same),
    (
        "Convolution2D",
        {"nb_filter": 4, "nb_row": 3, "nb_col": 2, "dim_ordering": "tf", **CONV},
        lambda L: L.Conv2D(4, (3, 2), activation="relu"),
        IMAGE,
        same,
    ),
    (
        "Convolution2D",
        {"nb_filter": 4, "nb_row": 3, "nb_col": 2, "dim_ordering": "th", **CONV},
        lambda L: L.Conv2D(4, (3, 2), activation="relu", data_format="channels_first"),
        IMAGE_TH,
        lambda weights: theano_order(turned(weights)),
    ),
    (
        "AtrousConvolution2D",
        {"nb_filter": 4, "nb_row": 2, "nb_col": 2, "dim_ordering": "tf", "atrous_rate": [2, 2], **CONV},
        lambda L: L.Conv2D(4, 2, activation="relu", dilation_rate=2),
        IMAGE,
        same,
    ),
    (
        "Convolution1D",
        {"nb_filter": 4, "filter_length": 3, "border_mode": "same", "subsample_length": 1, **COMMON},
        lambda L: L.Conv1D(4, 3, padding="same"),
        (8, 3),
        one_dimensional,
    ),
    (
        "SeparableConvolution2D",
        {"nb_filter": 4, "nb_row": 3, "nb_col": 3, "dim_ordering": "tf", "depth_multiplier": 2, "border_mode": "same",
         "subsample": [1, 1], "init": "glorot_uniform", "activation": "linear", "bias": True,
         "depthwise_regularizer": None, "pointwise_regularizer": None, "b_regularizer": None},
        lambda L: L.SeparableConv2D(4, 3, padding="same", depth_multiplier=2),
        IMAGE,
        same,
    ),
    ("MaxPooling2D", {"pool_size": [2, 2], "strides": [2, 2], "border_mode": "valid", "dim_ordering": "tf"},
     lambda L: L.MaxPooling2D(), IMAGE, same),
    ("AveragePooling2D", {"pool_size": [2, 2], "strides": [2, 2], "border_mode": "valid", "dim_ordering": "th"},
     lambda L: L.AveragePooling2D(2, data_format="channels_first"), IMAGE_TH, same),
    ("MaxPooling1D", {"pool_length": 2, "stride": 2, "border_mode": "valid"}, lambda L: L.MaxPooling1D(), (8, 3), same),
    ("GlobalAveragePooling2D", {"dim_ordering": "tf"}, lambda L: L.GlobalAveragePooling2D(), IMAGE, same),
    ("UpSampling1D", {"length": 3}, lambda L: L.UpSampling1D(3), (8, 3), same),
    ("UpSampling2D", {"size": [2, 2], "dim_ordering": "tf"}, lambda L: L.UpSampling2D(), IMAGE, same),
    ("ZeroPadding2D", {"padding": [1, 2], "dim_ordering": "tf"}, lambda L: L.ZeroPadding2D((1, 2)), IMAGE, same),
    ("Flatten", {}, lambda L: L.Flatten(), IMAGE, same),
    ("Reshape", {"target_shape": [7, 18]}, lambda L: L.Reshape((7, 18)), IMAGE, same),
    ("Permute", {"dims": [2, 1, 3]}, lambda L: L.Permute((2, 1, 3)), IMAGE, same),
    ("RepeatVector", {"n": 3}, lambda L: L.RepeatVector(3), (5,), same),
    ("Dropout", {"p": 0.5}, lambda L: L.Dropout(0.5), (5,), same),
    ("SpatialDropout2D", {"p": 0.5, "dim_ordering": "tf"}, lambda L: L.SpatialDropout2D(0.5), IMAGE, same),
    ("GaussianNoise", {"sigma": 0.5}, lambda L: L.GaussianNoise(0.5), (5,), same),
    ("GaussianDropout", {"p": 0.5}, lambda L: L.GaussianDropout(0.5), (5,), same),
    ("LeakyReLU", {"alpha": 0.1}, lambda L: L.LeakyReLU(negative_slope=0.1), (5,), same),
    ("ELU", {"alpha": 0.7}, lambda L: L.ELU(0.7), (5,), same),
    ("PReLU", {"init": "zero", "shared_axes": [1, 2]}, lambda L: L.PReLU(shared_axes=[1, 2]), IMAGE, same),
    (
        "BatchNormalization",
        {"mode": 0, "axis": 3, "epsilon": 0.01, "momentum": 0.9, "beta_init": "zero", "gamma_init": "one",
         "gamma_regularizer": None, "beta_regularizer": None},
        lambda L: L.BatchNormalization(epsilon=0.01),
        IMAGE,
        same,
    ),
    ("SimpleRNN", RNN, lambda L: L.SimpleRNN(4, return_sequences=True), (6, 3), same),
    (
        "LSTM",
        {**RNN, "inner_activation": "sigmoid", "forget_bias_init": "one"},
        lambda L: L.LSTM(4, return_sequences=True),
        (6, 3),
        per_gate([0, 2, 1, 3]),  # Keras 1: input, candidate, forget, output
    ),
    (
        "ConvLSTM2D",
        {**CONV_RNN, "dim_ordering": "tf"},
        lambda L: L.ConvLSTM2D(4, (3, 2), padding="same", recurrent_activation="sigmoid"),
        (3, 6, 5, 2),
        per_gate([0, 2, 1, 3]),
    ),
    (
        "ConvLSTM2D",
        {**CONV_RNN, "dim_ordering": "th"},
        lambda L: L.ConvLSTM2D(4, (3, 2), padding="same", recurrent_activation="sigmoid", data_format="channels_first"),
        (3, 2, 6, 5),
        lambda weights: [theano_order(turned([w]))[0] if w.ndim == 4 else w for w in per_gate([0, 2, 1, 3])(weights)],
    ),
    (
        "GRU",
        {**RNN, "inner_activation": "sigmoid"},
        lambda L: L.GRU(4, return_sequences=True, reset_after=False),
        (6, 3),
        per_gate([0, 1, 2]),
    ),
    (
        "Bidirectional",
        {"merge_mode": "sum", "layer": layer("LSTM", "lstm_1", **RNN, inner_activation="sigmoid")},
        lambda L: L.Bidirectional(L.LSTM(4, return_sequences=True), merge_mode="sum"),
        (6, 3),
        gates_of_both([0, 2, 1, 3]),
    ),
    (
        "TimeDistributed",
        {"layer": layer("Dense", "dense_1", output_dim=2, activation="relu", **COMMON)},
        lambda L: L.TimeDistributed(L.Dense(2, "relu")),
        (6, 3),
        same,
    ),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*does not say which backend")
@pytest.mark.parametrize("class_name, config, make, shape, old", CASES, ids=lambda v: v if isinstance(v, str) else "")
def test_layers(tmp_path, class_name, config, make, shape, old, rng):
    reference = keras.Sequential([keras.Input(shape), make(keras.layers)])
    reference.set_weights([rng.uniform(0.2, 1.0, w.shape) for w in reference.get_weights()])
    weights = [np.asarray(w.numpy()) for w in [*reference.trainable_weights, *reference.non_trainable_weights]]
    row = layer(class_name, "the_layer", batch_input_shape=[None, *shape], input_dtype="float32", **config)
    named = [(f"the_layer_{i}", value) for i, value in enumerate(old(weights))]
    path = write(tmp_path / "m.h5", sequential([row]), {"the_layer": named}, version=None, backend=None)
    loaded = torchkeras.saving.load_model(path, compile=False)
    x = rng.normal(size=(2, *shape)).astype("float32")
    np.testing.assert_allclose(loaded.predict(x, verbose=0), reference.predict(x, verbose=0), rtol=1e-5, atol=1e-5)


def test_embedding(tmp_path, rng):
    table = rng.normal(size=(7, 3)).astype("float32")
    config = {"input_dim": 7, "output_dim": 3, "init": "uniform", "input_length": 4, "mask_zero": False, "dropout": 0.0}
    row = layer("Embedding", "e", batch_input_shape=[None, 4], input_dtype="int32", W_regularizer=None, **config)
    path = write(tmp_path / "m.h5", sequential([row]), {"e": [("e_W", table)]}, version=None, backend=None)
    x = rng.integers(0, 7, (2, 4))
    loaded = torchkeras.saving.load_model(path, compile=False)
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), table[x])


@pytest.mark.parametrize("version", ["1.2.2", "2.0.8"])
@pytest.mark.parametrize("backend", ["theano", "tensorflow", None])
def test_kernels_are_turned_as_the_backend_says(tmp_path, version, backend, rng):
    """Theano turns the kernel of a convolution, the others do not; without a word `th` is taken for Theano's."""
    kernel, bias = rng.normal(size=(3, 2, 3, 4)).astype("float32"), rng.normal(size=4).astype("float32")
    reference = keras.Sequential([keras.Input(IMAGE_TH), keras.layers.Conv2D(4, (3, 2), data_format="channels_first")])
    reference.set_weights([kernel, bias])
    is_turned = backend == "theano" or (backend is None and version.startswith("1"))
    saved = np.flip(kernel, (0, 1)) if is_turned else kernel
    if version.startswith("1"):
        saved = np.transpose(saved, (3, 2, 0, 1))
        config = {"nb_filter": 4, "nb_row": 3, "nb_col": 2, "dim_ordering": "th", **CONV, "activation": "linear"}
        row = layer("Convolution2D", "c", batch_input_shape=[None, *IMAGE_TH], **config)
    else:
        config = {"filters": 4, "kernel_size": [3, 2], "data_format": "channels_first"}
        row = layer("Conv2D", "c", batch_input_shape=[None, *IMAGE_TH], **config)
    path = write(tmp_path / "m.h5", sequential([row]), {"c": [("c_W", saved), ("c_b", bias)]}, version, backend)
    x = rng.normal(size=(2, *IMAGE_TH)).astype("float32")
    if is_turned and backend is None:
        with pytest.warns(UserWarning, match="does not say which backend"):
            loaded = torchkeras.saving.load_model(path, compile=False)
    else:
        loaded = torchkeras.saving.load_model(path, compile=False)
    np.testing.assert_allclose(loaded.predict(x, verbose=0), reference.predict(x, verbose=0), rtol=1e-4, atol=1e-5)


# ---------------------------------------------------------------------------- merging

MERGES = {
    "sum": lambda a, b: a + b,
    "mul": lambda a, b: a * b,
    "ave": lambda a, b: (a + b) / 2,
    "max": np.maximum,
    "concat": lambda a, b: np.concatenate([a, b], -1),
    "dot": lambda a, b: (a * b).sum(-1, keepdims=True),
}


def merge(mode: str, **config: Any) -> dict:
    common = {"mode": mode, "mode_type": "raw", "concat_axis": -1, "dot_axes": [1, 1] if mode == "dot" else -1}
    return layer("Merge", "merge_1", output_shape=None, output_shape_type="raw", arguments={}, **common, **config)


@pytest.mark.parametrize("mode", MERGES)
def test_merge_in_a_graph(tmp_path, mode, rng):
    def entrance(name: str) -> dict:
        return placed(layer("InputLayer", name, batch_input_shape=[None, 3], input_dtype="float32", sparse=False))

    rows = [entrance("a"), entrance("b"), placed(merge(mode), [["a", 0, 0], ["b", 0, 0]])]
    config = functional(rows, [["a", 0, 0], ["b", 0, 0]], [["merge_1", 0, 0]])
    path = write(tmp_path / "m.h5", config, {}, version=None, backend=None)
    a, b = (rng.normal(size=(2, 3)).astype("float32") for _ in range(2))
    found = torchkeras.saving.load_model(path, compile=False).predict([a, b], verbose=0)
    np.testing.assert_allclose(found, MERGES[mode](a, b), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("mode", ["sum", "concat"])
def test_merge_of_sequential_models(tmp_path, mode, rng):
    """The branches' layers are counted as the model's own."""
    a, b = rng.normal(size=(3, 4)), rng.normal(size=(2, 4))
    last = rng.normal(size=(4 if mode == "sum" else 8, 1))

    def dense(name: str, kernel: np.ndarray, **config: Any) -> dict:
        return layer("Dense", name, output_dim=kernel.shape[1], activation="linear", bias=False, **config)

    branches = [
        sequential([dense("left", a, batch_input_shape=[None, 3])]),
        sequential([dense("right", b, batch_input_shape=[None, 2])]),
    ]
    config = sequential([merge(mode, layers=branches), dense("last", last)])
    weights = {name: [(f"{name}_W", kernel)] for name, kernel in (("left", a), ("right", b), ("last", last))}
    path = write(tmp_path / "m.h5", config, weights, version=None, backend=None)
    x, y = rng.normal(size=(5, 3)).astype("float32"), rng.normal(size=(5, 2)).astype("float32")
    model = torchkeras.saving.load_model(path, compile=False)
    want = MERGES[mode](x @ a, y @ b) @ last
    np.testing.assert_allclose(model.predict([x, y], verbose=0), want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "row, words",
    [
        (merge("4wEAAAA="), "arbitrary code execution"),
        (merge("cos"), r"mode='cos'.*Dot\(axes, normalize=True\)"),
        (layer("BatchNormalization", "b", mode=1), "mode=1"),
        (layer("MaxoutDense", "m", output_dim=3, nb_feature=2), "MaxoutDense"),
    ],
)
def test_refused(tmp_path, row, words):
    row["config"]["batch_input_shape"] = [None, 3]
    path = write(tmp_path / "m.h5", sequential([row]), {}, "1.2.2", None)
    with pytest.raises(ValueError, match=words):
        torchkeras.saving.load_model(path)
