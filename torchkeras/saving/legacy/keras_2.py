"""Arguments of Keras 2's layers that Keras 3 spells otherwise, no longer has, or must be told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from torchkeras.saving.legacy.types import Config
from torchkeras.saving.safety.budget import BadFileError

CLASSES: dict[str, str] = {
    "Model": "Functional",
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "SyncBatchNormalization": "BatchNormalization",
    "CuDNNLSTM": "LSTM",
    "CuDNNGRU": "GRU",
    "LSTMV2": "LSTM",
    "GRUV2": "GRU",
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "Convolution3D": "Conv3D",
    "Convolution1DTranspose": "Conv1DTranspose",
    "Convolution2DTranspose": "Conv2DTranspose",
    "Convolution3DTranspose": "Conv3DTranspose",
    "Deconvolution2D": "Conv2DTranspose",
    "Deconvolution3D": "Conv3DTranspose",
    "SeparableConvolution1D": "SeparableConv1D",
    "SeparableConvolution2D": "SeparableConv2D",
    "ThresholdedReLU": "ReLU",
}
"""Names of classes in Keras 1 and 2, and the class of Keras 3 that does the same."""

# Arguments that only say how TensorFlow or Theano should compute, or repeat what the layer knows.
_DROPPED_EVERYWHERE = "weights input_length input_dtype batch_size time_major implementation ragged".split()
_OF_KERNEL = ["kernel_initializer", "kernel_regularizer", "kernel_constraint"]
_OF_BATCH_NORMALIZATION = "fused virtual_batch_size adjustment mode".split()
_SPATIAL_DROPOUT = ["noise_shape"]
_DROPPED: dict[str, list[str]] = {
    "DepthwiseConv1D": [*_OF_KERNEL, "groups", "filters"],
    "DepthwiseConv2D": [*_OF_KERNEL, "groups", "filters"],
    "SeparableConv1D": [*_OF_KERNEL, "groups"],
    "SeparableConv2D": [*_OF_KERNEL, "groups"],
    "Conv1DTranspose": ["groups"],
    "Conv2DTranspose": ["groups"],
    "Conv3DTranspose": ["groups"],
    "BatchNormalization": _OF_BATCH_NORMALIZATION,
    "Embedding": ["sparse", "dropout"],
    "RNN": ["num_constants"],
    "SpatialDropout1D": _SPATIAL_DROPOUT,
    "SpatialDropout2D": _SPATIAL_DROPOUT,
    "SpatialDropout3D": _SPATIAL_DROPOUT,
    "MultiHeadAttention": ["query_shape", "key_shape", "value_shape"],
    "InputLayer": ["type_spec"],
}
_RECURRENT = (
    "LSTM",
    "GRU",
    "SimpleRNN",
    "LSTMCell",
    "GRUCell",
    "SimpleRNNCell",
    "ConvLSTM1D",
    "ConvLSTM2D",
    "ConvLSTM3D",
)
# Activations by names that TensorFlow's functions had.
_ACTIVATIONS = {"softmax_v2": "softmax", "log_softmax_v2": "log_softmax", "leaky_relu_v2": "leaky_relu"}
_OF_ACTIVATION = ("activation", "recurrent_activation")


def upgraded(class_name: str, config: Config) -> Config:
    """The arguments of a layer of Keras 2 in the spelling of Keras 3.

    Args:
        class_name: as the config has it.
        config: the layer's arguments; it is changed.

    Raises:
        BadFileError: an argument asks for what Keras 3 does not have and the layer can't do without.
    """
    name = CLASSES.get(class_name, class_name)
    if config.get("time_major"):
        raise BadFileError(
            f"{class_name} {config.get('name')!r} has time_major=True: sequences with the steps first are not "
            f"supported. Set it to false in the config, and give the model sequences with the samples first."
        )
    for key in (*_DROPPED_EVERYWHERE, *_DROPPED.get(name, ())):
        config.pop(key, None)
    for key in _OF_ACTIVATION:
        if isinstance(config.get(key), str):
            config[key] = activation(config[key])
    rule = _RULES.get(name)
    if rule is not None:
        rule(class_name, config)
    if name not in _RECURRENT and name != "RNN":
        config.pop("stateful", None)
    return config


def activation(name: str) -> str:
    """The name in Keras 3 of an activation of Keras 1 or 2."""
    return "legacy_hard_sigmoid" if name == "hard_sigmoid" else _ACTIVATIONS.get(name, name)


def _input_layer(_: str, config: Config) -> None:
    shape = config.pop("batch_input_shape", None)
    if shape is not None:
        config["batch_shape"] = shape


def _batch_normalization(_: str, config: Config) -> None:
    axis = config.get("axis")
    if isinstance(axis, list) and len(axis) == 1:
        config["axis"] = axis[0]


def _lstm(class_name: str, config: Config) -> None:
    if class_name.startswith("CuDNN"):
        config.setdefault("activation", "tanh")
        config.setdefault("recurrent_activation", "sigmoid")


def _gru(class_name: str, config: Config) -> None:
    _lstm(class_name, config)
    # The argument came with Keras 2.1.3; without it a layer was made the old way. CuDNN knows the other way alone.
    config.setdefault("reset_after", class_name.startswith("CuDNN"))


def _leaky_relu(_: str, config: Config) -> None:
    if "alpha" in config:
        config["negative_slope"] = config.pop("alpha")


def _relu(class_name: str, config: Config) -> None:
    if class_name == "ThresholdedReLU":
        # It lets pass what lies above the threshold, ReLU also what lies on it.
        theta = np.float32(config.pop("theta", 1.0))
        config["threshold"] = float(np.nextafter(theta, np.float32(np.inf))) if theta else 0.0
    if config.get("negative_slope") is None:
        config.pop("negative_slope", None)


def _attention(class_name: str, config: Config) -> None:
    if config.pop("causal", False):
        raise BadFileError(
            f"{class_name} {config.get('name')!r} has causal=True, which Keras 3 takes in the call "
            f"(use_causal_mask=True), not in the constructor. Build the model in code and load its weights."
        )


def _tuple_axis(_: str, config: Config) -> None:
    if isinstance(config.get("axis"), list) and len(config["axis"]) == 1:
        config["axis"] = config["axis"][0]


def _lambda(_: str, config: Config) -> None:
    for part in ("function", "output_shape", "mask"):
        kind = config.pop(f"{part}_type", None)
        value = config.get(part)
        if kind == "lambda" or (part == "function" and isinstance(value, list)):
            config[part] = {"class_name": "__lambda__", "config": {}}  # refused with the words for it
        elif kind in ("function", None) and isinstance(value, str):
            config[part] = {"module": None, "class_name": "function", "config": value, "registered_name": None}
        config.pop(f"{part}_module", None)
    config.pop("module", None)


_RULES: dict[str, Callable[[str, Config], Any]] = {
    "InputLayer": _input_layer,
    "Lambda": _lambda,
    "BatchNormalization": _batch_normalization,
    "LayerNormalization": _tuple_axis,
    "Normalization": _tuple_axis,
    "LSTM": _lstm,
    "GRU": _gru,
    "GRUCell": _gru,
    "LeakyReLU": _leaky_relu,
    "ReLU": _relu,
    "Attention": _attention,
    "AdditiveAttention": _attention,
}
