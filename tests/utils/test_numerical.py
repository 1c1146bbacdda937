"""`to_categorical` and `normalize` against Keras and formulas."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import torch

from torchkeras.utils import normalize, to_categorical


def test_to_categorical_refuses_numbers_beyond_the_classes():
    with pytest.raises(IndexError, match="num_classes=2"):
        to_categorical([3], 2)
    assert to_categorical([], 3).shape == (0, 3)


@pytest.mark.parametrize("shape", [(), (5,), (5, 1), (2, 3), (2, 3, 1), (1,), (0,)])
@pytest.mark.parametrize("classes", [None, 7])
def test_to_categorical_of_arrays(shape, classes, rng):
    if shape == (0,) and classes is None:
        pytest.skip("no largest class")
    labels = rng.integers(0, 5, size=shape)
    for given in (labels, labels.tolist(), labels.astype("float32"), labels.astype("uint8")):
        mine, theirs = to_categorical(given, classes), keras.utils.to_categorical(given, classes)
        assert mine.dtype == theirs.dtype
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("shape", [(5,), (5, 1), (2, 3), (2, 3, 1)])
def test_to_categorical_of_tensors(shape, rng):
    labels = torch.from_numpy(rng.integers(-1, 5, size=shape))
    mine, theirs = to_categorical(labels, 6), keras.utils.to_categorical(labels, 6)
    assert mine.dtype == theirs.dtype
    assert torch.equal(mine, theirs)
    assert to_categorical(labels).shape[-1] == int(labels.max()) + 1


@pytest.mark.parametrize("labels, error", [(np.array([0, 3]), IndexError), (torch.tensor([0, 3]), RuntimeError)])
def test_to_categorical_refuses_classes_beyond(labels, error):
    with pytest.raises(error):
        to_categorical(labels, 3)


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("axis", [-1, 1, 0])
def test_normalize(order, axis, rng):
    x = rng.normal(size=(3, 4))
    x[1] = 0
    norms = (np.abs(x) ** order).sum(axis, keepdims=True) ** (1 / order)
    expected = x / np.where(norms == 0, 1, norms)
    np.testing.assert_allclose(normalize(x, axis, order), expected)
    tensor = torch.from_numpy(x)
    np.testing.assert_allclose(normalize(tensor, axis, order).numpy(), expected)
    # Keras computes a float64 tensor in float32.
    np.testing.assert_allclose(keras.utils.normalize(tensor, axis, order).numpy(), expected, rtol=1e-6)
    if axis != 0:  # Keras takes axis 0 of an array for the last one
        np.testing.assert_allclose(keras.utils.normalize(x, axis, order), expected)


def test_normalize_of_lists_scalars_and_integers():
    assert torch.equal(normalize([3.0, 4.0]), keras.utils.normalize([3.0, 4.0]))
    assert torch.equal(normalize(torch.tensor(5.0)), torch.ones(1))
    torch.testing.assert_close(normalize(torch.tensor([3, 4])), torch.tensor([0.6, 0.8]))


@pytest.mark.parametrize("order", [0, -1, 1.5])
def test_normalize_refuses_an_order(order):
    with pytest.raises(ValueError, match="`order` must"):
        normalize(torch.ones(2), order=order)
