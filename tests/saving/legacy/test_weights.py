"""Weights of legacy files into models that were built in code: by order, by name, in old layouts."""

from __future__ import annotations

import warnings

import keras as real_keras
import numpy as np
import pytest
import torch

import torchkeras as keras
from tests.saving.legacy.old_files import layer, sequential, write
from torchkeras import layers as L


def named(layer_name, *values):
    return [(f"{layer_name}/weight_{i}:0", np.asarray(value, "float32")) for i, value in enumerate(values)]


def two_layers(first="a", second="b", units=2):
    return keras.Sequential([keras.Input((3,)), L.Dense(4, name=first), L.Dropout(0.5), L.Dense(units, name=second)])


def saved(rng, first="a", second="b", units=2):
    return {
        first: named(first, rng.normal(size=(3, 4)), rng.normal(size=4)),
        "dropout": [],
        second: named(second, rng.normal(size=(4, units)), rng.normal(size=units)),
    }


@pytest.mark.parametrize("whole", [False, True])
def test_by_order_whatever_the_names(tmp_path, whole, rng):
    weights = saved(rng, "dense_17", "predictions")
    config = sequential([]) if whole else None
    model = two_layers()
    model.load_weights(write(tmp_path / "x.h5", config, weights))
    for mine, (_, theirs) in zip(model.get_weights(), weights["dense_17"] + weights["predictions"], strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_by_name(tmp_path, rng):
    weights = saved(rng, "other", "a")
    weights["a"] = named("a", rng.normal(size=(3, 4)), rng.normal(size=4))
    model = two_layers("a", "new")
    before = model.layers[2].get_weights()
    model.load_weights(write(tmp_path / "x.hdf5", None, weights), by_name=True)
    np.testing.assert_array_equal(model.layers[0].get_weights()[0], weights["a"][0][1])
    np.testing.assert_array_equal(model.layers[2].get_weights()[0], before[0])


def test_errors_have_keras_words_and_leave_the_model_as_it_was(tmp_path, rng):
    model = two_layers()
    before = model.get_weights()
    cases = [
        ({"a": saved(rng)["a"]}, False, "Layer count mismatch when loading weights from file"),
        (saved(rng, units=5), False, "Shape mismatch in layer #1"),
        ({**saved(rng), "b": saved(rng)["b"][:1]}, False, "Weight count mismatch for layer #1"),
        (saved(rng, units=5), True, "Shape mismatch in layer #1"),
        ({**saved(rng), "b": saved(rng)["b"][:1]}, True, "Weight count mismatch for layer #1"),
    ]
    for weights, by_name, words in cases:
        path = write(tmp_path / "x.h5", None, weights)
        with pytest.raises(ValueError, match=words):
            model.load_weights(path, by_name=by_name)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("by_name", [False, True])
def test_skip_mismatch(tmp_path, by_name, rng):
    weights = saved(rng, units=5)
    model = two_layers()
    before = model.layers[2].get_weights()
    with pytest.warns(UserWarning, match="Skipping loading weights: Shape mismatch"):
        model.load_weights(write(tmp_path / "x.h5", None, weights), by_name=by_name, skip_mismatch=True)
    np.testing.assert_array_equal(model.layers[0].get_weights()[0], weights["a"][0][1])
    np.testing.assert_array_equal(model.layers[2].get_weights()[0], before[0])


def test_a_file_is_known_by_its_content(tmp_path, rng):
    """Old weights under the new ending, and new ones under the old."""
    weights = saved(rng)
    write(tmp_path / "x.weights.h5", None, weights)
    model = two_layers()
    model.load_weights(tmp_path / "x.weights.h5")
    np.testing.assert_array_equal(model.layers[0].get_weights()[0], weights["a"][0][1])
    model.save_weights(tmp_path / "y.weights.h5")
    (tmp_path / "y.weights.h5").rename(tmp_path / "y.h5")
    other = two_layers()
    other.load_weights(tmp_path / "y.h5")
    np.testing.assert_array_equal(other.get_weights()[0], model.get_weights()[0])


def test_weights_alone_are_no_model(tmp_path, rng):
    path = write(tmp_path / "x.h5", None, saved(rng))
    with pytest.raises(ValueError, match="No model config found in the file"):
        keras.saving.load_model(path)


def test_names_of_other_files(tmp_path):
    with pytest.raises(ValueError, match=r"must end in .*weights\.h5"):
        two_layers().save_weights(tmp_path / "x.h5")


# ---------------------------------------------------------------------------- the order within a layer


def backbone(k, frozen):
    layers = k.layers
    base = k.Sequential([k.Input((4,)), layers.Dense(4), layers.BatchNormalization(), layers.BatchNormalization()])
    base.trainable = not frozen
    return k.Sequential([k.Input((4,)), base, layers.Dense(1)])


@pytest.mark.parametrize("was_frozen", [False, True])
@pytest.mark.parametrize("is_frozen", [False, True])
def test_a_part_that_was_frozen_and_is_not(tmp_path, was_frozen, is_frozen, rng):
    """The file's order of weights depends on what was frozen; all these have one shape, so that only names can tell."""
    reference = backbone(real_keras, was_frozen)
    reference.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in reference.get_weights()])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reference.save(tmp_path / "m.h5")
    model = backbone(keras, is_frozen)
    model.load_weights(tmp_path / "m.h5")
    x = rng.normal(size=(3, 4)).astype("float32")
    np.testing.assert_allclose(model.predict(x, verbose=0), reference.predict(x, verbose=0), rtol=1e-4, atol=1e-5)


