"""The data sets, against Keras's loaders, on files made here in the true formats."""

from __future__ import annotations

import gzip
import importlib
import io
import json
import os
import pickle
import struct
import tarfile

import keras
import numpy as np
import pytest

import torchkeras as ours
from torchkeras.datasets import sources

NAMES = ["boston_housing", "california_housing", "cifar10", "cifar100", "fashion_mnist", "imdb", "mnist", "reuters"]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache of the test's own; the checksums of the real files are not asked for."""
    folder = tmp_path / "datasets"
    (folder / "fashion-mnist").mkdir(parents=True)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(sources, "SOURCES", {k: v._replace(file_hash=None) for k, v in sources.SOURCES.items()})

    def theirs(fname, origin=None, file_hash=None, cache_subdir="datasets", **kwargs):
        return ours.utils.get_file(fname, origin, cache_subdir=cache_subdir, **kwargs)

    for name in NAMES:
        monkeypatch.setattr(importlib.import_module(f"keras.src.datasets.{name}"), "get_file", theirs)
    return folder


def ragged(rng, rows):
    array = np.empty(rows, object)
    array[:] = [rng.integers(1, 60, rng.integers(1, 20)).tolist() for _ in range(rows)]
    return array


def cifar_archive(folder: str, members: dict[str, dict], compression: str = "gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=f"w:{compression}") as tar:
        for name, content in members.items():
            batch = {key.encode(): value for key, value in content.items()}
            data = pickle.dumps(batch, protocol=3)  # bytes stay bytes, as in the true files
            info = tarfile.TarInfo(f"{folder}/{name}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def idx(array: np.ndarray) -> bytes:
    return gzip.compress(struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes())


def images(rng, rows):
    return rng.integers(0, 256, (rows, 3072)).astype("uint8")


def write_all(folder, rng):
    """The files of all data sets but CIFAR-10, whose size is fixed."""
    digits = {
        f"{axis}_{part}": rng.integers(0, 256, (9, 28, 28) if axis == "x" else 9).astype("uint8")
        for axis in "xy"
        for part in ("train", "test")
    }
    np.savez(folder / "mnist.npz", **digits)
    np.savez(folder / "boston_housing.npz", x=rng.random((50, 13)), y=rng.random(50))
    np.savez(folder / "california_housing.npz", x=rng.random((700, 8)), y=rng.random(700))
    labels = rng.integers(0, 2, (2, 30))
    np.savez(folder / "imdb.npz", x_train=ragged(rng, 30), y_train=labels[0], x_test=ragged(rng, 30), y_test=labels[1])
    np.savez(folder / "reuters.npz", x=ragged(rng, 40), y=rng.integers(0, 46, 40))
    for name in ("imdb", "reuters"):
        (folder / f"{name}_word_index.json").write_text(json.dumps({"the": 1, "caf\u00e9": 2}))
    (folder / "cifar-100-python-target_archive").write_bytes(
        cifar_archive(
            "cifar-100-python",
            {
                name: {
                    "data": images(rng, 8),
                    "fine_labels": rng.integers(0, 100, 8).tolist(),
                    "coarse_labels": rng.integers(0, 20, 8).tolist(),
                }
                for name in ("train", "test")
            },
        )
    )
    for part in ("train", "t10k"):
        (folder / "fashion-mnist" / f"{part}-images-idx3-ubyte.gz").write_bytes(
            idx(rng.integers(0, 256, (7, 28, 28)).astype("uint8"))
        )
        (folder / "fashion-mnist" / f"{part}-labels-idx1-ubyte.gz").write_bytes(
            idx(rng.integers(0, 10, 7).astype("uint8"))
        )


def write_cifar10(folder, rng):
    batches = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    content = {
        name: {"data": np.tile(images(rng, 10), (1000, 1)), "labels": rng.integers(0, 10, 10_000).tolist()}
        for name in batches
    }
    data = cifar_archive("cifar-10-batches-py", content, compression="")
    (folder / "cifar-10-batches-py-target_archive").write_bytes(data)


def assert_equal(mine, theirs):
    for one, other in zip((*mine[0], *mine[1]), (*theirs[0], *theirs[1]), strict=True):
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
        assert one.tolist() == other.tolist() if one.dtype == object else np.array_equal(one, other)


WORDS = [
    {},
    {"num_words": 30},
    {"num_words": 30, "skip_top": 5, "oov_char": None},
    {"maxlen": 12, "seed": 7},
    {"start_char": None},
    {"start_char": None, "index_from": 0},
]
CASES = [
    *((name, {}) for name in NAMES),
    ("cifar100", {"label_mode": "coarse"}),
    ("california_housing", {"version": "small", "test_split": 0.5, "seed": 3}),
    ("boston_housing", {"test_split": 0.0}),
    *((name, kwargs) for name in ("imdb", "reuters") for kwargs in WORDS[1:]),
    ("reuters", {"test_split": 0.5}),
]


@pytest.mark.parametrize(("name", "kwargs"), CASES, ids=str)
def test_equals_keras(name, kwargs, cache, rng):
    write_cifar10(cache, rng) if name == "cifar10" else write_all(cache, rng)
    load = getattr(ours.datasets, name).load_data
    assert_equal(load(**kwargs), getattr(keras.datasets, name).load_data(**kwargs))


@pytest.mark.parametrize("name", ["imdb", "reuters"])
def test_word_index(name, cache, rng):
    write_all(cache, rng)
    assert getattr(ours.datasets, name).get_word_index() == {"the": 1, "café": 2}
    (cache / f"{name}_word_index.json").write_text("{")
    with pytest.raises(ValueError, match="word_index.json is no word index"):
        getattr(ours.datasets, name).get_word_index()


def test_label_names():
    assert ours.datasets.reuters.get_label_names() == keras.datasets.reuters.get_label_names()


def test_sources_are_keras_own(monkeypatch):
    """The addresses and checksums that Keras's loaders ask for."""
    asked = {}

    class Stop(Exception):
        pass

    def note(fname, origin=None, file_hash=None, **kwargs):
        asked[origin] = file_hash
        raise Stop

    for name in NAMES:
        module = importlib.import_module(f"keras.src.datasets.{name}")
        monkeypatch.setattr(module, "get_file", note)
        for function in ("load_data", "get_word_index"):
            if hasattr(module, function):
                with pytest.raises(Stop):
                    getattr(module, function)()
    mine = {source.origin: source.file_hash for source in sources.SOURCES.values()}
    assert mine.items() >= asked.items()


class Payload:
    def __reduce__(self):
        return (open, (os.environ["SENTINEL"], "w"))


@pytest.mark.parametrize("name", ["imdb", "cifar100"])
def test_a_pickle_in_a_data_set_runs_nothing(name, cache, tmp_path, monkeypatch):
    monkeypatch.setenv("SENTINEL", str(tmp_path / "sentinel"))
    hostile = np.empty(1, object)
    hostile[0] = Payload()
    if name == "imdb":
        np.savez(cache / "imdb.npz", **{f"{a}_{p}": hostile for a in "xy" for p in ("train", "test")})
    else:
        (cache / "cifar-100-python-target_archive").write_bytes(
            cifar_archive("cifar-100-python", {n: {"data": Payload()} for n in ("train", "test")})
        )
    with pytest.raises(ValueError, match=r"is no data set that can be read.*names .*open"):
        getattr(ours.datasets, name).load_data()
    assert not (tmp_path / "sentinel").exists()


@pytest.mark.parametrize("cut", [0, 10, 100, -10])
def test_a_broken_file_is_named(cut, cache, rng):
    write_all(cache, rng)
    for name, file in [("mnist", "mnist.npz"), ("fashion_mnist", "fashion-mnist/t10k-images-idx3-ubyte.gz")]:
        path = cache / file
        path.write_bytes(path.read_bytes()[:cut])
        with pytest.raises(ValueError, match=r"(mnist\.npz|ubyte\.gz) is no data set that can be read"):
            getattr(ours.datasets, name).load_data()


@pytest.mark.parametrize(
    ("name", "kwargs", "words"),
    [
        ("boston_housing", {"test_split": 1.0}, "Invalid `test_split`"),
        ("california_housing", {"version": "huge"}, "must be one of 'small', 'large'"),
        ("cifar100", {"label_mode": "rough"}, "`label_mode` must be one of"),
        ("imdb", {"maxlen": 1}, "Increase maxlen"),
    ],
)
def test_wrong_arguments(name, kwargs, words, cache, rng):
    write_all(cache, rng)
    with pytest.raises(ValueError, match=words):
        getattr(ours.datasets, name).load_data(**kwargs)


def test_no_network_names_address_file_and_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(sources, "SOURCES", {"mnist": sources.Source("http://127.0.0.1:9/mnist.npz", None)})
    with pytest.raises(OSError, match=r"http://127\.0\.0\.1:9/mnist\.npz.*'mnist\.npz' in the folder .*datasets"):
        ours.datasets.mnist.load_data()
