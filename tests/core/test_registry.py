"""The registry tells classes of this package from those of users, and gives the names that files use."""

from __future__ import annotations

import sys

import pytest

import torchkeras as keras
from tests.package_imports import modules
from torchkeras.core import registry
from torchkeras.core.config import keras_names
from torchkeras.core.config.configurable import Configurable
from torchkeras.core.config.serialization import deserialize_keras_object, registered_class, serialize_keras_object
from torchkeras.core.operations.function_operation import FunctionOperation


def subclasses(cls: type) -> set[type]:
    return {cls, *(deeper for one in cls.__subclasses__() for deeper in subclasses(one))}


def test_classes_of_the_package_are_its_own_and_no_others():
    # Tests make operations of their own, whose classes the package makes for them. Other tests and torch make classes
    # of the package's; one is the package's own only if a module of the package has it under its name.
    for cls in subclasses(Configurable) - subclasses(FunctionOperation) - {Configurable}:
        if cls.__module__.startswith("torchkeras.compat."):  # imported on demand, when the package is complete
            continue
        defined = cls.__module__ in modules() and getattr(sys.modules[cls.__module__], cls.__name__, None) is cls
        assert registry.is_own(cls) == defined, (cls, cls.__mro__)


class Mine(keras.layers.Dense):
    keras_module = "keras.layers"


def test_a_class_of_the_user_is_on_no_allow_list():
    assert not registry.is_own(Mine)
    assert registry.public_name(Mine) is None and registry.lookup("keras.layers", "Mine") is None
    config = serialize_keras_object(Mine(2))
    assert (config["module"], config["class_name"]) == (__name__, "Mine")
    assert config["registered_name"] == "Mine"


@pytest.mark.parametrize("base", [keras.layers.Dense, Mine])
def test_an_object_keeps_the_class_that_it_was_made_as(base):
    """FSDP2 gives a module a class of its own making."""
    layer = base(2)
    layer.__class__ = type(f"FSDP{base.__name__}", (base,), {})
    assert registered_class(layer) is base
    assert serialize_keras_object(layer)["class_name"] == base.__name__


class Doubling(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = 2 * units


def test_arguments_of_a_user_are_kept_as_they_were_given():
    assert Doubling(3).get_config()["units"] == 3
    assert keras.layers.Dense(3, "relu").get_config()["activation"] == "relu"


# ---------------------------------------------------------------------------- names that nothing answers to


@pytest.mark.parametrize("module", ["keras.layers", "keras.src.layers.preprocessing.text_vectorization", None])
def test_a_class_of_keras_that_is_not_here_is_not_taken_for_the_users(module, monkeypatch):
    monkeypatch.setitem(keras_names.CLASSES, "keras.layers", "Dense FutureLayer")
    config = {"module": module, "class_name": "FutureLayer", "config": {}}
    with pytest.raises(TypeError, match="FutureLayer.*keras.layers, torchkeras does not have it yet"):
        deserialize_keras_object(config)
    with pytest.raises(TypeError, match="If it is yours"):
        deserialize_keras_object({**config, "module": "mine.layers"})


@pytest.mark.parametrize("name, candidate", [("Densse", "Dense"), ("LayerNormalisation", "LayerNormalization")])
def test_unknown_names_name_candidates(name, candidate):
    with pytest.raises(TypeError, match=f"Did you mean .*{candidate!r}"):
        deserialize_keras_object({"module": "keras.layers", "class_name": name, "config": {}})


def test_objects_of_the_user_are_candidates_too():
    with keras.saving.CustomObjectScope({"MyDoubling": Doubling}), pytest.raises(TypeError, match="'MyDoubling'"):
        deserialize_keras_object({"module": "mine", "class_name": "MyDoublin", "config": {}})
