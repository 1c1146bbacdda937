"""The tables of served names: each row resolves, and to the object that the public API has."""

from __future__ import annotations

import importlib
import sys
import types

import pytest

import torchkeras as keras
from torchkeras.compat import served
from torchkeras.compat.finder import KerasFinder, serve
from torchkeras.compat.names import INSTEAD, PRIVATE_MODULES, PUBLIC_MODULES


def test_each_row_resolves():
    wrong = []
    for module in PRIVATE_MODULES:
        for row in served.rows_of(module):
            try:
                found = list(served.resolve(row))
            except (AttributeError, ModuleNotFoundError) as error:
                wrong.append(f"keras.src.{module}: {error}")
            else:
                wrong += [] if found else [f"keras.src.{module}: {row} names nothing"]
    assert not wrong, "\n".join(wrong)


def test_rows_of_classes_are_the_public_ones():
    assert served.private_names("layers.core.dense") == {"Dense": keras.layers.Dense}
    assert served.private_names("ops.numpy")["Add"]()(1, 2) == 3
    assert served.private_names("")["Model"] is keras.Model


def test_public_modules_are_those_of_this_package():
    for name in PUBLIC_MODULES:
        importlib.import_module(f"torchkeras.{name}")


def test_advice_is_for_what_keras_has():
    known = {".".join(path.split(".")[:end]) for path in PRIVATE_MODULES for end in (1, 2, 3)}
    others = {"backend.jax", "backend.tensorflow", "backend.openvino", "legacy.preprocessing", "legacy.backend"}
    assert set(INSTEAD) <= known | others | {"trainers.epoch_iterator", "utils.tf_utils", "utils.jax_layer"}


def test_the_finder_answers_for_keras_alone():
    finder = KerasFinder()
    assert finder.find_spec("numpy") is finder.find_spec("keras_tuner") is finder.find_spec("tensorflow") is None
    spec = finder.find_spec("keras.layers")
    assert finder.create_module(spec) is keras.layers
    for name in ("keras.layers.base", "keras.src.backend.nothing", "keras.core"):
        with pytest.raises(ModuleNotFoundError, match="torchkeras"):
            finder.find_spec(name)


def test_a_keras_that_is_imported_already_is_refused(monkeypatch):
    other = types.ModuleType("keras")
    other.__version__, other.__file__ = "3.0.0", "/somewhere/keras/__init__.py"
    monkeypatch.setitem(sys.modules, "keras", other)
    with pytest.raises(ImportError, match=r"Keras 3.0.0 is imported already \(from /somewhere"):
        serve()
    assert not any(isinstance(finder, KerasFinder) for finder in sys.meta_path)
