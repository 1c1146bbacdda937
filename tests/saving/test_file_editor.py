"""The editor of weights files: as Keras's, on files that are checked first."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import torch

import torchkeras
from tests.saving.test_atomic_writes import files_in
from torchkeras import layers, models, saving
from torchkeras.saving.safety.budget import BadFileError

PACKAGES = {"torchkeras": torchkeras, "keras": keras}
each_editor = pytest.mark.parametrize("editor_of", PACKAGES)
each_kind = pytest.mark.parametrize("name", ["m.keras", "m.weights.h5"])


def make(package, *units):
    model = package.Sequential([package.Input((3,)), *(package.layers.Dense(n) for n in units)])
    model.compile("adam", "mse")
    return model


def save(model, path):
    model.save(path) if path.suffix == ".keras" else model.save_weights(path)
    return str(path)


@each_editor
@each_kind
@pytest.mark.parametrize("writer", PACKAGES)
def test_a_session(tmp_path, name, editor_of, writer, rng, capsys):
    """Both editors do the same with files of both libraries."""
    saved = make(PACKAGES[writer], 4, 2)
    editor = PACKAGES[editor_of].saving.KerasFileEditor(save(saved, tmp_path / name))
    assert set(editor.weights_dict["layers"]) == {"dense", "dense_1"}
    assert (editor.config is None) == (name != "m.keras") == (editor.metadata is None)
    same = make(PACKAGES[editor_of], 4, 2)
    assert editor.compare(same)["status"] == "success"
    target = make(PACKAGES[editor_of], 4, 5, 2)
    found = editor.compare(target)
    assert found["status"] == "error"
    if editor_of == "torchkeras":  # Keras counts some of them twice
        assert found["error_count"] == 3 and found["match_count"] == 4
    editor.rename_object("layers/dense_1", "dense_2")
    kernel = rng.normal(size=(4, 5)).astype("float32")
    editor.add_object("layers/dense_1", weights={"0": kernel})
    editor.add_weights("layers/dense_1", {"1": np.zeros(5, "float32"), "9": np.ones(2)})
    editor.delete_weight("layers/dense_1", "9")
    editor.add_object("layers/dense_2", weights={"0": np.ones((5, 2), "float32"), "1": np.zeros(2, "float32")})
    editor.delete_object("optimizer")
    editor.summary()
    printed = capsys.readouterr().out
    assert all(word in printed for word in ("dense_2", "(4, 5)", "float32", "shape=(2,)"))
    assert "optimizer" not in printed.split("Weights structure")[-1]
    editor.save(str(tmp_path / "new.weights.h5"))
    other = make(PACKAGES[editor_of], 4, 5, 2)
    skip = [other.optimizer]
    PACKAGES[editor_of].saving.load_weights(other, str(tmp_path / "new.weights.h5"), objects_to_skip=skip)
    np.testing.assert_array_equal(other.get_weights()[2], kernel)
    np.testing.assert_array_equal(other.get_weights()[0], saved.get_weights()[0])


MISUSE = {
    "another ending": lambda e, p, editor: editor(str(p / "m.xx")),
    "an unknown path": lambda e, p, editor: e.delete_object("layers/unknown"),
    "an unknown name": lambda e, p, editor: e.delete_object("unknown"),
    "a path as the new name": lambda e, p, editor: e.rename_object("layers/dense", "layers/other"),
    "a place that is not there": lambda e, p, editor: e.add_object("no/dense", {"0": np.zeros(3)}),
    "weights in a list": lambda e, p, editor: e.add_object("layers/new", [np.zeros(3)]),
    "more weights in a list": lambda e, p, editor: e.add_weights("layers/dense", [np.zeros(3)]),
    "an unknown weight": lambda e, p, editor: e.delete_weight("layers/dense", "7"),
    "saving a model": lambda e, p, editor: e.save(str(p / "m.keras")),
}


@pytest.mark.parametrize("misuse", MISUSE)
def test_misuse_is_refused_in_the_same_words(tmp_path, misuse, capsys):
    path = save(make(torchkeras, 4, 2), tmp_path / "m.weights.h5")
    texts = []
    for package in PACKAGES.values():
        editor = package.saving.KerasFileEditor(path)
        with pytest.raises(ValueError) as caught:
            MISUSE[misuse](editor, tmp_path, package.saving.KerasFileEditor)
        texts.append(" ".join(str(caught.value).split()[:6]))
    assert texts[0] == texts[1]


def test_names_that_are_taken_or_occur_twice(tmp_path, capsys):
    editor = saving.KerasFileEditor(save(make(torchkeras, 4, 2), tmp_path / "m.weights.h5"))
    with pytest.raises(ValueError, match="already"):
        editor.rename_object("layers/dense", "dense_1")
    with pytest.raises(ValueError, match="already"):
        editor.rename_weight("layers/dense", "0", "1")
    editor.add_object("dense", {"0": np.zeros(3)})
    with pytest.raises(ValueError, match=r"more than once.*dense, layers/dense|more than once.*layers/dense, dense"):
        editor.delete_object("dense")
    editor.rename_weight("layers/dense", "0", "5")
    assert list(editor.weights_dict["layers"]["dense"]) == ["1", "5"]


def test_types_survive(tmp_path, capsys):
    class Half(layers.Layer):
        def build(self, input_shape):
            self.low = self.add_weight(shape=(3,), dtype="bfloat16", initializer="ones", name="low")

        def call(self, x):
            return x

    model = models.Sequential([layers.Input((3,)), Half()])
    model.save_weights(tmp_path / "m.weights.h5")
    editor = saving.KerasFileEditor(str(tmp_path / "m.weights.h5"))
    editor.save(tmp_path / "n.weights.h5")
    again = saving.KerasFileEditor(str(tmp_path / "n.weights.h5"))
    assert again.weights_dict["layers"]["half"]["0"].dtype == torch.bfloat16
    model.load_weights(tmp_path / "n.weights.h5")


def test_saving_is_atomic(tmp_path, capsys):
    save(make(torchkeras, 4, 2), tmp_path / "m.weights.h5")
    before = files_in(tmp_path)
    editor = saving.KerasFileEditor(str(tmp_path / "m.weights.h5"))
    editor.weights_dict["layers"]["dense"]["0"] = np.array(["no", "number"])
    with pytest.raises(TypeError, match="layers/dense/vars/0"):
        editor.save(tmp_path / "m.weights.h5")
    assert files_in(tmp_path) == before


def test_damaged_files_are_refused(tmp_path, capsys):
    path = tmp_path / "m.weights.h5"
    save(make(torchkeras, 4, 2), path)
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(BadFileError, match="truncated"):
        saving.KerasFileEditor(str(path))
