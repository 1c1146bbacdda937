"""`torch_view`: tools that look for modules of `torch.nn` transform layers, and the layers come back."""

from __future__ import annotations

import copy
import pickle
import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

import torchkeras as keras
from torchkeras import layers

# A layer, the shape of its inputs (an int for indices below it), and the module that stands for it.
LAYERS = {
    "dense": (lambda: layers.Dense(5, activation="tanh"), (2, 4), nn.Linear),
    "dense_no_bias": (lambda: layers.Dense(5, use_bias=False), (4,), nn.Linear),
    "heads": (lambda: layers.EinsumDense("abc,cde->abde", (3, 2, 4), bias_axes="de"), (3, 6), nn.Linear),
    "from_heads": (
        lambda: layers.EinsumDense("abde,dec->abc", (3, 5), bias_axes="c", activation="relu"),
        (3, 2, 4),
        nn.Linear,
    ),
    "bias_of_one_axis": (lambda: layers.EinsumDense("ab,bcd->acd", (2, 4), bias_axes="d"), (3,), nn.Linear),
    "causal": (lambda: layers.Conv1D(4, 3, padding="causal", dilation_rate=2), (7, 3), nn.Conv1d),
    "conv": (lambda: layers.Conv2D(4, 3, padding="same", activation="relu"), (6, 5, 3), nn.Conv2d),
    "even_window": (lambda: layers.Conv2D(4, (2, 4), padding="same"), (6, 5, 3), nn.Conv2d),
    "strides": (lambda: layers.Conv2D(4, 3, strides=2, padding="same", groups=2), (6, 5, 4), nn.Conv2d),
    "channels_first": (
        lambda: layers.Conv2D(4, 2, dilation_rate=2, data_format="channels_first"),
        (3, 6, 5),
        nn.Conv2d,
    ),
    "conv3d": (lambda: layers.Conv3D(2, 2), (3, 4, 3, 2), nn.Conv3d),
    "depthwise": (lambda: layers.DepthwiseConv2D(3, 2, "same", 2, activation="relu"), (6, 5, 3), nn.Conv2d),
    "depthwise1d": (lambda: layers.DepthwiseConv1D(2, dilation_rate=2, use_bias=False), (7, 3), nn.Conv1d),
    "transposed": (lambda: layers.Conv2DTranspose(4, 3, 2, "same", activation="relu"), (3, 4, 2), nn.ConvTranspose2d),
    "transposed1d": (lambda: layers.Conv1DTranspose(4, 3, dilation_rate=2), (5, 2), nn.ConvTranspose1d),
    "embedding": (lambda: layers.Embedding(9, 4), 9, nn.Embedding),
    "reversible": (lambda: layers.ReversibleEmbedding(9, 4, mask_zero=True), 9, nn.Embedding),
}


