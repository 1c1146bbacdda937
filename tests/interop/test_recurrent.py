"""Recurrent layers against Keras on torch: configs, weights, outputs, states, gradients, masks, chains of calls."""

from __future__ import annotations

import json
from typing import Any

import keras
import numpy as np
import pytest
import torch

import torchkeras.layers as ours

theirs = keras.layers
BATCH, TIME, FEATURES, UNITS = 3, 6, 4, 5

LAYERS: list[tuple[str, dict[str, Any]]] = [
    ("LSTM", {}),
    ("LSTM", {"unit_forget_bias": False, "bias_initializer": "ones", "kernel_regularizer": "l2"}),
    ("LSTM", {"use_bias": False, "go_backwards": True}),
    ("LSTM", {"activation": "relu", "recurrent_activation": "hard_sigmoid"}),
    ("LSTM", {"unroll": True, "kernel_constraint": "max_norm"}),
    ("LSTM", {"zero_output_for_mask": True, "activity_regularizer": "l2", "dropout": 2.0, "seed": 3}),
    ("GRU", {}),
    ("GRU", {"use_bias": False, "go_backwards": True}),
    ("GRU", {"reset_after": False, "recurrent_dropout": 0.3}),
    ("GRU", {"reset_after": False, "use_bias": False, "activation": None}),
    ("GRU", {"activation": "softsign", "recurrent_activation": "softmax"}),
    ("GRU", {"unroll": True, "zero_output_for_mask": True}),
    ("SimpleRNN", {}),
    ("SimpleRNN", {"activation": "relu", "go_backwards": True}),
    ("SimpleRNN", {"activation": "gelu", "use_bias": False, "seed": 1}),
]
RETURNS = [
    {"return_sequences": sequences, "return_state": state} for sequences in (False, True) for state in (False, True)
]


def layer_id(value: Any) -> str:
    if isinstance(value, tuple):
        return value[0] + "-" + "-".join(f"{k}={v}" for k, v in value[1].items())
    return "-".join(k for k, v in value.items() if v) or "last"


table = pytest.mark.parametrize("case", LAYERS, ids=layer_id)
returns = pytest.mark.parametrize("form", RETURNS, ids=layer_id)


def plain(config: Any) -> Any:
    return json.loads(json.dumps(config))


def same_weights(mine: Any, other: Any, rng: np.random.Generator) -> None:
    values = [rng.normal(scale=0.5, size=tuple(w.shape)).astype("float32") for w in other.weights]
    mine.set_weights(values)
    other.set_weights(values)


def make_pair(
    name: str, kwargs: dict, rng: np.random.Generator, shape: Any = (BATCH, TIME, FEATURES)
) -> tuple[Any, Any]:
    pair = getattr(ours, name)(UNITS, **kwargs), getattr(theirs, name)(UNITS, **kwargs)
    for layer in pair:
        layer.build(shape)
    same_weights(*pair, rng)
    return pair


def flat(outputs: Any) -> list[torch.Tensor]:
    if isinstance(outputs, (tuple, list)):
        return [leaf for one in outputs for leaf in flat(one)]
    return [getattr(outputs, "value", outputs)]


def numpy(tensor: Any) -> np.ndarray:
    return getattr(tensor, "value", tensor).detach().double().numpy()


def run(layer: Any, x: np.ndarray, cotangents: list, states: list | None = None, **kwargs: Any) -> tuple[list, list]:
    """Outputs, and gradients of `sum(outputs * cotangents)` for inputs, initial states and weights."""
    leaves = [torch.tensor(value, requires_grad=True) for value in [x, *(states or [])]]
    if states:
        kwargs["initial_state"] = leaves[1:]
    outputs = flat(layer(leaves[0], **kwargs))
    leaves += [getattr(w, "value", w) for w in layer.trainable_weights]
    for output in outputs:
        if len(cotangents) < len(outputs):
            cotangents.append(torch.randn(output.shape))
    loss = sum((o * c.to(o.dtype)).sum() for o, c in zip(outputs, cotangents, strict=True))
    grads = torch.autograd.grad(loss, leaves, allow_unused=True)
    zeros = [torch.zeros_like(leaf) if grad is None else grad for grad, leaf in zip(grads, leaves, strict=True)]
    return outputs, zeros


