"""Symbolic tensors: Keras's operators record Keras's ops, and what has no value says so with Keras's errors."""

import operator

import keras
import numpy as np
import pytest
import torch

import torchkeras

DTYPES = ["float32", "float16", "int32", "uint8", "bool"]
BINARY = [
    operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod, operator.pow,
    operator.and_, operator.or_, operator.xor, operator.ne, operator.lt, operator.le, operator.gt, operator.ge,
]  # fmt: skip
UNARY = [operator.neg, abs, operator.invert, round, lambda x: round(x, 2)]
NUMBERS = [2, 1.5, True]
# On booleans alone torch has none of them: Keras records them all the same, and its models fail when they run.
NOT_OF_BOOLEANS = {"neg", "sub", "floordiv", "pow"}


def recorded(function, *args):
    """What an operator's result is, and of which op."""
    result = function(*args)
    return result.shape, result.dtype, type(result._keras_history.operation).__name__


def name(function):
    return getattr(function, "__name__", "")


@pytest.mark.parametrize(
    "function, dtype", [(f, d) for f in UNARY for d in DTYPES if d != "bool" or name(f) not in NOT_OF_BOOLEANS]
)
def test_unary_operators(function, dtype):
    ours, theirs = (recorded(function, k.Input((3,), dtype=dtype)) for k in (torchkeras, keras))
    assert ours == theirs


@pytest.mark.parametrize("first", DTYPES)
@pytest.mark.parametrize("function", BINARY, ids=name)
def test_binary_operators_on_symbols_and_numbers(function, first):
    arithmetic = first == "bool" and name(function) in NOT_OF_BOOLEANS
    for second in [dtype for dtype in DTYPES if not (arithmetic and dtype == "bool")]:
        ours, theirs = (
            recorded(function, k.Input((3,), dtype=first), k.Input((1,), batch_size=1, dtype=second))
            for k in (torchkeras, keras)
        )
        assert ours == theirs, second
    for number in [number for number in NUMBERS if not (arithmetic and number is True)]:
        for turn in (lambda a, b: function(a, b), lambda a, b: function(b, a)):
            ours, theirs = (recorded(turn, k.Input((3,), dtype=first), number) for k in (torchkeras, keras))
            assert ours == theirs, number


@pytest.mark.parametrize("function", BINARY, ids=name)
def test_arrays_and_tensors_take_part_on_both_sides(function, rng):
    x = torchkeras.Input((3,), dtype="int32")
    value = torch.from_numpy(rng.integers(1, 4, (2, 3)).astype("int32"))
    constant = rng.integers(1, 4, 3).astype("int32")
    tensor = torch.from_numpy(constant)
    model = torchkeras.Model(
        x, [function(x, constant), function(constant, x), function(x, tensor), function(tensor, x)]
    )
    logical = {"and_": np.logical_and, "or_": np.logical_or, "xor": np.logical_xor}.get(name(function), function)
    forward, backward = (logical(value.numpy(), constant), logical(constant, value.numpy()))
    for got, wanted in zip(model(value), [forward, backward] * 2, strict=True):
        np.testing.assert_allclose(got.numpy(), wanted, rtol=1e-6)


@pytest.mark.parametrize("shapes", [((None, 3), (3, 2)), ((5, 2, 3), (3,)), ((3,), (5, 3, 2)), ((4, None), (None, 2))])
def test_products(shapes):
    ours, theirs = (recorded(operator.matmul, *map(k.KerasTensor, shapes)) for k in (torchkeras, keras))
    assert ours == theirs


KEYS = [0, -1, (slice(1, 3),), (slice(None), 1), (..., 2), (None, 0), (slice(None), None, slice(0, 4, 2)), (..., None)]


@pytest.mark.parametrize("key", KEYS, ids=str)
@pytest.mark.parametrize("shape", [(4, 5, 6), (None, 5, 6), (4, None, 6)])
def test_keys(key, shape):
    ours, theirs = (recorded(operator.getitem, k.KerasTensor(shape), key) for k in (torchkeras, keras))
    assert ours == theirs


@pytest.mark.parametrize(
    "key", [slice(1, 3), np.array([2, 0]), torch.tensor([1, 1, 0]), (slice(None), slice(None, None, -1))], ids=str
)
def test_keys_that_only_this_package_records(key, rng):
    x = torchkeras.Input(batch_shape=(3, 4))
    value = torch.from_numpy(rng.normal(size=(3, 4)).astype("float32"))
    wanted = value.numpy()[key.numpy() if isinstance(key, torch.Tensor) else key]
    outputs = x[key]
    assert outputs.shape == wanted.shape
    np.testing.assert_array_equal(torchkeras.Model(x, outputs)(value).numpy(), wanted)


def test_symbols_are_equal_to_themselves_alone():
    for k in (torchkeras, keras):
        x, y = k.KerasTensor((3,)), k.KerasTensor((3,))
        assert (x == x) is True
        assert (x == y) is False
        assert y in [x, y]
        assert [x, y].index(y) == 1
        assert len({x, y, x}) == 2


REFUSED = [
    (bool, TypeError),
    (int, ValueError),
    (float, ValueError),
    (np.array, ValueError),
    (iter, NotImplementedError),
    (list, NotImplementedError),
    (len, TypeError),
    (operator.index, TypeError),
    (lambda x: 3 in x, NotImplementedError),
    (lambda x: x << 1, TypeError),
    (lambda x: +x, TypeError),
    (lambda x: setattr(x, "shape", (1,)), AttributeError),
    (lambda x: setattr(x, "dtype", "int8"), AttributeError),
    (lambda x: setattr(x, "sparse", True), AttributeError),
    (lambda x: setattr(x, "ragged", True), AttributeError),
    (lambda x: type(x)((3,), sparse=True, ragged=True), ValueError),
    (lambda x: type(x)((3,), dtype="float31"), ValueError),
]


@pytest.mark.filterwarnings("ignore:__array__ implementation")
@pytest.mark.parametrize("use, kind", REFUSED, ids=[name(use) for use, _ in REFUSED])
def test_what_has_no_value_is_refused(use, kind):
    for k in (torchkeras, keras):
        with pytest.raises(kind):
            use(k.KerasTensor((2, 3)))


def test_they_look_as_in_keras():
    ours, theirs = (k.KerasTensor((2, None), "int8", sparse=True, name="x") for k in (torchkeras, keras))
    assert repr(ours) == repr(theirs)
    for what in ("shape", "dtype", "ndim", "sparse", "ragged", "name"):
        assert getattr(ours, what) == getattr(theirs, what)
