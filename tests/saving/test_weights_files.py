"""`.weights.h5`: what is in it, what does not fit, and that a load is all or nothing."""

from __future__ import annotations

import warnings

import h5py
import numpy as np
import pytest
import torch

from torchkeras import layers, models, random, saving
from torchkeras.saving.walk import saveables


def dense(*units: int, names: tuple[str, ...] = ()):
    names = names or tuple(f"dense_{i}" for i in range(len(units)))
    return models.Sequential(
        [layers.Input((4,)), *(layers.Dense(n, name=name) for n, name in zip(units, names, strict=True))]
    )


def assert_equal(mine, theirs):
    for one, other in zip(mine, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "m.weights.h5"


# ---------------------------------------------------------------------------- what does not fit


def test_a_shape_that_differs_names_layer_shapes_and_file(path):
    dense(3, 2).save_weights(path)
    with pytest.raises(ValueError) as caught:
        dense(3, 5).load_weights(path)
    for word in ("dense_1", "(3, 2)", "(3, 5)", "layers/dense_1", "m.weights.h5", "kernel"):
        assert word in str(caught.value)


def test_nothing_changes_where_one_layer_does_not_fit(path):
    dense(3, 2).save_weights(path)
    model = dense(3, 5)
    before = model.get_weights()
    with pytest.raises(ValueError, match="Nothing was loaded"):
        model.load_weights(path)
    assert_equal(model.get_weights(), before)


def test_skip_mismatch_loads_the_rest_and_warns(path):
    saved = dense(3, 2)
    saved.save_weights(path)
    model = dense(3, 5)
    before = model.get_weights()
    with pytest.warns(UserWarning, match="dense_1"):
        model.load_weights(path, skip_mismatch=True)
    assert_equal(model.get_weights()[:2], saved.get_weights()[:2])
    assert_equal(model.get_weights()[2:], before[2:])


def test_a_layer_that_the_file_lacks(path):
    dense(3).save_weights(path)
    expected = r"expected 2 variables, but received 0 variables during loading \(at 'layers/dense_1/vars'"
    with pytest.raises(ValueError, match=expected):
        dense(3, 2).load_weights(path)


class Picky(layers.Layer):
    """A layer with hooks of its own, which fails after it has changed its weights."""

    def __init__(self, fail=False, **kwargs):
        super().__init__(**kwargs)
        self.fail = fail

    def build(self, input_shape):
        self.w = self.add_weight(shape=(2,), name="w", initializer="ones")

    def call(self, x):
        return x

    def save_own_variables(self, store):
        store["twice"] = 2 * self.w
        assert list(store.keys()) == ["twice"] and "twice" in store and len(store) == 1

    def load_own_variables(self, store):
        self.w.assign(store["twice"] / 2)
        if self.fail:
            raise RuntimeError("no")


@pytest.mark.parametrize("fail", [False, True])
def test_hooks_of_users(path, fail):
    saved = models.Sequential([layers.Input((4,)), layers.Dense(2), Picky()])
    saved.layers[1].w.assign([5.0, 7.0])
    saved.save_weights(path)
    model = models.Sequential([layers.Input((4,)), layers.Dense(2), Picky(fail)])
    before = model.get_weights()
    if fail:
        with pytest.raises(ValueError, match="RuntimeError: no"):
            model.load_weights(path)
        assert_equal(model.get_weights(), before)
    else:
        model.load_weights(path)
        assert_equal(model.get_weights(), saved.get_weights())


def test_by_name(path):
    saved = dense(3, 2, names=("kept", "other"))
    saved.save_weights(path)
    model = dense(3, 5, names=("kept", "new"))
    before = model.get_weights()
    model.load_weights(path, by_name=True)
    assert_equal(model.get_weights()[:2], saved.get_weights()[:2])
    assert_equal(model.get_weights()[2:], before[2:])
    wrong = dense(4, 5, names=("kept", "new"))
    with pytest.raises(ValueError, match="kept"):
        wrong.load_weights(path, by_name=True)
    with pytest.warns(UserWarning, match="kept"):
        wrong.load_weights(path, by_name=True, skip_mismatch=True)


def test_objects_to_skip(path):
    saved, model = dense(3, 2), dense(3, 2)
    saved.save_weights(path)
    before = model.get_weights()
    model.load_weights(path, objects_to_skip=[model.layers[0]])
    assert_equal(model.get_weights()[:2], before[:2])
    assert_equal(model.get_weights()[2:], saved.get_weights()[2:])


def test_unbuilt_models_and_wrong_endings(path):
    unbuilt = models.Sequential([layers.Dense(2)])
    with pytest.raises(ValueError, match="saving a model that has not yet been built"):
        unbuilt.save_weights(path)
    dense(2).save_weights(path)
    with pytest.raises(ValueError, match="loading weights into a model that has not yet been built"):
        unbuilt.load_weights(path)
    for wrong in ("m.h5", "m.npz", "m"):
        with pytest.raises(ValueError, match=r"\.weights\.h5"):
            dense(2).save_weights(path.parent / wrong)
    with pytest.raises(ValueError, match=r"\.weights\.h5"):
        dense(2).load_weights(path.parent / "m.npz")


# ---------------------------------------------------------------------------- what is in it


class Everything(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first = layers.Dense(3)
        self.many = [layers.Dense(3), {"deep": [layers.Dense(3)]}]
        self.torch = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3))
        self.seeds = random.SeedGenerator(7)
        self._private = layers.Dense(3)
        self.again = self.first

    def call(self, x):
        x = self._private(self.many[1]["deep"][0](self.many[0](self.first(x))))
        return self.torch(x)


