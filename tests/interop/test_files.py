"""Files against Keras on torch: what one writes the other reads, with the same outputs and the same training."""

from __future__ import annotations

import functools
import io
import json
import zipfile
from typing import Any

import h5py
import keras
import numpy as np
import pytest

import torchkeras
from tests.interop import file_cases, layer_cases, model_cases

PACKAGES = {"torchkeras": torchkeras, "keras": keras}

each_case = pytest.mark.parametrize("case", file_cases.ALL, ids=lambda case: case.__name__)
both_ways = pytest.mark.parametrize("writer, reader", [("keras", "torchkeras"), ("torchkeras", "keras")])


def custom(package: Any) -> dict[str, Any]:
    return {"Blocks": file_cases.custom_class(package)}


def make(case: Any, package: Any, seed: int) -> Any:
    model, x, y = case(package, np.random.default_rng(seed))
    return model, file_cases.as_floats(x), file_cases.as_floats(y)


def train(model: Any, x: Any, y: Any) -> np.ndarray:
    history = model.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0).history
    return np.array([history[name] for name in sorted(history)])


def predict(model: Any, x: Any) -> list[np.ndarray]:
    outputs = model.predict(x, verbose=0)
    return outputs if isinstance(outputs, list) else [outputs]


def assert_same_outputs(one: Any, other: Any, x: Any, tolerance: float = 1e-5) -> None:
    for mine, theirs in zip(predict(one, x), predict(other, x), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=tolerance, atol=tolerance)


@both_ways
@each_case
def test_whole_models(tmp_path, case, writer, reader, seed):
    """A model trained by one is loaded by the other and goes on just as it does at home."""
    home, abroad = PACKAGES[writer], PACKAGES[reader]
    model, x, y = make(case, home, seed)
    train(model, x, y)
    model.save(tmp_path / "m.keras")
    loaded = abroad.saving.load_model(tmp_path / "m.keras", custom_objects=custom(abroad))
    assert_same_outputs(model, loaded, x)
    np.testing.assert_allclose(train(loaded, x, y), train(model, x, y), rtol=2e-3, atol=1e-4)
    assert_same_outputs(model, loaded, x, 2e-3)


@both_ways
@each_case
def test_weights_files(tmp_path, case, writer, reader, seed):
    home, abroad = PACKAGES[writer], PACKAGES[reader]
    model, x, y = make(case, home, seed)
    train(model, x, y)
    model.save_weights(tmp_path / "m.weights.h5")
    other, _, _ = make(case, abroad, seed)
    other.optimizer.build(other.trainable_variables)
    other.load_weights(tmp_path / "m.weights.h5")
    assert_same_outputs(model, other, x)
    np.testing.assert_allclose(train(other, x, y), train(model, x, y), rtol=2e-3, atol=1e-4)


def groups(path: Any) -> dict[str, Any]:
    """What the weights' file holds by path: shape and type of datasets; for groups with a name, that there is one."""
    data = zipfile.ZipFile(path).read("model.weights.h5")
    found: dict[str, Any] = {}
    with h5py.File(io.BytesIO(data)) as file:

        def note(name: str, item: Any) -> None:
            if "seed_generator" not in name and isinstance(item, h5py.Dataset):
                found[name] = (item.shape, str(item.dtype))

        file.visititems(note)
    return found


@each_case
def test_the_same_names_in_the_file(tmp_path, case, seed):
    found = []
    for name, package in PACKAGES.items():
        model, x, y = make(case, package, seed)
        train(model, x, y)
        model.save(tmp_path / f"{name}.keras")
        found.append(groups(tmp_path / f"{name}.keras"))
    assert found[0] == found[1]


@each_case
def test_our_own_files(tmp_path, case, seed):
    """Also the state of seeds is kept, so that training goes on exactly."""
    model, x, y = make(case, torchkeras, seed)
    train(model, x, y)
    model.save(tmp_path / "m.keras")
    loaded = torchkeras.saving.load_model(tmp_path / "m.keras", custom_objects=custom(torchkeras))
    np.testing.assert_array_equal(train(loaded, x, y), train(model, x, y))
    for mine, theirs in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


# ---------------------------------------------------------------------------- tables of layers and of models


def one_layer(package: Any, case: Any) -> Any:
    name, kwargs, shape = case
    sizes = layer_cases.shapes(shape)
    dtype = "int32" if shape[0] == "int" else "float32"
    listed = isinstance(sizes, list)
    inputs = [package.Input(batch_shape=one, dtype=dtype) for one in (sizes if listed else [sizes])]
    layer = getattr(package.layers, name)(**kwargs)
    return package.Model(inputs, layer(inputs if listed else inputs[0]))


# The arguments of a layer are compared elsewhere; here one row a class is enough: the last, for its many arguments.
LAYERS = list({case[0]: case for case in layer_cases.ALL}.values())


@both_ways
@pytest.mark.parametrize("case", LAYERS, ids=layer_cases.case_id)
def test_each_layer(tmp_path, case, writer, reader, rng):
    model = one_layer(PACKAGES[writer], case)
    model.set_weights([0.5 + rng.random(w.shape) for w in model.get_weights()])
    model.save(tmp_path / "m.keras")
    loaded = PACKAGES[reader].saving.load_model(tmp_path / "m.keras")
    inputs = layer_cases.draw_inputs(case[2], rng)
    assert_same_outputs(model, loaded, inputs if isinstance(inputs, list) else [inputs], 1e-4)


