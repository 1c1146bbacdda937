"""Layers and models leave private names to their users: what they keep for themselves starts with `_tk_`."""

from __future__ import annotations

import ast
import inspect
import textwrap

import numpy as np
import pytest
import torch

import torchkeras as keras
from torchkeras import layers
from torchkeras.core.quantization_modes import QUANTIZATION_MODES

# Keras has these under the same name, and code outside of Keras reads them.
OF_KERAS = {"_dtype_policy", "_flatten_layers", "_inbound_nodes", "_tracker"} | {"_repr_html_"}  # that one is Jupyter's
OF_KERAS |= {"_build_at_init", "_untrack_variable"} | {f"_{mode}_call" for mode in QUANTIZATION_MODES}
OF_KERAS |= {"_allow_non_tensor_positional_args", "_convert_input_args", "_compile_config", "_is_quantized"} | {
    "_quantization_report"
}


def functional():
    inputs = keras.Input((3,))
    return keras.Model(inputs, layers.Dense(2)(inputs))


def sequential():
    return keras.Sequential([layers.Dense(2), layers.Dropout(0.5), layers.Dense(2)])


class Subclass(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.blocks = [layers.Dense(2)]
        self.tracker = keras.metrics.Mean()
        self.seed = keras.random.SeedGenerator(0)

    def call(self, x):
        return self.blocks[0](x)


class WithWeights(layers.Layer):
    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(3, 2), regularizer="l2")
        self.parts = {"bias": self.add_weight(shape=(2,))}

    def call(self, x):
        self.add_loss(x.sum())
        return x @ self.kernel + self.parts["bias"]


MODELS = {"functional": functional, "sequential": sequential, "subclass": Subclass}


def names_of(obj):
    """The private names of an object, without those that torch gave it."""
    found = {name for name in {*dir(obj), *obj.__dict__} if name.startswith("_") and not name.startswith("__")}
    return found - {*dir(torch.nn.Module()), *torch.nn.Module().__dict__}


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_private_names_of_models(make):
    model, x, y = make(), np.ones((4, 3), "float32"), np.ones((4, 2), "float32")
    model.compile("sgd", "mse", metrics=["mae"])
    model.fit(x, y, verbose=0, validation_data=(x, y))
    model.predict(x, verbose=0)
    assert {name for name in names_of(model) if not name.startswith("_tk_")} <= OF_KERAS


@pytest.mark.parametrize("make", [lambda: layers.Layer(), lambda: WithWeights(activity_regularizer="l2")])
def test_private_names_of_layers(make):
    layer = make()
    if layer.__class__ is WithWeights:
        layer(torch.ones(2, 3))
    assert {name for name in names_of(layer) if not name.startswith("_tk_")} <= OF_KERAS


def private_names_in(*classes):
    """All names of the form `self._name` in the source of classes: also those set in rare cases alone."""
    found = set()
    for cls in classes:
        for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(cls)))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
                found.add(node.attr)
    return {name for name in found if name.startswith("_") and not name.startswith("__")}


def test_private_names_in_the_source():
    ours = [cls for cls in keras.Sequential.__mro__ if cls.__module__.startswith("torchkeras.")]
    assert len(ours) > 6
    found = private_names_in(*ours) - {*dir(torch.nn.Module()), *torch.nn.Module().__dict__}
    assert {name for name in found if not name.startswith("_tk_")} <= OF_KERAS


# Names that a user's own methods and attributes are likely to have.
USERS_METHODS = ("_drop", "_record", "_read", "_adopt", "_write", "_forget", "_rebuild", "_build_for", "_first_call")
USERS_ATTRIBUTES = ("_layers", "_held", "_losses", "_metrics", "_path", "_trainable", "_graph", "_row",
                    "_infos", "_compiled", "_snapshot", "_autocast", "_init_args")  # fmt: skip


def fail(self, *args, **kwargs):
    raise AssertionError("a method of the user's was called by the framework")


@pytest.mark.parametrize("base", [layers.Layer, keras.Model, keras.Sequential], ids=lambda base: base.__name__)
def test_methods_and_attributes_of_the_users_own_do_not_clash(base):
    def __init__(self):
        base.__init__(self)
        self.inner = layers.Dense(2)
        for name in USERS_ATTRIBUTES:
            setattr(self, name, [layers.Dense(1)] if name == "_layers" else {"mine": name})
        if base is keras.Sequential:
            self.add(self.inner)

    def call(self, inputs):
        return self.inner(inputs)

    cls = type("Mine", (base,), {"__init__": __init__, "call": call, **dict.fromkeys(USERS_METHODS, fail)})
    layer = cls()
    x, y = np.ones((4, 3), "float32"), np.ones((4, 2), "float32")
    layer(x)
    assert layer(keras.Input((3,))).shape == (None, 2)
    layer.trainable = False
    assert layer.trainable_weights == []
    layer.trainable = True
    layer.set_weights(layer.get_weights())
    if isinstance(layer, keras.Model):
        layer.compile("sgd", "mse")
        layer.fit(x, y, verbose=0)
    assert len(layer._layers) == 1 and isinstance(layer._layers, list)
    for name in USERS_ATTRIBUTES[1:]:
        assert getattr(layer, name) == {"mine": name}


def test_layers_of_keras_lists_the_direct_sublayers():
    model = Subclass()
    assert model._layers == [model.blocks[0]] == model._flatten_layers(include_self=False)
