"""Layers that take strings: kinds of inputs, learning, files, bad input."""

from __future__ import annotations

import copy
import pickle

import keras as real
import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

import torchkeras as keras
from torchkeras import layers
from torchkeras.layers.preprocessing.text.packed import PackedBytes
from torchkeras.layers.preprocessing.text.siphash import siphash64

WORDS = ["a", "b", "a", "z", "b", "a"]
TEXTS = ["the fox", "a dog", "the dog, the fox", "fox"]


class Texts(Dataset):
    def __len__(self):
        return len(TEXTS)

    def __getitem__(self, index):
        return TEXTS[index], index


KINDS = {
    "list": lambda words: words,
    "tuple": tuple,
    "str": lambda words: np.array(words),
    "object": lambda words: np.array(words, dtype=object),
    "bytes": lambda words: np.array([word.encode() for word in words]),
    "list of bytes": lambda words: [word.encode() for word in words],
    "variable width": lambda words: np.array(words, dtype=np.dtypes.StringDType()),
    "pandas": pd.Series,
}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_strings(kind):
    made = [
        layers.StringLookup(vocabulary=["a", "b"]),
        layers.Hashing(7),
        layers.TextVectorization(vocabulary=["a", "b"], output_sequence_length=1),
    ]
    given = KINDS[kind](WORDS)
    for layer in made:
        np.testing.assert_array_equal(layer(given), layer(WORDS))
    inputs = keras.Input((), dtype="string")
    model = keras.Model(inputs, made[0](inputs))
    np.testing.assert_array_equal(model(given), made[0](WORDS))
    np.testing.assert_array_equal(model.predict(given, verbose=0), made[0](WORDS))


def test_siphash_is_that_of_its_paper():
    # Three of the reference implementation's 64 vectors: bytes 0, 1, 2, ... under the key 0, 1, ... 15.
    key = [int.from_bytes(bytes(range(start, start + 8)), "little") for start in (0, 8)]
    hashes = siphash64(PackedBytes.of_strings([b"", bytes(range(15)), bytes(range(63))]), key)
    assert [hex(value) for value in hashes] == ["0x726fdb47dd0e0e31", "0xa129ca6149be45e5", "0x958a324ceb064572"]


SOURCES = {
    "list": lambda: TEXTS,
    "array": lambda: np.array(TEXTS)[:, None],
    "column": lambda: pd.Series(TEXTS),
    "generator": lambda: (TEXTS[i : i + 2] for i in (0, 2)),
    "generator of pairs": lambda: ((np.array(TEXTS[i : i + 2]), np.zeros(2)) for i in (0, 2)),
    "dataset": Texts,
    "loader": lambda: DataLoader(Texts(), batch_size=3),
}


@pytest.mark.parametrize("source", SOURCES)
def test_adapt_learns_from(source):
    layer = layers.TextVectorization(output_mode="tf_idf")
    layer.adapt(SOURCES[source]())
    assert layer.get_vocabulary() == ["[UNK]", "the", "fox", "dog", "a"]
    weights = np.log(1 + 4 / (1 + np.array([2, 3, 2, 1])))
    np.testing.assert_allclose(layer("the fox dog a"), [0, *weights], rtol=1e-6)


def test_adapt_reads_so_many_steps_of_an_endless_source():
    layer = layers.StringLookup()
    layer.adapt(iter(lambda: ["cat", "dog"], None), steps=2)
    assert layer.get_vocabulary() == ["[UNK]", "dog", "cat"]


@keras.saving.register_keras_serializable()
def shouting(texts):
    return np.char.upper(texts)


@keras.saving.register_keras_serializable()
def at_commas(texts):
    return [text.split(",") for text in texts]


def test_functions_to_standardize_and_split():
    layer = layers.TextVectorization(standardize=shouting, split=at_commas)
    layer.adapt(["a,b", "b"])
    assert layer.get_vocabulary() == ["", "[UNK]", "B", "A"]
    again = layers.TextVectorization.from_config(layer.get_config())
    again.set_vocabulary(layer.get_vocabulary())
    assert again(["b,a", "c"]).tolist() == [[2, 3], [1, 0]]


def string_model(kind):
    texts = layers.TextVectorization(output_sequence_length=4)
    texts.adapt(TEXTS)
    stack = [texts, layers.Embedding(8, 3), layers.GlobalAveragePooling1D(), layers.Dense(1)]
    if kind == "sequential":
        return keras.Sequential(stack)
    x = inputs = keras.Input((1,), dtype="string")
    for layer in stack:
        x = layer(x)
    return keras.Model(inputs, x)


