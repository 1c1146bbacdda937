"""What the rows leave: gradients at edges, errors, arguments that are no tensors, unknown sizes."""

import numpy as np
import pytest
import torch

import torchkeras
from torchkeras import ops
from torchkeras.core.symbolic.keras_tensor import KerasTensor


def test_divide_no_nan_has_no_nan_in_its_gradient(rng):
    x, y = torch.from_numpy(rng.uniform(1, 2, (2, 4)).astype("float32")).requires_grad_().unbind()
    y = y * torch.tensor([0.0, 1.0, 0.0, 1.0])
    x.retain_grad(), y.retain_grad()
    ops.divide_no_nan(x, y).sum().backward()
    there = torch.tensor([False, True, False, True])
    torch.testing.assert_close(x.grad, torch.where(there, 1 / y, 0.0).detach())
    torch.testing.assert_close(y.grad, torch.where(there, -x / y**2, 0.0).detach())


def test_gradient_flows_to_the_value_that_fills(rng):
    value = torch.from_numpy(rng.normal(size=3).astype("float32")).requires_grad_()
    weights = torch.from_numpy(rng.normal(size=(2, 3)).astype("float32"))
    (ops.full_like(weights, value) * weights + ops.full((2, 3), value) * weights).sum().backward()
    torch.testing.assert_close(value.grad, 2 * weights.sum(0))


@pytest.mark.parametrize("endpoint", [True, False])
def test_gradient_of_linspace(endpoint, rng):
    start, stop = torch.from_numpy(rng.normal(size=(2, 3)).astype("float32")).requires_grad_().unbind()
    start.retain_grad(), stop.retain_grad()
    weights = torch.from_numpy(rng.normal(size=(5, 1)).astype("float32"))
    (ops.linspace(start, stop, 5, endpoint=endpoint) * weights).sum().backward()
    parts = torch.linspace(0, 1, 5) if endpoint else torch.arange(5) / 5
    torch.testing.assert_close(stop.grad, (weights[:, 0] @ parts).expand(3))
    torch.testing.assert_close(start.grad, (weights[:, 0] @ (1 - parts)).expand(3))


@pytest.mark.parametrize("op", ["real", "imag", "absolute", "angle"])
def test_symbol_of_a_complex_number_is_real_where_its_value_is(op):
    assert getattr(ops, op)(KerasTensor((2,), "complex64")).dtype == "float32"


@pytest.mark.parametrize(
    "call, error, says",
    [
        (lambda x: ops.ldexp(x, x), TypeError, "integers as exponents"),
        (lambda x: ops.fabs(torch.complex(x, x)), TypeError, "real numbers"),
        (lambda x: ops.where(x, x), ValueError, "both should be `None`"),
        (lambda x: ops.vander(x, N=1.5), TypeError, "as an integer"),
        (lambda x: ops.vander(x, N=-1), ValueError, "at least 0"),
        (lambda x: ops.vander(ops.ones((2, 3))), ValueError, "a vector"),
        (lambda x: ops.meshgrid(x, indexing="yx"), ValueError, "'xy' or 'ij'"),
        (lambda x: ops.diag(KerasTensor((2, 2, 2))), ValueError, "1D or 2D"),
        (lambda x: ops.view(KerasTensor((2, 3), "uint8"), "float32"), ValueError, "divisible"),
        (lambda x: ops.geomspace(0, 1), ValueError, "at 0"),
        (lambda x: ops.eye(3.0), TypeError, "`N` must be an integer"),
        (lambda x: ops.eye(3, 2.5), TypeError, "`M` must be an integer"),
        (lambda x: ops.hamming(4.5), TypeError, "an integer"),
        (lambda x: ops.kaiser(KerasTensor(()), 2.0), TypeError, "no symbolic tensor"),
        (lambda x: ops.add(KerasTensor((2, 3)), KerasTensor((4,))), ValueError, "broadcast"),
        (lambda x: ops.subtract(x > 0, x > 0), RuntimeError, "bool"),
    ],
)
def test_errors(call, error, says):
    with pytest.raises(error, match=says):
        call(torch.ones(3))


