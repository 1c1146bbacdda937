"""Promises of single layers: Embedding's weights, Lambda's safety, merging functions, the public names."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest
import torch
from torch.nn.utils import parametrize, prune

import torchkeras as keras
from torchkeras import layers
from torchkeras.layers.core.lora import AdaptedWeight


@pytest.mark.parametrize("wrapped", [False, True])
def test_embedding_takes_its_weights(wrapped, rng):
    table = rng.normal(size=(4, 3)).astype("float32")
    layer = layers.Embedding(4, 3, weights=[table] if wrapped else table)
    np.testing.assert_array_equal(layer(torch.tensor([[0, 3]])).detach().numpy()[0], table[[0, 3]])
    assert "weights" not in layer.get_config()


def test_embedding_refuses_indices_beyond_its_table():
    for index in (4, -5):
        with pytest.raises(IndexError):
            layers.Embedding(4, 3)(torch.tensor([index]))


@pytest.mark.parametrize("mode", [None, "lora", "int8", "int4"])
def test_embedding_counts_negative_indices_from_the_end(mode):
    layer = layers.Embedding(6, 4, lora_rank=2 if mode == "lora" else None)
    layer.build()
    if mode in ("int8", "int4"):
        layer.quantize(mode)
    front = torch.tensor([[0, 5], [3, 2]])
    torch.testing.assert_close(layer(front - 6), layer(front))
    torch.testing.assert_close(layer(torch.tensor([-0.4, -1.7])), layer(torch.tensor([0, 5])))
    if mode is None:
        compiled = torch.compile(layer, backend="eager")
        torch.testing.assert_close(compiled(front - 6), layer(front))


def test_embedding_warns_of_input_length():
    with pytest.warns(UserWarning, match="input_length"):
        layers.Embedding(4, 3, input_length=7)


def test_lambda_applies_its_function_with_arguments_training_and_mask():
    seen = {}

    def scaled(x, factor, training=None, mask=None):
        seen.update(training=training, mask=mask)
        return x * factor

    layer = layers.Lambda(scaled, arguments={"factor": 3.0}, mask=lambda x, mask: mask)
    x, mask = torch.ones(2, 3), torch.tensor([[True, False, True]] * 2)
    x._keras_mask = mask
    y = layer(x, training=True)
    torch.testing.assert_close(y, torch.full((2, 3), 3.0))
    assert seen["training"] is True and seen["mask"] is mask


def test_lambda_knows_its_output_shape():
    assert layers.Lambda(lambda x: x[:, :2]).compute_output_shape((None, 5)) == (None, 2)
    assert layers.Lambda(lambda x: x, output_shape=(7,)).compute_output_shape((None, 5)) == (None, 7)
    assert layers.Lambda(lambda x: x, output_shape=lambda s: (s[0], 1)).compute_output_shape((None, 5)) == (None, 1)


def test_lambda_stays_with_its_function_in_this_process():
    layer = layers.Lambda(lambda x: x + 1)
    again = layers.Lambda.from_config(layer.get_config())
    torch.testing.assert_close(again(torch.ones(2)), torch.full((2,), 2.0))


@pytest.mark.parametrize("safe_mode", [None, True, False])
@pytest.mark.parametrize("name", ["function", "output_shape"])
def test_lambda_never_runs_bytecode_of_a_config(name, safe_mode):
    code = {"class_name": "__lambda__", "config": {"code": "4wEAAAAA", "defaults": None, "closure": None}}
    config = {"name": "l", "trainable": True, "dtype": "float32", "function": "abs", "arguments": {}, name: code}
    if name == "output_shape":
        config["function"] = abs
    with pytest.raises(ValueError, match="Lambda"):
        layers.Lambda.from_config(config, safe_mode=safe_mode)


def test_merging_functions_are_their_layers():
    x, y = torch.randn(2, 3), torch.randn(2, 3)
    for function, expected in [
        (layers.add, x + y),
        (layers.subtract, x - y),
        (layers.multiply, x * y),
        (layers.average, (x + y) / 2),
        (layers.maximum, torch.maximum(x, y)),
        (layers.minimum, torch.minimum(x, y)),
        (layers.concatenate, torch.cat([x, y], dim=1)),
    ]:
        torch.testing.assert_close(function([x, y]), expected)
    torch.testing.assert_close(layers.dot([x, y], axes=1), (x * y).sum(1, keepdim=True))


def test_average_of_integers_beside_pads_counts_no_pad():
    x = torch.arange(1.0, 6.0).view(1, 5, 1)
    y = layers.AveragePooling1D(3, strides=1, padding="same")(x)
    torch.testing.assert_close(y.flatten(), torch.tensor([1.5, 2.0, 3.0, 4.0, 4.5]))


def test_configs_are_json(rng):
    for layer in (layers.Dense(3, activation="relu"), layers.Conv2D(3, 3), layers.Rescaling(np.ones(3), offset=[1.0])):
        config = json.loads(json.dumps(layer.get_config()))
        assert type(layer).from_config(config).get_config().keys() == layer.get_config().keys()


def test_public_names_are_those_of_keras():
    keras_layers = pytest.importorskip("keras").layers
    ours = {name for name in vars(layers) if not name.startswith("_")}
    families = {"core", "base", "activation", "convolutional", "pooling", "normalization", "merging", "reshaping",
                "regularization", "preprocessing", "attention", "recurrent", "serialization", "spatial",
                "weight_forms"}  # fmt: skip
    coming = {"GroupedQueryAttention", "Mosaic", "TernaryDense"}  # of Keras 3.16
    assert ours - families - coming - set(dir(keras_layers)) == set()


LORA = [
    (layers.Dense, {"units": 3}, (4, 5), "kernel"),
    (layers.Conv2D, {"filters": 3, "kernel_size": 2}, (2, 4, 4, 2), "kernel"),
    (layers.Embedding, {"input_dim": 6, "output_dim": 3}, (4, 5), "embeddings"),
]


@pytest.mark.parametrize("make, kwargs, shape, name", LORA)
def test_lora_trains_two_factors_and_saves_the_sum(make, kwargs, shape, name):
    x = torch.ones(shape).int() if make is layers.Embedding else torch.randn(shape)
    layer = make(**kwargs)
    before = layer(x)
    layer.enable_lora(2, lora_alpha=4)
    torch.testing.assert_close(layer(x), before)
    getattr(layer, f"lora_{name}_b").data.normal_()
    adapted = layer(x)
    assert not torch.allclose(adapted, before)
    trained = {w.name for w in layer.trainable_weights}
    assert {f"lora_{name}_a", f"lora_{name}_b"} <= trained and name not in trained
    store = {}
    layer.save_own_variables(store)
    plain = make(**kwargs)
    plain.build(shape)
    plain.load_own_variables(store)
    torch.testing.assert_close(plain(x), adapted)
    layer.load_own_variables(store)
    torch.testing.assert_close(layer(x), adapted)
    assert (layer.get_config()["lora_rank"], layer.get_config()["lora_alpha"]) == (2, 4)
    with pytest.raises(ValueError, match="already"):
        layer.enable_lora(2)


@pytest.mark.parametrize("make, kwargs, shape, name", LORA)
def test_the_attribute_of_an_adapted_weight_is_the_sum(make, kwargs, shape, name):
    """As in Keras, while torch sees the frozen weight under its name."""

    class Mine(make):
        def call(self, inputs):
            return super().call(inputs), getattr(self, name).sum()

    for dtype in ("float32", "mixed_bfloat16"):
        layer = Mine(**kwargs, dtype=dtype)
        layer.build(shape)
        weight = getattr(layer, name)
        assert weight is dict(layer.named_parameters())[name] and isinstance(getattr(make, name), AdaptedWeight)
        layer.enable_lora(2, lora_alpha=3.0)
        a, b = (getattr(layer, f"lora_{name}_{part}") for part in "ab")
        b.data.normal_()
        expected = (weight + 1.5 * (a @ b)).to(torch.float32 if dtype == "float32" else torch.bfloat16)
        for copied in (layer, copy.deepcopy(layer)):
            torch.testing.assert_close(getattr(copied, name), expected)
            assert torch.equal(copied.state_dict()[name], weight) and dict(copied.named_parameters())[name] is not None
        assert getattr(layer, f"_{name}") is weight
        inputs = torch.ones(shape).int() if make is layers.Embedding else torch.randn(shape)
        near = 1e-5 if dtype == "float32" else 0.3
        torch.testing.assert_close(layer(inputs)[1], expected.sum(), rtol=near, atol=near)
        getattr(layer, name).sum().backward()
        assert weight.grad is None and a.grad is not None and b.grad is not None


def test_a_reversed_table_has_its_low_rank_term():
    layer = layers.ReversibleEmbedding(6, 3)
    layer.build()
    layer.enable_lora(2)
    layer.lora_embeddings_b.data.normal_()
    x = torch.randn(2, 3)
    torch.testing.assert_close(layer(x, reverse=True), x @ layer._tk_adapted_weight().T)


def test_a_weight_that_torch_replaces_takes_a_low_rank_term():
    torch.manual_seed(0)
    pruned, doubled = layers.Dense(3), layers.Dense(3)
    for layer in (pruned, doubled):
        with pytest.raises(AttributeError, match="must build the layer before accessing `kernel`"):
            _ = layer.kernel
        layer.build((None, 4))
    prune.random_unstructured(pruned, "kernel", 0.5)
    parametrize.register_parametrization(doubled, "kernel", torch.nn.ReLU())
    for layer in (pruned, doubled):
        assert (layer.kernel == 0).any() and torch.equal(layer._tk_own_weight("kernel"), layer.kernel)


def test_lora_by_argument():
    layer = layers.Dense(3, lora_rank=2)
    layer(torch.ones(2, 4))
    assert [w.name for w in layer.weights] == ["kernel", "bias", "lora_kernel_a", "lora_kernel_b"]
    assert layer.weights[2].shape == (4, 2)


@pytest.mark.parametrize("layer", [layers.Dense(3), layers.Conv2D(3, 1)], ids=lambda layer: type(layer).__name__)
def test_an_activation_taken_away_is_none(layer):
    x = torch.randn(2, 4, 4, 2)
    before = layer(x)
    layer.activation = None
    torch.testing.assert_close(layer(x), before)


def test_masks_of_arrays():
    x = np.array([[[0.0, 0.0], [1.0, 2.0]]])
    np.testing.assert_array_equal(layers.Masking().compute_mask(x).numpy(), [[False, True]])
    np.testing.assert_array_equal(
        layers.Embedding(3, 2, mask_zero=True).compute_mask([[0, 2]]).numpy(), [[False, True]]
    )


def holding_itself(kind):
    """A layer with a list or dict that holds itself, and a layer in most."""
    dense, found = keras.layers.Dense(2), []
    layer = keras.layers.Identity()
    if kind == "alone":
        layer.held = []
        layer.held.append(layer.held)
        return layer
    if kind == "through a list":
        layer.held = []
        layer.held.append([layer.held])
        layer.held.append(dense)
        return layer
    layer.held = {
        "list": lambda: found.extend([dense, found]) or found,
        "through a tuple": lambda: found.append((found, dense)) or found,
        "dict": lambda: (own := {"dense": dense}).update(list=[own]) or own,
    }[kind]()
    return layer


@pytest.mark.parametrize("kind", ["alone", "list", "through a list", "through a tuple", "dict"])
def test_a_container_that_holds_itself(kind, tmp_path):
    layer = holding_itself(kind)
    for part in layer._flatten_layers():
        part.build((None, 3))
    model = keras.Sequential([keras.Input((3,)), layer])
    values = layer.get_weights()
    assert len(values) == len(layer.state_dict()) == (0 if kind == "alone" else 2)
    model.save_weights(tmp_path / "m.weights.h5")
    layer.set_weights([np.zeros_like(value) for value in values])
    model.load_weights(tmp_path / "m.weights.h5")
    for one in (layer, copy.deepcopy(layer).half().float(), pickle.loads(pickle.dumps(layer))):
        for found, wanted in zip(one.get_weights(), values, strict=True):
            np.testing.assert_allclose(found, wanted, atol=1e-3)
    layer.held = []
    assert not layer.weights