def assert_equal(mine: Any, other: Any, x: np.ndarray, tolerance: float = 1e-5, **kwargs: Any) -> None:
    cotangents: list = []
    outputs, grads = run(mine, x, cotangents, **kwargs)
    expected, wanted = run(other, x, cotangents, **kwargs)
    for got, want in zip([*outputs, *grads], [*expected, *wanted], strict=True):
        assert got.shape == want.shape
        # Terms that cancel are rounded as the largest ones are.
        atol = tolerance * max(1.0, np.abs(numpy(want)).max())
        np.testing.assert_allclose(numpy(got), numpy(want), rtol=10 * tolerance, atol=atol)


def inputs(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(BATCH, TIME, FEATURES)).astype("float32")


def masks(rng: np.random.Generator) -> dict[str, np.ndarray]:
    right = np.arange(TIME) < rng.integers(1, TIME + 1, size=(BATCH, 1))
    holes = rng.random((BATCH, TIME)) < 0.5
    holes[0] = False
    return {"right": right, "left": right[:, ::-1].copy(), "holes": holes}


@table
def test_config_and_weights_equal_keras(case, rng):
    name, kwargs = case
    mine, other = (getattr(module, name)(UNITS, name="layer", **kwargs) for module in (ours, theirs))
    config = mine.get_config()
    assert plain(config) == plain(other.get_config())
    assert plain(type(mine).from_config(plain(config)).get_config()) == plain(config)
    for layer in (mine, other):
        layer.build((None, None, FEATURES))
    facts = [[(w.path, tuple(w.shape), w.trainable) for w in layer.weights] for layer in (mine, other)]
    assert facts[0] == facts[1]
    for form in RETURNS:
        forms = [getattr(module, name)(UNITS, **kwargs, **form) for module in (ours, theirs)]
        for shape in ((2, 3, 4), (None, None, 4), (2, None, 4)):
            shapes = [layer.compute_output_shape(shape) for layer in forms]
            assert shapes[0] == shapes[1]


@returns
@table
def test_numbers_equal_keras(case, form, rng):
    name, kwargs = case
    mine, other = make_pair(name, {**kwargs, **form}, rng)
    x = inputs(rng)
    assert_equal(mine, other, x)
    starts = [rng.normal(size=(BATCH, UNITS)).astype("float32") for _ in range(2 if name == "LSTM" else 1)]
    assert_equal(mine, other, x, states=starts)


# Keras cannot unroll backwards through a mask; no row here asks for it.
@pytest.mark.parametrize("kind", ["right", "left", "holes"])
@returns
@table
def test_masks_equal_keras(case, form, kind, rng):
    name, kwargs = case
    mine, other = make_pair(name, {**kwargs, **form}, rng)
    mask = torch.from_numpy(masks(rng)[kind])
    starts = [rng.normal(size=(BATCH, UNITS)).astype("float32") for _ in range(2 if name == "LSTM" else 1)]
    assert_equal(mine, other, inputs(rng), states=starts, mask=mask)


@pytest.mark.parametrize("name", ["LSTM", "GRU", "SimpleRNN"])
def test_the_mask_on_the_inputs_is_used_and_passed_on(name, rng):
    mine, other = make_pair(name, {"return_sequences": True}, rng)
    x = inputs(rng)
    x[:, 4:] = 0
    results = []
    for module, layer in ((ours, mine), (theirs, other)):
        outputs = layer(module.Masking()(torch.from_numpy(x)))
        results.append((numpy(outputs), outputs._keras_mask.numpy()))
    np.testing.assert_allclose(results[0][0], results[1][0], atol=1e-5)
    np.testing.assert_array_equal(results[0][1], results[1][1])


