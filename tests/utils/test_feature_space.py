"""FeatureSpace: encodings of columns against those of the layers by themselves, models, files, bad input."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from torch.utils.data import DataLoader, Dataset

import torchkeras as keras
from torchkeras.utils import FeatureSpace

DATA = {
    "f": [0.0, 1.0, 2.0, 3.0],
    "n": [1.0, 3.0, 5.0, 7.0],
    "s": ["a", "b", "a", "c"],
    "i": [5, 7, 5, 9],
    "h": ["x", "y", "z", "x"],
}
KINDS = {
    "f": "float",
    "n": "float_normalized",
    "s": "string_categorical",
    "i": "integer_categorical",
    "h": FeatureSpace.string_hashed(4, output_mode="one_hot"),
}


class Rows(Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        return {name: column[index] for name, column in DATA.items()}


def space(**arguments):
    made = FeatureSpace(KINDS | {"h": FeatureSpace.string_hashed(4)}, crosses=[("s", "i")], crossing_dim=6, **arguments)
    made.adapt(DATA)
    return made


def wanted():
    s = keras.layers.StringLookup(vocabulary=["a", "c", "b"], output_mode="multi_hot")
    i = keras.layers.IntegerLookup(vocabulary=[5, 9, 7], output_mode="multi_hot")
    h = keras.layers.Hashing(4, output_mode="one_hot")
    numbers = ([[1], [3], [1], [2]], np.array([[1], [3], [1], [2]]))
    cross = keras.layers.HashedCrossing(6, output_mode="one_hot")(numbers)
    n = np.array(DATA["n"])
    return {
        "f": np.array(DATA["f"])[:, None],
        "h": h([[w] for w in DATA["h"]]).numpy(),
        "i": i([[w] for w in DATA["i"]]).numpy(),
        "n": ((n - n.mean()) / n.std())[:, None],
        "s": s([[w] for w in DATA["s"]]).numpy(),
        "s_X_i": cross.numpy(),
    }


def test_columns_are_encoded_as_by_their_layers():
    parts = space(output_mode="dict")(DATA)
    assert list(parts) == list(wanted())
    for name, value in wanted().items():
        np.testing.assert_allclose(parts[name].float(), value, rtol=1e-5, err_msg=name)
    whole = np.concatenate(list(wanted().values()), axis=1)
    made = space()
    np.testing.assert_allclose(made(DATA), whole, rtol=1e-5)
    np.testing.assert_allclose(made(pd.DataFrame(DATA)), whole, rtol=1e-5)
    one = made({name: column[1] for name, column in DATA.items()})
    np.testing.assert_allclose(one, whole[1], rtol=1e-5)


@pytest.mark.parametrize("source", [Rows, lambda: DataLoader(Rows(), batch_size=3), lambda: pd.DataFrame(DATA)])
def test_adapt_learns_from(source):
    made = FeatureSpace({name: kind for name, kind in KINDS.items() if isinstance(kind, str)})
    made.adapt(source())
    assert made.preprocessors["s"].get_vocabulary() == ["[UNK]", "a", "c", "b"]
    np.testing.assert_allclose(made.preprocessors["n"].adapt_mean.detach(), [4.0])


def test_a_model_behind_it_trains_on_columns_and_is_saved(tmp_path):
    made = space()
    inputs = made.get_inputs()
    model = keras.Model(inputs, keras.layers.Dense(1)(made.get_encoded_features()))
    model.compile("sgd", "mse")
    model.fit(DATA, np.arange(4.0), verbose=0)
    model.fit(pd.DataFrame({**DATA, "y": [0.0, 1.0, 2.0, 3.0]}), y="y", verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.predict(DATA, verbose=0), model.predict(DATA, verbose=0))


@pytest.mark.parametrize("mode", ["concat", "dict"])
def test_it_is_saved_with_its_vocabularies(mode, tmp_path):
    made = space(output_mode=mode)
    made.save(str(tmp_path / "space.keras"))
    again = keras.models.load_model(tmp_path / "space.keras")
    for one, other in zip(*(keras.tree.flatten(x(DATA)) for x in (made, again)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_discretized_columns_have_the_bins_that_were_asked_for():
    made = FeatureSpace({"f": FeatureSpace.float_discretized(9)})
    made.adapt(DATA)
    assert len(made.preprocessors["f"].bin_boundaries) < 8
    assert made(DATA).shape == (4, 9)


REFUSED = {
    "nothing": (lambda: FeatureSpace({}), "cannot be None or empty"),
    "kind": (lambda: FeatureSpace({"a": "floats"}), "Invalid feature type"),
    "mode": (lambda: FeatureSpace({"a": "float"}, output_mode="x"), "Expected one of"),
    "cross": (lambda: FeatureSpace({"a": "float"}, crosses=[("a", "b")]), "unknown features"),
    "not adapted": (lambda: FeatureSpace({"a": "string_categorical"})({"a": ["b"]}), "adapt"),
    "not a dict": (lambda: FeatureSpace({"a": "float"})([1.0]), "only be called with a dict"),
    "a column": (lambda: FeatureSpace({"a": "float"})({"b": [1.0]}), r"without \['a'\]"),
    "strings": (lambda: FeatureSpace({"a": "float"})({"a": ["x"]}), "takes numbers"),
    "adapt on a list": (lambda: FeatureSpace({"a": "float_normalized"}).adapt(3), "adapt"),
    "adapt on nothing": (lambda: FeatureSpace({"a": "float_normalized"}).adapt([]), "saw no data"),
    "not encoded": (
        lambda: FeatureSpace({"a": FeatureSpace.integer_hashed(3, output_mode="int")})({"a": [1]}),
        "has not been encoded",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_one_clear_error(case):
    function, words = REFUSED[case]
    with pytest.raises(ValueError, match=words):
        function()