@pytest.mark.parametrize("kind", ["functional", "sequential"])
def test_a_model_of_strings_trains_and_is_saved(kind, tmp_path):
    model = string_model(kind)
    model.compile(keras.optimizers.SGD(0.5), "mse")
    y = np.array([0.0, 1.0, 2.0, 3.0])
    first = model.fit(np.array(TEXTS), y, verbose=0, shuffle=False, epochs=30).history["loss"]
    assert first[-1] < first[0] / 2
    for data in (DataLoader(Texts(), batch_size=2), Texts(), iter([(np.array(TEXTS[:2]), y[:2]), (TEXTS[2:], y[2:])])):
        np.testing.assert_allclose(model.evaluate(data, verbose=0), model.evaluate(TEXTS, y, verbose=0), rtol=1e-5)
    model.save(tmp_path / "model.keras")
    wanted = model.predict(TEXTS, verbose=0)
    for other in (keras.models.load_model(tmp_path / "model.keras"), copy.deepcopy(model)):
        np.testing.assert_array_equal(other.predict(TEXTS, verbose=0), wanted)


class Watching(keras.Model):
    def __init__(self):
        super().__init__()
        self.seen = []
        self.lookup = layers.StringLookup(vocabulary=[str(i) for i in range(10)], num_oov_indices=0)

    def call(self, x):
        return self.lookup(x)

    def train_step(self, data):
        x, y = data
        self.seen.extend(zip(self(x).ravel().tolist(), y.tolist(), strict=True))
        return {"rows": len(x)}


def test_batches_of_strings_are_shuffled_with_their_targets():
    model = Watching()
    model.compile()
    model.fit(np.array([[str(i)] for i in range(10)]), np.arange(10.0), batch_size=3, verbose=0)
    pairs = [(i, float(i)) for i in range(10)]
    assert sorted(model.seen) == pairs and model.seen != pairs


class InWorkers(Dataset):
    def __init__(self, layer):
        self.layer = layer

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return self.layer(TEXTS[index])


def test_layers_work_in_the_workers_of_a_loader():
    layer = layers.TextVectorization(output_sequence_length=3, vocabulary=["fox", "dog"])
    (batch,) = DataLoader(InWorkers(pickle.loads(pickle.dumps(layer))), batch_size=4, num_workers=1)
    np.testing.assert_array_equal(batch, layer(TEXTS))


