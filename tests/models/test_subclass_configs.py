"""The config of a model of the user's has the arguments of its constructor, as a layer's has."""

import numpy as np
import pytest

import torchkeras as keras
from torchkeras import layers


@keras.saving.register_keras_serializable("configs")
class Subclass(keras.Model):
    def __init__(self, units=3, activation="relu"):
        super().__init__()
        self.dense = layers.Dense(units, activation=activation)

    def call(self, x):
        return self.dense(x)


@keras.saving.register_keras_serializable("configs")
class Open(keras.Model):
    def __init__(self, depth, units=7, **kwargs):
        super().__init__(**kwargs)
        self.dense = [layers.Dense(units) for _ in range(depth)]

    def call(self, x):
        for dense in self.dense:
            x = dense(x)
        return x


@keras.saving.register_keras_serializable("configs")
class Graph(keras.Model):
    def __init__(self, units=3):
        x = keras.Input((2,))
        super().__init__(x, layers.Dense(units)(x))


@keras.saving.register_keras_serializable("configs")
class Stack(keras.Sequential):
    def __init__(self, units=3):
        super().__init__([layers.Dense(units)])


@keras.saving.register_keras_serializable("configs")
class OpenStack(keras.Sequential):
    def __init__(self, units=3, **kwargs):
        super().__init__([layers.Dense(units)], **kwargs)


CASES = {
    "subclass": (lambda: Subclass(5), {"units": 5, "activation": "relu"}),
    "open": (lambda: Open(2, units=5, name="mine"), {"depth": 2, "units": 5, "name": "mine"}),
    "graph": (lambda: Graph(5), {"units": 5}),
    "stack": (lambda: Stack(5), {"units": 5}),
    "open stack": (lambda: OpenStack(5, name="mine"), {"units": 5, "name": "mine"}),
}


@pytest.mark.parametrize("case", CASES)
def test_arguments_are_in_the_config(case, tmp_path):
    make, arguments = CASES[case]
    model = make()
    config = model.get_config()
    assert {name: config.get(name) for name in arguments} == arguments
    x = np.ones((1, 2), "float32")
    expected = model(x)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded) is type(model) and loaded.get_config() == config
    np.testing.assert_array_equal(loaded(x).detach(), expected.detach())
    for other in (type(model).from_config(config), keras.models.clone_model(model)):
        assert other(x).shape == expected.shape
