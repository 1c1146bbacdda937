"""Sparse tensors through functional and Sequential models."""

from __future__ import annotations

import pytest
import torch

import torchkeras as keras
from torchkeras import layers

SPARSE = {"coo": torch.Tensor.to_sparse, "csr": torch.Tensor.to_sparse_csr}


def one_hot(rows, size):
    return torch.eye(size)[torch.randint(0, size, (rows,))]


@pytest.mark.filterwarnings("ignore:Sparse CSR")
@pytest.mark.parametrize("layout", SPARSE)
def test_a_model_of_dense_layers_takes_sparse_rows(layout):
    inputs = keras.Input((6,), sparse=True)
    assert inputs.sparse
    hidden = layers.Dense(4, activation="relu")(inputs)
    assert not hidden.sparse
    model = keras.Model(inputs, layers.Dense(2)(hidden))
    x = one_hot(8, 6)
    sparse = SPARSE[layout](x)
    torch.testing.assert_close(model(sparse), model(x))
    model(sparse).square().sum().backward()
    found = [w.grad.clone() for w in model.weights]
    model.zero_grad()
    model(x).square().sum().backward()
    for gradient, weight in zip(found, model.weights, strict=True):
        torch.testing.assert_close(gradient, weight.grad)


@pytest.mark.filterwarnings("ignore:Sparse CSR")
@pytest.mark.parametrize("layout", SPARSE)
def test_large_sparse_products_without_gradients(layout):
    model = keras.Sequential([keras.Input((512,), sparse=True), layers.Dense(128)])
    x = one_hot(64, 512)
    with torch.inference_mode():
        torch.testing.assert_close(model(SPARSE[layout](x)), model(x))


def test_the_config_says_that_an_input_is_sparse():
    model = keras.Sequential([keras.Input((6,), sparse=True), layers.Dense(2)])
    again = keras.Sequential.from_config(model.get_config())
    assert again.inputs[0].sparse
    inputs = keras.Input((6,), sparse=True)
    functional = keras.Model(inputs, layers.Dense(2)(inputs))
    assert keras.models.clone_model(functional).inputs[0].sparse
    assert keras.Model.from_config(functional.get_config()).inputs[0].sparse


def test_ragged_inputs_are_refused():
    with pytest.raises(ValueError, match="`ragged=True` is not supported"):
        keras.Input((None,), ragged=True)
