"""Ops of arrays beside the rows: errors, open sizes, what has no row of its own."""

import keras
import numpy as np
import pytest
import torch

import torchkeras
from torchkeras import ops
from torchkeras.core.symbolic.keras_tensor import KerasTensor

X = torch.arange(6.0).reshape(2, 3)
ERRORS = [
    (ValueError, "at least one value", lambda: ops.max(torch.zeros(0, 3), axis=0)),
    (ValueError, "axis 5 is out of bounds", lambda: ops.expand_dims(X, 5)),
    (ValueError, "axis 1 is out of bounds", lambda: ops.diagonal(X[0])),
    (ValueError, "different axes", lambda: ops.diagonal(X, axis1=0, axis2=-2)),
    (ValueError, "does not make 2", lambda: ops.split(X, 2, axis=1)),
    (TypeError, "integer", lambda: ops.array_split(X, [1])),
    (ValueError, "positive", lambda: ops.array_split(X, 0)),
    (ValueError, "needs an axis", lambda: ops.concatenate([X, X], axis=None)),
    (ValueError, "different axes", lambda: ops.rot90(X, axes=(0, -2))),
    (ValueError, "different axes", lambda: ops.rot90(X[0])),
    (ValueError, "each of the 2 axes", lambda: ops.pad(X, ((0, 0), (1, 2), (1, 1)))),
    (NotImplementedError, "modes", lambda: ops.pad(X, 1, "bogus")),
    (ValueError, "constant_values", lambda: ops.pad(X, 1, "reflect", constant_values=2)),
    (ValueError, "method", lambda: ops.quantile(X, 0.5, method="bogus")),
    (ValueError, "number or a vector", lambda: ops.quantile(X, [[0.5]])),
    (ValueError, "weights", lambda: ops.average(X, axis=0, weights=torch.ones(3))),
    (ValueError, "matrix or a vector", lambda: ops.corrcoef(torch.ones(2, 2, 2))),
    (ValueError, "sparse", lambda: ops.bincount(torch.tensor([1, 2]), sparse=True)),
    (TypeError, "integer", lambda: ops.histogram(X[0], bins=0.5)),
    (ValueError, "range", lambda: ops.histogram(X[0], range=(3, 1))),
    (ValueError, "1-dimensional", lambda: ops.histogram(X)),
    (ValueError, "vector", lambda: ops.searchsorted(X, X)),
    (ValueError, "vector", lambda: ops.digitize(X, X)),
    (ValueError, "kth", lambda: ops.argpartition(X, 3)),
    (ValueError, "conditions and choices", lambda: ops.select([], [])),
    (ValueError, "vectors of 2 or 3", lambda: ops.cross(torch.ones(3, 4), torch.ones(3, 4))),
    (ValueError, "vectors", lambda: ops.correlate(X, X)),
    (ValueError, "mode", lambda: ops.correlate(X[0], X[1], mode="bogus")),
    (ValueError, "unknown dimension", lambda: ops.reshape(X, (-1, -1))),
    (ValueError, "callable", lambda: ops.vectorize(3)),
    (ValueError, "signature", lambda: ops.vectorize(torch.dot, signature="n,n")),
]


@pytest.mark.parametrize("error, words, call", ERRORS)
def test_errors_say_what_must_hold(error, words, call):
    with pytest.raises(error, match=words):
        call()


def kt(*shape, dtype="float32"):
    return KerasTensor(shape, dtype)


