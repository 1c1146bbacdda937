"""A variable is a tensor with Keras's methods."""

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import nn

import torchkeras
from torchkeras.core.tensors.dtypes import result_type, standardize_dtype
from torchkeras.core.variables.variable import StatelessScope, Variable


@pytest.fixture(params=[True, False], ids=["parameter", "buffer"])
def variable(request, rng):
    return Variable(rng.normal(size=(2, 3)).astype("float32"), trainable=request.param, name="w")


def test_is_a_tensor(variable):
    assert isinstance(variable, torch.Tensor)
    assert isinstance(variable, nn.Parameter) == variable.trainable == variable.requires_grad
    assert variable.value is variable
    assert type(variable + 1) is torch.Tensor
    np.testing.assert_array_equal(np.asarray(variable), variable.numpy())


def test_assign(variable):
    storage = variable.data_ptr()
    variable.assign(np.ones((2, 3)))
    variable.assign_add(torch.ones(2, 3))
    variable.assign_sub(0.5 * np.ones((2, 3)))
    assert variable.data_ptr() == storage
    np.testing.assert_array_equal(variable.numpy(), np.full((2, 3), 1.5))


def test_assign_refuses_other_shapes(variable):
    before = variable.numpy().copy()
    with pytest.raises(ValueError, match=r"'w'.*\(2, 3\).*\(3, 2\)"):
        variable.assign(np.zeros((3, 2)))
    np.testing.assert_array_equal(variable.numpy(), before)


@pytest.mark.parametrize("how", [copy.deepcopy, lambda v: pickle.loads(pickle.dumps(v))], ids=["deepcopy", "pickle"])
def test_copies_keep_class_and_facts(variable, how):
    other = how(variable)
    assert type(other) is type(variable)
    assert (other.path, other.trainable, other.requires_grad) == (
        variable.path,
        variable.trainable,
        variable.requires_grad,
    )
    assert other.data_ptr() != variable.data_ptr()
    torch.testing.assert_close(torch.as_tensor(other.numpy()), torch.as_tensor(variable.numpy()), rtol=0, atol=0)


def test_trainable_is_requires_grad(variable):
    was = variable.trainable
    variable.trainable = False
    assert not variable.requires_grad
    variable.trainable = True
    assert variable.requires_grad == was


def test_stateless_scope(variable):
    before = variable.numpy().copy()
    value = torch.full((2, 3), 7.0)
    with StatelessScope([(variable, value)]) as scope:
        torch.testing.assert_close(variable.value, value)
        variable.assign_add(torch.ones(2, 3))
        np.testing.assert_array_equal(scope.get_current_value(variable), np.full((2, 3), 8.0))
    np.testing.assert_array_equal(variable.numpy(), before)


def test_initializers():
    assert torch.equal(Variable("ones", shape=(2,)).detach(), torch.ones(2))
    assert Variable(lambda shape, dtype: torch.full(shape, 3.0), shape=(1,)).item() == 3.0
    assert Variable([1, 2]).dtype == torch.int32
    with pytest.raises(ValueError, match="the `shape` argument should be specified"):
        Variable(lambda shape, dtype: torch.ones(shape))
    with pytest.raises(ValueError, match="aggregation"):
        Variable([1.0], aggregation="mode")
    with pytest.raises(ValueError, match="character `/`"):
        Variable([1.0], name="a/b")


def test_repr_shows_shape_dtype_and_path(variable):
    assert "path=w" in repr(variable) and "shape=(2, 3)" in repr(variable) and "dtype=float32" in repr(variable)


@pytest.mark.parametrize("dtype", ["bool", "int16", "float32", "bfloat16"])
def test_bitwise_operators_are_logical_as_in_keras(dtype):
    one, other = Variable([0, 1, 0, 3], dtype=dtype), [0, 0, 2, 1]
    found = [one & other, one | other, one ^ other, other & one, other | one, other ^ one]
    rows = [[x and y, x or y, bool(x) != bool(y)] for x, y in zip([0, 1, 0, 3], other, strict=True)]
    for operator, (result, again) in enumerate(zip(found[:3], found[3:], strict=True)):
        assert result.dtype is again.dtype is torch.bool
        assert result.tolist() == again.tolist() == [bool(row[operator]) for row in rows]


@pytest.mark.parametrize("types", [("float16", "int32"), ("bool", "float32"), ("int8", "bfloat16"), ("uint8", "int8")])
def test_matrices_of_two_types_multiply_in_keras_common_type(types, rng):
    one, other = (rng.integers(0, 2, (2, 2)) for _ in range(2))
    for left, right in (types, types[::-1]):
        a, b = Variable(one, dtype=left), Variable(other, dtype=right)
        for product in (a @ b, a.detach() @ b, a @ b.detach()):
            assert standardize_dtype(product.dtype) == result_type(left, right)
            np.testing.assert_array_equal(product.detach().float().numpy() > 0, one @ other > 0)
    weight = Variable(one, dtype="float32")
    for left, right in ((other.tolist(), weight), (other.astype("float32"), weight)):
        np.testing.assert_array_equal((left @ right).detach().numpy(), other @ one)
    with pytest.raises(TypeError):
        weight @ "text"
    symbol = torchkeras.Input((2, 2), batch_size=2)
    assert (symbol @ weight).shape == (weight @ symbol).shape == (2, 2, 2)


def test_comparisons_take_lists_and_arrays():
    one = Variable([1.0, 2.0, 3.0])
    for other in ([2, 2, 2], (2.0, 2.0, 2.0), np.full(3, 2), torch.full((3,), 2)):
        found = [one < other, one <= other, one > other, one >= other, one != other]
        assert [row.tolist() for row in found] == [
            [True, False, False],
            [True, True, False],
            [False, False, True],
            [False, True, True],
            [True, False, True],
        ]
    assert one in {one} and one != "text" and one != None  # noqa: E711


def test_round_value_and_attributes_by_keras_names():
    one = Variable([1.26, -0.5])
    torch.testing.assert_close(round(one, 1).detach(), torch.tensor([1.3, -0.5]))
    assert one._value is one and one._convert_to_tensor([1, 2]).tolist() == [1, 2]
    for name in ("constraint", "regularizer"):
        with pytest.raises(ValueError, match=f"Invalid value for attribute `{name}`"):
            setattr(one, name, "not callable")
    with pytest.raises(TypeError, match="must be a boolean"):
        one.overwrite_with_gradient = "true"


@pytest.mark.parametrize("function", [np.min, np.max, np.mean, np.std, np.argmax, np.median, np.ravel, np.diff])
@pytest.mark.parametrize("trainable", [False, True])
def test_functions_of_numpy_see_an_array(function, trainable, rng):
    value = rng.normal(size=(3, 4))
    got = function(Variable(value, dtype="float64", trainable=trainable))
    assert isinstance(got, (np.ndarray, np.generic))
    np.testing.assert_array_equal(got, function(value))


def test_functions_of_numpy_take_lists_of_variables(rng):
    value = rng.normal(size=(3, 4))
    variable = Variable(value, dtype="float64")
    np.testing.assert_array_equal(np.concatenate([variable, value, variable], axis=1), np.hstack([value] * 3))
    with pytest.raises(TypeError):
        np.sum(value, axis=0, out=Variable(np.zeros(4)))
