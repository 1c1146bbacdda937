"""Weights of torch modules in models and back: what is paired, what is converted, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tests.saving.plain_torch import torch_networks as nets
from torchkeras import layers, models, saving
from torchkeras.saving.safety.budget import BadFileError


def images():
    return torch.randn(2, 3, 16, 16)


def tokens():
    return torch.randint(0, 20, (2, 7))


NETWORKS = {
    "resnet": (nets.ResNet, nets.keras_resnet, images),
    "resnet_shortcut_first": (nets.ResNet, lambda: nets.keras_resnet(shortcut_first=True), images),
    "vit": (nets.VisionTransformer, nets.keras_vit, images),
    "vit_qkv": (lambda: nets.VisionTransformer(packed=False), nets.keras_vit, images),
    **{
        f"{kind}_{both}_{depth}": (
            lambda kind=kind, both=both, depth=depth: nets.TextClassifier(getattr(nn, kind), both, depth),
            lambda kind=kind, both=both, depth=depth: nets.keras_text_classifier(
                {"RNN": "SimpleRNN"}.get(kind, kind), both, depth
            ),
            tokens,
        )
        for kind in ("LSTM", "GRU", "RNN")
        for both in (False, True)
        for depth in (1, 2)
    },
}


def as_keras(x: torch.Tensor) -> torch.Tensor:
    return x.movedim(1, -1) if x.ndim == 4 else x


@pytest.mark.parametrize("name", NETWORKS)
def test_the_model_computes_what_the_module_does(name):
    make, make_keras, inputs = NETWORKS[name]
    module, model, x = nets.shaken(make()), make_keras(), inputs()
    pairs = saving.load_torch_weights(model, module.state_dict(), verbose=False)
    torch.testing.assert_close(model(as_keras(x)), module(x), rtol=1e-4, atol=1e-5)
    assert len(set(pairs.values())) == len(pairs)


@pytest.mark.parametrize("name", ["resnet", "vit", "vit_qkv", "LSTM_True_2", "GRU_False_1"])
@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_back_under_torchs_names(tmp_path, name, suffix):
    make, make_keras, inputs = NETWORKS[name]
    module, model, x = nets.shaken(make()), make_keras(), inputs()
    pairs = saving.load_torch_weights(model, module.state_dict(), verbose=False)
    path = tmp_path / f"w.{suffix}"
    saving.save_torch_weights(model, path, mapping=pairs)
    from safetensors.torch import load_file

    state = load_file(path) if suffix == "safetensors" else torch.load(path, weights_only=True)
    other = make()
    wanted = {key for key in other.state_dict() if "num_batches" not in key}
    assert set(state) == wanted
    other.load_state_dict(state, strict=False)
    torch.testing.assert_close(other.eval()(x), module(x), rtol=1e-5, atol=1e-6)
    for key, value in module.state_dict().items():
        if key in wanted and not key.split(".")[-1].startswith("bias_"):
            assert torch.equal(state[key], value), key


def two_dense():
    inputs = layers.Input((4,))
    x = layers.Dense(4, name="first")(inputs)
    return models.Model(inputs, layers.Dense(4, name="second")(x))


def pair_of_linears(*names):
    module = nn.Module()
    for name in names:
        module.add_module(name, nn.Linear(4, 4))
    return module


@pytest.mark.parametrize("kind", ["safetensors", "pth", "state_dict", "module", "checkpoint", "wrapped"])
def test_sources(tmp_path, kind):
    module = pair_of_linears("a", "b")
    state = module.state_dict()
    source = {"state_dict": state, "module": module}.get(kind)
    if kind == "safetensors":
        save_file(state, source := tmp_path / "w.safetensors")
    elif kind == "pth":
        torch.save(state, source := tmp_path / "w.pth")
    elif kind == "checkpoint":
        torch.save({"epoch": 3, "model_state_dict": state}, source := tmp_path / "w.pt")
    elif kind == "wrapped":
        source = {f"module.{key}": value for key, value in state.items()}
    model = two_dense()
    assert saving.load_torch_weights(model, source, verbose=False) == {"first": "a", "second": "b"}
    assert torch.equal(model.get_layer("second").kernel, module.b.weight.T)


def test_names_decide_before_order():
    module = pair_of_linears("second", "first")
    assert saving.load_torch_weights(two_dense(), module, verbose=False) == {"first": "first", "second": "second"}


def test_branches_that_fit_alike_are_not_guessed():
    def model():
        inputs = layers.Input((4,))
        a, b = layers.Dense(4, name="left")(inputs), layers.Dense(4, name="right")(inputs)
        return models.Model(inputs, layers.Subtract()([a, b]))

    module = pair_of_linears("a", "b")
    mine = model()
    before = mine.get_weights()
    with pytest.raises(ValueError, match=r"does not guess(.|\n)*left, right(.|\n)*a, b(.|\n)*mapping=\{'left': 'a'"):
        saving.load_torch_weights(mine, module, verbose=False)
    for one, other in zip(before, mine.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    pairs = saving.load_torch_weights(mine, module, mapping={"left": "b"}, verbose=False)
    assert pairs == {"left": "b", "right": "a"}
    assert torch.equal(mine.get_layer("left").kernel, module.b.weight.T)


def test_numbers_that_contradict_the_order_are_not_guessed():
    with pytest.raises(ValueError, match="fit alike"):
        saving.load_torch_weights(two_dense(), pair_of_linears("fc2", "fc1"), verbose=False)


def test_layers_and_modules_without_a_partner_are_named():
    model = two_dense()
    module = pair_of_linears("a", "b")
    module.add_module("extra", nn.Linear(3, 7))
    with pytest.raises(ValueError, match=r"No layer fits torch's 'extra'.*weight \(7, 3\)"):
        saving.load_torch_weights(model, module, verbose=False)
    saving.load_torch_weights(model, module, mapping={"extra": None}, verbose=False)
    kept = models.Sequential([*two_dense().layers, layers.Dense(9, name="head")])
    head = kept.get_layer("head").get_weights()
    with pytest.raises(ValueError, match="No torch weights fit 'head'"):
        saving.load_torch_weights(kept, pair_of_linears("a", "b"), verbose=False)
    saving.load_torch_weights(kept, pair_of_linears("a", "b"), mapping={"head": None}, verbose=False)
    np.testing.assert_array_equal(kept.get_layer("head").get_weights()[0], head[0])


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ({"third": "a"}, "no 'third'"),
        ({"first": "c"}, "no module 'c'"),
        ({"first": "wide"}, r"'first' needs weight \(4, 4\).*'wide' has weight \(5, 4\)"),
    ],
)
def test_a_mapping_that_can_not_be(mapping, words):
    module = pair_of_linears("a", "b")
    module.add_module("wide", nn.Linear(4, 5))
    with pytest.raises(ValueError, match=words):
        saving.load_torch_weights(two_dense(), module, mapping=mapping, verbose=False)


def test_the_report(capsys):
    saving.load_torch_weights(two_dense(), pair_of_linears("a", "b"))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in lines[1:]] == [["first", "a", "order"], ["second", "b", "order"]]


@pytest.mark.parametrize(
    ("layer", "module", "shape"),
    [
        (layers.Conv1D(4, 3, padding="same"), nn.Conv1d(6, 4, 3, padding=1), (2, 8, 6)),
        (layers.Conv2D(4, 3, groups=2), nn.Conv2d(6, 4, 3, groups=2), (2, 8, 8, 6)),
        (layers.Conv3D(4, 2), nn.Conv3d(6, 4, 2), (2, 4, 4, 4, 6)),
        (layers.DepthwiseConv2D(3, depth_multiplier=2), nn.Conv2d(6, 12, 3, groups=6), (2, 8, 8, 6)),
        (layers.Conv2DTranspose(4, 3, 2), nn.ConvTranspose2d(6, 4, 3, 2), (2, 5, 5, 6)),
        (layers.GroupNormalization(2, epsilon=1e-5), nn.GroupNorm(2, 6), (2, 5, 6)),
        (layers.RMSNormalization(epsilon=1e-5), nn.RMSNorm(6, 1e-5), (2, 5, 6)),
        (layers.BatchNormalization(epsilon=1e-5), nn.BatchNorm2d(6), (2, 5, 5, 6)),
        (layers.PReLU(shared_axes=[1, 2]), nn.PReLU(6), (2, 5, 5, 6)),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_single_layers(layer, module, shape):
    x = torch.randn(shape)
    layer(x)
    nets.shaken(module)
    saving.load_torch_weights(layer, module, verbose=False)
    swapped = x if isinstance(module, nn.RMSNorm) else x.movedim(-1, 1)
    wanted = module(swapped)
    wanted = wanted if isinstance(module, nn.RMSNorm) else wanted.movedim(1, -1)
    torch.testing.assert_close(layer(x), wanted, rtol=1e-4, atol=1e-5)


def test_a_lone_parameter_may_have_axes_of_size_one():
    class Module(nn.Module):
        def __init__(self):
            super().__init__()
            self.pos_embed = nn.Parameter(torch.randn(1, 9, 4))
            self.head = nn.Linear(4, 2)

    inputs = layers.Input((9,), dtype="int32")
    model = models.Model(inputs, layers.Dense(2)(layers.Embedding(9, 4)(inputs)))
    module = Module()
    saving.load_torch_weights(model, module, verbose=False)
    assert torch.equal(model.layers[1].embeddings, module.pos_embed[0])


def test_files_that_hold_code_or_nothing(tmp_path):
    path = tmp_path / "module.pth"
    torch.save(nn.Linear(4, 4), path)
    with pytest.raises(BadFileError, match=r"state_dict"):
        saving.load_torch_weights(two_dense(), path)
    torch.save(pair_of_linears("a", "b").state_dict(), path, _use_new_zipfile_serialization=False)
    assert saving.load_torch_weights(two_dense(), path, verbose=False) == {"first": "a", "second": "b"}
    torch.save([1, 2], path)
    with pytest.raises(BadFileError, match="no state dict"):
        saving.load_torch_weights(two_dense(), path)
    path.write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(BadFileError, match="damaged"):
        saving.load_torch_weights(two_dense(), path)
    with pytest.raises(ValueError, match=r"\.safetensors"):
        saving.load_torch_weights(two_dense(), tmp_path / "weights.npz")
    with pytest.raises(FileNotFoundError):
        saving.load_torch_weights(two_dense(), tmp_path / "none.pth")


def test_a_pickle_is_not_run(tmp_path):
    import pickle

    class Payload:
        def __reduce__(self):
            return open, (str(tmp_path / "sentinel"), "w")

    path = tmp_path / "w.pth"
    path.write_bytes(pickle.dumps({"a": Payload()}))
    with pytest.raises(BadFileError):
        saving.load_torch_weights(two_dense(), path)
    assert not (tmp_path / "sentinel").exists()


class Stages(nn.Module):
    """As torchvision names a small network: no biases before normalizations, a linear layer behind the average."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Sequential(nn.Conv2d(3, 6, 3, bias=False), nn.BatchNorm2d(6, eps=1e-3), nn.ReLU())
        )
        self.classifier = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2))

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


