"""Quantized layers as parts of models: filters, errors, low-rank terms, copies, gradients, compiled and exported."""

from __future__ import annotations

import copy
import pickle
import warnings

import keras as real
import numpy as np
import pytest
import torch

import torchkeras as keras
from torchkeras import layers
from torchkeras.layers.weight_forms import digits


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def network(k=keras):
    inputs = k.Input((6,))
    x = k.layers.Dense(8, activation="relu", name="first")(inputs)
    return k.Model(inputs, k.layers.Dense(3, name="last")(x), name="network")


class Nested(keras.Model):
    """A subclassed model with a list of layers, one of which is shared, and a layer that holds layers."""

    def __init__(self):
        super().__init__()
        self.shared = layers.Dense(6)
        self.blocks = [self.shared, keras.Sequential([layers.Dense(6, activation="tanh")])]
        self.head = network()

    def call(self, x):
        for block in self.blocks:
            x = block(self.shared(x))
        return self.head(x)


def modes_of(model):
    return [layer.quantization_mode for layer in model._flatten_layers() if isinstance(layer, layers.Dense)]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (None, ["int8", "int8"]),
        ("fir", ["int8", None]),
        (["^first$", "^las"], ["int8", "int8"]),
        (lambda layer: layer.name == "last", [None, "int8"]),
        ("^nothing$", [None, None]),
    ],
)
def test_filters_choose_the_layers(filters, expected):
    mine, theirs = network(), network(real)
    mine.quantize("int8", filters=filters)
    theirs.quantize("int8", filters=filters)
    assert modes_of(mine) == expected == [theirs.get_layer(n).quantization_mode for n in ("first", "last")]


def test_nested_and_shared_layers_are_quantized_once(rng):
    model, x = Nested(), torch.tensor(rng.normal(size=(64, 6)).astype("float32"))
    expected = model(x)
    model.quantize("int8")
    assert modes_of(model) and set(modes_of(model)) == {"int8"}
    assert model.shared.kernel.dtype is torch.int8
    assert (model(x) - expected).abs().max() < 0.1 * expected.abs().max()


def test_modules_of_torch_stay_as_they_are_and_are_named(rng):
    class Mixed(keras.Model):
        def __init__(self):
            super().__init__()
            self.body, self.head = torch.nn.Sequential(torch.nn.Linear(6, 4)), layers.Dense(2)

        def call(self, inputs):
            return self.head(self.body(inputs))

    model = Mixed()
    model(torch.tensor(rng.normal(size=(3, 6)).astype("float32")))
    with pytest.warns(UserWarning, match=r"leaves torch's own modules as they are: \['body\.0'\]"):
        model.quantize("int8")
    assert model.head.kernel.dtype is torch.int8 and model.body[0].weight.dtype is torch.float32


def unbuilt(k):
    return k.layers.Dense(2, name="layer").quantize("int8")


def twice(k):
    layer = k.layers.Dense(2, name="layer")
    layer.build((None, 3))
    layer.quantize("int8")
    layer.quantize("int4")


def built(k, cls="Dense", *args, dtype=None):
    layer = getattr(k.layers, cls)(*(args or (2,)), name="layer", dtype=dtype)
    layer.build((None, 3))
    return layer


