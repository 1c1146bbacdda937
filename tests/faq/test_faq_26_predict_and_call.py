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


def test_a_call_becomes_an_array_by_its_numpy_method(model, rng):
    x = rng.normal(size=(5, 3)).astype("float32")
    y = model(x)
    assert type(y) is torch.Tensor and y.requires_grad
    array = y.numpy()
    assert isinstance(array, np.ndarray)
    np.testing.assert_allclose(array, model.predict(x, verbose=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(np.asarray(y), array)
    np.testing.assert_array_equal(y[1:].numpy(), array[1:])
    assert keras.ops.softmax(y).numpy().shape == (5, 4)
    y.sum().backward()  # the array took nothing away from the gradient
    assert model.layers[0].kernel.grad is not None


def test_the_numpy_method_is_torchs_own_otherwise():
    x = torch.arange(3.0)
    x.numpy()[0] = 7  # shares memory
    assert x[0] == 7
    with pytest.raises(TypeError, match="bfloat16|BFloat16"):
        x.bfloat16().numpy()
    with pytest.raises(RuntimeError, match="conj"):
        torch.ones(2, dtype=torch.complex64).conj().numpy()
    assert x.numpy(force=True).shape == (3,)

    @torch.compile(fullgraph=True, backend="eager")
    def compiled(x):
        return torch.from_numpy(x.numpy() + 1)

    torch.testing.assert_close(compiled(x), x + 1)