class Adapter(nn.Module):
    """A module with a low-rank term, as PEFT puts it in the place of one of torch's."""

    def __init__(self, base: nn.Module) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        weight = base.weight.flatten(1)
        self.a = nn.Parameter(torch.randn(weight.shape[0], 2))
        self.b = nn.Parameter(torch.randn(2, weight.shape[1]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        twin = copy.deepcopy(self.base)
        names = dict(self.base.named_parameters())
        names["weight"] = self.base.weight + (self.a @ self.b).view(self.base.weight.shape)
        return torch.func.functional_call(twin, names, (x,))


class Int8(nn.Module):
    """A quantized module, as tools put it in the place of torch's: integers and scales, which are buffers."""

    def __init__(self, base: nn.Module) -> None:
        super().__init__()
        scale = base.weight.detach().abs().amax() / 127
        self.register_buffer("values", (base.weight.detach() / scale).round().to(torch.int8))
        self.register_buffer("scale", scale)
        self.call = copy.deepcopy(base).requires_grad_(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(self.call, {"weight": self.values * self.scale}, (x,))


def replace(model: nn.Module, new: type, *kinds: type) -> None:
    """Put `new(module)` in the place of each module of one of the classes: the way of torchao, torch.ao and PEFT."""
    for name, child in model.named_children():
        if type(child) in kinds:
            setattr(model, name, new(child))
        else:
            replace(child, new, *kinds)


TOOLS = {
    "adapter": lambda model, module: replace(model, Adapter, type(module)),
    "int8": lambda model, module: replace(model, Int8, type(module)),
    "prune": lambda model, module: prune.l1_unstructured(module, "weight", amount=0.5),
    "weight_norm": lambda model, module: parametrizations.weight_norm(module),
    "new_parameter": lambda model, module: setattr(module, "weight", nn.Parameter(torch.randn_like(module.weight))),
}


def made(case: str) -> tuple[keras.Model, torch.Tensor]:
    make, shape, _ = LAYERS[case]
    if isinstance(shape, int):
        inputs, x = keras.Input((5,), dtype="int32"), torch.randint(shape, (3, 5))
    else:
        inputs, x = keras.Input(shape), torch.randn(3, *shape)
    model = keras.Model(inputs, make()(inputs))
    for weight in model.weights:
        weight.assign(torch.randn(weight.shape))
    return model, x


@pytest.mark.parametrize("case", LAYERS)
def test_a_layer_computes_as_a_torch_module_and_comes_back(case):
    model, x = made(case)
    expected, keys, weights = model(x), list(model.state_dict()), model.weights
    values, paths = model.get_weights(), [w.path for w in weights]
    view = keras.utils.torch_view(model)
    (module,) = view.modules.values()
    assert type(module) is LAYERS[case][2] and not view.left_alone and not view.changed
    torch.testing.assert_close(model(x), expected)
    assert sorted(w.path for w in model.weights) == sorted(paths)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        torch.testing.assert_close(twin(x), expected)
    model(x).square().sum().backward()
    torch.optim.SGD(model.parameters(), lr=0.01).step()
    trained = model(x).detach()
    view.close()
    assert list(model.state_dict()) == keys and all(a is b for a, b in zip(model.weights, weights, strict=True))
    assert all(w.is_contiguous() for w in model.weights)
    torch.testing.assert_close(model(x), trained)
    assert not any((a == b.numpy()).all() for a, b in zip(values, model.weights, strict=True))


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("case", LAYERS)
def test_a_module_that_a_tool_changed_stays_is_saved_and_is_merged(case, tool, tmp_path):
    model, x = made(case)
    with keras.utils.torch_view(model) as view:
        (module,) = view.modules.values()
        TOOLS[tool](model, module)
    changed = model(x)
    if tool != "new_parameter":
        assert list(view.changed) == list(view.modules)
    model.save_weights(tmp_path / "a.weights.h5")
    twin, _ = made(case)
    twin.load_weights(tmp_path / "a.weights.h5")
    torch.testing.assert_close(twin(x), changed, rtol=1e-4, atol=1e-4)
    view.close("merge")
    assert not view.modules and list(model.state_dict()) == list(twin.state_dict())
    torch.testing.assert_close(model(x), changed, rtol=1e-4, atol=1e-4)


def network() -> keras.Model:
    inputs = keras.Input((6, 6, 3))
    x = layers.ZeroPadding2D(1)(inputs)
    x = layers.Conv2D(4, 3, kernel_constraint=keras.constraints.UnitNorm(axis=[0, 1, 2]))(x)
    x = layers.Reshape((36, 4))(x)
    x = layers.MultiHeadAttention(2, 3)(x, x)
    x = layers.GlobalAveragePooling1D()(x)
    x = layers.Dense(3, kernel_regularizer="l2", kernel_constraint=keras.constraints.MaxNorm(0.9, axis=0))(x)
    return keras.Model(inputs, x)


def test_training_goes_on_under_the_view_and_after_it(tmp_path):
    x, y = torch.randn(8, 6, 6, 3), torch.randn(8, 3)
    # The gradient of the keys' bias is zero but for rounding, of which a small epsilon makes steps.
    adam = lambda: keras.optimizers.Adam(0.01, epsilon=1e-3)
    one = network()
    one.compile(adam(), "mse")
    two = keras.models.clone_model(one)
    two.compile(adam(), "mse")
    two.set_weights(one.get_weights())
    losses = one.fit(x, y, epochs=3, shuffle=False, verbose=0).history["loss"]
    found = two.fit(x, y, epochs=1, shuffle=False, verbose=0).history["loss"]
    with keras.utils.torch_view(two):
        found += two.fit(x, y, epochs=1, shuffle=False, verbose=0).history["loss"]
        with pytest.warns(UserWarning, match="Close the view before saving"):
            two.save(tmp_path / "under.keras")
    found += two.fit(x, y, epochs=1, shuffle=False, verbose=0).history["loss"]
    assert found == pytest.approx(losses, rel=1e-5)
    for a, b in zip(one.get_weights(), two.get_weights(), strict=True):
        torch.testing.assert_close(torch.as_tensor(a), torch.as_tensor(b), rtol=1e-4, atol=1e-5)
    two.save(tmp_path / "after.keras")
    assert int(keras.saving.load_model(tmp_path / "after.keras").optimizer.iterations) == 3
    under = keras.saving.load_model(tmp_path / "under.keras")
    assert under.get_config() == two.get_config() and [w.shape for w in under.weights] == [w.shape for w in two.weights]


def test_an_adapter_trains_alone_and_survives_a_file_as_its_sum(tmp_path):
    x, y = torch.randn(8, 6, 6, 3), torch.randn(8, 3)
    model = network()
    before = model.get_weights()
    with keras.utils.torch_view(model) as view:
        model.requires_grad_(False)
        replace(model, Adapter, nn.Linear)
    assert len(view.changed) == 5 and "conv2d.kernel" in model.state_dict()
    model.compile("adam", "mse")
    assert len(model.trainable_weights) == 10
    model.fit(x, y, epochs=2, verbose=0)
    outputs = model.predict(x, verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.predict(x, verbose=0) == pytest.approx(outputs, rel=1e-3, abs=1e-3)
    assert (loaded.layers[2].kernel.numpy() == before[0]).all()


def test_refusals_say_what_to_do(tmp_path):
    model = keras.Sequential([layers.Dense(3)])
    with pytest.raises(ValueError, match="Build the model first"):
        keras.utils.torch_view(model)
    model.build((None, 4))
    model.add(layers.Dense(2))
    model.layers[1].enable_lora(1)
    model.save_weights(tmp_path / "a.weights.h5")
    view = keras.utils.torch_view(model)
    assert list(view.modules) == ["dense.linear"] and "adapter already" in view.left_alone[model.layers[1].name]
    dense = model.layers[0]
    for refused in (lambda: dense.enable_lora(2), lambda: dense.quantize("int8")):
        with pytest.raises(ValueError, match="Close the view first"):
            refused()
    dense.linear = nn.Sequential(dense.linear, nn.ReLU())
    with pytest.raises(ValueError, match=r"modules \['dense.linear'\]"):
        view.close("refuse")
    with pytest.raises(ValueError, match="linear in its inputs"):
        view.close("merge")
    with pytest.raises(ValueError, match="Merge the module first"):
        model.load_weights(tmp_path / "a.weights.h5")
    with pytest.raises(AttributeError, match="no 'kernel' of its own"):
        _ = dense.kernel
    with pytest.raises(ValueError, match="changed must be"):
        view.close("other")
    dense.linear = dense.linear[0]
    view.close("refuse")
    assert isinstance(dense.kernel, keras.Variable)


class OwnCall(layers.Dense):
    def call(self, inputs):
        return super().call(2 * inputs)


def test_layers_with_a_formula_of_their_own_are_left_alone():
    model = keras.Sequential([keras.Input((4,)), OwnCall(3), layers.EinsumDense("ab,cb->ac", 2), layers.Dense(2)])
    model.layers[2].quantize("int8")
    view = keras.utils.torch_view(model)
    assert not view.modules
    assert [reason.split()[0] for reason in view.left_alone.values()] == ["its", "the", "it"]


@pytest.mark.parametrize(
    ("make", "shape", "wrong"),
    [
        (lambda: layers.Dense(3), (4,), (2, 5)),
        (lambda: layers.Conv2D(3, 2), (4, 4, 2), (2, 4, 4, 3)),
        (lambda: layers.Conv2DTranspose(3, 2), (4, 4, 2), (2, 4, 4, 3)),
    ],
)
def test_inputs_of_a_wrong_size_are_refused_in_kerass_words(make, shape, wrong):
    layer = make()
    layer.build((None, *shape))
    with keras.utils.torch_view(layer), pytest.raises(ValueError, match="is incompatible with the layer: expected"):
        layer(torch.zeros(wrong))
