"""FAQ 11: models with layers of one's own."""

import numpy as np
import pytest

import torchkeras as keras


class AttentionLayer(keras.layers.Layer):
    def __init__(self, units=3, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape):
        self.score = self.add_weight(shape=(input_shape[-1], self.units), name="score")

    def call(self, x):
        return keras.ops.softmax(keras.ops.matmul(x, self.score))

    def get_config(self):
        return {**super().get_config(), "units": self.units}


def make(cls=AttentionLayer):
    return keras.Sequential([keras.Input((4,)), cls(5), keras.layers.Dense(2)])


def assert_same(model, loaded, rng):
    x = rng.normal(size=(3, 4)).astype("float32")
    np.testing.assert_array_equal(model.predict(x, verbose=0), loaded.predict(x, verbose=0))


def test_custom_objects(tmp_path, rng):
    model = make()
    model.save(tmp_path / "my_model.keras")
    loaded = keras.models.load_model(tmp_path / "my_model.keras", custom_objects={"AttentionLayer": AttentionLayer})
    assert_same(model, loaded, rng)


def test_custom_object_scope(tmp_path, rng):
    model = make()
    model.save(tmp_path / "my_model.keras")
    with keras.utils.CustomObjectScope({"AttentionLayer": AttentionLayer}):
        loaded = keras.models.load_model(tmp_path / "my_model.keras")
    assert_same(model, loaded, rng)


def test_model_from_json():
    text = make().to_json()
    model = keras.models.model_from_json(text, custom_objects={"AttentionLayer": AttentionLayer})
    assert model.layers[0].units == 5
    with pytest.raises(TypeError, match="AttentionLayer"):
        keras.models.model_from_json(text)


def test_register_keras_serializable(tmp_path, rng, monkeypatch):
    monkeypatch.setattr("torchkeras.core.registry._custom_by_name", {})
    monkeypatch.setattr("torchkeras.core.registry._custom_names", {})

    @keras.saving.register_keras_serializable(package="my_package")
    class Registered(AttentionLayer):
        pass

    model = make(Registered)
    model.save(tmp_path / "my_model.keras")
    loaded = keras.models.load_model(tmp_path / "my_model.keras")
    assert type(loaded.layers[0]) is Registered
    assert_same(model, loaded, rng)
