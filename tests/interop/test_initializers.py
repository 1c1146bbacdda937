"""Initializers against Keras on torch: numbers by seed, configs, files in both directions."""

from __future__ import annotations

import random

import keras
import numpy as np
import pytest
import torch
from keras.src.initializers import ALL_OBJECTS_DICT

import torchkeras.initializers as ours
from torchkeras.core.variables.seeds import SeedGenerator, set_random_seed

SCALING = ["GlorotUniform", "GlorotNormal", "HeUniform", "HeNormal", "LecunUniform", "LecunNormal"]
RANDOM = [
    *((name, {}) for name in SCALING),
    ("GlorotUniform", {"input_axes": (0, 1), "output_axes": (2,)}),
    ("HeNormal", {"input_axes": (0,), "output_axes": (-1,)}),
    ("GlorotNormal", {"input_axes": (0,)}),
    ("RandomNormal", {}),
    ("RandomNormal", {"mean": 1.5, "stddev": 0.3}),
    ("RandomUniform", {}),
    ("RandomUniform", {"minval": -2.0, "maxval": 5.0}),
    ("TruncatedNormal", {}),
    ("TruncatedNormal", {"mean": -1.0, "stddev": 2.0}),
    ("VarianceScaling", {}),
    ("VarianceScaling", {"scale": 3.0, "mode": "fan_out", "distribution": "uniform"}),
    ("VarianceScaling", {"mode": "fan_avg", "distribution": "untruncated_normal"}),
    ("VarianceScaling", {"distribution": "NORMAL"}),
    ("Orthogonal", {}),
    ("Orthogonal", {"gain": 1.7}),
]
FIXED = [
    ("Zeros", {}, (3, 4)),
    ("Ones", {}, (2,)),
    ("Constant", {}, (2, 3)),
    ("Constant", {"value": 2.5}, ()),
    ("Constant", {"value": np.arange(3.0)}, (2, 3)),
    ("Identity", {}, (3, 3)),
    ("Identity", {"gain": 2.0}, (2, 4)),
    *(
        ("STFT", {"side": side, "scaling": scaling, "periodic": periodic, "window": window}, (16, 1, 17))
        for side, scaling, periodic, window in [
            ("real", "density", False, "hann"),
            ("imag", "spectrum", True, "hamming"),
            ("real", None, False, None),
            ("imag", "density", False, "blackmanharris"),
            ("real", "spectrum", False, [float(i + 1) for i in range(16)]),
        ]
    ),
]
SHAPES = [(3, 4, 5), (7, 2), (2, 9), (3, 3, 4, 8)]
random_table = pytest.mark.parametrize("case", RANDOM, ids=lambda c: f"{c[0]}-{'-'.join(c[1])}")
fixed_table = pytest.mark.parametrize("case", FIXED, ids=lambda c: f"{c[0]}-{'-'.join(map(str, c[1].values()))[:40]}")
dtypes = pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])


def pair(name, kwargs):
    return getattr(ours, name)(**kwargs), getattr(keras.initializers, name)(**kwargs)


def assert_same(mine: torch.Tensor, theirs, rtol: float = 1e-6) -> None:
    assert mine.dtype == theirs.dtype
    assert tuple(mine.shape) == tuple(theirs.shape)
    np.testing.assert_allclose(mine.double().numpy(), theirs.double().numpy(), rtol=rtol, atol=rtol)


@random_table
@dtypes
def test_the_same_seed_gives_keras_numbers(case, dtype, rng):
    name, kwargs = case
    if name == "Orthogonal" and dtype not in ("float32", "float64"):
        pytest.skip("Keras has no QR of half types")
    mine, theirs = pair(name, {**kwargs, "seed": int(rng.integers(0, 2**31))})
    for shape in SHAPES:
        if "input_axes" in kwargs and len(shape) < 3:
            continue
        rtol = {"float64": 1e-12, "float32": 1e-6}.get(dtype, 0)
        assert_same(mine(shape, dtype), theirs(shape, dtype), rtol)


