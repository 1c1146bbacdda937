"""Whole models: what comes back, and what an error tells."""

from __future__ import annotations

import io
import json
import pickle
import zipfile

import numpy as np
import pytest
import torch

import torchkeras
from torchkeras import layers, models, saving


class Doubled(layers.Layer):
    def call(self, x):
        return 2 * x


class Outer(layers.Layer):
    """A layer of layers that only a call can build."""

    def __init__(self, width=3, **kwargs):
        super().__init__(**kwargs)
        self.width = width
        self.inner = layers.Dense(width)
        self.more = [layers.Dense(width), layers.Dropout(0.5)]

    def call(self, x):
        for layer in (self.inner, *self.more):
            x = layer(x)
        return x


def model_of(*inside):
    return models.Sequential([layers.Input((3,)), *inside, layers.Dense(2)])


def outputs(model, x):
    return model(torch.as_tensor(x)).detach().numpy()


@pytest.fixture
def x(rng):
    return rng.normal(size=(4, 3)).astype("float32")


def test_file_objects(x):
    model, file = model_of(), io.BytesIO()
    model.save(file)
    file.seek(0)
    np.testing.assert_array_equal(outputs(model, x), outputs(models.load_model(file), x))


def test_the_archive_holds_no_pickle(tmp_path):
    path = tmp_path / "m.keras"
    model_of(Outer()).save(path)
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            with pytest.raises(Exception):
                pickle.loads(archive.read(name))


def test_compile_false(tmp_path):
    model = model_of()
    model.compile("adam", "mse")
    model.save(tmp_path / "m.keras")
    assert models.load_model(tmp_path / "m.keras").optimizer is not None
    assert not hasattr(models.load_model(tmp_path / "m.keras", compile=False), "optimizer")


def test_layers_within_layers(tmp_path, x):
    model = model_of(Outer(4))
    model.save(tmp_path / "m.keras")
    loaded = models.load_model(tmp_path / "m.keras", custom_objects={"Outer": Outer})
    np.testing.assert_array_equal(outputs(model, x), outputs(loaded, x))
    model.save_weights(tmp_path / "m.weights.h5")
    loaded.load_weights(tmp_path / "m.weights.h5")


def test_a_missing_custom_object_says_how_to_pass_it(tmp_path):
    model_of(Doubled()).save(tmp_path / "m.keras")
    with pytest.raises(TypeError) as caught:
        models.load_model(tmp_path / "m.keras")
    for word in ("Doubled", "custom_objects=", "register_keras_serializable", "CustomObjectScope", "m.keras"):
        assert word in str(caught.value)
    assert len(str(caught.value)) < 1000, "the config is not poured out"


@pytest.mark.parametrize("way", ["argument", "scope", "global", "scope_function"])
def test_ways_to_pass_custom_objects(tmp_path, way, x, monkeypatch):
    model = model_of(Doubled())
    model.save(tmp_path / "m.keras")
    known = {"Doubled": Doubled}
    if way == "argument":
        loaded = models.load_model(tmp_path / "m.keras", custom_objects=known)
    elif way == "scope":
        with saving.CustomObjectScope(known):
            loaded = models.load_model(tmp_path / "m.keras")
    elif way == "scope_function":
        with saving.custom_object_scope(known):
            loaded = models.load_model(tmp_path / "m.keras")
    else:
        monkeypatch.setitem(saving.get_custom_objects(), "Doubled", Doubled)
        loaded = models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(outputs(model, x), outputs(loaded, x))


@pytest.mark.parametrize("name, zipped", [("m", None), ("m.h6", None), ("m.keras", False)])
def test_endings(tmp_path, name, zipped):
    with pytest.raises(ValueError, match=r"\.keras"):
        model_of().save(tmp_path / name, zipped=zipped)


def test_things_that_are_no_models(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(ValueError, match="no saved model"):
        models.load_model(tmp_path / "folder")
    model_of().save_weights(tmp_path / "m.weights.h5")
    with pytest.raises(ValueError, match="load_weights"):
        models.load_model(tmp_path / "m.weights.h5")
    with zipfile.ZipFile(tmp_path / "other.keras", "w") as archive:
        archive.writestr("hello.txt", "x")
    with pytest.raises(ValueError, match=r"no 'config.json'.*hello.txt"):
        models.load_model(tmp_path / "other.keras")


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"class_name": "Dense"}', '{"class_name": 3, "config": {}}'])
def test_texts_that_are_no_models(text):
    with pytest.raises(ValueError, match="JSON text"):
        models.model_from_json(text)


def test_a_folder_is_replaced_whole(tmp_path, x):
    first, second = model_of(), model_of(layers.Dense(5))
    first.save(tmp_path / "folder", zipped=False)
    second.save(tmp_path / "folder", zipped=False)
    np.testing.assert_array_equal(outputs(second, x), outputs(models.load_model(tmp_path / "folder"), x))
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]
    config = tmp_path / "folder" / "config.json"
    config.write_text(config.read_text() + " ")
    with pytest.raises(ValueError, match="checksum"):
        models.load_model(tmp_path / "folder")


def test_a_folder_of_others_is_not_replaced(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(OSError, match="mine"):
        model_of().save(tmp_path / "mine", zipped=False)
    assert (tmp_path / "mine" / "thesis.txt").exists()


def test_metadata(tmp_path):
    model_of().save(tmp_path / "m.keras")
    about = json.loads(zipfile.ZipFile(tmp_path / "m.keras").read("metadata.json"))
    assert about["torchkeras_version"] == torchkeras.__version__


@pytest.mark.parametrize("name", [{}, [], 3, True, {"class_name": "x"}])
@pytest.mark.parametrize("place", ["layer", "model", "optimizer"])
def test_a_name_that_is_no_string_is_refused(name, place):
    model = models.Sequential([layers.Input((3,)), layers.Dense(2)])
    model.compile("sgd", "mse")
    config = saving.serialize_keras_object(model)
    own = {
        "layer": config["config"]["layers"][1],
        "model": config,
        "optimizer": config["compile_config"]["optimizer"],
    }[place]["config"]
    own["name"] = name
    with pytest.raises(ValueError, match="`name` must be a string"):
        saving.deserialize_keras_object(config)
    with pytest.raises(ValueError, match="`name` must be a string"):
        saving.model_from_json(json.dumps(config))


@pytest.mark.parametrize("key", ["units", "class_name"])
def test_a_key_that_is_there_twice_is_refused(key, tmp_path):
    model = models.Sequential([layers.Input((3,)), layers.Dense(2)])
    text = model.to_json()
    twice = text.replace(f'"{key}": ', f'"{key}": 1, "{key}": ', 1)
    assert twice != text
    with pytest.raises(ValueError, match=f"'{key}' is there twice"):
        saving.model_from_json(twice)
    path = tmp_path / "model.keras"
    model.save(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist() if name != "metadata.json"}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, twice if name == "config.json" else data)
    with pytest.raises(ValueError, match=f"'{key}' is there twice"):
        saving.load_model(path)
