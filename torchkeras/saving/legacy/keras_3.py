"""Configs of Keras 3 in legacy files: they name no modules, so that an op may have the name of a layer."""

from __future__ import annotations

from typing import Any

from torchkeras.core import registry
from torchkeras.core.operations.op import OPS
from torchkeras.saving.legacy.types import Config

_OP_CLASSES = {definition.operation_class.__name__: definition for definition in OPS.values()}


def with_modules(config: Config) -> Config:
    """The config with the modules of functional models and of ops, which Keras's legacy files leave out.

    Args:
        config: a serialized model or layer.
    """
    inner = config.get("config")
    if not isinstance(inner, dict) or not isinstance(inner.get("layers"), list):
        return config
    rows = [_with_module(row) if isinstance(row, dict) else row for row in inner["layers"]]
    module = {"module": "keras.src.models.functional"} if config.get("class_name") == "Functional" else {}
    return {**module, **config, "config": {**inner, "layers": rows}}


def _with_module(row: Config) -> Config:
    if "module" in row or not _is_op(row.get("class_name"), row.get("config")):
        return with_modules(row)
    module, name = registry.public_name(_OP_CLASSES[row["class_name"]].operation_class)  # type: ignore[misc]
    return {**row, "module": module, "registered_name": name}


def _is_op(name: Any, config: object) -> bool:
    """Whether it is an op: a layer's config says whether it trains, an op's has the op's arguments alone."""
    if not isinstance(name, str) or name not in _OP_CLASSES or not isinstance(config, dict):
        return False
    is_of_user = registry.find_custom(name) is not None
    return not is_of_user and set(config) <= {"name", *_OP_CLASSES[name].config}
