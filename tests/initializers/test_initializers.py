"""What initializers promise by themselves: distributions, repetition, devices, what `get` takes, errors."""

from __future__ import annotations

import copy
import functools
import math
import pickle

import numpy as np
import pytest
import torch

from torchkeras import initializers
from torchkeras.core.tensors.devices import device
from torchkeras.core.variables import seeded_random
from torchkeras.core.variables.seeds import set_random_seed
from torchkeras.initializers.random import compute_fans
from torchkeras.initializers.windows import WINDOWS, get_window

SHAPE = (120, 250)
FAN_IN, FAN_OUT = SHAPE
# name, arguments, expected mean, expected variance, half width of the support (or None)
DISTRIBUTIONS = [
    ("RandomNormal", {"mean": 2.0, "stddev": 0.5}, 2.0, 0.25, None),
    ("RandomUniform", {"minval": -1.0, "maxval": 3.0}, 1.0, 16 / 12, 2.0),
    ("TruncatedNormal", {"stddev": 2.0}, 0.0, None, 4.0),
    ("GlorotUniform", {}, 0.0, 2 / (FAN_IN + FAN_OUT), math.sqrt(6 / (FAN_IN + FAN_OUT))),
    ("GlorotNormal", {}, 0.0, 2 / (FAN_IN + FAN_OUT), None),
    ("HeUniform", {}, 0.0, 2 / FAN_IN, math.sqrt(6 / FAN_IN)),
    ("HeNormal", {}, 0.0, 2 / FAN_IN, None),
    ("LecunUniform", {}, 0.0, 1 / FAN_IN, math.sqrt(3 / FAN_IN)),
    ("LecunNormal", {}, 0.0, 1 / FAN_IN, None),
    ("VarianceScaling", {"scale": 5.0, "mode": "fan_out"}, 0.0, 5 / FAN_OUT, None),
    ("VarianceScaling", {"distribution": "untruncated_normal"}, 0.0, 1 / FAN_IN, None),
]
RANDOM = ["RandomNormal", "RandomUniform", "TruncatedNormal", "GlorotUniform", "HeNormal", "Orthogonal"]
ALL = [*RANDOM, "Zeros", "Ones", "Constant", "Identity"]


@pytest.mark.parametrize("case", DISTRIBUTIONS, ids=lambda c: f"{c[0]}-{'-'.join(c[1])}")
def test_distribution(case):
    name, kwargs, mean, variance, half_width = case
    values = getattr(initializers, name)(**kwargs)(SHAPE, "float64")
    count = values.numel()
    deviation = float(values.std())
    assert abs(float(values.mean()) - mean) < 6 * deviation / math.sqrt(count)
    if variance is not None:
        assert float(values.var()) == pytest.approx(variance, rel=8 / math.sqrt(count))
    if half_width is not None:
        distance = (values - mean).abs()
        assert float(distance.max()) > 0.95 * half_width
        # A truncated normal takes the first of four draws within bounds, as Keras does: one in 230,000 finds none.
        assert int((distance > half_width).sum()) <= (8 if name == "TruncatedNormal" else 0)


@pytest.mark.parametrize("shape", [(5, 5), (3, 8), (8, 3), (2, 3, 4), (3, 2, 2, 40)])
@pytest.mark.parametrize("gain", [1.0, 2.0])
def test_orthogonal(shape, gain):
    matrix = initializers.Orthogonal(gain=gain)(shape, "float64").reshape(-1, shape[-1])
    rows, columns = matrix.shape
    product = matrix @ matrix.T if rows <= columns else matrix.T @ matrix
    torch.testing.assert_close(product, gain**2 * torch.eye(min(rows, columns), dtype=torch.float64))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_orthogonal_of_half_types(dtype):
    matrix = initializers.Orthogonal()((6, 4), dtype)
    assert str(matrix.dtype) == f"torch.{dtype}"
    torch.testing.assert_close((matrix.T @ matrix).float(), torch.eye(4), atol=0.03, rtol=0)