def test_vocabulary_files_are_read_but_not_out_of_a_config(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("a\r\né\n\n", encoding="utf-8")
    layer = layers.StringLookup(vocabulary=str(path))
    assert layer.get_vocabulary() == ["[UNK]", "a", "é"]
    assert layer.get_config()["vocabulary"] is None
    config = {"class_name": "StringLookup", "config": {"vocabulary": str(path)}}
    with pytest.raises(TypeError, match="outside of the model archive"):
        layers.deserialize(config)
    path.write_bytes(b"a\n\xff\n")
    with pytest.raises(ValueError, match="line 2"):
        layers.StringLookup(vocabulary=str(path))
    with pytest.raises(ValueError, match="an integer per line"):
        path.write_text("1\ntwo\n")
        layers.IntegerLookup(vocabulary=str(path))


def test_dataframes_by_the_names_of_inputs():
    table = pd.DataFrame({"word": ["a", "b", "z", "a"], "size": [1.0, 2.0, 3.0, 4.0], "y": [0.0, 1.0, 0.0, 1.0]})
    word, size = keras.Input((1,), dtype="string", name="word"), keras.Input((1,), name="size")
    hot = layers.StringLookup(vocabulary=["a", "b"], output_mode="multi_hot")(word)
    model = keras.Model([word, size], layers.Dense(1)(layers.Concatenate()([hot, size])))
    model.compile("sgd", "mse")
    columns = {"word": table["word"].tolist(), "size": table["size"].tolist()}
    wanted = model.evaluate(columns, table["y"], verbose=0)
    np.testing.assert_allclose(model.evaluate(table, y="y", verbose=0), wanted, rtol=1e-6)
    np.testing.assert_allclose(model.evaluate(table[["size", "word"]], table["y"], verbose=0), wanted, rtol=1e-6)
    model.fit(table, y="y", validation_data=table, verbose=0)
    with pytest.raises(ValueError, match="there is no 'z'"):
        model.fit(table, y="z", verbose=0)
    plain = keras.Sequential([keras.Input((2,)), layers.Dense(1)])
    with pytest.raises(ValueError, match="an input for each column"):
        plain.predict(table, verbose=0)


def lookup(**arguments):
    return layers.StringLookup(**{"vocabulary": ["a"], **arguments})


REFUSED = {
    "a number": (lambda: lookup()([1]), TypeError, "takes strings"),
    "a missing value": (lambda: lookup()(pd.Series(["a", None], name="word")), ValueError, "in column 'word'"),
    "rows of any length": (lambda: lookup()([["a", "b"], ["a"]]), ValueError, "the same length"),
    "bytes that are no text": (lambda: lookup()([b"\xff"]), ValueError, "as element 0"),
    "surrogates": (lambda: layers.Hashing(3)(["\ud800"]), ValueError, "UTF-8"),
    "unknown": (lambda: lookup(num_oov_indices=0)(["z"]), ValueError, "found OOV values"),
    "repeated": (lambda: lookup(vocabulary=["a", "b", "a"]), ValueError, r"repeated term.*\['a'\]"),
    "empty": (lambda: lookup(vocabulary=[]), ValueError, "empty vocabulary"),
    "too long": (lambda: lookup(vocabulary=["a", "b"], max_tokens=2), ValueError, "larger than the maximum"),
    "reserved": (lambda: lookup(vocabulary=["a", "", "b"], mask_token=""), ValueError, "reserved mask token"),
    "adapt on nothing": (lambda: layers.StringLookup().adapt([]), ValueError, "saw no tokens"),
    "adapt on no words": (lambda: layers.TextVectorization().adapt([" ", ""]), ValueError, "saw no tokens"),
    "adapt of a fixed one": (lambda: lookup().adapt(["b"]), ValueError, "static vocabulary"),
    "not adapted": (lambda: layers.TextVectorization()(["a"]), RuntimeError, "set the layer's vocabulary"),
    "sparse": (lambda: lookup(output_mode="count", sparse=True), ValueError, "sparse=True"),
    "ragged": (lambda: layers.TextVectorization(ragged=True), ValueError, "ragged=True"),
    "strings of integers": (lambda: layers.IntegerLookup(vocabulary=[1])(["1"]), TypeError, "takes integers"),
    "a layer of numbers": (lambda: layers.Dense(1)(np.array(["a"])), ValueError, "StringLookup"),
    "an input of numbers": (
        lambda: keras.Sequential([keras.Input((1,)), layers.Dense(1)])(np.array([["a"]])),
        ValueError,
        "StringLookup",
    ),
    "numbers for strings": (lambda: string_model("functional")(np.ones((2, 1))), TypeError, "takes strings"),
    "several texts in a row": (
        lambda: layers.TextVectorization(vocabulary=["a"])([["a", "b"]]),
        ValueError,
        "the input rank must be 1",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_one_clear_error(case):
    function, error, words = REFUSED[case]
    with pytest.raises(error, match=words):
        function()


def test_real_keras_reads_the_archive_as_far_as_it_can_without_tensorflow(tmp_path):
    string_model("functional").save(tmp_path / "model.keras")
    with pytest.raises(Exception, match="requires TensorFlow"):
        real.models.load_model(tmp_path / "model.keras")


def test_integers_are_looked_up_in_compiled_code():
    layer = layers.IntegerLookup(vocabulary=[5, 7])
    x = torch.tensor([[5, 9], [7, 5]])
    layer(x)
    np.testing.assert_array_equal(torch.compile(layer, backend="eager", fullgraph=True)(x), layer(x))


@pytest.mark.parametrize(
    "options", [{}, {"mask_token": 7}, {"num_oov_indices": 3}, {"output_mode": "count", "mask_token": -3}]
)
def test_integers_far_apart_have_the_numbers_of_close_ones(options, rng):
    """Close ones are looked up in a dense table, others by a search."""
    terms = (rng.permutation(50)[:20] + 100).tolist()
    close = layers.IntegerLookup(vocabulary=terms, **options)
    far = layers.IntegerLookup(vocabulary=[*terms, 2**40], **options)
    values = np.concatenate([rng.integers(80, 170, 60), [7, -3, -(2**63), 2**63 - 1]])
    expected = far(values[:, None] if "output_mode" in options else values)
    found = close(values[:, None] if "output_mode" in options else values)
    assert close._tk_dense and not any(far._tk_dense.values())
    assert torch.equal(found, expected[..., : found.shape[-1]])