MISTAKES = {
    "a layer that is not built": unbuilt,
    "twice": twice,
    "an unknown mode": lambda k: built(k).quantize("int7"),
    "neither mode nor config": lambda k: built(k).quantize(),
    "GPTQ without a config": lambda k: built(k).quantize("gptq"),
    "AWQ without a config": lambda k: built(k).quantize("awq"),
    "a contradiction": lambda k: built(k).quantize("int4", config=k.quantizers.Int8QuantizationConfig()),
    "a config of another kind": lambda k: built(k).quantize(config=3),
    "int8 in float16": lambda k: built(k, dtype="float16").quantize("int8"),
    "a layer without a quantized form": lambda k: built(k, "BatchNormalization", -1).quantize("int8"),
    "a table in float8": lambda k: built(k, "Embedding", 3, 4).quantize("float8"),
    "GPTQ by a policy": lambda k: setattr(built(k), "dtype_policy", "gptq/4/128_from_float32"),
    "unknown arguments of a model": lambda k: network(k).quantize("int8", unknown=1),
    "filters of another kind": lambda k: network(k).quantize("int8", filters=3),
    "the shape of a table": lambda k: built(k).quantized_build((3, 2), "int7"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_errors_are_keras_own(mistake):
    with pytest.raises((ValueError, NotImplementedError)) as theirs:
        MISTAKES[mistake](real)
    with pytest.raises(type(theirs.value)) as mine:
        MISTAKES[mistake](keras)
    shared = str(theirs.value).split("Received")[0].split("\n")[0]
    assert str(mine.value).startswith(shared[:60])


def test_a_subclass_of_the_users_is_left_alone():
    class Mine(layers.Dense):
        def call(self, inputs):
            return 2 * super().call(inputs)

    layer = Mine(2, use_bias=False)
    x = torch.randn(4, 3)
    expected = layer(x)
    with pytest.raises(NotImplementedError, match="Mine"):
        layer.quantize("int8")
    layer.quantize("int8", type_check=False)
    assert (layer(x) - expected).abs().max() < 0.05 * expected.abs().max()


def test_setting_a_policy_quantizes():
    for policy, names in {
        "int8_from_float32": ["kernel", "kernel_scale"],
        "int4/2_from_float32": ["g_idx", "kernel", "kernel_scale", "kernel_zero"],
    }.items():
        layer = built(keras)
        layer.dtype_policy = policy
        assert layer.dtype_policy.name == policy
        assert sorted(w.name for w in layer.non_trainable_weights) == names
        assert tuple(layer.kernel.shape) == (3, 2)


@pytest.mark.parametrize("mode", ["int8", "int4", "float8"])
def test_training_is_keras_own(mode, rng, tmp_path):
    """Low-rank terms (or 8-bit floats) trained for two epochs: the same losses, weights and files as in Keras."""
    theirs, mine = network(real), network()
    values = [rng.normal(size=w.shape).astype("float32") for w in theirs.weights]
    x, y = rng.normal(size=(16, 6)).astype("float32"), rng.normal(size=(16, 3)).astype("float32")
    low_rank = [0.1 * rng.normal(size=shape).astype("float32") for shape in ((6, 2), (2, 8))]
    losses = []
    for model in (theirs, mine):
        model.set_weights(values)
        first = model.get_layer("first")
        if mode != "float8":
            first.enable_lora(2, lora_alpha=3.0)
            first.lora_kernel_a.assign(low_rank[0])
            first.lora_kernel_b.assign(low_rank[1])
        model.quantize(mode)
        model.compile("sgd", "mse")
        losses.append(model.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0).history["loss"])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)
    for a, b in zip(theirs.weights, mine.weights, strict=True):
        assert a.path == b.path and a.trainable == b.trainable
        np.testing.assert_allclose(b.numpy(), real.ops.convert_to_numpy(a), rtol=1e-3, atol=1e-4)
    mine.save(tmp_path / "mine.keras")
    again, outside = keras.models.load_model(tmp_path / "mine.keras"), real.models.load_model(tmp_path / "mine.keras")
    np.testing.assert_allclose(again.predict(x, verbose=0), outside.predict(x, verbose=0), rtol=1e-3, atol=1e-3)
    if mode != "float8":
        first = again.get_layer("first")
        assert first.lora_enabled and not first.lora_kernel_a.any()


OPTIMIZERS = {
    **{name: getattr(keras.optimizers, name) for name in ("Adafactor", "Muon", "Nadam", "Ftrl", "ScheduleFreeAdamW")},
    "Adam that accumulates": lambda: keras.optimizers.Adam(gradient_accumulation_steps=3, use_ema=True),
    "LossScaleOptimizer": lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam()),
    "torch's": lambda: torch.optim.Adam,
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_trained_model_that_is_quantized_trains_on_from_its_file(name, rng, tmp_path):
    """The optimizer drops its state for the weights that are gone, so that the file's fits."""
    model = network()
    x, y = (rng.normal(size=(16, n)).astype("float32") for n in (6, 3))
    model.compile(OPTIMIZERS[name](), "mse")
    fit = {"batch_size": 4, "epochs": 1, "shuffle": False, "verbose": 0}
    model.fit(x, y, **fit)
    model.quantize("int8", filters="last")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.save(tmp_path / "model.keras")
        again = keras.models.load_model(tmp_path / "model.keras")
        assert len(again.optimizer.variables) == len(model.optimizer.variables)
        losses = [one.fit(x, y, **fit).history["loss"] for one in (model, again)]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)
    for mine, other in zip(model.weights, again.weights, strict=True):
        np.testing.assert_allclose(other.numpy(), mine.numpy(), rtol=1e-4, atol=1e-6)


