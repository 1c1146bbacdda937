"""Regularizers and constraints against Keras on torch: values, gradients, configs, names."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import torch
from keras.src.constraints import ALL_OBJECTS_DICT as CONSTRAINT_NAMES
from keras.src.regularizers import ALL_OBJECTS_DICT as REGULARIZER_NAMES

from torchkeras import constraints, regularizers

CASES = [
    ("regularizers", "Regularizer", {}),
    ("regularizers", "L1", {}),
    ("regularizers", "L1", {"l1": 0.5}),
    ("regularizers", "L2", {}),
    ("regularizers", "L2", {"l2": 2}),
    ("regularizers", "L1L2", {}),
    ("regularizers", "L1L2", {"l1": 0.125}),
    ("regularizers", "L1L2", {"l1": 0.3, "l2": 0.7}),
    ("regularizers", "L1L2", {"l1": None, "l2": 0.7}),
    ("regularizers", "OrthogonalRegularizer", {}),
    ("regularizers", "OrthogonalRegularizer", {"factor": 0.5, "mode": "columns"}),
    ("constraints", "Constraint", {}),
    ("constraints", "NonNeg", {}),
    ("constraints", "MaxNorm", {}),
    ("constraints", "MaxNorm", {"max_value": 1.5, "axis": 1}),
    ("constraints", "MaxNorm", {"max_value": 1, "axis": [0, 1]}),
    ("constraints", "UnitNorm", {}),
    ("constraints", "UnitNorm", {"axis": (0, 1)}),
    ("constraints", "MinMaxNorm", {}),
    ("constraints", "MinMaxNorm", {"min_value": 2.0, "max_value": 3.0, "rate": 0.25, "axis": 1}),
]
table = pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c[1]}-{'-'.join(f'{k}={v}' for k, v in c[2].items())}")
NAMESPACES = {"regularizers": regularizers, "constraints": constraints}


def pair(case: Any) -> tuple[Any, Any]:
    namespace, name, kwargs = case
    return getattr(NAMESPACES[namespace], name)(**kwargs), getattr(getattr(keras, namespace), name)(**kwargs)


@table
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_values_and_gradients(case, dtype, rng):
    values = torch.from_numpy(rng.normal(size=(5, 7))).to(getattr(torch, dtype))
    cotangent = torch.from_numpy(rng.normal(size=(5, 7))).to(values)
    results = []
    for function in pair(case):
        w = values.clone().requires_grad_()
        y = function(w)
        if not isinstance(y, torch.Tensor) or not y.requires_grad:
            results.append((torch.as_tensor(y, dtype=values.dtype), torch.zeros(())))
            continue
        (gradient,) = torch.autograd.grad((y * (cotangent if y.dim() else 1)).sum(), w)
        results.append((y.detach(), gradient))
    # Keras keeps L1's and the orthogonal factor in float32.
    tolerance = {"float32": 1e-5, "float64": 1e-7, "bfloat16": 2**-5}[dtype]
    for mine, theirs in zip(*results, strict=True):
        # Where Keras turns float64 into float32, the type stays here.
        assert mine.dtype == theirs.dtype or mine.dtype == values.dtype
        torch.testing.assert_close(mine, theirs.to(mine.dtype), rtol=tolerance, atol=tolerance)


@table
def test_zero_weights(case):
    mine, theirs = pair(case)
    w = torch.zeros(4, 3)
    torch.testing.assert_close(torch.as_tensor(mine(w)), torch.as_tensor(theirs(w)))


@table
def test_configs_and_files_in_both_directions(case):
    namespace, name, kwargs = case
    mine, theirs = pair(case)
    ours, keras_namespace = NAMESPACES[namespace], getattr(keras, namespace)
    if name == "Regularizer":
        pytest.skip("Keras's base has no config")
    described, theirs_described = ours.serialize(mine), keras_namespace.serialize(theirs)
    config, theirs_config = described.pop("config"), theirs_described.pop("config")
    assert described == theirs_described
    assert config.keys() == theirs_config.keys()
    for key, value in config.items():  # Keras rounds some strengths to float32 on the way
        assert value == (
            pytest.approx(theirs_config[key], rel=1e-7) if isinstance(value, float) else theirs_config[key]
        )
    assert ours.get({**theirs_described, "config": theirs_config}).get_config().keys() == config.keys()
    assert type(keras_namespace.get({**described, "config": config})) is type(theirs)
    assert ours.deserialize({"class_name": name, "config": config}).get_config() == config


@pytest.mark.parametrize("name", sorted(REGULARIZER_NAMES))
def test_every_regularizer_that_keras_knows(name):
    assert type(regularizers.get(name)).__name__ == REGULARIZER_NAMES[name].__name__


@pytest.mark.parametrize("name", sorted(CONSTRAINT_NAMES))
def test_every_constraint_that_keras_knows(name):
    assert type(constraints.get(name)).__name__ == CONSTRAINT_NAMES[name].__name__


@pytest.mark.parametrize("name", ["MaxNorm", "NonNeg", "UnitNorm", "MinMaxNorm"])
def test_constraints_take_arrays(name, rng):
    w = rng.normal(size=(3, 4)).astype("float32")
    mine, theirs = pair(("constraints", name, {}))
    np.testing.assert_allclose(mine(w).numpy(), theirs(w).numpy(), rtol=1e-6)