# (what is called, the shape or shapes that come of it), where an open size meets known ones
OPEN = [
    (lambda: ops.matmul(kt(None, 3, 4), kt(2, 4, 5)), (2, 3, 5)),
    (lambda: ops.matmul(kt(2, None), kt(3, 4)), (2, 4)),
    (lambda: ops.matmul(kt(None, 4), kt(None, 4, 5)), (None, None, 5)),
    (lambda: ops.dot(kt(None, 3), kt(2, 3, 4)), (None, 2, 4)),
    (lambda: ops.dot(kt(2, None), kt(3, 4)), (2, 4)),
    (lambda: ops.inner(kt(2, None), kt(4, 3)), (2, 4)),
    (lambda: ops.tensordot(kt(2, None), kt(4, 5), axes=1), (2, 5)),
    (lambda: ops.vdot(kt(None), kt(3)), ()),
    (lambda: ops.cross(kt(None, 3), kt(2, 3)), (2, 3)),
    (lambda: ops.cross(kt(None, 2), kt(4, 2)), (4,)),
    (lambda: ops.einsum("ij,jk", kt(2, None), kt(3, 4)), (2, 4)),
    (lambda: ops.einsum("...ij,...jk->...ik", kt(None, 5, 2, 3), kt(5, 3, 4)), (None, 5, 2, 4)),
    (lambda: ops.correlate(kt(None), kt(5), mode="same"), (None,)),
    (lambda: ops.concatenate([kt(None, 3), kt(2, 3)], axis=0), (None, 3)),
    (lambda: ops.append(kt(None, 3), kt(2, 3)), (None,)),
    (lambda: ops.append(kt(None, 3), kt(2, 3), axis=0), (None, 3)),
    (lambda: ops.reshape(kt(None, 3), (-1, 2, 5)), (None, 2, 5)),
    (lambda: ops.broadcast_to(kt(None, 3), (4, 2, 3)), (4, 2, 3)),
    (lambda: ops.repeat(kt(None, 3), [1, 2], axis=0), (None, 3)),
    (lambda: ops.take_along_axis(kt(None, 3), kt(5, 2, dtype="int32"), axis=1), (5, 2)),
    (lambda: ops.get_item(kt(None, 5), (slice(0, 3), slice(1, 100))), (None, 4)),
    (lambda: ops.diagonal(kt(None, 3)), (None,)),
    (lambda: ops.diagonal(kt(4, 3, 2), offset=1), (2, 2)),
    (lambda: ops.split(kt(None, 6), 5, axis=0), [(None, 6)] * 5),
    (lambda: ops.split(kt(None, 6), [1, 3], axis=0), [(1, 6), (2, 6), (None, 6)]),
    (lambda: ops.vsplit(kt(None, 6), 5), [(None, 6)] * 5),
    (lambda: ops.slogdet(kt(None, 3, 3)), [(None,), (None,)]),
    (lambda: ops.nonzero(kt(2, None)), [(None,), (None,)]),
    (lambda: ops.unique(kt(2, 3), axis=0, return_inverse=True), [(None, 3), (2,)]),
    (lambda: ops.unique(kt(2, 3), size=5, return_counts=True), [(5,), (5,)]),
    (lambda: ops.bincount(kt(2, 6, dtype="int32"), minlength=3), (2, None)),
    (lambda: ops.searchsorted(kt(None), kt(2, 3)), (2, 3)),
    (lambda: ops.average(kt(None, 3), weights=kt(2, 3)), ()),
    (lambda: ops.squeeze(kt(None, 1, 3)), (None, 3)),
]


@pytest.mark.parametrize("call, shape", OPEN)
def test_open_sizes(call, shape):
    result = call()
    assert ([t.shape for t in result] if isinstance(shape, list) else result.shape) == shape


MISFITS = [
    lambda: ops.matmul(kt(2, 3), kt(4, 5)),
    lambda: ops.einsum("ij,jk", kt(2, 3), kt(5, 4)),
    lambda: ops.concatenate([kt(None, 3), kt(2, 4)], axis=0),
    lambda: ops.stack([kt(2, 3), kt(2, 4)]),
    lambda: ops.reshape(kt(4, 3), (5, -1)),
    lambda: ops.squeeze(kt(None, 1), axis=0),
    lambda: ops.broadcast_to(kt(4, 3), (2, 3)),
    lambda: ops.transpose(kt(2, 3), (0, 0)),
    lambda: ops.swapaxes(kt(2, 3), 0, 5),
    lambda: ops.get_item(kt(4, 5), (slice(None), 9)),
    lambda: ops.split(kt(None, 6), 4, axis=1),
    lambda: ops.slogdet(kt(2, 3)),
    lambda: ops.repeat(kt(2, 3), [1, 2, 3], axis=0),
]


