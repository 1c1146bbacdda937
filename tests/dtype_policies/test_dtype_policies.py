"""Dtype policies: what they say, the global one, maps; and against Keras."""

from __future__ import annotations

import copy
import pickle

import keras
import numpy as np
import pytest
import torch

from torchkeras import dtype_policies, mixed_precision
from torchkeras.core import settings

NAMES = ["float16", "bfloat16", "float32", "float64", "mixed_float16", "mixed_bfloat16", "int8", "uint8", "bool"]
names = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(autouse=True)
def no_global_policy():
    yield
    dtype_policies.reset_dtype_policy()
    keras.config.set_dtype_policy("float32")


@names
def test_policies_are_keras_own(name):
    for cls in ("DTypePolicy", "FloatDTypePolicy"):
        mine, theirs = getattr(dtype_policies, cls)(name), getattr(keras.dtype_policies, cls)(name)
        for attribute in ("name", "compute_dtype", "variable_dtype", "quantization_mode"):
            assert getattr(mine, attribute) == getattr(theirs, attribute)
        assert repr(mine) == repr(theirs)
        described = keras.dtype_policies.serialize(theirs)
        assert dtype_policies.serialize(mine) == described
        assert (
            dtype_policies.get(described) == mine and keras.dtype_policies.get(dtype_policies.serialize(mine)) == theirs
        )
    assert dtype_policies.DTypePolicy(name) == dtype_policies.FloatDTypePolicy(name)


@names
def test_policies_survive_copies(name):
    policy = dtype_policies.DTypePolicy(name)
    for copied in (copy.deepcopy(policy), pickle.loads(pickle.dumps(policy))):
        assert copied == policy and hash(copied) == hash(policy) and copied.compute_dtype == policy.compute_dtype


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("mixed_bfloat16", "mixed_bfloat16"),
        (torch.bfloat16, "bfloat16"),
        ("torch.float64", "float64"),
        (np.float16, "float16"),
        (np.dtype("float64"), "float64"),
        (float, "float32"),
        ({"class_name": "DTypePolicy", "config": {"name": "float64"}}, "float64"),
        (
            {"module": "keras.mixed_precision", "class_name": "Policy", "config": {"name": "mixed_float16"}},
            "mixed_float16",
        ),
        ({"module": "keras", "class_name": "FloatDTypePolicy", "config": {"name": "float16"}}, "float16"),
    ],
)
def test_get(given, name):
    assert dtype_policies.get(given).name == name


def test_get_makes_one_policy_a_name():
    assert dtype_policies.get("mixed_float16") is dtype_policies.get("mixed_float16")
    policy = dtype_policies.DTypePolicy("float32")
    assert dtype_policies.get(policy) is policy


def test_the_global_policy_follows_floatx_until_set():
    assert dtype_policies.dtype_policy().name == "float32"
    settings.set_floatx("float64")
    assert dtype_policies.get(None).name == dtype_policies.DTypePolicy().name == "float64"
    dtype_policies.set_dtype_policy("mixed_bfloat16")
    settings.set_floatx("float16")
    assert dtype_policies.get(None).name == dtype_policies.DTypePolicy().name == "mixed_bfloat16"
    dtype_policies.reset_dtype_policy()
    assert dtype_policies.get(None).name == "float16"


def test_a_map_can_be_global():
    policies = dtype_policies.DTypePolicyMap("mixed_float16")
    mixed_precision.set_global_policy(policies)
    assert mixed_precision.global_policy() is policies


@pytest.mark.parametrize("autocast", [True, False])
@pytest.mark.parametrize("dtype", ["float16", "float32", "int32"])
@pytest.mark.parametrize("given", ["float32", "float16", "int64", "bool"])
def test_convert_input(autocast, dtype, given):
    values = np.ones((2,), given)
    mine, theirs = dtype_policies.DTypePolicy(), keras.DTypePolicy()
    for x in (values, torch.from_numpy(values)):
        converted, expected = mine.convert_input(x, autocast, dtype), theirs.convert_input(x, autocast, dtype)
        assert converted.dtype == expected.dtype
    assert mine.convert_input("text", autocast, dtype) == "text"


# ---------------------------------------------------------------------------- maps


def maps(default):
    mine, theirs = dtype_policies.DTypePolicyMap(default), keras.dtype_policies.DTypePolicyMap(default)
    for path, name in {"net/dense": "mixed_float16", r"net/block_\d+/.*": "bfloat16", "out": "float64"}.items():
        mine[path], theirs[path] = dtype_policies.DTypePolicy(name), keras.DTypePolicy(name)
    return mine, theirs


