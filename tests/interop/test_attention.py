"""Attention and EinsumDense against Keras on torch: configs, weights, outputs, scores, gradients, masks, seeds."""

from __future__ import annotations

import json
from typing import Any

import keras
import numpy as np
import pytest
import torch

import torchkeras.layers as ours
from torchkeras import initializers
from torchkeras.core.symbolic.keras_tensor import KerasTensor

theirs = keras.layers
B, T, S, D = 3, 4, 6, 8

PROJECTED: list[tuple[str, dict[str, Any]]] = [
    ("MultiHeadAttention", {"num_heads": 2, "key_dim": 3}),
    ("MultiHeadAttention", {"num_heads": 3, "key_dim": 2, "value_dim": 5, "use_bias": False, "output_shape": 7}),
    ("MultiHeadAttention", {"num_heads": 1, "key_dim": 4, "output_shape": (2, 3), "use_gate": True}),
    ("MultiHeadAttention", {"num_heads": 2, "key_dim": 3, "dropout": 0.3, "kernel_regularizer": "l2"}),
    ("MultiHeadAttention", {"num_heads": 2, "key_dim": 3, "sliding_window": 2, "attention_axes": 1}),
    ("GroupQueryAttention", {"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2}),
    ("GroupQueryAttention", {"head_dim": 2, "num_query_heads": 3, "num_key_value_heads": 1, "use_gate": True}),
    ("GroupQueryAttention", {"head_dim": 3, "num_query_heads": 2, "num_key_value_heads": 2, "dropout": 0.3}),
    ("GroupQueryAttention", {"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2, "sliding_window": 3}),
]
CALLS: list[dict[str, Any]] = [
    {},
    {"use_causal_mask": True},
    {"return_attention_scores": True},
    {"return_attention_scores": True, "use_causal_mask": True},
]


def case_id(value: Any) -> str:
    if isinstance(value, tuple):
        return value[0] + "-" + "-".join(f"{k}={v}" for k, v in value[1].items())
    return "-".join(value) or "plain"


table = pytest.mark.parametrize("case", PROJECTED, ids=case_id)
calls = pytest.mark.parametrize("call", CALLS, ids=case_id)


def plain(config: Any) -> Any:
    return json.loads(json.dumps(config))


def numpy(tensor: Any) -> np.ndarray:
    return getattr(tensor, "value", tensor).detach().double().numpy()


def make_pair(name: str, kwargs: dict, rng: np.random.Generator, *shapes: Any) -> tuple[Any, Any]:
    pair = getattr(ours, name)(**kwargs, name="layer"), getattr(theirs, name)(**kwargs, name="layer")
    for layer in pair:
        layer.build(*shapes)
    values = [rng.normal(scale=0.5, size=tuple(w.shape)).astype("float32") for w in pair[1].weights]
    for layer in pair:
        layer.set_weights(values)
    return pair


def run(layer: Any, arrays: list, cotangent: dict, listed: bool = False, **kwargs: Any) -> list[torch.Tensor]:
    """Outputs, then gradients for inputs and weights."""
    leaves = [torch.tensor(array, requires_grad=True) for array in arrays]
    outputs = layer(leaves, **kwargs) if listed else layer(*leaves, **kwargs)
    outputs = list(outputs) if isinstance(outputs, tuple) else [outputs]
    leaves += [getattr(w, "value", w) for w in layer.trainable_weights]
    loss = sum((o * cotangent.setdefault(i, torch.randn(o.shape))).sum() for i, o in enumerate(outputs))
    grads = torch.autograd.grad(loss, leaves, allow_unused=True)
    return [*outputs, *(torch.zeros(leaf.shape) if g is None else g for g, leaf in zip(grads, leaves, strict=True))]


def assert_equal(mine: Any, other: Any, arrays: list, **kwargs: Any) -> None:
    cotangent: dict = {}
    found, wanted = (run(layer, arrays, cotangent, **kwargs) for layer in (mine, other))
    # Some gradients are zero but for rounding: of numbers as large as the largest one here. A gradient is some hundred
    # additions deep (projections, scores, weights, values, the same backward, the sum over all places).
    atol = 100 * np.finfo("float32").eps * max(float(want.abs().max()) for want in wanted)
    for got, want in zip(found, wanted, strict=True):
        assert got.shape == want.shape
        np.testing.assert_allclose(numpy(got), numpy(want), rtol=1e-4, atol=atol)


def inputs(rng: np.random.Generator, self_attention: bool = False) -> list[np.ndarray]:
    shapes = [(B, T, D)] * 2 if self_attention else [(B, T, D), (B, S, D), (B, S, D)]
    return [rng.normal(size=shape).astype("float32") for shape in shapes]


@table
def test_config_weights_and_shapes_equal_keras(case, rng):
    name, kwargs = case
    mine, other = (getattr(module, name)(**kwargs, name="layer") for module in (ours, theirs))
    assert plain(mine.get_config()) == plain(other.get_config())
    for layer in (mine, other):
        layer.build((None, None, D), (None, None, D))
    config = plain(mine.get_config())
    assert config == plain(other.get_config())
    assert plain(type(mine).from_config(config).get_config()) == config
    assert ours.serialize(mine)["class_name"] == theirs.serialize(other)["class_name"]
    facts = [[(w.path, tuple(w.shape), w.trainable) for w in layer.weights] for layer in (mine, other)]
    assert facts[0] == facts[1]
    for shapes in (((2, 4, D), (2, 6, D)), ((None, None, D), (None, 5, D), (None, 5, D))):
        assert mine.compute_output_shape(*shapes) == tuple(other.compute_output_shape(*shapes))


@table
def test_symbolic_call_equals_keras(case):
    name, kwargs = case
    for call in ({}, {"return_attention_scores": True}):
        got = getattr(ours, name)(**kwargs)(KerasTensor((None, T, D)), KerasTensor((None, T, D)), **call)
        want = getattr(theirs, name)(**kwargs)(keras.KerasTensor((None, T, D)), keras.KerasTensor((None, T, D)), **call)
        got, want = (list(outputs) if call else [outputs] for outputs in (got, want))
        assert [(t.shape, t.dtype) for t in got] == [(tuple(t.shape), t.dtype) for t in want]


@calls
@table
def test_numbers_equal_keras(case, call, rng):
    mine, other = make_pair(*case, rng, (B, T, D), (B, S, D))
    assert_equal(mine, other, inputs(rng), **call)
    assert_equal(mine, other, inputs(rng, self_attention=True), **call)


@calls
@table
def test_masks_equal_keras(case, call, rng):
    mine, other = make_pair(*case, rng, (B, T, D), (B, S, D))
    one = {"attention_mask": torch.from_numpy(rng.random((B, T, S)) < 0.6)}
    one["attention_mask"][0, 0] = False
    assert_equal(mine, other, inputs(rng), **call, **one)
    two = {f"{name}_mask": torch.from_numpy(rng.random((B, S)) < 0.6) for name in ("value", "key")}
    assert_equal(mine, other, inputs(rng), **call, **two)
    assert_equal(mine, other, inputs(rng), **call, **one, **two)


@pytest.mark.parametrize("kwargs", [{}, {"dropout": 0.2}], ids=case_id)
def test_masks_on_the_inputs_are_used_and_passed_on(kwargs, rng):
    mine, other = make_pair("MultiHeadAttention", {"num_heads": 2, "key_dim": 3, **kwargs}, rng, (B, T, D), (B, S, D))
    query, value, _ = inputs(rng)
    query[:, 3:] = 0
    value[:, 4:] = 0
    results = []
    for module, layer in ((ours, mine), (theirs, other)):
        masking = module.Masking()
        outputs = layer(masking(torch.from_numpy(query)), masking(torch.from_numpy(value)))
        results.append((numpy(outputs), outputs._keras_mask.numpy()))
    np.testing.assert_allclose(results[0][0], results[1][0], atol=1e-5)
    np.testing.assert_array_equal(results[0][1], results[1][1])


@pytest.mark.parametrize("name", ["MultiHeadAttention", "GroupQueryAttention"])
def test_seeded_dropout_draws_as_keras(name, rng):
    sizes = {"num_heads": 2, "key_dim": 3} if name == "MultiHeadAttention" else {"head_dim": 3, "num_query_heads": 2}
    sizes = sizes if "num_heads" in sizes else {**sizes, "num_key_value_heads": 1}
    mine, other = make_pair(name, {**sizes, "dropout": 0.4, "seed": 5}, rng, (B, T, D), (B, S, D))
    for _ in range(2):
        assert_equal(mine, other, inputs(rng), training=True)


@pytest.mark.parametrize("axes", [None, (1, 2), (2,), (-2,)], ids=str)
def test_attention_axes_equal_keras(axes, rng):
    kwargs = {"num_heads": 2, "key_dim": 3, "attention_axes": axes}
    mine, other = make_pair("MultiHeadAttention", kwargs, rng, (2, 3, 4, D), (2, 3, 4, D))
    assert plain(mine.get_config()) == plain(other.get_config())
    x = [rng.normal(size=(2, 3, 4, D)).astype("float32") for _ in range(2)]
    for call in CALLS[::2]:
        assert_equal(mine, other, x, **call)
    size = 12 if axes in (None, (1, 2)) else 4
    form = (2, 3, 4, 3, 4) if size == 12 else (2, 3, 4, 4)
    assert_equal(mine, other, x, attention_mask=torch.from_numpy(rng.random(form) < 0.7))


@pytest.mark.parametrize("policy", ["float64", "mixed_bfloat16", "bfloat16"])
def test_types_equal_keras(policy, rng):
    kwargs = {"num_heads": 2, "key_dim": 3, "dtype": policy}
    mine, other = make_pair("MultiHeadAttention", kwargs, rng, (B, T, D), (B, S, D))
    arrays = [torch.from_numpy(x) for x in inputs(rng)]
    mask = torch.from_numpy(rng.random((B, T, S)) < 0.6)
    got, want = mine(*arrays, attention_mask=mask), other(*arrays, attention_mask=mask)
    assert got.dtype == want.dtype
    # Three roundings to eight bits on the way, at the size of the outputs. Of float64 Keras makes products, some thirty
    # additions deep, in float32.
    near = 32 * torch.finfo(torch.float32).eps if policy == "float64" else 8 * torch.finfo(torch.bfloat16).eps
    atol = near * np.abs(numpy(want)).max()
    np.testing.assert_allclose(numpy(got), numpy(want), rtol=0, atol=atol)


def test_seeded_initial_weights_equal_keras():
    starts = []
    for module, namespace in ((ours, initializers), (theirs, keras.initializers)):
        initializer = namespace.HeNormal(3)
        layer = module.MultiHeadAttention(2, 3, kernel_initializer=initializer)
        layer.build((B, T, D), (B, S, D))
        starts.append([numpy(w) for w in layer.weights])
    for got, want in zip(*starts, strict=True):
        np.testing.assert_allclose(got, want, atol=1e-6)


# ---------------------------------------------------------------------- Attention, AdditiveAttention

LISTED = [
    ("Attention", {}),
    ("Attention", {"use_scale": True, "dropout": 0.3, "seed": 2}),
    ("Attention", {"score_mode": "concat"}),
    ("Attention", {"score_mode": "concat", "use_scale": True}),
    ("AdditiveAttention", {}),
    ("AdditiveAttention", {"use_scale": False, "dropout": 0.2, "seed": 1}),
]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@calls
@pytest.mark.parametrize("case", LISTED, ids=case_id)
def test_listed_attention_equals_keras(case, call, masked, training, rng):
    mine, other = make_pair(*case, rng, [(B, T, D), (B, S, D), (B, S, D)])
    assert plain(mine.get_config()) == plain(other.get_config())
    assert [w.path for w in mine.weights] == [w.path for w in other.weights]
    shapes = [(None, T, D), (None, S, 5)]
    assert mine.compute_output_shape(shapes) == tuple(other.compute_output_shape(shapes))
    kwargs = dict(call)
    if masked:
        kwargs["mask"] = [torch.from_numpy(rng.random((B, T)) < 0.7), torch.from_numpy(rng.random((B, S)) < 0.7)]
    assert_equal(mine, other, inputs(rng), listed=True, training=training, **kwargs)
    assert_equal(mine, other, inputs(rng)[:2], listed=True, training=training, **kwargs)


# ---------------------------------------------------------------------- EinsumDense

EQUATIONS = [
    ("ab,bc->ac", 4, "c", (3, 5)),
    ("abc,cd->abd", (None, 4), "d", (2, 3, 5)),
    ("abc,cd->abd", (3, 4), "bd", (2, 3, 5)),
    ("abc,cde->abde", (None, 2, 3), "de", (2, 4, 5)),
    ("abc,cde->abde", (None, 2, 3), "d", (2, 4, 5)),
    ("abcd,cde->abe", (None, 7), "e", (2, 3, 4, 5)),
    ("abc,cd->adb", (4, 3), "d", (2, 3, 5)),
    ("abc,bd->adc", (4, 5), None, (2, 3, 5)),
    ("...x,xy->...y", 4, "y", (3, 5)),
    ("...x,xy->...y", 4, "y", (2, 3, 5)),
    ("ab...,bc->ac...", 4, "c", (2, 5, 3)),
    ("abc,acd->abd", (None, 4), None, (2, 3, 5)),
]


@pytest.mark.parametrize("case", EQUATIONS, ids=lambda case: f"{case[0]}-{case[1]}-{case[2]}")
def test_einsum_dense_equals_keras(case, rng):
    equation, output_shape, bias_axes, shape = case
    kwargs = {"equation": equation, "output_shape": output_shape, "bias_axes": bias_axes, "activation": "tanh"}
    mine, other = make_pair("EinsumDense", kwargs, rng, shape)
    config = plain(mine.get_config())
    assert config == plain(other.get_config())
    assert plain(ours.EinsumDense.from_config(config).get_config()) == config
    assert [(w.path, tuple(w.shape)) for w in mine.weights] == [(w.path, tuple(w.shape)) for w in other.weights]
    assert mine.compute_output_shape(shape) == other.compute_output_shape(shape)
    assert_equal(mine, other, [rng.normal(size=shape).astype("float32")])


WRONG = [
    ("a.b,bc->ac", 4, None, (3, 5)),
    ("ab,bc->ad", 4, None, (3, 5)),
    ("ab,bd->ac", 4, None, (3, 5)),
    ("abc,cd->abd", (7, 4), None, (2, 3, 5)),
    ("ab,bc->ac", 4, "e", (3, 5)),
]


@pytest.mark.parametrize("case", WRONG, ids=lambda case: f"{case[0]}-{case[2]}")
def test_wrong_equations_are_refused_as_keras_refuses_them(case):
    equation, output_shape, bias_axes, shape = case
    for module in (theirs, ours):
        with pytest.raises(ValueError, match=r"Invalid einsum|[Dd]imension|do not match"):
            module.EinsumDense(equation, output_shape, bias_axes=bias_axes).build(shape)