def everything():
    layer = Everything()
    layer(torch.randn(5, 3))
    return layer


def test_all_state_is_found_once_under_keras_names():
    paths = [path for path, _ in saveables(everything())]
    assert paths == [
        "",
        "again",
        "many/dense",
        "many/container/container/dense",
        "seeds",
        "torch",
        "_private",
    ]


def test_all_state_comes_back(path):
    saved, model = everything(), everything()
    saved.torch(torch.randn(9, 3))
    saved.seeds.next()
    saving.save_weights(saved, path)
    saving.load_weights(model, path)
    assert saved.state_dict().keys() == model.state_dict().keys()
    for name, value in saved.state_dict().items():
        assert torch.equal(value, model.state_dict()[name]), name
    assert torch.equal(saved.seeds.state, model.seeds.state)


def test_types_and_shapes(path, rng):
    class Mixed(layers.Layer):
        def build(self, input_shape):
            for i, dtype in enumerate(("float16", "bfloat16", "float64", "int8", "int64", "bool", "uint8")):
                value = lambda shape, dtype=None: torch.from_numpy(rng.integers(0, 2, shape))
                setattr(self, f"w{i}", self.add_weight(shape=(2, 3), dtype=dtype, initializer=value, trainable=False))
            self.scalar = self.add_weight(shape=(), name="scalar")
            self.empty = self.add_weight(shape=(0, 3), name="empty")

    saved, model = Mixed(), Mixed()
    saved.build((1,)), model.build((1,))
    saving.save_weights(saved, path)
    saving.load_weights(model, path)
    for one, other in zip(saved.weights, model.weights, strict=True):
        assert one.dtype == other.dtype and torch.equal(one, other)


def test_compressed_files_of_others(path, rng):
    """Repacked by another program, in chunks, with gzip and shuffle."""
    saved, model = dense(30, 20), dense(30, 20)
    saved.save_weights(path)
    with h5py.File(path, "a") as file:
        del file.attrs["torchkeras_checksum"]
        for key in ("layers/dense/vars/0", "layers/dense_1/vars/0"):
            data = file[key][()]
            del file[key]
            file.create_dataset(key, data=data, chunks=(3, 7), compression="gzip", shuffle=True)
    path.write_bytes(path.read_bytes().replace(b"torchkeras-blocks", b"x" * 17))
    model.load_weights(path)
    assert_equal(model.get_weights(), saved.get_weights())


class Words(layers.Layer):
    """A layer that keeps a file of its own."""

    def __init__(self, words=(), **kwargs):
        super().__init__(**kwargs)
        self.words = list(words)

    def call(self, x):
        return x

    def get_config(self):
        return {"name": self.name}

    def save_assets(self, folder):
        with open(f"{folder}/words.txt", "w") as file:
            file.write("\n".join(self.words))

    def load_assets(self, folder):
        with open(f"{folder}/words.txt") as file:
            self.words = file.read().split("\n")


@pytest.mark.parametrize("zipped", [True, False])
def test_assets(tmp_path, zipped):
    model = models.Sequential([layers.Input((3,)), Words(["a", "é"], name="words"), layers.Dense(2)])
    place = tmp_path / ("m.keras" if zipped else "folder")
    model.save(place, zipped=zipped)
    loaded = models.load_model(place, custom_objects={"Words": Words})
    assert list(loaded.layers[0].words) == ["a", "é"]


def test_no_warning_where_all_is_well(path):
    model = dense(3, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.save_weights(path)
        model.load_weights(path)


def test_a_loaded_model_is_held_once(tmp_path):
    """The greatest memory of Python and NumPy that loading takes beside the model's is a small part of the weights."""
    import tracemalloc

    model = models.Sequential([layers.Input((512,)), *(layers.Dense(512, use_bias=False) for _ in range(8))])
    model.save(tmp_path / "m.keras")
    saving.load_model(tmp_path / "m.keras")
    tracemalloc.start()
    loaded = saving.load_model(tmp_path / "m.keras")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert_equal(loaded.get_weights(), model.get_weights())
    assert peak < 0.5 * 8 * 512 * 512 * 4


def test_large_weights_that_the_file_lacks_get_initial_values(tmp_path):
    """The state of an optimizer that was saved before its first step is not in the file, and not left to chance."""
    model = models.Sequential([layers.Input((600,)), layers.Dense(600)])
    model.compile("adam", "mse")
    model.save(tmp_path / "m.keras")
    loaded = saving.load_model(tmp_path / "m.keras")
    loaded.optimizer.build(loaded.trainable_weights)
    state = [v for v in loaded.optimizer.variables if v.numel() > 1]
    assert state and all(not v.any() for v in state)