def test_errors_name_the_call():
    with pytest.raises(TypeError) as caught:
        ops.ldexp(torch.ones(3), torch.ones(3))
    assert caught.value.__notes__ == ["In ops.ldexp(x1=<float32 (3,)>, x2=<float32 (3,)>)."]


@pytest.mark.parametrize(
    "call, shape",
    [
        (lambda: ops.add(KerasTensor((None, 3)), KerasTensor((4, 1))), (4, 3)),
        (lambda: ops.add(KerasTensor((None, 1)), KerasTensor((None, 3))), (None, 3)),
        (lambda: ops.add(KerasTensor((2, 3)), np.ones((5, 2, 3))), (5, 2, 3)),
        (lambda: ops.logical_and(KerasTensor((None, 3), "bool"), np.ones(3, "bool")), (None, 3)),
        (lambda: ops.where(KerasTensor((2, 1), "bool"), KerasTensor((None, 3)), 1), (2, 3)),
        (lambda: ops.where(KerasTensor((2, 5), "bool")), (2, None)),
        (lambda: ops.isin(KerasTensor((None, 3)), [1, 2]), (None, 3)),
        (lambda: ops.allclose(KerasTensor((None, 3)), KerasTensor((4, 3))), ()),
        (lambda: ops.diag(KerasTensor((None, 3))), (None,)),
        (lambda: ops.diag(KerasTensor((None,)), k=1), (None, None)),
        (lambda: ops.diagflat(KerasTensor((2, None))), (None, None)),
        (lambda: ops.vander(KerasTensor((None,)), N=2), (None, 2)),
        (lambda: ops.view(KerasTensor((None, 3)), "uint8"), (None, 12)),
        (lambda: ops.view(KerasTensor((2, None)), "uint8"), (2, None)),
        (lambda: ops.full((2, 3), KerasTensor((None,))), (2, 3)),
        (lambda: ops.full_like(KerasTensor((None, 3)), 2), (None, 3)),
        (lambda: ops.linspace(KerasTensor((None, 3)), KerasTensor((4, 1)), 5, axis=1), (4, 5, 3)),
        (lambda: ops.logspace(KerasTensor((None, 3)), 1.0, 5, axis=-1), (None, 3, 5)),
        (lambda: ops.meshgrid(KerasTensor((4,)), KerasTensor((None,)))[1], (None, 4)),
        (lambda: ops.ldexp(KerasTensor((None, 3)), KerasTensor((3,))), (None, 3)),
    ],
)
def test_shapes_of_symbols(call, shape):
    assert call().shape == shape


@pytest.mark.parametrize("number", [3, 3.0, np.int64(3), np.float32(3), torch.tensor(3)])
def test_arange_has_the_type_of_its_numbers(number):
    whole = not isinstance(number, (float, np.floating))
    assert ops.arange(number).tolist() == [0, 1, 2]
    assert ops.arange(number).dtype == (torch.int32 if whole else torch.float32)


@pytest.mark.parametrize("size", [3, np.int64(3), torch.tensor(3)])
def test_sizes_may_be_any_integers(size):
    assert ops.eye(size).shape == ops.tri(size).shape == ops.zeros((size, size)).shape == (3, 3)
    assert ops.ones(size).shape == ops.empty(size).shape == ops.hanning(size).shape == (3,)


@pytest.mark.parametrize("dtype", ["float32", "int32", "bool", "float16"])
def test_empty_has_shape_and_type(dtype):
    for made in (ops.empty((2, 3), dtype), ops.empty_like(torch.ones(2, 3), dtype)):
        assert tuple(made.shape) == (2, 3)
        assert torchkeras.backend.standardize_dtype(made.dtype) == dtype


@pytest.mark.parametrize("floatx", ["float16", "float64"])
def test_new_tensors_are_of_floatx(floatx):
    torchkeras.config.set_floatx(floatx)
    made = [ops.zeros(2), ops.ones(2), ops.full((2,), 1), ops.eye(2), ops.array(1.5)]
    assert {torchkeras.backend.standardize_dtype(x.dtype) for x in made} == {floatx}


def test_copy_has_its_own_memory(rng):
    x = torch.from_numpy(rng.normal(size=3))
    y = ops.copy(x)
    y[0] = 7
    assert x[0] != 7
