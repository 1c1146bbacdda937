"""Activations against Keras on torch: values, gradients, arrays, graphs in files, names."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import torch
from keras.src.activations import ALL_OBJECTS_DICT

import torchkeras.activations as ours
from torchkeras.core.config.serialization import deserialize_keras_object, serialize_keras_object
from torchkeras.core.symbolic.keras_tensor import KerasTensor

CASES = [
    *((name, {}) for name in sorted(ALL_OBJECTS_DICT) if name != "threshold"),
    ("relu", {"negative_slope": 0.3}),
    ("relu", {"max_value": 1.2}),
    ("relu", {"max_value": 6.0}),
    ("relu", {"threshold": 0.7}),
    ("relu", {"threshold": -0.4, "max_value": 6}),
    ("relu", {"negative_slope": 0.2, "max_value": 1.5}),
    ("relu", {"negative_slope": 0.2, "max_value": 1.5, "threshold": 0.6}),
    ("leaky_relu", {"negative_slope": 0.01}),
    ("elu", {"alpha": 0.5}),
    ("celu", {"alpha": 2.0}),
    ("gelu", {"approximate": True}),
    ("glu", {"axis": 1}),
    ("softmax", {"axis": 0}),
    ("softmax", {"axis": (0, 2)}),
    ("softmax", {"axis": (2, 1)}),
    ("log_softmax", {"axis": 1}),
    ("log_softmax", {"axis": (1, 2)}),
    ("soft_shrink", {"threshold": 0.2}),
    ("hard_shrink", {"threshold": 1.0}),
    ("squareplus", {"b": 1.5}),
    ("threshold", {"threshold": 0.3, "default_value": -2.0}),
    ("sparsemax", {"axis": 0}),
    ("sparsemax", {"axis": 1}),
]
NOT_SYMBOLIC_IN_KERAS = {"hard_silu", "hard_swish", "mish", "sparsemax"}
table = pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c[0]}-{'-'.join(f'{k}={v}' for k, v in c[1].items())}")


def pair(name):
    return getattr(ours, name), getattr(keras.activations, name)


@table
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_values_and_gradients(case, dtype, rng):
    name, kwargs = case
    values = torch.from_numpy(rng.normal(scale=2.0, size=(4, 6, 8))).to(getattr(torch, dtype))
    cotangent = torch.from_numpy(rng.normal(size=(4, 6, 8))).to(values)
    results = []
    for function in pair(name):
        x = values.clone().requires_grad_()
        y = function(x, **kwargs)
        (gradient,) = torch.autograd.grad((y * cotangent[tuple(map(slice, y.shape))]).sum(), x)
        results.append((y.detach(), gradient))
    tolerance = {"float32": 1e-6, "float64": 1e-12, "bfloat16": 2**-6}[dtype]
    for mine, theirs in zip(*results, strict=True):
        assert mine.dtype == theirs.dtype
        torch.testing.assert_close(mine, theirs, rtol=tolerance, atol=tolerance)


@table
def test_gradients_at_the_kinks_are_keras(case):
    name, kwargs = case
    gradients = []
    for function in pair(name):
        x = torch.tensor([[-3.0, -2.5, -1.0, -0.5], [0.0, 0.2, 0.3, 0.5], [1.0, 2.0, 2.5, 3.0], [4.0, 5.0, 6.0, 7.0]])
        x.requires_grad_()
        x_in = x[None] if isinstance(kwargs.get("axis"), (int, tuple)) else x
        function(x_in, **kwargs).sum().backward()
        gradients.append(x.grad)
    torch.testing.assert_close(*gradients)


@table
def test_extreme_values(case):
    name, kwargs = case
    mine, theirs = pair(name)
    x = torch.tensor([-torch.inf, -1e4, -6.0, -1.0, -0.0, 0.0, 1.0, 6.0, 1e4, torch.inf]).expand(4, 6, 10).clone()
    if name in ("softmax", "log_softmax", "sparsemax", "glu"):
        x = x.clamp(-1e4, 1e4)
    torch.testing.assert_close(mine(x, **kwargs), theirs(x, **kwargs), equal_nan=True)


@table
def test_arrays_are_taken(case, rng):
    name, kwargs = case
    mine, theirs = pair(name)
    x = rng.normal(size=(4, 6, 8)).astype("float32")
    if name == "linear":
        assert mine(x) is x
        return
    torch.testing.assert_close(mine(x, **kwargs), theirs(x, **kwargs), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(mine(x.tolist(), **kwargs), mine(x, **kwargs))


@table
def test_graphs_have_keras_nodes(case):
    name, kwargs = case
    mine, theirs = pair(name)
    x = KerasTensor((None, 6, 8))
    y = mine(x, **kwargs)
    if name == "linear":
        assert y is x
        return
    described = serialize_keras_object(y._keras_history.operation)
    assert deserialize_keras_object(described).get_config() == described["config"]
    read = keras.saving.deserialize_keras_object(described)
    values = torch.linspace(-3, 3, 96).reshape(2, 6, 8)
    if not isinstance(kwargs.get("axis"), tuple):  # which Keras's own node can't compute
        torch.testing.assert_close(read(values), mine(values, **kwargs))
    if name in NOT_SYMBOLIC_IN_KERAS:
        return
    expected = theirs(keras.KerasTensor((None, 6, 8)), **kwargs)
    assert y.shape == tuple(expected.shape) and y.dtype == expected.dtype
    operation = keras.saving.serialize_keras_object(expected._keras_history.operation)
    assert (described["module"], described["class_name"]) == (operation["module"], operation["class_name"])
    operation["config"]["name"] = described["config"]["name"]
    assert described["config"] == operation["config"]
    torch.testing.assert_close(deserialize_keras_object(operation)(values), mine(values, **kwargs))


@pytest.mark.parametrize("name", sorted(ALL_OBJECTS_DICT))
def test_every_name_that_keras_knows(name):
    function = ours.get(name)
    assert function.__name__ == ALL_OBJECTS_DICT[name].__name__
    assert ours.serialize(function) == keras.activations.serialize(ALL_OBJECTS_DICT[name])
    assert ours.deserialize(ours.serialize(function)) is function


def test_described_functions_are_keras_own():
    def plain(x):
        return x

    assert ours.serialize(plain) == keras.activations.serialize(plain)
    assert keras.activations.deserialize(ours.serialize(ours.gelu)) is keras.activations.gelu
    assert np.isclose(float(ours.get({"class_name": "function", "config": "elu"})(torch.tensor(-1.0))), np.expm1(-1))
