"""What is this package's and what is the user's, and under which names files know them."""

from __future__ import annotations

import pytest

import torchkeras as keras
from tests.package_imports import modules
from torchkeras.core import registry
from torchkeras.core.config.configurable import Configurable
from torchkeras.core.config.serialization import registered_class, serialize_keras_object


def subclasses(cls: type) -> set[type]:
    return {cls, *(deeper for one in cls.__subclasses__() for deeper in subclasses(one))}


def test_classes_of_the_package_are_its_own_and_no_others():
    for cls in subclasses(Configurable) - {Configurable}:
        assert registry.is_own(cls) == (cls.__module__ in modules()), cls


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
