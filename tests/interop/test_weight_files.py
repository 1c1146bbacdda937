"""Weights in several files, and weights of each type: what one library writes the other reads."""

from __future__ import annotations

import warnings

import keras
import numpy as np
import pytest
import torch

import torchkeras

PACKAGES = {"torchkeras": torchkeras, "keras": keras}
GIB = 2**30
both_ways = pytest.mark.parametrize("writer, reader", [("keras", "torchkeras"), ("torchkeras", "keras")])


def dense(package, compiled=True):
    model = package.Sequential([package.Input((20,)), *(package.layers.Dense(n) for n in (30, 40, 50))])
    if compiled:
        model.compile("adam", "mse")
        x = np.random.default_rng(0).normal(size=(4, 20)).astype("float32")
        model.fit(x, np.ones((4, 50), "float32"), epochs=1, verbose=0)
    return model


def assert_same(one, other):
    for mine, theirs in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@both_ways
@pytest.mark.parametrize("shard_bytes", [8_100, 12_000, 10**6])
def test_shards(tmp_path, writer, reader, shard_bytes):
    """One weight a file, several, all in one; an optimizer's state may lie in two files."""
    saved, model = dense(PACKAGES[writer]), dense(PACKAGES[reader])
    saved.save_weights(tmp_path / "m.weights.json", max_shard_size=shard_bytes / GIB)
    model.load_weights(tmp_path / "m.weights.json")
    assert_same(saved, model)
    mine, theirs = (
        [np.asarray(torch.as_tensor(v.numpy() if hasattr(v, "numpy") else v).detach()) for v in one.optimizer.variables]
        for one in (saved, model)
    )
    for one, other in zip(mine, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("shard_bytes", [8_100, 12_000, 10**6])
def test_shards_have_the_names_of_keras(tmp_path, shard_bytes):
    for package in PACKAGES.values():
        (tmp_path / package.__name__).mkdir()
        path = tmp_path / package.__name__ / "m.weights.json"
        dense(package).save_weights(path, max_shard_size=shard_bytes / GIB)
        dense(package).save_weights(path, max_shard_size=shard_bytes / GIB)
    mine, theirs = ({p.name for p in (tmp_path / name).iterdir()} for name in PACKAGES)
    assert mine == theirs


MISUSE = {
    "another ending": lambda m, p: m.save_weights(p / "m.xx"),
    "an index without a size": lambda m, p: m.save_weights(p / "m.weights.json"),
    "shards with another ending": lambda m, p: m.save_weights(p / "m.xx", max_shard_size=1),
    "a weight that is larger than a shard": lambda m, p: m.save_weights(p / "m.weights.json", max_shard_size=1e-9),
    "a size that is no number": lambda m, p: m.save_weights(p / "m.weights.json", max_shard_size="x"),
    "loading another ending": lambda m, p: m.load_weights(p / "m.xx"),
    "an unknown argument": lambda m, p: m.load_weights(p / "m.weights.h5", foo=1),
    "a folder that ends as a file": lambda m, p: m.save(p / "m.keras", zipped=False),
    "a model without an ending": lambda m, p: m.save(p / "m"),
    "an old argument": lambda m, p: m.save(p / "m", save_format="tf"),
    "a missing model": lambda m, p: _package(m).saving.load_model(p / "m.keras"),
}
# Words of Keras's errors by which people search for them.
WORDS = [
    "The filename must end in `.weights.h5`",
    "The filename must end in `.weights.json`",
    "when `max_shard_size` is specified",
    "exceeds the maximum shard size",
    "could not convert string to float",
    "File format not supported: filepath=",
    "Invalid keyword arguments: {'foo': 1}",
    "should not end in `.keras`",
    "Invalid filepath extension for saving",
    "The `save_format` argument is deprecated",
    "File not found",
    "Please ensure the file is an accessible",
]


def _package(model):
    return torchkeras if isinstance(model, torch.nn.Module) and isinstance(model, torchkeras.Model) else keras


@pytest.mark.parametrize("misuse", MISUSE)
def test_misuse_is_refused_in_the_same_words(tmp_path, misuse):
    texts = []
    for package in (torchkeras, keras):
        with pytest.raises((ValueError, OSError)) as caught, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            MISUSE[misuse](dense(package, compiled=False), tmp_path)
        assert isinstance(caught.value, ValueError)
        texts.append(str(caught.value))
    wanted = [words for words in WORDS if words in texts[1]]
    assert wanted, texts[1]
    assert all(words in texts[0] for words in wanted), texts


def typed(package, dtype):
    class Held(package.layers.Layer):
        def build(self, input_shape):
            self.held = self.add_weight(shape=(7,), dtype=dtype, initializer="zeros", trainable=False)

        def call(self, x):
            return x

    return package.Sequential([package.Input((3,)), Held()])


def value_of(model):
    weight = model.layers[0].weights[0]
    return (weight.value if hasattr(weight, "value") and not isinstance(weight, torch.Tensor) else weight).detach()


TYPES = ["float16", "bfloat16", "float64", "int8", "uint8", "int64", "bool", "float8_e4m3fn", "float8_e5m2"]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("writer, reader", [("keras", "torchkeras"), ("torchkeras", "keras"), ("torchkeras",) * 2])
def test_types(tmp_path, dtype, writer, reader, rng):
    if writer == "keras" and dtype.startswith("float8"):
        with pytest.raises(TypeError, match="ScalarType"):
            typed(keras, dtype).save_weights(tmp_path / "m.weights.h5")
        return
    saved, model = typed(PACKAGES[writer], dtype), typed(PACKAGES[reader], dtype)
    kind = getattr(torch, dtype)
    drawn = torch.from_numpy(rng.normal(size=7) * 100)
    saved.layers[0].weights[0].assign((drawn > 0) if dtype == "bool" else drawn.abs().to(kind))
    saved.save_weights(tmp_path / "m.weights.h5")
    model.load_weights(tmp_path / "m.weights.h5")
    one, other = (value_of(m).as_subclass(torch.Tensor) for m in (saved, model))
    assert one.dtype == other.dtype == kind
    assert torch.equal(one.double(), other.double()) and one.double().abs().sum() > 0


@both_ways
def test_a_folder(tmp_path, writer, reader):
    """Both libraries write the same files; each reads the other's, as a model or for its weights."""
    saved = dense(PACKAGES[writer])
    saved.save(tmp_path / "m", zipped=False)
    assert_same(saved, PACKAGES[reader].saving.load_model(tmp_path / "m"))
    if reader == "torchkeras":
        model = dense(torchkeras)
        model.load_weights(tmp_path / "m")
        assert_same(saved, model)


@both_ways
def test_weights_of_a_keras_file(tmp_path, writer, reader):
    saved, model = dense(PACKAGES[writer]), dense(PACKAGES[reader])
    saved.save(tmp_path / "m.keras")
    model.load_weights(tmp_path / "m.keras")
    assert_same(saved, model)


@both_ways
def test_objects_to_skip(tmp_path, writer, reader):
    saved, model = dense(PACKAGES[writer]), dense(PACKAGES[reader])
    saved.save_weights(tmp_path / "m.weights.h5")
    kept = model.layers[-1].get_weights()
    PACKAGES[reader].saving.load_weights(model, tmp_path / "m.weights.h5", objects_to_skip=[model.layers[-1]])
    for one, other in zip(model.get_weights(), saved.get_weights()[:4] + kept, strict=True):
        np.testing.assert_array_equal(one, other)