@pytest.mark.parametrize("kwargs", [{}, {"activation": "relu"}, {"return_sequences": True}], ids=str)
@pytest.mark.parametrize("name", ["LSTM", "GRU", "SimpleRNN"])
def test_stateful_chains_equal_keras(name, kwargs, rng):
    mine, other = make_pair(name, {"stateful": True, **kwargs}, rng)
    for i in range(5):
        x = torch.from_numpy(inputs(rng))
        # Outputs alone: a backward pass through Keras's stateful layers fails on torch.
        np.testing.assert_allclose(numpy(mine(x)), numpy(other(x)), rtol=1e-5, atol=1e-5)
        for kept, wanted in zip(mine.states, other.states, strict=True):
            np.testing.assert_allclose(numpy(kept), numpy(wanted), rtol=1e-5, atol=1e-5)
        if i == 2:
            mine.reset_states()
            other.reset_states()
    assert [tuple(v.shape) for v in mine.weights] == [tuple(v.shape) for v in other.weights]


@pytest.mark.parametrize("rates", [{"dropout": 0.4}, {"dropout": 0.3, "recurrent_dropout": 0.4}], ids=str)
@pytest.mark.parametrize("name", ["LSTM", "GRU", "SimpleRNN"])
def test_seeded_dropout_draws_as_keras(name, rates, rng):
    mine, other = make_pair(name, {"seed": 11, "return_sequences": True, **rates}, rng)
    for _ in range(2):
        assert_equal(mine, other, inputs(rng), training=True)


