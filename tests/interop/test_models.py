"""Models against Keras on torch: configs both ways, orders, names, outputs, summaries, clones, errors."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import keras
import numpy as np
import pytest
import torch

import torchkeras
from tests.interop.model_cases import ALL, FUNCTIONAL
from torchkeras import models
from torchkeras.core import naming, tree

# What differs in the description, never in the numbers, and why.
DIFFERENT = {
    "masked": "masks ride on tensors here; Keras puts the op that makes one into the graph",
}


def table(makes: list) -> Any:
    return pytest.mark.parametrize("make", makes, ids=lambda make: make.__name__)


def described(makes: list, different: dict[str, str] = DIFFERENT) -> Any:
    """A table for tests that compare descriptions."""

    def row(make: Any) -> Any:
        reason = different.get(make.__name__)
        return pytest.param(make, marks=pytest.mark.xfail(reason=reason, strict=True)) if reason else make

    return table([row(make) for make in makes])


every = table(ALL)
every_description = described(ALL)
GRAPH_DIFFERS = {"masked": DIFFERENT["masked"]}


@lru_cache(None)
def pair(make: Any) -> tuple[Any, Any]:
    """The model here and in Keras, names counted from zero in both."""
    naming.reset_names()
    keras.utils.clear_session(free_memory=False)
    return make(torchkeras), make(keras)


def description(model: Any) -> dict:
    return json.loads(model.to_json())


def load_keras(text: str) -> Any:
    return keras.models.model_from_json(text)


def load_ours(text: str) -> Any:
    return models.model_from_json(text)


def random_weights(model: Any, rng: Any) -> list[np.ndarray]:
    return [rng.normal(size=w.shape).astype("float32") ** 2 for w in model.weights]


def random_inputs(model: Any, rng: Any) -> Any:
    def one(tensor: Any) -> np.ndarray:
        shape = [(2, 6)[i > 0] if size is None else size for i, size in enumerate(tensor.shape)]
        if "int" in tensor.dtype:
            return rng.integers(0, 9, shape).astype(tensor.dtype)
        return rng.normal(size=shape).astype(tensor.dtype)

    return tree.map_structure(one, model.input)


def array(tensor: Any) -> np.ndarray:
    return tensor.detach().to(torch.float32).numpy()


def assert_same_outputs(mine: Any, theirs: Any, rng: Any, training: bool = False) -> None:
    weights = random_weights(theirs, rng)
    mine.set_weights(weights)
    theirs.set_weights(weights)
    x = random_inputs(mine, rng)
    got, wanted = mine(x, training=training), theirs(x, training=training)
    tree.assert_same_structure(tree.lists_to_tuples(got), tree.lists_to_tuples(wanted))
    half = any(layer.compute_dtype != "float32" for layer in mine.layers)
    for a, b in zip(tree.flatten(got), tree.flatten(wanted), strict=True):
        # Half types round at the size of the terms of a sum, not of the sum: four hidden units, each of which may be
        # one rounding off, are 4 eps of the largest output.
        atol = 4 * torch.finfo(torch.bfloat16).eps * max(1.0, np.abs(array(b)).max()) if half else 1e-4
        np.testing.assert_allclose(array(a), array(b), rtol=2e-2 if half else 1e-4, atol=atol)


@every_description
def test_json_is_keras(make):
    mine, theirs = pair(make)
    assert description(mine) == description(theirs)


@every
def test_layers_weights_and_their_names_come_in_keras_order(make):
    mine, theirs = pair(make)
    assert [layer.name for layer in mine.layers] == [layer.name for layer in theirs.layers]
    assert [w.path for w in mine.weights] == [w.path for w in theirs.weights]
    assert [tuple(w.shape) for w in mine.weights] == [tuple(w.shape) for w in theirs.weights]
    for kind in (
        "trainable_weights",
        "non_trainable_weights",
        "trainable_variables",
        "non_trainable_variables",
        "variables",
    ):
        assert [w.path for w in getattr(mine, kind)] == [w.path for w in getattr(theirs, kind)], kind


@every
def test_outputs_equal_for_equal_weights(make, rng):
    mine, theirs = pair(make)
    assert_same_outputs(mine, theirs, rng)


@every
def test_keras_json_makes_the_model_here(make, rng):
    _, theirs = pair(make)
    mine = load_ours(theirs.to_json())
    assert_same_outputs(mine, theirs, rng)
    assert description(mine) == description(theirs)


@every
def test_json_from_here_makes_the_model_in_keras(make, rng):
    mine, _ = pair(make)
    assert_same_outputs(mine, load_keras(mine.to_json()), rng)


@every_description
def test_config_round_trip(make, rng):
    mine, theirs = pair(make)
    again, keras_again = type(mine).from_config(mine.get_config()), type(theirs).from_config(theirs.get_config())
    assert type(again) is type(mine)
    assert [layer.name for layer in again.layers] == [layer.name for layer in keras_again.layers]
    assert description(again) == description(keras_again)


@every
def test_symbolic_attributes(make):
    mine, theirs = pair(make)

    def described(structure: Any) -> Any:
        return tree.map_structure(lambda t: (tuple(t.shape), t.dtype), structure)

    ends = ("input", "output") if make in FUNCTIONAL else ()  # Keras: only after a symbolic call of a Sequential
    for what in (*ends, "inputs", "outputs"):
        assert described(getattr(mine, what)) == described(getattr(theirs, what)), what
    assert mine.input_shape == theirs.input_shape
    assert mine.output_shape == theirs.output_shape
    assert mine.count_params() == theirs.count_params()


@every
def test_output_shapes_for_other_batches(make):
    mine, theirs = pair(make)
    shapes = tree.map_structure(lambda t: (t.shape[0] or 7, *(size or 5 for size in t.shape[1:])), mine.input)
    assert mine.compute_output_shape(shapes) == theirs.compute_output_shape(shapes)


@every_description
def test_clones_have_the_description_of_keras_clones(make, rng):
    mine, theirs = pair(make)
    copy, keras_copy = models.clone_model(mine), keras.models.clone_model(theirs)
    assert description(copy) == description(keras_copy)
    assert not {id(w) for w in copy.weights} & {id(w) for w in mine.weights}
    assert_same_outputs(copy, keras_copy, rng)


@described(ALL, GRAPH_DIFFERS)
def test_summary_has_keras_lines(make, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")  # Keras cuts lines off at the terminal's width
    mine, theirs = pair(make)
    for options in ({}, {"show_trainable": True}, {"expand_nested": True}):
        texts: tuple[list, list] = ([], [])
        for model, lines in zip((mine, theirs), texts, strict=True):
            model.summary(print_fn=lambda text, **_: lines.append(text), line_length=120, **options)
        got, wanted = (summary_facts("\n".join(lines)) for lines in texts)
        assert got == wanted


def summary_facts(text: str) -> Any:
    """The cells and the totals, without widths and wrapping."""
    rows: list[list[str]] = []
    for line in text.splitlines():
        if line[:1] in "├└┡":
            rows.append([])
        elif line[:1] == "│":
            cells = [cell.strip() for cell in line.split("│")[1:-1]]
            rows[-1] = [a + b for a, b in zip(rows[-1], cells, strict=True)] if rows[-1] else cells
    totals = [line.strip() for line in text.splitlines() if "params:" in line]
    return [["".join(cell.split()) for cell in row] for row in rows if row], totals


@described(FUNCTIONAL, GRAPH_DIFFERS)
def test_operations_come_in_keras_order(make):
    mine, theirs = pair(make)
    assert [op.name for op in mine.operations] == [op.name for op in theirs.operations]


@pytest.mark.parametrize("columns", [70, 200])
@pytest.mark.parametrize("show_trainable", [False, True])
def test_summary_is_as_wide_as_kerass(columns, show_trainable, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    widths = []
    for library in (torchkeras, keras):
        x = library.Input((3,))
        chain = library.Model(x, library.layers.Dense(2)(x))
        branched = library.Model(x, library.layers.Add()([x, chain(x) @ np.ones((2, 3), "float32")]))
        for model in (chain, branched):
            lines = []
            model.summary(print_fn=lambda text, **_: lines.extend(text.split("\n")), show_trainable=show_trainable)
            widths.append(len(lines[1]))
    assert widths[:2] == widths[2:]


@pytest.mark.parametrize("setting", [("set_floatx", "float16"), ("set_dtype_policy", "float64")])
def test_inputs_without_a_dtype_have_kerass(setting):
    found = []
    for library in (torchkeras, keras):
        name, value = setting
        try:
            getattr(library.config, name)(value)
            inputs = library.Input((2,))
            found.append(
                (inputs.dtype, library.Model(inputs, library.layers.Dense(1)(inputs)).layers[0].get_config()["dtype"])
            )
        finally:
            getattr(library.config, name)("float32")
    assert found[0] == found[1]
