"""Configs of Keras 1 and 2 in the spelling of Keras 3."""

from __future__ import annotations

from typing import Any

from torchkeras.core import registry
from torchkeras.core.config.keras_names import CLASSES
from torchkeras.core.config.resolve import unknown
from torchkeras.saving.legacy import activations as activations  # registers the functions that the configs name
from torchkeras.saving.legacy import keras_1, keras_2, merge, nodes, tf_nodes, tf_ops
from torchkeras.saving.legacy.generation import generation
from torchkeras.saving.legacy.keras_3 import with_modules
from torchkeras.saving.legacy.training_config import upgraded_training
from torchkeras.saving.legacy.types import Config
from torchkeras.saving.safety.budget import BadFileError

_MODELS = ("Sequential", "Functional", "Model")
_MODULES = {"Sequential": "keras", "Functional": "keras.src.models.functional", "Model": "keras"}
_NAMESPACES = {name: home for home, names in CLASSES.items() for name in names.split() if home == "keras.layers"}
# The kind of object in an argument, by the argument's name.
_PARTS = {
    "_initializer": "keras.initializers",
    "_regularizer": "keras.regularizers",
    "_constraint": "keras.constraints",
}
_GONE = {
    "MaxoutDense": "Keras 1",
    "Highway": "Keras 1",
    "SReLU": "Keras 1",
    "ParametricSoftplus": "Keras 1",
    "LocallyConnected1D": "Keras 1 and 2",
    "LocallyConnected2D": "Keras 1 and 2",
    "DenseFeatures": "Keras 2",
    "RandomHeight": "Keras 2",
    "RandomWidth": "Keras 2",
}


def upgraded(config: Config, keras_version: str | None = None) -> Config:
    """A serialized model of any Keras in the spelling of Keras 3; one of Keras 3 as it is.

    Args:
        config: the serialized model.
        keras_version: the version that the file states. Default: what the config's spelling shows.

    Raises:
        BadFileError: the model has something that no layer of Keras 3 does.
    """
    number = generation(config, keras_version)
    try:
        new = _Upgrade(number).object(config) if number < 3 else config if "module" in config else with_modules(config)
    except (KeyError, IndexError, AttributeError, TypeError) as error:
        raise BadFileError(
            f"The config describes no valid model of Keras {number}: {type(error).__name__}: {error}"
        ) from error
    compiled = new.get("compile_config")
    if isinstance(compiled, dict) and (number < 3 or "optimizer_config" in compiled):
        return {**new, "compile_config": upgraded_training(compiled)}
    return new


