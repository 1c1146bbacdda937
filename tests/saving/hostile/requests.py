"""Configs that ask for memory, objects or computations."""

from __future__ import annotations

import json
from pathlib import Path

from tests.saving.hostile.makers import (
    MAKERS,
    function_config,
    good_model,
    lambda_layer,
    maker,
    members,
    with_layer,
    write,
)


def through_json(folder: Path, layer: dict, door: str, compiled: dict | None = None) -> tuple[str, str]:
    """A model with another first layer, for a door that has no file of weights."""
    config = json.loads(members(good_model(folder))["config.json"])
    config["config"]["layers"][1] = layer
    config["compile_config"] = compiled
    path = folder / "config.json"
    path.write_text(json.dumps(config))
    return door, str(path)


def _dense(units: int) -> dict:
    config = {"name": "first", "units": units}
    return {"module": "keras.layers", "class_name": "Dense", "config": config, "registered_name": None}


def _metric(name: str, **config) -> dict:
    metric = {"module": "keras.metrics", "class_name": name, "config": config, "registered_name": None}
    return {"optimizer": "sgd", "loss": "mse", "metrics": [metric]}


def _lambda_of(name: str, **arguments) -> dict:
    layer = lambda_layer(function_config("keras.ops", name))
    layer["config"]["arguments"] = arguments
    return layer


CONFIG_DOORS = ("model_from_json", "deserialize_keras_object", "from_config")
for _door in CONFIG_DOORS:
    MAKERS[f"billion_units_{_door}"] = (
        lambda folder, door=_door: through_json(folder, _dense(10**9), door),
        ("set_max_model_bytes",),
    )
    MAKERS[f"layers_of_3_gigabytes_{_door}"] = (
        lambda folder, door=_door: through_json(folder, _dense(1 << 58), door),
        ("set_max_model_bytes",),
    )

COUNTS = {
    "AUC": {"num_thresholds": 10**9},
    "MeanIoU": {"num_classes": 10**9},
    "OneHotMeanIoU": {"num_classes": 10**8},
    "IoU": {"num_classes": 10**6, "target_class_ids": [0]},
    "SensitivityAtSpecificity": {"specificity": 0.5, "num_thresholds": 10**9},
    "PrecisionAtRecall": {"recall": 0.5, "num_thresholds": 10**8},
}
for _name, _config in COUNTS.items():
    for _door in ("model_from_json", "deserialize_keras_object", "load_model"):

        def _counts(folder, name=_name, config=_config, door=_door):
            if door != "load_model":
                return through_json(folder, _dense(4), door, _metric(name, **config))
            contents = members(good_model(folder))
            found = json.loads(contents["config.json"]) | {"compile_config": _metric(name, **config)}
            contents["config.json"] = json.dumps(found).encode()
            return door, str(write(folder / "counts.keras", contents))

        MAKERS[f"count_{_name}_{_door}"] = (_counts, ())


@maker("objects")
def ten_million_pieces(folder):
    config = json.loads(members(good_model(folder))["config.json"])
    config["config"]["layers"][0]["config"]["batch_shape"] = [None, 10**7]
    config["config"]["layers"][1:] = [_lambda_of("unstack", axis=1)]
    path = folder / "pieces.json"
    path.write_text(json.dumps(config))
    return "model_from_json", str(path)


def _op_node(folder: Path, op: str, config: dict, args: list, kwargs: dict | None = None) -> tuple[str, str]:
    """A functional model with a call of an op on constants."""
    row = {
        "module": f"keras.src.ops.numpy.{op}",
        "class_name": op,
        "config": config,
        "registered_name": op,
        "name": "op",
    }
    row["inbound_nodes"] = [{"args": args, "kwargs": kwargs or {}}]
    row["module"] = "keras.src.ops.nn" if op == "OneHot" else "keras.src.ops.numpy"
    inputs = {
        "module": "keras.layers",
        "class_name": "InputLayer",
        "config": {"batch_shape": [None, 3], "name": "in"},
        "name": "in",
        "inbound_nodes": [],
        "registered_name": None,
    }
    model = {"name": "m", "layers": [inputs, row], "input_layers": [["in", 0, 0]], "output_layers": [["op", 0, 0]]}
    path = folder / "op.json"
    text = {"module": "keras.src.models.functional", "class_name": "Functional", "config": model}
    path.write_text(json.dumps(text | {"registered_name": "Functional"}))
    return "model_from_json", str(path)


CONSTANT_NODES = {
    "Repeat": ({"repeats": 2 * 10**9}, [1.0]),
    "Pad": ({"pad_width": [[0, 2 * 10**9]]}, [[1.0]]),
    "OneHot": ({"num_classes": 2 * 10**9}, [[1]]),
    "Linspace": ({"num": 2 * 10**9}, [0.0, 1.0]),
    "Bincount": ({"minlength": 2 * 10**9}, [[1]]),
    "Tile": ({"repeats": [2 * 10**9]}, [[1.0]]),
    "Arange": ({}, [0, 2 * 10**9]),
}
for _op, (_config, _args) in CONSTANT_NODES.items():
    MAKERS[f"constant_node_{_op}"] = (
        lambda folder, op=_op, config=_config, args=_args: _op_node(folder, op, config, args),
        (),
    )


@maker("no model")
def root_is_an_optimizer(folder):
    path = folder / "root.json"
    root = {"module": "keras.optimizers", "class_name": "SGD", "config": {}, "registered_name": None}
    path.write_text(json.dumps(root))
    return "model_from_json", str(path)


@maker("no model")
def root_is_an_array(folder):
    path = folder / "root.json"
    path.write_text(json.dumps({"class_name": "__numpy__", "config": {"value": [1.0], "dtype": "float32"}}))
    return "model_from_json", str(path)


@maker("no model")
def root_is_an_optimizer_in_a_file(folder):
    root = {"module": "keras.optimizers", "class_name": "SGD", "config": {}, "registered_name": None}
    contents = members(good_model(folder)) | {"config.json": json.dumps(root).encode()}
    return "load_model", str(write(folder / "root.keras", contents))


@maker("must be a string")
def name_is_a_dict(folder):
    config = json.loads(members(good_model(folder))["config.json"])["config"]["layers"][1]
    config["config"]["name"] = {}
    return with_layer(folder, config, "name")


@maker("twice")
def duplicate_keys(folder):
    path = folder / "keys.json"
    path.write_text('{"class_name": "Sequential", "class_name": "Dense", "config": {"name": "m", "layers": []}}')
    return "model_from_json", str(path)
