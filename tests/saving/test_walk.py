"""The walk over what is saved: it runs no code of the user's, and finds layers wherever attributes hold them."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from torchkeras import layers, losses, metrics, models, random, saving
from torchkeras.saving.walk import saveables


def paths(obj) -> list[str]:
    return [path for path, _ in saveables(obj)]


@saving.register_keras_serializable("test_walk")
class Watched(layers.Layer):
    """A layer whose properties count their reads."""

    reads: list[str] = []

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = layers.Dense(2)

    def build(self, input_shape):
        self.inner.build(input_shape)

    @property
    def costly(self):
        self.reads.append("costly")
        return self.inner

    @functools.cached_property
    def cached(self):
        self.reads.append("cached")
        return layers.Dense(3)

    @property
    def broken(self):
        self.reads.append("broken")
        raise RuntimeError("not to be read")

    def call(self, x):
        return self.inner(x)


def test_properties_are_not_read(tmp_path, rng):
    model = models.Sequential([layers.Input((3,)), Watched()])
    Watched.reads.clear()
    model.save(tmp_path / "m.keras")
    model.save(tmp_path / "folder", zipped=False)
    model.save_weights(tmp_path / "m.weights.h5")
    model.load_weights(tmp_path / "m.weights.h5")
    loaded = models.load_model(tmp_path / "m.keras")
    x = rng.normal(size=(4, 3)).astype("float32")
    np.testing.assert_array_equal(model.predict(x, verbose=0), loaded.predict(x, verbose=0))
    assert Watched.reads == []


class Aliased(layers.Layer):
    shared = layers.Dense(1)

    def __init__(self):
        super().__init__()
        self._encoder = layers.Dense(2)
        self._parts = layers.Dropout(0.1)
        self._parts.head = layers.Dense(4)
        self._row = [layers.Dense(1), (layers.Dense(2), {"k": layers.Dense(3)})]
        self.seeds = [random.SeedGenerator(1)]

    @property
    def encoder(self):
        """Another name of the attribute."""
        return self._encoder

    @property
    def head(self):
        return self._parts.head

    @functools.cached_property
    def again(self):
        return self.encoder

    @property
    def missing(self):
        return self._nothing

    @property
    def made(self):
        return layers.Dense(5)


def test_properties_that_only_return_an_attribute_are_names_of_it():
    assert paths(Aliased()) == [
        "",
        "again",
        "head",
        "seeds/seed_generator",
        "shared",
        "_parts",
        "_parts/seed_generator",
        "_row/dense",
        "_row/container/dense",
        "_row/container/container/dense",
    ]


class Slotted(losses.Loss):
    __slots__ = ("net", "unset")

    def __init__(self):
        super().__init__()
        self.net = layers.Dense(2)

    def call(self, y_true, y_pred):
        return y_pred


class Measuring(metrics.Mean):
    def __init__(self):
        super().__init__()
        self.net = layers.Dense(2)


@pytest.mark.parametrize("cls", [Slotted, Measuring])
def test_other_objects_hold_layers_too(cls):
    assert paths(cls()) == ["", "net"]


def test_a_row_in_itself():
    layer = layers.Layer()
    layer.row = [layers.Dense(1)]
    layer.row[0].owner = layer
    assert paths(layer) == ["", "row/dense"]
