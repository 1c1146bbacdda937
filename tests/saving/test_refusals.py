"""Saving warns about a model that loading will refuse, and about no other model."""

from __future__ import annotations

import warnings

import pytest
import torch

import torchkeras as keras
from torchkeras import layers, models, saving


class Unregistered(layers.Layer):
    def call(self, x):
        return 2 * x


class UnregisteredInitializer(keras.initializers.Initializer):
    def __call__(self, shape, dtype=None):
        return torch.ones(shape)


class UnregisteredModel(keras.Model):
    def __init__(self, width=2, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(width)

    def call(self, x):
        return self.dense(x)


def unregistered(x):
    return x + 1


def unregistered_loss(y_true, y_pred):
    return (y_true - y_pred) ** 2


@saving.register_keras_serializable("refusals")
def registered(x):
    return x + 1


@saving.register_keras_serializable("refusals")
class Registered(layers.Layer):
    def call(self, x):
        return 2 * x


@saving.register_keras_serializable("refusals")
class MakesItsParts(layers.Layer):
    """Its `from_config` knows the class of its part, which is not registered."""

    def __init__(self, part=None, **kwargs):
        super().__init__(**kwargs)
        self.part = part or Unregistered()

    def call(self, x):
        return self.part(x)

    def get_config(self):
        return {**super().get_config(), "part": saving.serialize_keras_object(self.part)}

    @classmethod
    def from_config(cls, config):
        part = Unregistered.from_config(config.pop("part")["config"])
        return cls(part=part, **config)


@saving.register_keras_serializable("refusals")
class Net(torch.nn.Linear):
    def get_config(self):
        return {"in_features": self.in_features, "out_features": self.out_features}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def of(*rows, **compiled):
    model = models.Sequential([layers.Input((3,)), *rows])
    if compiled:
        model.compile(**compiled)
    return model


def functional(layer):
    inputs = layers.Input((3,))
    return models.Model(inputs, layers.Dense(2)(layer(inputs)))


def subclassed():
    model = UnregisteredModel(name="mine")
    model(torch.ones(1, 3))
    return model


REFUSED = {
    "a layer": (lambda: of(Unregistered(name="twice")), ["Unregistered 'twice'", "not registered", "custom_objects"]),
    "a layer of a graph": (lambda: functional(Unregistered(name="twice")), ["Unregistered 'twice'"]),
    "a layer in a wrapper": (
        lambda: of(layers.Reshape((3, 1)), layers.TimeDistributed(Unregistered(name="in"))),
        ["'in'"],
    ),
    "a layer of an inner model": (lambda: of(of(Unregistered(name="deep"))), ["'deep'"]),
    "a model": (subclassed, ["UnregisteredModel", "'mine'"]),
    "an activation": (lambda: of(layers.Dense(2, activation=unregistered, name="d")), ["Dense 'd'", "'unregistered'"]),
    "an activation that is a lambda": (
        lambda: of(layers.Dense(2, activation=lambda x: x, name="d")),
        ["'d'", "lambda"],
    ),
    "an initializer": (
        lambda: of(layers.Dense(2, kernel_initializer=UnregisteredInitializer(), name="d")),
        ["UnregisteredInitializer", "Dense 'd'"],
    ),
    "a lambda": (lambda: of(layers.Lambda(lambda x: x + 1, name="plus")), ["Lambda 'plus'", "safe_mode=False"]),
    "a function in a Lambda": (
        lambda: of(layers.Lambda(unregistered, name="plus")),
        ["Lambda 'plus'", "'unregistered'"],
    ),
    "a torch module": (
        lambda: of(layers.TorchModuleWrapper(torch.nn.Linear(3, 2), name="linear")),
        ["TorchModuleWrapper 'linear'", "load its weights"],
    ),
    "a loss": (
        lambda: of(layers.Dense(2), loss=unregistered_loss),
        ["compile()", "'unregistered_loss'", "compile=False"],
    ),
    "two of them": (
        lambda: of(Unregistered(name="first"), layers.Lambda(lambda x: x, name="second")),
        ["'first'", "'second'"],
    ),
}
LOADED = {
    "layers": lambda: of(layers.Dense(2, activation="relu", kernel_regularizer="l2"), layers.Dropout(0.5)),
    "a graph with ops": lambda: functional(lambda x: keras.ops.concatenate([x * 2, keras.ops.relu(x)], axis=-1)[:, 1:]),
    "registered": lambda: of(Registered(), layers.Lambda(registered), layers.Dense(2, activation=registered)),
    "a registered torch module": lambda: of(layers.TorchModuleWrapper(Net(3, 2))),
    "a class that makes its parts": lambda: of(MakesItsParts()),
    "wrappers": lambda: of(layers.Reshape((3, 1)), layers.Bidirectional(layers.LSTM(2)), layers.Dense(1)),
    "compiled": lambda: of(
        layers.Dense(2),
        optimizer=keras.optimizers.AdamW(keras.optimizers.schedules.CosineDecay(0.1, 5)),
        loss=keras.losses.Huber(),
        metrics=["mae", keras.metrics.MeanSquaredError()],
    ),
    "compiled with torch's": lambda: of(layers.Dense(2), optimizer=torch.optim.SGD, loss=torch.nn.SmoothL1Loss()),
}


def saved(model, path, zipped=True):
    """Save the model; the warnings about loading."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        saving.save_model(model, path, zipped=zipped)
    return [str(one.message) for one in caught if "load_model() will refuse" in str(one.message)]


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", REFUSED)
def test_one_warning_names_everything_that_loading_refuses(name, zipped, tmp_path):
    make, words = REFUSED[name]
    path = tmp_path / ("model.keras" if zipped else "folder")
    (text,) = saved(make(), path, zipped)
    for word in words:
        assert word in text, text
    with pytest.raises((TypeError, ValueError)):
        saving.load_model(path)


@pytest.mark.parametrize("name", LOADED)
def test_no_warning_about_a_model_that_loads(name, tmp_path):
    path = tmp_path / "model.keras"
    assert saved(LOADED[name](), path) == []
    saving.load_model(path)


def test_a_scope_counts_as_registration(tmp_path):
    path = tmp_path / "model.keras"
    with saving.custom_object_scope({"Unregistered": Unregistered}):
        assert saved(of(Unregistered()), path) == []
        saving.load_model(path)


def test_the_remedies_of_the_warning_work(tmp_path):
    path = tmp_path / "model.keras"
    x = torch.rand(4, 3)
    model = of(Unregistered(), layers.Dense(2, activation=unregistered), loss=unregistered_loss)
    assert len(saved(model, path)) == 1
    given = {"Unregistered": Unregistered, "unregistered": unregistered}
    assert torch.equal(saving.load_model(path, given, compile=False)(x), model(x))
    twin = of(layers.TorchModuleWrapper(torch.nn.Linear(3, 2)))
    wrapped = of(layers.TorchModuleWrapper(torch.nn.Linear(3, 2)))
    assert len(saved(wrapped, path)) == 1
    twin.load_weights(path)
    assert torch.equal(twin(x), wrapped(x))
