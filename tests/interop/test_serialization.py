"""Descriptions of objects against Keras: what a name stands for, and which class names are Keras's."""

from __future__ import annotations

import functools
from typing import Any

import keras
import pytest

import torchkeras
from torchkeras.core.config.keras_names import CLASSES


@pytest.mark.parametrize("module", CLASSES)
def test_the_list_of_keras_classes(module):
    space = functools.reduce(getattr, module.split(".")[1:], keras)
    public = {name for name in dir(space) if not name.startswith("_") and isinstance(getattr(space, name), type)}
    assert set(CLASSES[module].split()) == public


def outcome(package: Any, config: Any, **kwargs: Any) -> Any:
    """The class, function or value that comes out; of an error the class."""
    try:
        made = package.saving.deserialize_keras_object(config, **kwargs)
    except (TypeError, ValueError) as error:
        return type(error)
    if isinstance(made, (str, list, type(None))):
        return made
    return made.__name__ if hasattr(made, "__name__") else (type(made).__name__,)


def objects(package: Any) -> dict[str, Any]:
    return {
        "Adam": package.optimizers.Adam,
        "Dense": package.layers.Dense,
        "L2": package.regularizers.L2,
        "relu": package.activations.relu,
    }


@pytest.mark.parametrize(
    "config",
    [
        "Adam",
        "Dense",
        "L2",
        "relu",
        "unknown",
        None,
        {"class_name": "Adam"},
        {"class_name": "Adam", "config": {"learning_rate": 0.5}},
        {"class_name": "Dense", "config": {"units": 3}},
        {"class_name": "Dense", "config": {"wrong": 3}},
        {"class_name": "function", "config": "relu", "module": "builtins", "registered_name": "relu"},
        {"no": "class"},
        ["Adam", "relu"],
    ],
    ids=str,
)
def test_names_in_module_objects(config):
    kwargs = {name: {"module_objects": objects(package)} for name, package in _PACKAGES.items()}
    mine, theirs = (outcome(package, config, **kwargs[name]) for name, package in _PACKAGES.items())
    assert mine == theirs


@pytest.mark.parametrize(
    "config",
    [
        {"class_name": "function", "config": ["relu"]},
        {"class_name": "Dense", "module": "keras.layers", "config": [1]},
        {"class_name": "Dense", "module": "keras.layers", "config": {"units": 1}, "registered_name": "mine>Dense"},
        {"class_name": "Dense", "module": "keras.layers", "config": {"units": 1}, "registered_name": "Dense"},
        {"class_name": "function", "module": "builtins", "config": "relu", "registered_name": "other"},
        {"class_name": "function", "module": "builtins", "config": "relu", "registered_name": "function"},
        {"class_name": "SGD", "module": "keras.optimizers", "config": None},
    ],
    ids=str,
)
def test_descriptions(config):
    assert outcome(torchkeras, config) == outcome(keras, config)


_PACKAGES = {"torchkeras": torchkeras, "keras": keras}
