"""`torch.nn.utils.parametrizations` and `torch.nn.utils.prune` on weights of Keras layers."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune

import torchkeras as keras
from torchkeras import layers

LAYERS = {
    "dense": (lambda: layers.Dense(4), (3,), "kernel"),
    "einsum": (lambda: layers.EinsumDense("ab,bc->ac", 4), (3,), "kernel"),
    "conv": (lambda: layers.Conv2D(4, 3), (8, 8, 3), "kernel"),
    "depthwise": (lambda: layers.DepthwiseConv1D(3), (8, 3), "kernel"),
    "embedding": (lambda: layers.Embedding(9, 4), (5,), "embeddings"),
    "cell": (lambda: layers.LSTM(4).cell, None, "recurrent_kernel"),
}
WAYS = {
    "weight_norm": lambda layer, name: parametrizations.weight_norm(layer, name),
    "spectral_norm": lambda layer, name: parametrizations.spectral_norm(layer, name),
    "orthogonal": lambda layer, name: parametrizations.orthogonal(layer, name),
    "prune": lambda layer, name: prune.l1_unstructured(layer, name, amount=0.5),
}


def made(case):
    make, shape, name = LAYERS[case]
    layer = make()
    layer.build((None, 3) if shape is None else (None, *shape))
    return layer, name


def called(case, layer):
    shape = LAYERS[case][1]
    if shape is None:
        return layer(torch.ones(2, 3), [torch.ones(2, 4), torch.ones(2, 4)])[0]
    return layer(torch.ones(2, *shape, dtype=torch.int64 if case == "embedding" else torch.float32))


def like_torch(way, value):
    """The same done to a torch module with one parameter."""
    module = nn.Module()
    module.register_parameter("weight", nn.Parameter(value))
    module.eval()  # spectral_norm iterates once more in training
    WAYS[way](module, "weight")
    return module


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", LAYERS)
def test_the_layer_computes_with_what_torch_makes_of_the_weight(case, way):
    layer, name = made(case)
    value = getattr(layer, name).detach().clone()
    seed = torch.get_rng_state()
    WAYS[way](layer, name)
    torch.set_rng_state(seed)
    twin = like_torch(way, value)
    weight = getattr(layer, name)
    torch.testing.assert_close(weight, twin.weight)
    outputs = called(case, layer)
    plain, _ = made(case)
    for key, parameter in plain.named_parameters():
        parameter.data.copy_(weight if key == name else getattr(layer, key))
    torch.testing.assert_close(outputs, called(case, plain))
    outputs.square().sum().backward()
    parameters = dict(layer.named_parameters())
    assert len(parameters) == len(layer.trainable_weights) >= len(list(plain.parameters()))
    assert all(p.grad is not None for key, p in parameters.items() if not (case == "cell" and key == "kernel")), (
        parameters
    )


@pytest.mark.parametrize("way", WAYS)
def test_models_train_and_copy(way, rng):
    x, y = rng.normal(size=(16, 3)).astype("float32"), rng.normal(size=(16, 1))
    model = keras.Sequential([keras.Input((3,)), layers.Dense(3), layers.Dense(1)])
    WAYS[way](model.layers[0], "kernel")
    before = model.layers[0].kernel.detach().clone()
    model.compile("adam", "mse")
    history = model.fit(x, y, epochs=4, verbose=0).history["loss"]
    kernel = model.layers[0].kernel.detach()
    assert history[-1] < history[0] and not torch.equal(kernel, before)
    if way == "prune":
        assert torch.equal(kernel == 0, before == 0)
    if way == "spectral_norm":
        torch.testing.assert_close(torch.linalg.matrix_norm(kernel, 2), torch.tensor(1.0), rtol=0.05, atol=0)
    if way == "orthogonal":
        torch.testing.assert_close(kernel @ kernel.T, torch.eye(3), rtol=0, atol=1e-5)
    if way == "prune":  # torch keeps the pruned weight as a tensor with a graph, which Python can't copy
        return
    twin = copy.deepcopy(model)
    np.testing.assert_array_equal(twin.predict(x, verbose=0), model.predict(x, verbose=0))
    twin.load_state_dict(model.state_dict())


@pytest.mark.parametrize("way", ["weight_norm", "spectral_norm", "orthogonal"])
def test_removing_leaves_the_weight(way):
    layer, name = made("dense")
    WAYS[way](layer, name)
    layer.eval()
    expected = called("dense", layer)
    parametrize.remove_parametrizations(layer, name)
    assert [key for key, _ in layer.named_parameters()] in (["bias", "kernel"], ["kernel", "bias"])
    assert len(layer.trainable_weights) == 2
    torch.testing.assert_close(called("dense", layer), expected)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "bfloat16"])
def test_low_precision(policy):
    layer = layers.Dense(4, dtype=policy)
    layer.build((None, 3))
    expected = called("dense", layer)
    parametrizations.weight_norm(layer, "kernel")
    outputs = called("dense", layer)
    assert outputs.dtype == torch.bfloat16
    torch.testing.assert_close(outputs, expected, rtol=0.05, atol=0.05)


def test_files_say_what_they_leave_out(tmp_path):
    def model():
        made = keras.Sequential([keras.Input((3,)), layers.Dense(3, name="normed"), layers.Dense(1)])
        parametrizations.weight_norm(made.layers[0], "kernel")
        return made

    one, other = model(), model()
    with pytest.warns(UserWarning, match=r"load_model\(\) will refuse.*\['normed'\] by parametrizations"):
        one.save(tmp_path / "model.keras")
    one.save_weights(tmp_path / "model.weights.h5")
    other.load_weights(tmp_path / "model.weights.h5")
    x = np.ones((2, 3))
    np.testing.assert_array_equal(other.predict(x, verbose=0), one.predict(x, verbose=0))
    parametrize.remove_parametrizations(one.layers[0], "kernel")
    one.save(tmp_path / "model.keras")
    found = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(found.predict(x, verbose=0), other.predict(x, verbose=0), rtol=1e-5)


def test_a_parameter_of_a_variable():
    layer, _ = made("dense")
    plain = nn.Parameter(layer.kernel)
    assert type(plain) is nn.Parameter and plain.data_ptr() == layer.kernel.data_ptr() and plain.requires_grad
    assert not nn.Parameter(layer.kernel, requires_grad=False).requires_grad
    assert type(nn.Parameter(torch.ones(2))) is nn.Parameter and nn.Parameter().shape == (0,)
