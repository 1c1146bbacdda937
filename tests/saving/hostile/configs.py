"""Configs that name code, sizes and nests that no model has."""

from __future__ import annotations

import base64
import json
import pickle

from tests.saving.hostile.makers import (
    MAKERS,
    bytecode,
    dense_with,
    function_config,
    good_model,
    lambda_layer,
    maker,
    members,
    with_layer,
    write,
)


@maker("lambda")
def lambda_bytecode(folder):
    return with_layer(folder, lambda_layer(bytecode(folder)), "lambda")


@maker()
def lambda_bytecode_as_activation(folder):
    return dense_with(folder, "activation", activation=bytecode(folder))


@maker()
def lambda_bytecode_of_keras_2(folder):
    layer = lambda_layer([bytecode(folder)["config"]["code"], None, None])
    layer["config"]["function_type"] = "lambda"
    return with_layer(folder, layer, "lambda2")


IMPORTABLE = [
    ("os", "system"),
    ("builtins", "eval"),
    ("builtins", "exec"),
    ("subprocess", "call"),
    ("evil_on_the_path", "boom"),
    ("keras.utils", "get_file"),
    ("keras.saving", "load_model"),
    ("keras.models", "load_model"),
    ("keras.config", "enable_unsafe_deserialization"),
    ("keras.config", "set_floatx"),
    ("keras.datasets.mnist", "load_data"),
    ("torch", "load"),
    ("numpy", "load"),
    ("torchkeras.saving.api", "load_model"),
    ("torchkeras.core.config.serialization", "enable_unsafe_deserialization"),
]
for _module, _name in IMPORTABLE:

    def _make(folder, module=_module, name=_name):
        layer = lambda_layer(function_config(module, name))
        layer["config"]["arguments"] = {"path": str(folder / "sentinel")}
        return with_layer(folder, layer, f"function_{name}")

    def _make_activation(folder, module=_module, name=_name):
        return dense_with(folder, f"activation_{name}", activation=function_config(module, name))

    MAKERS[f"function_{_module}.{_name}"] = (_make, ())
    MAKERS[f"activation_{_module}.{_name}"] = (_make_activation, ())


@maker("evil_on_the_path")
def class_on_the_path(folder):
    layer = {"module": "evil_on_the_path", "class_name": "Layer", "config": {}, "registered_name": "Layer"}
    return with_layer(folder, layer, "class")


@maker()
def class_without_a_module(folder):
    return with_layer(folder, {"class_name": "evil_on_the_path", "config": {}}, "no_module")


@maker()
def pickled_torch_module(folder):
    class Payload:
        def __reduce__(self):
            return open, (str(folder / "sentinel"), "w")

    config = {"name": "t", "module": base64.b64encode(pickle.dumps(Payload())).decode(), "output_shape": None}
    return with_layer(folder, {"module": "keras.layers", "class_name": "TorchModuleWrapper", "config": config}, "torch")


@maker()
def vocabulary_from_a_path(folder):
    config = {"name": "v", "vocabulary": "/etc/hostname", "num_oov_indices": 1}
    return with_layer(folder, {"module": "keras.layers", "class_name": "StringLookup", "config": config}, "vocabulary")


@maker("config.json")
def layer_of_60_million_units(folder):
    return dense_with(folder, "units", units=60_000_000)


@maker("config.json")
def layer_of_exbytes(folder):
    return dense_with(folder, "more_units", units=1 << 58)


@maker()
def huge_string_type(folder):
    array = {"class_name": "__numpy__", "config": {"value": ["a"], "dtype": "<U100000000"}}
    return with_layer(folder, lambda_layer(array), "string")


@maker("nested too deeply")
def nested_json(folder):
    contents = members(good_model(folder)) | {"config.json": b"[" * 200_000 + b"]" * 200_000}
    return "load_model", str(write(folder / "nested.keras", contents))


@maker("nested too deeply")
def nested_objects(folder):
    layer: dict = {"module": "keras.layers", "class_name": "Dense", "config": {"units": 1}}
    text = json.dumps(layer)
    for _ in range(3000):
        text = '{"module": "keras.layers", "class_name": "TimeDistributed", "config": {"layer": ' + text + "}}"
    contents = members(good_model(folder)) | {"config.json": text.encode()}
    return "load_model", str(write(folder / "nested_objects.keras", contents))


@maker("config.json", "no JSON")
def config_is_no_json(folder):
    contents = members(good_model(folder)) | {"config.json": b'{"class_name": '}
    return "load_model", str(write(folder / "json.keras", contents))


@maker("describes no model")
def config_is_a_list(folder):
    contents = members(good_model(folder)) | {"config.json": b"[1, 2]"}
    return "load_model", str(write(folder / "list.keras", contents))