@pytest.mark.parametrize("call", MISFITS)
def test_shapes_that_do_not_fit_are_refused_in_a_graph(call):
    with pytest.raises(ValueError):
        call()


@pytest.mark.parametrize("kth, axis", [(0, 1), (4000, 1), (-1, 1), (1, 0), (7, None)])
def test_argpartition_parts_many_values(kth, axis, rng):
    x = rng.integers(0, 999, (3, 5000)).astype("float32")
    places = ops.argpartition(torch.from_numpy(x), kth, axis)
    assert places.dtype is torch.int32
    values = np.take_along_axis(x, places.numpy(), axis)
    middle = np.take(np.sort(x, axis), [kth], axis)
    axis = 0 if axis is None else axis
    kth %= values.shape[axis]
    np.testing.assert_array_equal(np.take(values, [kth], axis), middle.reshape(np.take(values, [kth], axis).shape))
    assert (np.take(values, range(kth), axis) <= middle).all()
    assert (np.take(values, range(kth, values.shape[axis]), axis) >= middle).all()
    np.testing.assert_array_equal(np.sort(places.numpy(), axis), np.indices(values.shape)[axis])


VECTORIZED = [
    (lambda a, b: a * b + 1, {}, [(2, 3), (2, 3)]),
    (lambda a, b: a * b + 1, {}, [(2, 1), (4, 2, 3)]),
    (torch.dot, {"signature": "(n),(n)->()"}, [(5, 3), (5, 3)]),
    (torch.matmul, {"signature": "(m,n),(n)->(m)"}, [(4, 5, 2, 3), (5, 3)]),
    (lambda a, b: a @ b, {"signature": "(n)->()", "excluded": {1}}, [(5, 3), (3,)]),
    (lambda a: (a.sum(), a.flip(0)), {"signature": "(n)->(),(n)"}, [(5, 3)]),
]


@pytest.mark.parametrize("function, config, shapes", VECTORIZED)
def test_vectorize(function, config, shapes, rng):
    given = [torch.from_numpy(rng.normal(size=shape)) for shape in shapes]
    ours = ops.vectorize(function, **config)(*given)
    alone = np.vectorize(
        lambda *a: keras.tree.map_structure(np.asarray, function(*(torch.from_numpy(np.array(v)) for v in a))), **config
    )
    for a, b in zip(keras.tree.flatten(ours), keras.tree.flatten(alone(*map(np.asarray, given))), strict=True):
        np.testing.assert_allclose(a, b)


def test_vectorize_has_gradients(rng):
    x = torch.from_numpy(rng.normal(size=(4, 3))).requires_grad_()
    assert torch.autograd.gradcheck(ops.vectorize(lambda row: torch.logsumexp(row, 0), signature="(n)->()"), x)


@pytest.mark.parametrize("value", [torch.ones(2, 3), np.ones((2, 3)), kt(2, 3)])
def test_shape(value):
    assert ops.shape(value) == (2, 3)


def test_an_open_size_is_none():
    assert ops.shape(kt(None, 3)) == (None, 3)


@pytest.mark.parametrize("name", ["concatenate", "stack", "hstack", "vstack", "dstack"])
def test_a_tensor_stands_for_the_list_of_its_rows(name, rng):
    x = torch.from_numpy(rng.normal(size=(2, 3, 4)))
    torch.testing.assert_close(getattr(ops, name)(x), getattr(ops, name)(list(x)))


@pytest.mark.parametrize("name", ["median", "nanmedian", "prod", "nanprod"])
def test_axes_beyond_the_last_are_refused(name):
    with pytest.raises(ValueError, match="axis 2 is out of bounds"):
        getattr(ops, name)(torch.ones(2, 3), axis=2)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_histograms_of_half_precision(dtype):
    x = torch.linspace(0, 4, 17, dtype=dtype)
    for got, wanted in zip(*(library.ops.histogram(x, 4, (0, 2)) for library in (keras, torchkeras)), strict=True):
        torch.testing.assert_close(got, wanted)
