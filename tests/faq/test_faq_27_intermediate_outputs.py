"""FAQ: how to obtain the output of an intermediate layer (feature extraction)."""

import numpy as np
import pytest
import torch

import torchkeras as keras
from torchkeras import layers


@pytest.fixture(params=["sequential", "functional"])
def model(request):
    stack = [
        layers.Conv2D(4, 3, activation="relu", name="conv"),
        layers.MaxPooling2D(2, name="pool"),
        layers.Flatten(name="flat"),
        layers.Dense(5, name="my_intermediate_layer"),
        layers.Dense(2, name="last"),
    ]
    inputs = keras.Input(shape=(8, 8, 3))
    if request.param == "sequential":
        return keras.Sequential([inputs, *stack])
    x = inputs
    for layer in stack:
        x = layer(x)
    return keras.Model(inputs, x)


def by_hand(model, x):
    outputs = []
    for layer in model.layers:
        if not isinstance(layer, layers.InputLayer):
            x = layer(x)
        outputs.append(x)
    return outputs


def test_all_layers(model, rng):
    x = rng.normal(size=(2, 8, 8, 3)).astype("float32")
    extractor = keras.Model(inputs=model.inputs, outputs=[layer.output for layer in model.layers])
    features = extractor(x)
    assert len(features) == len(model.layers)
    for found, wanted in zip(features, by_hand(model, x), strict=True):
        np.testing.assert_allclose(np.array(found.tolist()), np.array(wanted.tolist()), rtol=1e-5, atol=1e-6)


class Halves(keras.Model):
    def call(self, inputs):
        return inputs / 2


@pytest.mark.parametrize("inner", [lambda: keras.Sequential([layers.Dense(3)]), Halves], ids=["stack", "subclass"])
def test_all_layers_of_a_model_that_holds_another_model(inner, rng):
    """A model in a model is a layer there: its `input` and `output` are those of its first call."""
    x = keras.Input((3,))
    held = inner()
    model = keras.Model(x, layers.Dense(2)(held(x)))
    held(keras.Input((3,)))
    assert held.input is x and held.output.shape == (None, 3)
    extractor = keras.Model(inputs=model.inputs, outputs=[layer.output for layer in model.layers])
    values = rng.normal(size=(2, 3)).astype("float32")
    for found, wanted in zip(extractor(values), by_hand(model, torch.as_tensor(values)), strict=True):
        torch.testing.assert_close(found, wanted)


def test_one_layer_by_name(model, rng):
    x = rng.normal(size=(40, 8, 8, 3)).astype("float32")
    name = "my_intermediate_layer"
    extractor = keras.Model(inputs=model.input, outputs=model.get_layer(name).output)
    found = extractor.predict(x, verbose=0)
    assert found.shape == (40, 5)
    wanted = by_hand(model, x)[-2]
    np.testing.assert_allclose(found, wanted.detach().numpy(), rtol=1e-4, atol=1e-5)
    assert extractor.get_layer("conv") is model.get_layer("conv")  # the layers are shared


def test_input_and_output_of_a_layer(model):
    layer = model.get_layer("my_intermediate_layer")
    assert layer.input.shape == (None, 36) and layer.output.shape == (None, 5)
    assert model.get_layer("last").input is layer.output
    assert [t.shape for t in model.inputs] == [(None, 8, 8, 3)]


def test_from_one_layer_to_another(model, rng):
    tail = keras.Model(model.get_layer("flat").output, model.output)
    x = rng.normal(size=(3, 36)).astype("float32")
    wanted = model.get_layer("last")(model.get_layer("my_intermediate_layer")(x))
    np.testing.assert_allclose(tail.predict(x, verbose=0), wanted.detach().numpy(), rtol=1e-4, atol=1e-5)


def test_an_unknown_layer_names_the_known_ones(model):
    with pytest.raises(ValueError, match="my_intermediate_layer"):
        model.get_layer("intermediate")


@pytest.mark.parametrize("name", ["inputs", "input", "outputs", "output"])
def test_a_subclassed_model_says_that_it_has_none(name):
    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(2)

        def call(self, inputs):
            return self.dense(inputs)

    model = Subclassed()
    model(np.ones((1, 3)))
    with pytest.raises(AttributeError, match=rf"Subclassed.*no {name}.*functional"):
        getattr(model, name)
    with pytest.raises(AttributeError, match="dense"):
        model.dense.output  # noqa: B018
