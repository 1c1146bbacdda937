"""Arrays in files, other packages' tables and pipelines, and the advice where training waits for its data."""

from __future__ import annotations

import logging

import h5py
import numpy as np
import pytest
import torch

import torchkeras as keras
from torchkeras.training import waiting
from torchkeras.training.data import make_source
from torchkeras.training.data.stored import StoredRows

ROWS = 37


@pytest.fixture
def arrays(rng):
    return rng.normal(size=(ROWS, 3)).astype("float32"), rng.normal(size=(ROWS, 1))


class Dask:
    """The protocol of a dask array: the sizes of all chunks, and slices that are computed when asked for."""

    def __init__(self, array, rows=8):
        self.array, self.shape, self.dtype = array, array.shape, array.dtype
        sizes = [min(rows, len(array) - start) for start in range(0, len(array), rows)]
        self.chunks = (tuple(sizes), *((size,) for size in array.shape[1:]))

    def __getitem__(self, key):
        return Dask(self.array[key])

    def __array__(self, dtype=None, copy=None):
        return self.array


class Counting:
    """The protocol of an array in a file; counts the rows that were read, and never more than a part at a time."""

    def __init__(self, array, rows):
        self.array, self.shape, self.dtype, self.chunks = array, array.shape, array.dtype, rows and (rows, 3)
        self.read: list[int] = []

    def __getitem__(self, key):
        part = self.array[key]
        self.read.append(len(part))
        return part

    def __array__(self, dtype=None, copy=None):
        raise MemoryError("the whole array")


def in_file(kind, array, path):
    if kind == "memmap":
        mapped = np.memmap(path / f"{array.shape[1]}.bin", array.dtype, "w+", shape=array.shape)
        mapped[:] = array
        return mapped
    if kind == "dask":
        return Dask(array)
    file = h5py.File(path / f"{array.shape[1]}.h5", "w")
    return file.create_dataset("data", data=array, chunks=(5, array.shape[1]) if kind == "chunks" else None)


@pytest.mark.parametrize("shuffle", [True, False, "batch"])
@pytest.mark.parametrize("kind", ["hdf5", "chunks", "dask", "memmap"])
def test_an_array_in_a_file_trains_as_one_in_memory(kind, shuffle, arrays, tmp_path, monkeypatch):
    monkeypatch.setattr("torchkeras.training.data.array_source.STORED_CHUNK_BYTES", 200)  # several parts per epoch

    def train(x, y):
        keras.utils.set_random_seed(1)
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        options = {"validation_split": 0.25, "shuffle": shuffle, "batch_size": 4, "epochs": 2, "verbose": 0}
        return model.fit(x, y, **options).history, model.predict(x, verbose=0)

    expected = train(*arrays)
    history, outputs = train(*(in_file(kind, array, tmp_path) for array in arrays))
    assert history == expected[0]
    np.testing.assert_array_equal(outputs, expected[1])


@pytest.mark.parametrize("rows", [None, 5])
def test_a_file_is_never_read_as_a_whole(rows, rng, monkeypatch):
    monkeypatch.setattr("torchkeras.training.data.array_source.STORED_CHUNK_BYTES", 3 * 4 * 8)
    values = rng.normal(size=(ROWS, 3)).astype("float32")
    stored = Counting(values, rows)
    source = make_source(stored, batch_size=4, shuffle=True)
    found = torch.cat(list(source.epoch())).numpy()
    assert max(stored.read) <= (rows or 4 * 17)  # of a file without chunks, near rows are read together
    np.testing.assert_array_equal(np.sort(found, 0), np.sort(values, 0))


def test_rows_in_any_order_and_parts_of_parts(rng):
    values = rng.normal(size=(ROWS, 3))
    for rows in (None, 1, 5, 64):
        part = StoredRows(Counting(values, rows)).cut(3, 30).cut(2, 99)
        index = rng.integers(0, len(part), 20)
        np.testing.assert_array_equal(part.take(index), values[5:30][index])
        np.testing.assert_array_equal(np.concatenate([part[0:4], part[4:]]), values[5:30])
        assert part.take(index[:0]).shape == (0, 3)


def test_many_small_reads_are_advised_against(caplog, monkeypatch):
    monkeypatch.setattr("torchkeras.training.data.array_source.STORED_CHUNK_BYTES", 100)
    with caplog.at_level(logging.WARNING, "torchkeras"):
        make_source(Counting(np.zeros((ROWS, 3), "float32"), 20), batch_size=4, shuffle="batch")
        assert not caplog.messages
        make_source(Counting(np.zeros((ROWS, 3), "float32"), 20), batch_size=4, shuffle=True)
    assert 'shuffle="batch"' in caplog.text