def test_more_names_than_an_attribute_holds(tmp_path):
    """Lists of names go in numbered parts where they are too long for one attribute."""
    name = "x" * 2000
    model = keras.Sequential([keras.Input((1,)), *(L.Dense(1, name=f"{name}{i}") for i in range(40))])
    model.set_weights([np.full(w.shape, i, "float32") for i, w in enumerate(model.get_weights())])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save(tmp_path / "m.h5")
    for package in (keras, real_keras):
        loaded = package.saving.load_model(tmp_path / "m.h5", compile=False)
        assert [float(np.ravel(w)[0]) for w in loaded.get_weights()] == list(map(float, range(80)))


# ---------------------------------------------------------------------------- layers that ran on cuDNN


def of_torch(module, order):
    """A torch module's weights as the layers of Keras 2 on cuDNN keep them, which hand memory on as it is."""
    hidden = module.hidden_size

    def gates(weight):
        parts = torch.split(weight.detach(), hidden, 0)
        return [parts[i].numpy() for i in order]

    def flat(weight):
        return np.concatenate([part.reshape(part.shape[::-1]) for part in gates(weight)], 1)

    bias = np.concatenate([*gates(module.bias_ih_l0), *gates(module.bias_hh_l0)])
    return [flat(module.weight_ih_l0), flat(module.weight_hh_l0), bias]


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_cudnn(tmp_path, kind, wrapped, rng):
    modules = [getattr(torch.nn, kind)(3, 4, batch_first=True) for _ in range(1 + wrapped)]
    order = (0, 1, 2, 3) if kind == "LSTM" else (1, 0, 2)
    values = [value for module in modules for value in of_torch(module, order)]
    config = {
        "units": 4,
        "return_sequences": True,
        "return_state": False,
        "stateful": False,
        "kernel_regularizer": None,
    }
    row = layer(f"CuDNN{kind}", "rnn", **config)
    if wrapped:
        row = layer("Bidirectional", "rnn", layer=row, merge_mode="concat")
    row["config"]["batch_input_shape"] = [None, 5, 3]
    path = write(tmp_path / "m.h5", sequential([row]), {"rnn": named("rnn", *values)}, "2.2.4")
    x = torch.randn(2, 5, 3)
    with torch.no_grad():
        want = modules[0](x)[0]
        if wrapped:
            want = torch.cat([want, modules[1](x.flip(1))[0].flip(1)], -1)
    for model in (keras.saving.load_model(path, compile=False), _in_code(kind, wrapped, path)):
        np.testing.assert_allclose(model.predict(x.numpy(), verbose=0), want.numpy(), rtol=1e-4, atol=1e-5)


def _in_code(kind, wrapped, path):
    inner = getattr(L, kind)(4, return_sequences=True)
    model = keras.Sequential([keras.Input((5, 3)), L.Bidirectional(inner) if wrapped else inner])
    model.load_weights(path)
    return model


def test_cudnn_in_a_nested_model(tmp_path, rng):
    module = torch.nn.LSTM(3, 4, batch_first=True)
    kernel, bias = rng.normal(size=(4, 2)), rng.normal(size=2)
    inner = sequential(
        [layer("CuDNNLSTM", "rnn", units=4, batch_input_shape=[None, 5, 3]), layer("Dense", "d", units=2)], "i"
    )
    weights = {"i": named("i", *of_torch(module, (0, 1, 2, 3)), kernel, bias)}
    path = write(tmp_path / "m.h5", sequential([inner], "o"), weights, "2.2.4")
    x = torch.randn(2, 5, 3)
    with torch.no_grad():
        want = module(x)[0][:, -1].numpy() @ kernel + bias
    model = keras.saving.load_model(path, compile=False)
    np.testing.assert_allclose(model.predict(x.numpy(), verbose=0), want, rtol=1e-4, atol=1e-5)
