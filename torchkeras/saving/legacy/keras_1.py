"""Arguments of Keras 1's layers in the spelling of Keras 2."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torchkeras.saving.legacy.types import Config
from torchkeras.saving.safety.budget import BadFileError

_OF_WEIGHTS = {
    "init": "kernel_initializer",
    "inner_init": "recurrent_initializer",
    "W_regularizer": "kernel_regularizer",
    "U_regularizer": "recurrent_regularizer",
    "b_regularizer": "bias_regularizer",
    "W_constraint": "kernel_constraint",
    "U_constraint": "recurrent_constraint",
    "b_constraint": "bias_constraint",
    "bias": "use_bias",
}
_OF_IMAGES = {
    "border_mode": "padding",
    "subsample": "strides",
    "dim_ordering": "data_format",
    "atrous_rate": "dilation_rate",
}
_POOLING_1D = {"pool_length": "pool_size", "stride": "strides", "border_mode": "padding"}
_RECURRENT = {
    **_OF_WEIGHTS,
    "output_dim": "units",
    "inner_activation": "recurrent_activation",
    "dropout_W": "dropout",
    "dropout_U": "recurrent_dropout",
}
_EMBEDDING = {
    "init": "embeddings_initializer",
    "W_regularizer": "embeddings_regularizer",
    "W_constraint": "embeddings_constraint",
}
_CONVOLUTION_1D = {
    **_OF_WEIGHTS,
    **_OF_IMAGES,
    "nb_filter": "filters",
    "filter_length": "kernel_size",
    "subsample_length": "strides",
}
_CONVOLUTION = {**_OF_WEIGHTS, **_OF_IMAGES, "nb_filter": "filters"}
_SEPARABLE = {
    **{old: new for old, new in _CONVOLUTION.items() if old not in ("init", "W_regularizer", "W_constraint")},
    "init": "depthwise_initializer",
    "depthwise_init": "depthwise_initializer",
    "pointwise_init": "pointwise_initializer",
}
_CONVOLUTIONS = "Convolution2D AtrousConvolution2D Deconvolution2D Convolution3D Conv2D Conv3D".split()
_WITH_ROWS_AND_COLUMNS = "Convolution2D AtrousConvolution2D Deconvolution2D SeparableConvolution2D ConvLSTM2D".split()
_RENAMED: dict[str, dict[str, str]] = {
    "Dense": {**_OF_WEIGHTS, "output_dim": "units"},
    "Embedding": _EMBEDDING,
    "Dropout": {"p": "rate"},
    "SpatialDropout1D": {"p": "rate"},
    "SpatialDropout2D": {"p": "rate", "dim_ordering": "data_format"},
    "SpatialDropout3D": {"p": "rate", "dim_ordering": "data_format"},
    "GaussianDropout": {"p": "rate"},
    "GaussianNoise": {"sigma": "stddev"},
    "PReLU": {"init": "alpha_initializer"},
    "BatchNormalization": {
        "beta_init": "beta_initializer",
        "gamma_init": "gamma_initializer",
    },
    "UpSampling1D": {"length": "size"},
    **dict.fromkeys(("Convolution1D", "AtrousConvolution1D", "Conv1D"), _CONVOLUTION_1D),
    **dict.fromkeys(_CONVOLUTIONS, _CONVOLUTION),
    "SeparableConvolution2D": _SEPARABLE,
    **dict.fromkeys(("MaxPooling1D", "AveragePooling1D"), _POOLING_1D),
    **dict.fromkeys(("SimpleRNN", "LSTM", "GRU"), _RECURRENT),
    "ConvLSTM2D": {**_RECURRENT, **_OF_IMAGES, "nb_filter": "filters"},
}
_CLASSES = {"AtrousConvolution1D": "Conv1D", "AtrousConvolution2D": "Conv2D", "TimeDistributedDense": "Dense"}
_INITIALIZERS = {"one": "ones", "zero": "zeros", "uniform": "random_uniform", "normal": "random_normal"}
_DROPPED = ("consume_less", "forget_bias_init")


def upgraded(class_name: str, config: Config) -> tuple[str, Config]:
    """The class and arguments of a layer of Keras 1 in the spelling of Keras 2.

    Args:
        class_name: as the config has it.
        config: the layer's arguments; it is changed.

    Raises:
        BadFileError: the layer does what no layer of Keras 3 does.
    """
    sizes = _SIZES.get(class_name)
    if sizes is not None:
        sizes(config)
    names = {**_RENAMED.get(class_name, {"dim_ordering": "data_format", "border_mode": "padding"})}
    for old, new in names.items():
        if old in config:
            config[new] = config.pop(old)
    rule = _RULES.get(class_name)
    if rule is not None:
        rule(config)
    if class_name not in ("Embedding",):
        config.pop("input_dim", None)
    for key in _DROPPED:
        config.pop(key, None)
    for key, value in config.items():
        if key.endswith("_initializer") and isinstance(value, str):
            config[key] = _INITIALIZERS.get(value, value)
        elif isinstance(value, dict) and "name" in value and "class_name" not in value:
            config[key] = _part(value)
    config["data_format"] = _data_format(config)
    if config["data_format"] is None:
        del config["data_format"]
    return _CLASSES.get(class_name, class_name), config


def _data_format(config: Config) -> str | None:
    value = config.get("data_format")
    return {"th": "channels_first", "tf": "channels_last"}.get(value, value)  # type: ignore[arg-type]


def _part(value: Config) -> Config:
    """A regularizer or constraint, which Keras 1 writes as its arguments with the class's name among them."""
    arguments = {key: item for key, item in value.items() if key != "name"}
    name = {"WeightRegularizer": "L1L2", "L1L2Regularizer": "L1L2", "ActivityRegularizer": "L1L2"}.get(
        value["name"], value["name"]
    )
    if "m" in arguments:
        arguments["max_value"] = arguments.pop("m")
    return {"class_name": name, "config": arguments}


def _sizes_2d(config: Config) -> None:
    if "nb_row" in config:
        config["kernel_size"] = [config.pop("nb_row"), config.pop("nb_col")]


def _sizes_3d(config: Config) -> None:
    if "kernel_dim1" in config:
        config["kernel_size"] = [config.pop(f"kernel_dim{i}") for i in (1, 2, 3)]


_SIZES: dict[str, Callable[[Config], None]] = {
    **dict.fromkeys(_WITH_ROWS_AND_COLUMNS, _sizes_2d),
    "Convolution3D": _sizes_3d,
}


def _batch_normalization(config: Config) -> None:
    if config.get("mode"):
        raise BadFileError(
            f"BatchNormalization {config.get('name')!r} of Keras 1 has mode={config['mode']!r}, which normalizes by "
            f"other statistics than any layer of Keras 3. Only mode 0 is read."
        )


def _embedding(config: Config) -> None:
    config.pop("dropout", None)


def _deconvolution(config: Config) -> None:
    config.pop("output_shape", None)


_RULES: dict[str, Callable[[Config], Any]] = {
    "BatchNormalization": _batch_normalization,
    "Embedding": _embedding,
    "Deconvolution2D": _deconvolution,
}