@pytest.mark.parametrize("default", [None, "float32", "mixed_bfloat16"])
def test_maps_are_keras_own(default):
    mine, theirs = maps(default)
    for path in ("net/dense", "net/dense/x", "net/block_12/conv", "out", "elsewhere"):
        assert mine[path].name == theirs[path].name
        assert (path in mine) == (path in theirs)
    for attribute in ("name", "compute_dtype", "variable_dtype", "quantization_mode"):
        assert getattr(mine, attribute) == getattr(theirs, attribute)
    assert list(mine) == list(theirs) and len(mine) == len(theirs) == 3
    before = {path: policy.name for path, policy in mine.items()}
    described = dtype_policies.serialize(mine)
    assert described == keras.dtype_policies.serialize(theirs)
    assert {path: policy.name for path, policy in mine.items()} == before
    again = dtype_policies.get(described)
    assert isinstance(again, dtype_policies.DTypePolicyMap) and list(again) == list(mine)
    if default is not None:
        assert again == mine
    assert list(keras.dtype_policies.get(described)) == list(mine)


def test_map_entries_can_go():
    policies, _ = maps("float32")
    del policies["out"]
    assert policies["out"].name == "float32" and "out" not in policies
    assert "net/dense" in repr(policies)


def ambiguous():
    policies = dtype_policies.DTypePolicyMap(policy_map={"a.*": dtype_policies.get("float16")})
    policies[".*b"] = "float64"
    return policies["a/b"]


ERRORS = [
    (lambda: dtype_policies.get("mixed_float8"), ValueError, "mixed_float8"),
    (lambda: dtype_policies.get(object()), ValueError, "Cannot interpret `dtype`"),
    (lambda: dtype_policies.DTypePolicy(3), TypeError, "'name' must be a string.*3"),
    (lambda: dtype_policies.set_dtype_policy(3), ValueError, "Invalid `policy` argument"),
    (lambda: dtype_policies.set_dtype_policy(None), ValueError, "Invalid `policy` argument"),
    (
        lambda: dtype_policies.DTypePolicyMap(dtype_policies.DTypePolicyMap()),
        ValueError,
        "cannot be a `DTypePolicyMap`",
    ),
    (lambda: dtype_policies.DTypePolicyMap(policy_map=[1]), TypeError, "dict"),
    (lambda: maps(None)[0].__setitem__("out", "float16"), ValueError, "already exist in the DTypePolicyMap"),
    (lambda: maps(None)[0].__setitem__("new", object()), ValueError, "Cannot interpret the assigned value"),
    (ambiguous, ValueError, "a/b"),
]


@pytest.mark.parametrize(("call", "error", "message"), ERRORS)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


QUANTIZED = [
    *("int8_from_float32", "int8_from_mixed_bfloat16", "int4_from_float32", "int4/128_from_mixed_bfloat16"),
    *("int4/-1_from_float64", "float8_from_float32", "gptq/4/128_from_float32", "awq/4/-1_from_mixed_bfloat16"),
]
MISTAKEN = [
    *("int8", "int8_from_", "int8_from_int8_from_x", "int8x_from_float32", "float8x_from_float32", "int7_from_float32"),
    *("int8_from_float16", "int4/0_from_float32", "int4/x_from_float32", "gptq_from_float32", "gptq/4_from_float32"),
    *(
        "gptq/5/1_from_float32",
        "gptq/a/b_from_float32",
        "gptq/4/0_from_float32",
        "awq/3/1_from_float32",
        "awq/4/0_from_x",
        "gptq/5/1_from_x",
        "int4/0_from_x",
    ),
]


@pytest.mark.parametrize("name", QUANTIZED)
def test_quantized_policies_are_keras_own(name):
    mine, theirs = dtype_policies.get(name), keras.dtype_policies.get(name)
    numbers = ("block_size", "weight_bits", "group_size", "amax_history_length")
    for attribute in ("name", "compute_dtype", "variable_dtype", "quantization_mode", *numbers):
        assert getattr(mine, attribute, None) == getattr(theirs, attribute, None)
    assert repr(mine) == repr(theirs)
    described = keras.dtype_policies.serialize(theirs)
    assert dtype_policies.serialize(mine) == described
    for copied in (dtype_policies.get(described), copy.deepcopy(mine), pickle.loads(pickle.dumps(mine))):
        assert copied == mine and hash(copied) == hash(mine)
    assert keras.dtype_policies.get(dtype_policies.serialize(mine)) == theirs
    assert mine != dtype_policies.get("float32") and mine != dtype_policies.get("int8_from_float64")


@pytest.mark.parametrize("name", MISTAKEN)
def test_mistaken_names_get_keras_errors(name):
    with pytest.raises(ValueError) as theirs:
        keras.dtype_policies.get(name)
    with pytest.raises(ValueError) as mine:
        dtype_policies.get(name)
    # "ternary" is a mode of Keras 3.16.
    assert str(mine.value).replace("'ternary', ", "").startswith(str(theirs.value))