@pytest.mark.parametrize("shape", [(), (1,), (6,)])
@pytest.mark.parametrize("name", ["GlorotUniform", "HeNormal", "RandomNormal", "RandomUniform", "TruncatedNormal"])
def test_scalars_and_vectors(name, shape, rng):
    mine, theirs = pair(name, {"seed": int(rng.integers(0, 2**31))})
    assert_same(mine(shape), theirs(shape))


@fixed_table
@dtypes
def test_fixed_values(case, dtype):
    name, kwargs, shape = case
    mine, theirs = pair(name, kwargs)
    rtol = {"float64": 1e-12, "float32": 1e-6, "bfloat16": 2**-6, "float16": 2**-9}[dtype]
    assert_same(mine(shape, dtype), theirs(shape, dtype), rtol)


@pytest.mark.parametrize("name", ["GlorotUniform", "RandomNormal", "TruncatedNormal", "Orthogonal"])
def test_without_a_seed_set_random_seed_gives_keras_numbers(name, seed):
    set_random_seed(seed)
    mine = getattr(ours, name)()((4, 6))
    keras.utils.set_random_seed(seed)
    theirs = getattr(keras.initializers, name)()((4, 6))
    assert_same(mine, theirs)


def test_a_seed_generator_moves_on_as_in_keras(rng):
    seed = int(rng.integers(0, 2**31))
    mine = ours.RandomNormal(seed=SeedGenerator(seed))
    theirs = keras.initializers.RandomNormal(seed=keras.random.SeedGenerator(seed))
    draws = [(mine((3, 2)), theirs((3, 2))) for _ in range(3)]
    for a, b in draws:
        assert_same(a, b)
    assert not torch.equal(draws[0][0], draws[1][0])


@pytest.mark.parametrize(
    "case",
    [(n, {**k, **extra}) for n, k in RANDOM for extra in ({}, {"seed": 3})] + [(n, k) for n, k, _ in FIXED],
    ids=lambda c: f"{c[0]}-{'-'.join(map(str, c[1].values()))[:40]}",
)
def test_configs_and_files_in_both_directions(case, rng):
    name, kwargs = case
    mine, theirs = pair(name, kwargs)
    described, theirs_described = ours.serialize(mine), keras.initializers.serialize(theirs)
    if name == "Identity":  # Keras forgets the gain; ours is written and Keras reads it
        assert keras.initializers.get(described).gain == mine.gain
        theirs_described["config"]["gain"] = theirs.gain
    assert described == theirs_described
    assert ours.get(theirs_described).get_config() == described["config"]
    assert keras.initializers.get(described).get_config() == theirs.get_config()
    assert type(ours.deserialize(theirs_described)) is getattr(ours, name)


def test_a_seed_generator_survives_files(rng):
    seed = int(rng.integers(0, 2**31))
    theirs = keras.initializers.GlorotUniform(seed=keras.random.SeedGenerator(seed, name="mine"))
    mine = ours.get(keras.initializers.serialize(theirs))
    assert mine.get_config() == theirs.get_config()
    assert_same(mine((3, 4)), theirs((3, 4)))
    back = keras.initializers.get(ours.serialize(mine))
    assert back.get_config() == theirs.get_config()


@pytest.mark.parametrize("name", sorted(ALL_OBJECTS_DICT))
def test_every_name_that_keras_knows(name):
    assert type(ours.get(name)).__name__ == ALL_OBJECTS_DICT[name].__name__
    legacy = {"class_name": name, "config": {}}
    assert type(ours.get(legacy)).__name__ == ALL_OBJECTS_DICT[name].__name__


def test_python_generator_is_used_alike(seed):
    """What is drawn after an initializer without a seed does not depend on the library."""
    after = []
    for library in (ours, keras.initializers):
        random.seed(seed)
        library.HeNormal()
        after.append(random.random())
    assert after[0] == after[1]
