"""A model into a legacy HDF5 file, as Keras 3 writes it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import torch

from torchkeras.core import registry, tree
from torchkeras.core.config.serialization import serialize_keras_object
from torchkeras.core.user_warnings import warn_user
from torchkeras.layers.base.layer import Layer
from torchkeras.optimizers.optimizer import Optimizer
from torchkeras.saving.formats.keras_zip import KERAS_VERSION
from torchkeras.saving.formats.legacy_h5 import OPTIMIZER, TOP_LEVEL, WEIGHTS, LegacyTarget
from torchkeras.saving.json import dumped
from torchkeras.saving.legacy.types import Config
from torchkeras.saving.legacy.weight_order import OwnedWeight, legacy_weights, own_legacy_weights
from torchkeras.saving.refusals import warning_for
from torchkeras.saving.walk import saveables
from torchkeras.version import __version__

_BACKEND = "torch"


def write_legacy(model: Layer, target: LegacyTarget, include_optimizer: bool = True) -> None:
    """Write a model with its weights and the optimizer's state; warn if something of it will be missing.

    Args:
        model: the model.
        target: the file.
        include_optimizer: whether to write the arguments of `compile()` and the optimizer's state.
    """
    config = serialize_keras_object(model)
    compiled = config.get("compile_config") if include_optimizer else None
    _warn(model, {**config, "compile_config": compiled})
    target.attribute("keras_version", KERAS_VERSION)
    target.attribute("torchkeras_version", __version__)
    target.attribute("backend", _BACKEND)
    target.attribute("model_config", dumped(_legacy_form(config)))
    optimizer = getattr(model, "optimizer", None)
    if compiled and optimizer is not None:
        target.attribute("training_config", json.dumps(_training_config(compiled)))
    _write_weights(model, target)
    if include_optimizer and isinstance(optimizer, Optimizer) and optimizer.variables:
        target.weights(OPTIMIZER, _named((variable.path, variable) for variable in optimizer.variables))


def _warn(model: Layer, config: Config) -> None:
    refused = warning_for(config)
    if refused is not None:
        warn_user(refused)
    with_files = [obj for _, obj in saveables(model) if hasattr(obj, "save_assets")]
    if with_files:
        names = sorted({str(getattr(obj, "name", type(obj).__name__)) for obj in with_files})
        warn_user(
            f"A legacy HDF5 file has no place for the files that the layers {names} keep (vocabularies and the like). "
            f"Save to a name that ends in `.keras`."
        )


def _write_weights(model: Layer, target: LegacyTarget) -> None:
    layers: list[Layer] = model.layers if hasattr(type(model), "layers") else []
    if any(isinstance(layer, Layer) is False for layer in layers):
        layers = [layer for layer in layers if isinstance(layer, Layer)]
    target.layers([layer.name for layer in layers], {"backend": _BACKEND, "keras_version": KERAS_VERSION})
    for layer in sorted(layers, key=lambda layer: layer.name):
        target.weights(f"{WEIGHTS}/{layer.name}", _named(_paths(legacy_weights(layer))))
    target.weights(f"{WEIGHTS}/{TOP_LEVEL}", _named(_paths(own_legacy_weights(model))))


def _paths(weights: Sequence[OwnedWeight]) -> Iterable[tuple[str, torch.Tensor]]:
    for weight in weights:
        yield getattr(weight.tensor, "path", None) or f"{weight.owner.name}/{weight.name}", weight.tensor


def _named(weights: Iterable[tuple[str, torch.Tensor]]) -> list[tuple[str, torch.Tensor]]:
    """Names that differ: HDF5 keeps one dataset of a name."""
    used: set[str] = set()
    found = []
    for path, tensor in weights:
        path = "/".join(part for part in path.split("/") if part not in ("", ".", "..")) or "weight"
        name, number = path, 0
        while name in used:
            number += 1
            name = f"{path}_{number}"
        used.add(name)
        found.append((name, tensor))
    return found


# ---------------------------------------------------------------------------- configs


def _legacy_form(row: Config) -> Config:
    """A serialized model or layer as legacy files have it: without modules, but for what Keras then misreads."""
    inner = row["config"]
    if isinstance(inner, dict) and isinstance(inner.get("layers"), list):
        inner = {**inner, "layers": [_legacy_form(layer) for layer in inner["layers"]]}
    kept: Config = {key: row[key] for key in ("name", "inbound_nodes") if key in row}
    if str(row.get("module")).startswith("keras.src.ops") or _has_axes(inner):
        return {**row, "config": inner}
    class_name = _NAMES_OF_CLASSES.get(row["class_name"], row["class_name"])
    return {"class_name": row.get("registered_name") or class_name, "config": inner, **kept}


# Keras looks layers of legacy files up by the names of their classes, which this one does not have as its public name.
_NAMES_OF_CLASSES = {"GroupQueryAttention": "GroupedQueryAttention"}


def _has_axes(config: object) -> bool:
    """Whether the argument `axis` is several: Keras loses it where the layer has no module."""
    return isinstance(config, dict) and isinstance(config.get("axis"), (list, tuple)) and len(config["axis"]) != 1


def _training_config(compiled: Config) -> Config:
    config = {key: _part(value) for key, value in compiled.items() if key != "optimizer"}
    config["loss"] = tree.map_structure(_whole_name, config.get("loss"))
    return {**config, "optimizer_config": _part(compiled["optimizer"])}


def _whole_name(loss: object) -> Any:
    """The name of a loss in full: Keras can't read abbreviations such as `"mse"` out of a legacy file."""
    public = registry.public_name(registry.lookup("keras.losses", loss)) if isinstance(loss, str) else None
    return loss if public is None or isinstance(registry.lookup(*public), type) else public[1]


def _part(value: object) -> Any:
    """A loss, metric or optimizer, or a nest of them: functions by name, objects without their modules."""
    if isinstance(value, (list, tuple)):
        return [_part(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "class_name" not in value or "config" not in value:
        return {key: _part(item) for key, item in value.items()}
    if value["class_name"] == "function":
        registered = value.get("registered_name")
        return value["config"] if registered in (None, "function") else registered
    return {"class_name": value.get("registered_name") or value["class_name"], "config": value["config"]}