@pytest.mark.parametrize("name", RANDOM)
@pytest.mark.parametrize("given", [True, False])
def test_every_call_repeats_and_two_seeds_differ(name, given, rng):
    kwargs = {"seed": int(rng.integers(2**31))} if given else {}
    first, second = getattr(initializers, name)(**kwargs), getattr(initializers, name)()
    assert torch.equal(first((4, 5)), first((4, 5)))
    assert not torch.equal(first((4, 5)), second((4, 5)))
    for copied in (copy.deepcopy(first), pickle.loads(pickle.dumps(first))):
        assert torch.equal(first((4, 5)), copied((4, 5)))


@pytest.mark.parametrize("name", RANDOM)
def test_set_random_seed_repeats(name, seed):
    draws = []
    for _ in range(2):
        set_random_seed(seed)
        draws.append([initializers.get(name)((3, 4)) for _ in range(2)])
    assert torch.equal(draws[0][0], draws[1][0]) and torch.equal(draws[0][1], draws[1][1])
    assert not torch.equal(draws[0][0], draws[0][1])


@pytest.mark.parametrize("name", RANDOM)
def test_torch_generator_is_left_alone(name):
    before = torch.get_rng_state()
    initializers.get(name)((3, 4))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", [*ALL, "GlorotNormal", "VarianceScaling", "STFT"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_meta_device(name, dtype):
    shape = (8, 1, 5) if name == "STFT" else (4, 6)
    with device("meta"):
        value = getattr(initializers, name)()(shape, dtype)
    assert value.device.type == "meta"
    assert tuple(value.shape) == shape and str(value.dtype) == f"torch.{dtype}"


@pytest.mark.parametrize("name", ALL)
def test_values_are_fresh_contiguous_and_free_of_gradients(name):
    initializer = getattr(initializers, name)()
    first, second = initializer((4, 4)), initializer((4, 4))
    assert first.is_contiguous() and not first.requires_grad
    first.add_(1)
    assert not torch.equal(first, second)


@pytest.mark.parametrize(
    ("shape", "fans"),
    [((), (1, 1)), ((5,), (5, 5)), ((3, 4), (3, 4)), ((3, 4, 5), (12, 15)), ((2, 3, 4, 5), (24, 30))],
)
def test_fans(shape, fans):
    assert compute_fans(shape) == fans


# ---------------------------------------------------------------------------- get


def in_place(tensor, gain=3.0):
    with torch.no_grad():
        tensor.fill_(gain)


def of_shape(shape, dtype=None):
    return torch.full(shape, 3.0)


@pytest.mark.parametrize(
    "given",
    [
        in_place,
        lambda tensor: tensor.fill_(3.0),
        lambda t: torch.full_like(t, 3.0),
        functools.partial(torch.nn.init.constant_, val=3.0),
        functools.partial(in_place, gain=3.0),
        of_shape,
        lambda shape, dtype: torch.full(shape, 3.0),
        lambda *args, **kwargs: torch.full(args[0], 3.0),
        np.full((2, 3), 3.0),
        torch.full((2, 3), 3),
        initializers.Constant(3.0),
        {"class_name": "Constant", "config": {"value": 3.0}},
    ],
)
def test_get_takes(given):
    values = initializers.get(given)((2, 3), dtype="float32")
    torch.testing.assert_close(values, torch.full((2, 3), 3.0))


def test_get_of_none_an_instance_and_a_class():
    assert initializers.get(None) is None
    instance = initializers.HeNormal()
    assert initializers.get(instance) is instance
    assert type(initializers.get(initializers.HeNormal)) is initializers.HeNormal


def test_clone_and_repr():
    initializer = initializers.VarianceScaling(scale=2.0, seed=7)
    assert initializer.clone().get_config() == initializer.get_config()
    assert "scale=2.0" in repr(initializer) and repr(initializer).startswith("VarianceScaling(")


