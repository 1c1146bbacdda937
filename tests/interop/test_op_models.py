"""Models made of ops against Keras on torch: the same description, files that both read, the same outputs."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import keras
import numpy as np
import pytest
import torch

import torchkeras
from tests.interop.op_model_cases import CASES
from torchkeras.core import naming, tree

every = pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)


def pair(make: Any) -> tuple[Any, Any]:
    """The model here and in Keras, names counted from zero, with the same weights."""
    naming.reset_names()
    keras.utils.clear_session(free_memory=False)
    ours, theirs = make(torchkeras), make(keras)
    ours.set_weights(theirs.get_weights())
    return ours, theirs


def drawn(model: Any, rng: np.random.Generator) -> Any:
    def one(tensor: Any) -> np.ndarray:
        shape = [2 if size is None else size for size in tensor.shape]
        if tensor.dtype == "bool":
            return rng.integers(0, 2, shape).astype(bool)
        values = rng.integers(-9, 9, shape) if "int" in tensor.dtype else rng.normal(size=shape)
        return values.astype(tensor.dtype)

    return tree.map_structure(one, model.input)


def assert_same_outputs(ours: Any, theirs: Any, x: Any) -> None:
    got, wanted = ours(x), theirs(x)
    tree.assert_same_structure(got, wanted)
    for a, b in zip(tree.flatten(got), tree.flatten(wanted), strict=True):
        assert a.dtype == b.dtype
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


@every
def test_each_entry_of_the_description_is_keras(make):
    ours, theirs = pair(make)
    mine, keras_own = (json.loads(model.to_json())["config"] for model in (ours, theirs))
    assert [row["name"] for row in mine["layers"]] == [row["name"] for row in keras_own["layers"]]
    for row, wanted in zip(mine["layers"], keras_own["layers"], strict=True):
        assert row == wanted
    assert mine == keras_own


@every
def test_symbols_are_described_as_in_keras(make):
    ours, theirs = pair(make)
    described = [[(t.shape, t.dtype) for t in model.outputs] for model in (ours, theirs)]
    assert described[0] == described[1]


@every
def test_outputs_are_keras(make, rng):
    ours, theirs = pair(make)
    assert_same_outputs(ours, theirs, drawn(ours, rng))


@every
def test_files_go_both_ways(make, rng, tmp_path):
    ours, theirs = pair(make)
    ours.save(tmp_path / "ours.keras")
    theirs.save(tmp_path / "theirs.keras")
    x = drawn(ours, rng)
    assert_same_outputs(ours, keras.models.load_model(tmp_path / "ours.keras"), x)
    assert_same_outputs(torchkeras.models.load_model(tmp_path / "theirs.keras"), theirs, x)
    assert_same_outputs(torchkeras.models.load_model(tmp_path / "ours.keras"), ours, x)


@every
@pytest.mark.parametrize(
    "again", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))], ids=["copy", "pickle"]
)
def test_copies_compute_the_same(make, again, rng):
    ours, _ = pair(make)
    assert_same_outputs(again(ours), ours, drawn(ours, rng))


@every
def test_compiled_as_one_graph(make, rng):
    ours, _ = pair(make)
    x = tree.map_structure(torch.from_numpy, drawn(ours, rng))
    torch.compiler.reset()
    compiled = torch.compile(ours, fullgraph=True, backend="eager")
    for a, b in zip(tree.flatten(compiled(x)), tree.flatten(ours(x)), strict=True):
        torch.testing.assert_close(a, b)


KEYS = [(0, 1), 1, [2, 0], (slice(None), [2, 0]), (1, None), (..., 2), slice(1, 3)]


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_indices_are_the_same_after_loading(key, rng, tmp_path):
    x = torchkeras.Input(batch_shape=(3, 4))
    model = torchkeras.Model(x, x[key])
    value = torch.from_numpy(rng.normal(size=(3, 4)).astype("float32"))
    torch.testing.assert_close(model(value), value[key])
    model.save(tmp_path / "model.keras")
    torch.testing.assert_close(torchkeras.models.load_model(tmp_path / "model.keras")(value), value[key])
