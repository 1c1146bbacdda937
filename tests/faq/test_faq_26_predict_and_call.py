"""FAQ: the difference between `predict()` and `model(x)`."""

import numpy as np
import pytest
import torch

import torchkeras as keras


@pytest.fixture
def model():
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(4), keras.layers.Dropout(0.5)])


def test_predict_loops_over_batches_and_returns_numpy(model, rng):
    x = rng.normal(size=(70, 3)).astype("float32")
    sizes = []
    model.layers[0].register_forward_hook(lambda layer, inputs, output: sizes.append(len(output)))
    y = model.predict(x, verbose=0)
    assert isinstance(y, np.ndarray) and y.shape == (70, 4) and y.dtype == np.float32
    assert sizes == [32, 32, 6]
    np.testing.assert_allclose(y, model(x).detach().numpy(), rtol=1e-5, atol=1e-6)


def test_a_call_is_one_differentiable_step(model, rng):
    x = torch.as_tensor(rng.normal(size=(70, 3)), dtype=torch.float32).requires_grad_()
    y = model(x)
    assert isinstance(y, torch.Tensor) and y.requires_grad
    y.sum().backward()
    assert x.grad is not None and model.layers[0].kernel.grad is not None


def test_calls_take_numpy_and_tensors(model):
    for x in (np.ones((2, 3)), torch.ones((2, 3)), torch.ones((2, 3), dtype=torch.float64)):
        assert model(x).shape == (2, 4)


@pytest.mark.parametrize("structure", ["list", "dict", "nested"])
def test_predict_keeps_the_structure_of_the_outputs(structure, rng):
    inputs = keras.Input((3,))
    a, b = keras.layers.Dense(1, name="a")(inputs), keras.layers.Dense(2, name="b")(inputs)
    model = keras.Model(inputs, {"list": [a, b], "dict": {"a": a, "b": b}, "nested": {"x": [a, b]}}[structure])
    found = model.predict(rng.normal(size=(40, 3)), verbose=0)
    shapes = keras.tree.map_structure(lambda part: part.shape, found)
    a, b = (40, 1), (40, 2)
    assert shapes == {"list": [a, b], "dict": {"a": a, "b": b}, "nested": {"x": [a, b]}}[structure]
