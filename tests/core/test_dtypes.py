"""Dtype names, promotion and the types of new tensors are Keras's."""

import itertools

import keras
import numpy as np
import pytest
import torch

import torchkeras
from torchkeras import ops
from torchkeras.core.tensors import dtypes

NAMES = [
    "bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "bfloat16", "float16", "float32",
    "float64", "complex64", "complex128", "float8_e4m3fn", "float8_e5m2", "string",
]  # fmt: skip
KINDS = [*NAMES, bool, int, float, None]
FLOATX = ["float16", "bfloat16", "float32", "float64"]


def result(package, given):
    try:
        return package.backend.result_type(*given)
    except ValueError:
        return ValueError


@pytest.mark.parametrize("floatx", FLOATX)
@pytest.mark.parametrize("first", KINDS, ids=str)
def test_result_type_of_one_two_and_three_is_keras(first, floatx):
    before = keras.config.floatx()
    try:
        for package in (keras, torchkeras):
            package.config.set_floatx(floatx)
        rest = [(), *itertools.product(KINDS, repeat=1), *itertools.product(KINDS, repeat=2)]
        given = [(first, *others) for others in rest]
        assert [result(torchkeras, g) for g in given] == [result(keras, g) for g in given]
    finally:
        keras.config.set_floatx(before)


# Types that torch has and Keras gives it another for: Keras's choice holds for what is made by name.
WIDER = {"uint16": "int32", "uint32": "int64"}


@pytest.mark.parametrize("name", [name for name in NAMES if name != "string"])
def test_names_go_both_ways(name):
    assert dtypes.standardize_dtype(dtypes.torch_dtype(name)) == WIDER.get(name, name)
    assert dtypes.standardize_dtype(getattr(torch, name)) == name
    if name != "bfloat16" and not name.startswith("float8"):
        assert dtypes.standardize_dtype(np.dtype(name)) == name


@pytest.mark.parametrize("given, name", [(None, "float32"), (int, "int32"), (float, "float32"), (bool, "bool"),
                                         ("torch.float16", "float16"), (torch.int8, "int8")])  # fmt: skip
def test_other_spellings(given, name):
    assert dtypes.standardize_dtype(given) == name


@pytest.mark.parametrize("wrong", ["float31", "floaty", object()])
def test_unknown_types_are_refused(wrong):
    with pytest.raises(ValueError, match="Invalid dtype"):
        dtypes.standardize_dtype(wrong)


@pytest.mark.parametrize("name", [*NAMES, int, float, bool, None], ids=str)
def test_kinds_are_keras(name):
    for function in ("is_float_dtype", "is_int_dtype"):
        assert getattr(torchkeras.backend, function)(name) == getattr(keras.backend, function)(name)


ARRAYS = ["bool", "uint8", "uint16", "uint32", "int8", "int16", "int32", "int64", "float16", "float32", "float64"]
VALUES = [
    *(np.ones(2, name) for name in ARRAYS), *(np.ones((), name)[()] for name in ARRAYS),
    *([np.ones(2, name)] * 2 for name in ARRAYS), *([np.ones((), name)[()], 2] for name in ARRAYS[1:]),
    True, 3, 2.5, 1j, 2**40, [], (), [[]], [True, False], [1, 2], [1, 2.5], [True, 2], [[1], [2.5]], [2**33, 1.5],
    [1, 2j], range(3), [torch.ones(()), 2], [torch.ones((), dtype=torch.int8), 2.5], (1, torch.tensor(2), 3),
    [torch.ones(2), torch.ones(2, dtype=torch.float64)], [torch.ones(2, dtype=torch.int64)] * 2,
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=lambda v: f"{type(v).__name__} {v}")
def test_tensors_of_values_have_keras_types(value):
    ours, theirs = ops.convert_to_tensor(value), keras.ops.convert_to_tensor(value)
    assert ours.dtype == theirs.dtype
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("value", VALUES, ids=lambda v: f"{type(v).__name__} {v}")
@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_tensors_of_values_have_the_type_asked_for(value, dtype):  # Keras: not those of lists that hold tensors
    made = ops.convert_to_tensor(value, dtype=dtype)
    assert made.dtype == getattr(torch, dtype)
    torch.testing.assert_close(made, ops.convert_to_tensor(value).to(made.dtype))


@pytest.mark.parametrize("value", [None, "a", len, [None], [1, "a"], {1: 2}, [[1, 2], [3]]], ids=str)
def test_what_is_no_tensor_is_refused_as_keras_does(value):
    for package in (keras, torchkeras):
        with pytest.raises(ValueError):
            package.ops.convert_to_tensor(value)


def test_a_list_of_wide_integers_keeps_its_values():
    assert ops.convert_to_tensor([2**40, -1]).tolist() == [2**40, -1]


def test_sizes_that_tracing_leaves_open_become_tensors():
    class Sizes(torch.nn.Module):
        def forward(self, x):
            size = x.shape[0]
            return ops.convert_to_tensor(size), ops.convert_to_tensor([size, 2]), ops.convert_to_tensor(size / 2)

    batch = torch.export.Dim("batch", min=2)
    program = torch.export.export(Sizes(), (torch.ones(4, 3),), dynamic_shapes={"x": {0: batch}}).module()
    one, two, half = program(torch.ones(6, 3))
    assert (one.item(), two.tolist(), half.item()) == (6, [6, 2], 3.0)


@pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn", "float8_e5m2"])
def test_types_that_numpy_has_by_ml_dtypes_go_both_ways(name, rng):
    array = rng.uniform(-2, 2, (2, 3)).astype("float32").astype(name)  # as after `import keras`
    made = ops.convert_to_tensor(array.T)
    assert made.dtype is dtypes.torch_dtype(name)
    back = ops.convert_to_numpy(made)
    assert back.dtype.name == name
    np.testing.assert_array_equal(back.astype("float32"), array.T.astype("float32"))
    if name == "bfloat16":  # Keras has no way back for float8
        assert keras.ops.convert_to_numpy(made).dtype == back.dtype


def test_compiled_code_takes_promoted_types_as_constants_and_raises_the_same_error():
    def total(a, b):
        return ops.add(a, b)

    graphs = []
    compiled = torch.compile(total, backend=lambda graph, _: graphs.append(graph) or graph.forward)
    x, y = torch.ones(2, dtype=torch.float16), torch.ones(2, dtype=torch.int32)
    assert compiled(x, y).dtype is torch.float16
    assert [node.op for node in graphs[0].graph.nodes].count("call_method") <= 2  # the casts
    with pytest.raises(ValueError, match="no implicit conversions from float8"):
        compiled(x.to(torch.float8_e4m3fn), y)