def test_words_in_a_file_are_refused_as_targets(tmp_path):
    words = h5py.File(tmp_path / "words.h5", "w").create_dataset("words", data=["a", "b"])
    with pytest.raises(ValueError, match="numbers"):
        make_source(np.zeros((2, 1)), words)


class ChunkedArray:
    """The protocol of a column of pyarrow's: a length and `__array__`, no shape."""

    def __init__(self, values):
        self.values = values

    def __len__(self):
        return len(self.values)

    def __array__(self, dtype=None, copy=None):
        return self.values


class WebLoader(torch.utils.data.IterableDataset):
    """The protocol of WebDataset's loader: an IterableDataset, a row of stages that begins with a DataLoader."""

    def __init__(self, *stages):
        self.pipeline = list(stages)

    def __iter__(self):
        return iter(self.pipeline[0])


def test_tables_and_pipelines_of_other_packages(arrays):
    x, y = arrays

    def batches(*args, **options):
        return list(make_source(*args, batch_size=8, shuffle=False, **options).epoch())

    expected = batches(x, y)
    columns = batches(x, ChunkedArray(y[:, 0]))
    rows = [{"__key__": str(i), "x": a, "y": b} for i, (a, b) in enumerate(zip(x, y, strict=True))]
    named = batches(WebLoader(torch.utils.data.DataLoader(rows, batch_size=8)), "y")
    for whole, column, row in zip(expected, columns, named, strict=True):
        torch.testing.assert_close(column[1], whole[1].reshape(column[1].shape))
        torch.testing.assert_close(row[0], whole[0])
        torch.testing.assert_close(row[1].float(), whole[1])


# ------------------------------------------------------------------------------------------------ advice


class Slow(keras.utils.PyDataset):
    def __init__(self, arrays):
        super().__init__()
        self.arrays = arrays

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return tuple(part[index * 4 : index * 4 + 4] for part in self.arrays)


KINDS = {
    "arrays": (lambda x, y: (x, y), None),
    "PyDataset": (lambda x, y: (Slow((x, y)),), "workers=1"),
    "loader": (lambda x, y: (torch.utils.data.DataLoader(list(zip(x, y, strict=True)), 4),), "num_workers=0"),
    "generator": (lambda x, y: ((batch for batch in [(x, y)] * 4),), "torch Dataset"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("slow", [True, False])
def test_waiting_for_data_is_said_once(kind, slow, arrays, monkeypatch, caplog):
    make, advice = KINDS[kind]
    seconds = iter(range(10**6))  # every look at the clock a second later: half of the time is the data's
    monkeypatch.setattr(waiting.time, "perf_counter", lambda: float(next(seconds)))
    monkeypatch.setattr(waiting, "_advised", False)
    monkeypatch.setattr(waiting, "LEAST_SHARE", 0.3 if slow else 0.9)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    with caplog.at_level(logging.WARNING, "torchkeras"):
        model.fit(*make(*arrays), batch_size=None if advice else 4, epochs=1 if kind == "generator" else 2, verbose=0)
        if kind != "generator":
            model.fit(*make(*arrays), verbose=0)
    said = [message for message in caplog.messages if "waited for data" in message]
    assert len(said) == (1 if slow and advice else 0)
    assert not said or advice in said[0]


def test_short_waits_are_not_worth_a_line(arrays, monkeypatch, caplog):
    monkeypatch.setattr(waiting, "_advised", False)
    monkeypatch.setattr(waiting, "LEAST_SHARE", 0.0)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(Slow(arrays), verbose=0)
    assert "waited" not in caplog.text


@pytest.mark.parametrize("kind", ["S2", object])
def test_columns_of_strings_in_a_file(kind, tmp_path, rng):
    words, numbers = np.array(["a", "b", "cc", "d"])[rng.integers(0, 4, 24)], rng.random((24, 2)).astype("float32")
    word, number = keras.Input((), dtype="string", name="word"), keras.Input((2,), name="number")
    lookup = keras.layers.StringLookup(output_mode="one_hot")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["word"], file["number"] = words.astype(kind), numbers
    with h5py.File(tmp_path / "x.h5") as file:
        lookup.adapt(file["word"])
        assert sorted(lookup.get_vocabulary()[1:]) == sorted(set(words))
        model = keras.Model([word, number], keras.layers.Concatenate()([lookup(word), number]))
        found = model.predict({"word": file["word"], "number": file["number"]}, batch_size=7, verbose=0)
    np.testing.assert_array_equal(found, np.concatenate([lookup(words).numpy(), numbers], 1))