@both_ways
@pytest.mark.parametrize("case", model_cases.ALL, ids=lambda case: case.__name__)
def test_each_form_of_model(tmp_path, case, writer, reader):
    model = case(PACKAGES[writer])
    model.save(tmp_path / "m.keras")
    loaded = PACKAGES[reader].saving.load_model(tmp_path / "m.keras")
    for mine, theirs in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(np.asarray(mine, "float32"), np.asarray(theirs, "float32"))


# ---------------------------------------------------------------------------- odds and ends


@both_ways
def test_json(writer, reader, seed):
    model, _, _ = make(file_cases.shared_and_nested, PACKAGES[writer], seed)
    other = PACKAGES[reader].models.model_from_json(model.to_json())
    assert [w.shape for w in other.get_weights()] == [w.shape for w in model.get_weights()]
    assert [layer.name for layer in other.layers] == [layer.name for layer in model.layers]


@both_ways
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
def test_types(tmp_path, writer, reader, dtype):
    model = PACKAGES[writer].Sequential(
        [PACKAGES[writer].Input((3,)), PACKAGES[writer].layers.Dense(2, dtype=dtype, bias_initializer="ones")]
    )
    model.save(tmp_path / "m.keras")
    loaded = PACKAGES[reader].saving.load_model(tmp_path / "m.keras")
    for mine, theirs in zip(model.weights, loaded.weights, strict=True):
        assert str(mine.dtype).removeprefix("torch.") == str(theirs.dtype).removeprefix("torch.") == dtype
        both = [keras.ops.convert_to_numpy(w).astype("float64") for w in (mine, theirs)]
        np.testing.assert_array_equal(*both)


def listed_weights(package: Any) -> Any:
    """A layer with weights in a list, between others, of both kinds."""

    class Listed(package.layers.Layer):
        def build(self, input_shape):
            self.first = self.add_weight(shape=(1,), name="first", trainable=False)
            self.listed = [self.add_weight(shape=(n,), name=f"w{n}", trainable=n != 3) for n in (2, 3, 4)]
            self.last = self.add_weight(shape=(5,), name="last")

        def call(self, x):
            return x * self.last

    return package.Sequential([package.Input((5,)), Listed()])


def test_weights_in_lists(tmp_path):
    found = []
    for name, package in PACKAGES.items():
        listed_weights(package).save(tmp_path / f"{name}.keras")
        found.append(groups(tmp_path / f"{name}.keras"))
    assert found[0] == found[1]
    model = listed_weights(torchkeras)
    model.load_weights(tmp_path / "keras.keras")


def aliased(package: Any) -> Any:
    """A layer whose parts go by names of properties, by private names, and by places in lists within lists."""
    layers = package.layers

    class Aliased(layers.Layer):
        def __init__(self):
            super().__init__()
            self._encoder = layers.Dense(2)
            self._hidden = layers.Dense(3)
            self._parts = layers.Layer()
            self._parts.tail = layers.Dense(4)
            self._row = [layers.Dense(1), (layers.Dense(2), {"k": layers.Dense(3)})]

        @property
        def encoder(self):
            return self._encoder

        @property
        def tail(self):
            return self._parts.tail

        @functools.cached_property
        def again(self):
            return self.encoder

        def build(self, shape):
            inside, last = self._row[1]
            for layer in (self._encoder, self._hidden, self._parts.tail, self._row[0], inside, last["k"]):
                layer.build(shape)

        def call(self, x):
            return x

    return package.Sequential([package.Input((5,)), Aliased()])


@both_ways
@pytest.mark.parametrize("case", [aliased])
def test_layers_of_users(tmp_path, case, writer, reader):
    """The same names and shapes in the file, and each weight back in its place."""
    found = []
    for name, package in PACKAGES.items():
        case(package).save(tmp_path / f"{name}.keras")
        found.append(groups(tmp_path / f"{name}.keras"))
    assert found[0] == found[1]
    saved, loaded = case(PACKAGES[writer]), case(PACKAGES[reader])
    saved.save_weights(tmp_path / "m.weights.h5")
    loaded.load_weights(tmp_path / "m.weights.h5")
    for mine, theirs in zip(saved.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@both_ways
def test_folders(tmp_path, writer, reader, seed):
    model, x, y = make(file_cases.row, PACKAGES[writer], seed)
    train(model, x, y)
    model.save(tmp_path / "folder", zipped=False)
    assert_same_outputs(model, PACKAGES[reader].saving.load_model(tmp_path / "folder"), x)


def test_the_archive_looks_as_keras_writes_it(tmp_path, seed):
    made = {}
    for name, package in PACKAGES.items():
        model, _, _ = make(file_cases.row, package, seed)
        model.save(tmp_path / f"{name}.keras")
        with zipfile.ZipFile(tmp_path / f"{name}.keras") as archive:
            infos = [(i.filename, i.compress_type) for i in archive.infolist()]
            made[name] = (
                infos,
                sorted(json.loads(archive.read("metadata.json")))[:0],
                json.loads(archive.read("config.json")),
            )
    (ours, _, our_config), (theirs, _, their_config) = made["torchkeras"], made["keras"]
    assert ours == theirs
    assert our_config.keys() == their_config.keys()
    assert our_config["compile_config"].keys() == their_config["compile_config"].keys()
    about = json.loads(zipfile.ZipFile(tmp_path / "torchkeras.keras").read("metadata.json"))
    assert {"keras_version", "date_saved"} <= about.keys()