def test_given_values_are_a_constant_in_files(rng):
    values = rng.normal(size=(2, 3)).astype("float32")
    described = initializers.serialize(initializers.get(values))
    assert described["class_name"] == "Constant"
    assert np.array_equal(initializers.get(described)((2, 3)).numpy(), values)


def test_a_config_needs_no_method():
    class Scaled(initializers.Initializer):
        def __init__(self, factor, offset=1.0):
            self.factor, self.offset = factor, offset

        def __call__(self, shape, dtype=None):
            return self.offset + self.factor * torch.ones(shape)

    assert Scaled(2.0).get_config() == {"factor": 2.0, "offset": 1.0}
    assert torch.equal(Scaled(2.0).clone()((3,)), torch.full((3,), 3.0))


# ---------------------------------------------------------------------------- errors

ERRORS = [
    (lambda: initializers.get("glorot_unifrom"), "glorot_unifrom.*GlorotUniform"),
    (lambda: initializers.get(5), "Could not interpret initializer identifier: 5"),
    (lambda: initializers.RandomNormal(seed="x"), "seed must"),
    (lambda: initializers.VarianceScaling(scale=0), "`scale` must"),
    (lambda: initializers.VarianceScaling(mode="fan"), "`mode` argument"),
    (lambda: initializers.VarianceScaling(distribution="cauchy"), "`distribution` argument"),
    (lambda: initializers.Identity()((2, 2, 2)), "2 axes"),
    (lambda: initializers.Orthogonal()((3,)), "at least 2 axes"),
    (lambda: initializers.get(np.ones(3))((4,)), r"\(3,\).*\(4,\)"),
    (lambda: initializers.STFT(side="left"), "side must"),
    (lambda: initializers.STFT(scaling="loud"), "scaling must"),
    (lambda: initializers.STFT(window="rosenfield"), "rosenfield"),
    (lambda: initializers.STFT(window=[1.0, 2.0])((3, 1, 2)), "length 3"),
]


@pytest.mark.parametrize(("call", "message"), ERRORS)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_base_class_makes_nothing():
    with pytest.raises(NotImplementedError, match="Initializer"):
        initializers.Initializer()((2,))


@pytest.mark.parametrize("name", sorted(WINDOWS))
@pytest.mark.parametrize("periodic", [True, False])
def test_windows_are_scipys(name, periodic):
    signal = pytest.importorskip("scipy.signal")
    for size in (1, 2, 3, 4, 15, 32):
        np.testing.assert_allclose(
            get_window(name, size, periodic), signal.get_window(name, size, periodic), atol=1e-12
        )


@pytest.mark.parametrize("name", RANDOM)
def test_values_for_another_device_are_drawn_on_the_cpu(name, monkeypatch):
    drawn, placed = [], []
    module = initializers.random
    draw = module.random_values

    def noted(kind, seed, shape, dtype, device, *args, **kwargs):
        drawn.append(device)
        return draw(kind, seed, shape, dtype, device, *args, **kwargs)

    monkeypatch.setattr(module, "random_values", noted)
    monkeypatch.setattr(seeded_random, "random_values", noted)
    expected = getattr(initializers, name)(seed=3)((4, 6))
    monkeypatch.setattr(module, "_placed", lambda values: placed.append(values.device) or values)
    with device("cuda:0"):
        found = getattr(initializers, name)(seed=3)((4, 6))
    assert {*drawn, *placed} == {torch.device("cpu")}
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


@pytest.mark.cuda
@pytest.mark.parametrize("name", RANDOM)
def test_a_seed_gives_the_same_values_on_cuda(name):
    with device("cpu"):
        expected = getattr(initializers, name)(seed=3)((40, 60))
    with device("cuda"):
        found = getattr(initializers, name)(seed=3)((40, 60))
    assert found.is_cuda
    assert torch.equal(found.cpu(), expected)