@pytest.mark.parametrize("policy", ["float64", "mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("name", ["LSTM", "GRU", "SimpleRNN"])
def test_types_equal_keras(name, policy, rng):
    mine, other = make_pair(name, {"dtype": policy, "return_sequences": True}, rng)
    x = torch.from_numpy(inputs(rng))
    got, want = mine(x), other(x)
    assert got.dtype == want.dtype
    np.testing.assert_allclose(numpy(got), numpy(want), atol=1e-6 if policy == "float64" else 3e-2)
    mask = torch.from_numpy(masks(rng)["holes"])
    got, want = mine(x, mask=mask), other(x, mask=mask)
    np.testing.assert_allclose(numpy(got), numpy(want), atol=1e-6 if policy == "float64" else 3e-2)


# ---------------------------------------------------------------------- cells, stacks, wrappers


@pytest.mark.parametrize("kwargs", [{}, {"implementation": 1}, {"dropout": 0.5, "recurrent_dropout": 0.5, "seed": 2}])
@pytest.mark.parametrize("name", ["LSTMCell", "GRUCell", "SimpleRNNCell"])
def test_cells_equal_keras(name, kwargs, rng):
    if name == "SimpleRNNCell":
        kwargs = {k: v for k, v in kwargs.items() if k != "implementation"}
    mine, other = (getattr(module, name)(UNITS, **kwargs, name="cell") for module in (ours, theirs))
    assert plain(mine.get_config()) == plain(other.get_config())
    for cell in (mine, other):
        cell.build((BATCH, FEATURES))
    same_weights(mine, other, rng)
    x = rng.normal(size=(BATCH, FEATURES)).astype("float32")
    starts = [torch.randn(BATCH, UNITS) for _ in range(2 if name == "LSTMCell" else 1)]
    for training in (False, True):
        got, want = (flat(cell(torch.from_numpy(x), list(starts), training=training)) for cell in (mine, other))
        for g, w in zip(got, want, strict=True):
            np.testing.assert_allclose(numpy(g), numpy(w), atol=1e-5)


def stack(module: Any) -> Any:
    cells = [
        module.LSTMCell(3, name="first"),
        module.GRUCell(4, activation="relu", name="second"),
        module.SimpleRNNCell(2, name="third"),
    ]
    return module.StackedRNNCells(cells, name="stack")


@pytest.mark.parametrize("masked", [False, True])
@returns
@pytest.mark.parametrize("go_backwards", [False, True])
def test_stacks_of_cells_equal_keras(go_backwards, form, masked, rng):
    mine, other = (
        module.RNN(stack(module), go_backwards=go_backwards, name="rnn", **form) for module in (ours, theirs)
    )
    for layer in (mine, other):
        layer.build((BATCH, TIME, FEATURES))
    same_weights(mine, other, rng)
    assert [w.path for w in mine.weights] == [w.path for w in other.weights]
    assert plain(mine.get_config()) == plain(other.get_config())
    shape = (None, None, FEATURES)
    assert plain(mine.compute_output_shape(shape)) == plain(other.compute_output_shape(shape))
    kwargs = {"mask": torch.from_numpy(masks(rng)["holes"])} if masked else {}
    assert_equal(mine, other, inputs(rng), **kwargs)
    again = ours.RNN.from_config(plain(mine.get_config()))
    assert plain(again.get_config())["cell"]["config"]["cells"][0]["class_name"] == "LSTMCell"


@pytest.mark.parametrize("masked", [False, True])
@returns
@pytest.mark.parametrize("merge_mode", ["concat", "sum", "mul", "ave", None])
@pytest.mark.parametrize("name", ["LSTM", "GRU"])
def test_bidirectional_equals_keras(name, merge_mode, form, masked, rng):
    mine, other = (
        module.Bidirectional(getattr(module, name)(UNITS, name="inner", **form), merge_mode=merge_mode, name="both")
        for module in (ours, theirs)
    )
    config = plain(mine.get_config())
    assert config == plain(other.get_config())
    assert plain(ours.Bidirectional.from_config(config).get_config()) == config
    shape = (BATCH, None, FEATURES)
    assert plain(mine.compute_output_shape(shape)) == plain(other.compute_output_shape(shape))
    for layer in (mine, other):
        layer.build((BATCH, TIME, FEATURES))
    same_weights(mine, other, rng)
    assert [w.path for w in mine.weights] == [w.path for w in other.weights]
    kwargs = {"mask": torch.from_numpy(masks(rng)["holes"])} if masked else {}
    assert_equal(mine, other, inputs(rng), **kwargs)
    starts = [rng.normal(size=(BATCH, UNITS)).astype("float32") for _ in range(4 if name == "LSTM" else 2)]
    assert_equal(mine, other, inputs(rng), states=starts, **kwargs)


def test_stateful_bidirectional_equals_keras(rng):
    mine, other = (module.Bidirectional(module.LSTM(UNITS, stateful=True)) for module in (ours, theirs))
    for layer in (mine, other):
        layer.build((BATCH, TIME, FEATURES))
    same_weights(mine, other, rng)
    for _ in range(3):
        x = torch.from_numpy(inputs(rng))
        np.testing.assert_allclose(numpy(mine(x)), numpy(other(x)), rtol=1e-5, atol=1e-5)


WRAPPED = [
    (lambda m: m.Dense(3, activation="tanh"), (2, 4, 5)),
    (lambda m: m.Conv2D(2, 3), (2, 3, 6, 6, 2)),
    (lambda m: m.BatchNormalization(), (4, 3, 5)),
    (lambda m: m.LSTM(3, return_sequences=True), (2, 3, 4, 5)),
    (lambda m: m.Dropout(0.5, seed=4), (2, 4, 5)),
    (lambda m: m.Flatten(), (2, 3, 4, 5)),
]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("make", "shape"), WRAPPED)
def test_time_distributed_equals_keras(make, shape, training, rng):
    mine, other = (module.TimeDistributed(make(module), name="wrapper") for module in (ours, theirs))
    names = [plain(layer.get_config()) for layer in (mine, other)]
    for config in names:
        del config["layer"]["config"]["name"]
    assert names[0] == names[1]
    for layer in (mine, other):
        layer.build(shape)
    same_weights(mine, other, rng)
    for weight in [*mine.non_trainable_weights, *other.non_trainable_weights]:
        weight.assign(np.ones(weight.shape))
    assert mine.compute_output_shape((None, *shape[1:])) == tuple(other.compute_output_shape((None, *shape[1:])))
    assert_equal(mine, other, rng.normal(size=shape).astype("float32"), training=training)
    for got, want in zip(mine.weights, other.weights, strict=True):
        np.testing.assert_allclose(numpy(got), numpy(want), atol=1e-5)