def stages(conv="first", norm="norm"):
    """Such a network of Keras: statistics of the images, 1x1 convolutions at the end, a bias that torch lacks."""
    images = layers.Input((9, 9, 3))
    x = layers.Normalization(name="statistics")(images)
    x = layers.BatchNormalization(name=norm)(layers.Conv2D(6, 3, name=conv)(x))
    x = layers.GlobalAveragePooling2D(keepdims=True)(layers.ReLU()(x))
    x = layers.Conv2D(5, 1, activation="relu", name="hidden")(x)
    return models.Model(images, layers.Flatten()(layers.Conv2D(2, 1, name="head")(x)))


def test_statistics_stay_and_convolutions_of_one_pixel_are_linear(tmp_path):
    module, model = nets.shaken(Stages()).eval(), stages()
    mean = model.layers[1].adapt_mean.numpy()
    pairs = saving.load_torch_weights(model, module.state_dict(), verbose=False)
    assert pairs == {"first": "features.0.0", "norm": "features.0.1", "hidden": "classifier.0", "head": "classifier.2"}
    x = torch.randn(2, 3, 9, 9)
    torch.testing.assert_close(model(x.movedim(1, -1)), module(x), rtol=1e-4, atol=1e-5)
    assert (model.layers[1].adapt_mean.numpy() == mean).all()
    # Under the names of the module, without the bias that it lacks, and with its counter of batches.
    saving.save_torch_weights(model, tmp_path / "back.pth", mapping=pairs, like=module)
    found = torch.load(tmp_path / "back.pth")
    assert list(found) == list(module.state_dict())
    Stages().load_state_dict(found)
    assert all(torch.equal(value, found[name]) for name, value in module.state_dict().items())
    model.get_layer("first").bias.assign(torch.ones(6))
    with pytest.raises(ValueError, match=r"`like` lacks features.0.0.bias.*A bias that is not zero has no place"):
        saving.save_torch_weights(model, tmp_path / "back.pth", mapping=pairs, like=module)
    with pytest.raises(ValueError, match=r"`like` lacks .*first.weight.*; the model lacks features.0.0.weight"):
        saving.save_torch_weights(model, tmp_path / "back.pth", like=module)


def test_a_known_network_that_pads_otherwise_says_so():
    with pytest.warns(
        UserWarning, match="computes otherwise than the torch module. Where a convolution halves the image"
    ):
        saving.load_torch_weights(stages("Conv1", "bn_Conv1"), Stages().state_dict(), verbose=False)