def test_an_optimizer_keeps_the_state_of_weights_of_other_models(rng):
    one, other = network(), network()
    optimizer = keras.optimizers.Adam()
    optimizer.build(one.trainable_weights + other.trainable_weights)
    one.compile(optimizer, "mse")
    one.quantize("int8")
    kept = one.trainable_weights + other.trainable_weights
    assert len(optimizer.variables) == 2 + 2 * len(kept)
    optimizer.apply([torch.ones_like(weight) for weight in kept], kept)


@pytest.mark.parametrize("mode", ["int8", "int4", "float8"])
def test_torch_handles_quantized_models(mode, rng):
    model, x = network(), torch.tensor(rng.normal(size=(4, 6)).astype("float32"))
    model.quantize(mode)
    with torch.no_grad():
        expected = model(x)
        for copied in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            assert torch.equal(copied(x), expected)
        twin = keras.models.clone_model(model)
        twin.load_state_dict(model.state_dict())
        assert torch.equal(twin(x), expected)
        compiled = torch.compile(model, backend="eager", fullgraph=True)
        torch.testing.assert_close(compiled(x), expected)
        program = torch.export.export(model, (x,)).module()
        torch.testing.assert_close(program(x), expected)


@pytest.mark.parametrize("mode", ["int8", "int4"])
def test_gradients_are_those_of_the_dequantized_weight(mode):
    layer = built(keras)
    layer.quantize(mode)
    x = torch.randn(4, 3, requires_grad=True)
    upstream = torch.randn(4, 2)
    (layer(x) * upstream).sum().backward()
    torch.testing.assert_close(x.grad, upstream @ layer._tk_form.dequantized(layer).t())


@pytest.mark.parametrize("rows", [1, 5])
@pytest.mark.parametrize("columns", [6, 7])
def test_products_by_digits_are_as_exact_as_those_of_floats(rows, columns, monkeypatch):
    """Torch's kernels for integers, on any CPU, against the weight as floats, in float64."""
    monkeypatch.setattr(digits, "_has_vnni", lambda: True)
    x = torch.randn(rows, 2, 32) * torch.logspace(-2, 2, 2).unsqueeze(1)
    x[0, 0] = 0
    for config in (
        keras.quantizers.Int8QuantizationConfig(activation_quantizer=None),
        keras.quantizers.Int4QuantizationConfig(block_size=None),
        keras.quantizers.Int4QuantizationConfig(block_size=8),
        keras.quantizers.TernaryQuantizationConfig(),
        keras.quantizers.Int4QuantizationConfig(None, keras.quantizers.AbsMaxQuantizer(axis=-1), block_size=None),
    ):
        for layer in (layers.EinsumDense("abc,cd->abd", (2, columns)), layers.Dense(columns, use_bias=False)):
            if config.mode not in layer._tk_modes:
                continue
            layer.build((None, 2, 32))
            layer.quantize(config=config)
            expected = x.double() @ layer._tk_form.dequantized(layer).double()
            near = 2e-6 if config.activation_quantizer is None else 5e-2
            assert ((layer(x) - expected).abs() <= near * x.abs().amax(-1, keepdim=True)).all()
    x[0, 0, 3], x[0, 1, 3] = torch.nan, torch.inf
    assert not layer(x)[0].isfinite().any() or config.activation_quantizer is not None


@pytest.mark.parametrize("training", [None, False, True])
def test_a_float8_layer_moves_its_scales_in_training_alone(training):
    layer = built(keras)
    layer.quantize("float8")
    for call in (layer, keras.Sequential([keras.Input((3,)), layer])):
        layer.zero_grad()
        call(torch.randn(4, 3), training=training).sum().backward()
        moved = {w.name for w in layer.weights if w.overwrite_with_gradient and w.grad is not None and w.grad.any()}
        assert bool(moved) is bool(training) and ("outputs_grad_scale" in moved) is bool(training)
        assert layer.kernel.grad.any()


@pytest.mark.parametrize("mode", [None, "int8", "int4"])
def test_a_number_without_a_row_is_named(mode):
    layer = layers.Embedding(5, 4, name="words")
    layer.build()
    if mode:
        layer.quantize(mode)
    with pytest.raises(
        IndexError, match=r"(?s)'words' has rows for the numbers 0 to 4 \(input_dim=5\); received -6, 7\."
    ):
        layer(torch.tensor([[1, 7, 4], [0, -6, 7]]))