class _Upgrade:
    """One config being translated.

    Args:
        number: the major version of the Keras that wrote it.
    """

    def __init__(self, number: int) -> None:
        self.number = number

    def object(self, row: Config) -> Config:
        """A model or layer, with its name and calls where it is part of a graph."""
        class_name, config = row["class_name"], row["config"]
        if not isinstance(class_name, str):
            raise BadFileError(f"class_name must be a string; received {class_name!r}.")
        if self._is_of_user(row):
            return row
        known = class_name.rsplit(">", 1)[-1]
        new = {key: value for key, value in row.items() if key not in ("shared_object_id", "registered_name")}
        if known in _MODELS:
            new["class_name"], new["config"] = self._model(known, config, row)
        else:
            new["class_name"], new["config"] = self._layer(known, dict(config))
        new["module"] = _MODULES.get(new["class_name"]) or _NAMESPACES.get(new["class_name"])
        return new

    def _is_of_user(self, row: Config) -> bool:
        names = (row.get("registered_name"), row["class_name"])
        if any(isinstance(name, str) and registry.find_custom(name) is not None for name in names):
            return True
        module = row.get("module")
        return isinstance(module, str) and not _is_of_keras(module)

    def _layer(self, class_name: str, config: Config) -> tuple[str, Config]:
        if class_name in _GONE:
            raise BadFileError(
                f"{class_name} {config.get('name')!r} is a layer of {_GONE[class_name]} that Keras 3 does not have. "
                f"Pass a class of your own that does the same as custom_objects={{{class_name!r}: ...}}."
            )
        if class_name == "Merge":
            return merge.merging_layer(config)
        if self.number == 1:
            class_name, config = keras_1.upgraded(class_name, config)
        config = {key: self._value(key, value) for key, value in config.items()}
        config = keras_2.upgraded(class_name, config)
        return keras_2.CLASSES.get(class_name, class_name), config

    # ------------------------------------------------------------------ values in a layer's config

    def _value(self, key: str, value: Any) -> Any:
        if isinstance(value, list):
            return [self._value(key, item) for item in value]
        if not isinstance(value, dict):
            return value
        if set(value) == {"type", "value"}:  # a NumPy number or array
            return value["value"]
        if key == "dtype":
            return _policy(value)
        if "class_name" not in value or "config" not in value:
            return {name: self._value(name, item) for name, item in value.items()}
        module = next((module for ending, module in _PARTS.items() if key.endswith(ending)), None)
        if module is not None:
            return self._part(value, module)
        if value["class_name"] in _NAMESPACES or value["class_name"] in (*_MODELS, *keras_2.CLASSES, "Merge"):
            return self.object(value)
        return value

    def _part(self, value: Config, module: str) -> Config:
        """An initializer, regularizer or constraint."""
        if self._is_of_user(value) or not isinstance(value["config"], dict):
            return value
        name = value["class_name"].rsplit(">", 1)[-1] if isinstance(value["class_name"], str) else value["class_name"]
        config = {key: item for key, item in value["config"].items() if key != "dtype"}
        return {"module": module, "class_name": name, "config": config, "registered_name": None}

    # ------------------------------------------------------------------ models

    def _model(self, class_name: str, config: Any, row: Config) -> tuple[str, Config]:
        if class_name == "Sequential":
            return self._sequential(config, row)
        if "layers" not in config:  # a subclassed model's
            return class_name, config
        return "Functional", self._functional(config)

    def _sequential(self, config: Any, row: Config) -> tuple[str, Config]:
        new = {"layers": config} if isinstance(config, list) else dict(config)
        new.setdefault("name", row.get("name") or "sequential")
        if merge.starts_with_merge(new["layers"]):
            return "Functional", self._functional(merge.as_graph(new["layers"], new["name"]))  # type: ignore[arg-type]
        new["layers"] = _with_input_layer([self.object(layer) for layer in new["layers"]])
        for layer in new["layers"]:
            if isinstance(layer["config"], dict) and not self._is_of_user(layer):
                layer["config"].pop("batch_input_shape", None)
        return "Sequential", new

    def _functional(self, config: Config) -> Config:
        rows = config["layers"]
        first = nodes.offsets(rows, [config["input_layers"], config["output_layers"]])
        layers, functional = [], set()
        for row in rows:
            layer = self._graph_layer(row, first)
            layers.append(layer)
            if layer["class_name"] == "Functional":
                functional.add(layer["name"])
        counted = frozenset(functional)
        ends = {key: nodes.upgraded_ends(config[key], first, counted) for key in ("input_layers", "output_layers")}
        return {**config, "layers": layers, **ends}

    def _graph_layer(self, row: Config, first: dict[str, int]) -> Config:
        calls = row.get("inbound_nodes") or []
        if not self._is_of_user(row):
            if row["class_name"] in tf_ops.LAYERS:
                return tf_ops.upgraded(row, [nodes.upgraded_call(call, "", first) for call in calls])
            if row["class_name"] == "TensorFlowOpLayer":
                return tf_nodes.upgraded(row, [nodes.upgraded_call(call, "", first) for call in calls])
        layer = dict(self.object(row))
        layer["inbound_nodes"] = [nodes.upgraded_call(call, layer["class_name"], first) for call in calls]
        if isinstance(layer["config"], dict) and layer["class_name"] != "InputLayer" and not self._is_of_user(row):
            layer["config"] = {key: value for key, value in layer["config"].items() if key != "batch_input_shape"}
        return layer


def _with_input_layer(rows: list[Config]) -> list[Config]:
    """The layers of a Sequential model behind an explicit input, where the first states the shape of its input."""
    first = rows[0]["config"] if rows else {}
    shape = first.get("batch_input_shape") if isinstance(first, dict) else None
    if shape is None or rows[0]["class_name"] in ("InputLayer", *_MODELS):
        return rows
    dtype = first.get("dtype")
    config = {
        "batch_shape": shape,
        "dtype": dtype if dtype in ("int32", "int64", "float16", "float64", "string") else "float32",
        "name": f"{first.get('name', 'layer')}_input",
    }
    return [{"module": "keras.layers", "class_name": "InputLayer", "config": config}, *rows]


def _is_of_keras(module: str) -> bool:
    """Whether a module's name, as TensorFlow and Keras wrote it in any version, is of Keras."""
    return registry.is_ours(module) or module.startswith(("tensorflow.keras.", "tensorflow.python.keras."))


def _policy(value: Config) -> Any:
    """A dtype policy of Keras 2: `Policy`, `PolicyV1`, ... with a name."""
    config = value.get("config")
    name = config.get("name") if isinstance(config, dict) else None
    if not isinstance(name, str):
        raise unknown(str(value.get("class_name")), "dtype policy", value.get("module"))
    return None if name == "_infer" else name
