"""Torch modules as models, and the way there and back: weights bit for bit, outputs but for rounding."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.interop.layer_cases import case_id
from tests.saving.plain_torch import torch_networks as nets
from tests.saving.plain_torch.conversion_cases import ATTENTION, BIDIRECTIONAL, CONVERTED, ROWS, refused_row
from tests.saving.plain_torch.test_to_torch import NETWORKS, drawn, model_of, shaken
from torchkeras import layers, models, saving


def turned(x):
    return x.movedim(-1, 1).contiguous() if x.ndim in (4, 5) else x


def assert_returns(model, example, turn=True, reshaped=False):
    """The model, converted to torch and back, has the same weights, bit for bit, and computes the same."""
    module = saving.to_torch(model)
    given = example if isinstance(example, list) else [example]
    given = [turned(x) for x in given] if turn else given
    back = saving.from_torch(module, tuple(given))
    mine, theirs = model.get_weights(), back.get_weights()
    assert len(mine) <= len(theirs)
    if reshaped:  # the same numbers, in layers of another kind
        assert sorted(one.tobytes() for one in mine) == sorted(one.tobytes() for one in theirs)
    elif len(mine) == len(theirs):
        for one, other in zip(mine, theirs, strict=True):
            np.testing.assert_array_equal(one, other)
    else:  # a scale of ones, or a shift of zeros, that the layer lacked
        kept = [w for w in theirs if any(w.shape == one.shape and np.array_equal(w, one) for one in mine)]
        assert len(kept) >= len(mine)
    with torch.no_grad():
        wanted = module(*given)
        found = back(given if len(given) > 1 else given[0])
    wanted = wanted if isinstance(wanted, (list, tuple)) else [wanted]
    found = found if isinstance(found, (list, tuple)) else [found]
    for one, other in zip(wanted, found, strict=True):
        torch.testing.assert_close(torch.as_tensor(other), one, rtol=1e-3, atol=2e-5)
    return module, back


RETURNING = [
    case for case in ROWS if case[0] in CONVERTED and refused_row(case) is None and case[0] not in ("Masking", "PReLU")
]


@pytest.mark.parametrize("case", RETURNING, ids=case_id)
def test_layers_there_and_back(case):
    name, kwargs, shape = case
    if kwargs.get("mask_zero"):
        kwargs = {**kwargs, "mask_zero": False}
    model = shaken(model_of(getattr(layers, name)(**kwargs), shape))
    own = getattr(model.layers[-1], "data_format", None)
    example = drawn(shape)
    ranks = {x.ndim for x in (example if isinstance(example, list) else [example])}
    turn = own == "channels_last" and ranks <= {4, 5} and name != "Flatten"
    assert_returns(model, example, turn=turn, reshaped="groups" in kwargs and "Conv" in name)


# A product over several axes is no module of torch.nn: its parameter stands outside of them.
PRODUCTS = [case for case in ATTENTION if "xyz" not in case[1].get("equation", "")]


@pytest.mark.parametrize("case", PRODUCTS, ids=str)
def test_attention_there_and_back(case):
    name, kwargs, shape = case
    model = shaken(model_of(getattr(layers, name)(**kwargs), shape))
    is_packed = name == "MultiHeadAttention" and "value_dim" not in kwargs
    assert_returns(model, drawn(shape), reshaped=not is_packed)


@pytest.mark.parametrize(("kind", "sequences", "mode"), BIDIRECTIONAL)
def test_bidirectional_there_and_back(kind, sequences, mode):
    layer = layers.Bidirectional(getattr(layers, kind)(4, return_sequences=sequences), merge_mode=mode)
    assert_returns(shaken(model_of(layer, (2, 6, 3))), drawn((2, 6, 3)))


@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in ("own_layers", "ops")])
def test_networks_there_and_back(name):
    make, draw = NETWORKS[name]
    assert_returns(shaken(make()), draw())


# ---------------------------------------------------------------------------- modules that torch users write


class Mixed(nn.Module):
    """Functions, methods and operators of many kinds."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.norm = nn.GroupNorm(2, 8)
        self.heads = nn.ModuleList([nn.Linear(32, 4), nn.Linear(32, 4)])
        self.register_buffer("scale", torch.rand(8, 1, 1) + 1)

    def forward(self, x):
        b = x.size(0)
        x = F.silu(self.norm(self.conv(x))) * self.scale
        x = F.max_pool2d(x, 2).clamp(min=-0.5)
        x = x.view(b, 8, -1).transpose(1, 2)
        x = torch.cat([x, x.flip(1)], dim=-1).permute(0, 2, 1).unflatten(1, (8, 2))
        x = x.mean(2).flatten(1)[:, :32]
        first, second = (head(x) for head in self.heads)
        return torch.softmax(first - second / 2, dim=-1), torch.stack([first, second], 1).sum(1, keepdim=True)


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm = nn.LayerNorm(8)
        self.rnn = nn.GRU(8, 6, num_layers=2, batch_first=True, bidirectional=True)
        self.head = nn.Sequential(nn.Linear(12, 8), nn.Dropout(0.1), nn.GELU(), nn.Linear(8, 3))

    def forward(self, x):
        x = self.embed(x)
        x = self.norm(x + self.attention(x, x, x)[0])
        _, h = self.rnn(x)
        return self.head(torch.cat([h[-2], h[-1]], dim=-1))


MODULES = {
    "resnet": (nets.ResNet, lambda: torch.randn(2, 3, 16, 16)),
    "mixed": (Mixed, lambda: torch.randn(2, 3, 16, 16)),
    "vit": (nets.VisionTransformer, lambda: torch.randn(2, 3, 16, 16)),
    "vit_qkv": (lambda: nets.VisionTransformer(packed=False), lambda: torch.randn(2, 3, 16, 16)),
    **{
        f"transformer_{first}_{activation}": (
            lambda first=first, activation=activation: nn.TransformerEncoder(
                nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=first, activation=activation),
                2, nn.LayerNorm(8), enable_nested_tensor=False,
            ),
            lambda: torch.randn(2, 5, 8),
        )
        for first in (False, True) for activation in ("relu", "gelu")
    },
    "encoder": (Encoder, lambda: torch.randint(0, 11, (2, 5))),
    "qkv": (lambda: nets.Qkv(12, 3), lambda: torch.randn(2, 5, 12)),
    "lstm": (nets.TextClassifier, lambda: torch.randint(0, 20, (2, 7))),
    "sequential": (
        lambda: nn.Sequential(
            nn.Conv1d(3, 4, 3, padding=2, dilation=2), nn.BatchNorm1d(4), nn.ReLU(), nn.AvgPool1d(2), nn.Flatten(),
            nn.LazyLinear(5), nn.LogSoftmax(-1),
        ),
        lambda: torch.randn(2, 3, 12),
    ),
    "volumes": (
        lambda: nn.Sequential(
            nn.Conv3d(2, 4, 3, padding="same"), nn.BatchNorm3d(4), nn.LeakyReLU(0.1), nn.MaxPool3d(3, 2, 1),
            nn.ConvTranspose3d(4, 3, 3, 2, 1, output_padding=1), nn.AdaptiveAvgPool3d(1), nn.Flatten(),
        ),
        lambda: torch.randn(2, 2, 6, 6, 6),
    ),
    "one": (lambda: nn.Linear(4, 2), lambda: torch.randn(3, 4)),
}  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_modules(name):
    make, draw = MODULES[name]
    module, x = make(), draw()
    module(x)
    nets.shaken(module)
    model = saving.from_torch(module, x)
    other = torch.cat([draw(), draw(), draw()])  # another size of the batch
    with torch.no_grad():
        wanted, found = module(other), model(other)
    wanted = wanted if isinstance(wanted, tuple) else [wanted]
    for one, two in zip(wanted, found if isinstance(found, (list, tuple)) else [found], strict=True):
        torch.testing.assert_close(two, one, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", ["resnet", "encoder", "sequential", "vit"])
def test_the_model_is_saved_trained_and_named(name, tmp_path):
    make, draw = MODULES[name]
    module, x = make(), draw()
    module(x)
    model = saving.from_torch(module, x)
    names = {layer.name for layer in model.layers}
    assert {"resnet": "layer2_0_conv1", "encoder": "head_0", "sequential": "layer_0", "vit": "class_token"}[
        name
    ] in names
    model.save(tmp_path / "m.keras")
    loaded = saving.load_model(tmp_path / "m.keras")
    assert torch.equal(loaded(x), model(x))
    model.compile("sgd", "mse")
    before = model.get_weights()
    model.fit(x, torch.randn(model(x).shape), verbose=0)
    assert any(not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_the_module_keeps_its_mode():
    module = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5)).train()
    saving.from_torch(module, torch.randn(2, 3))
    assert module.training


class Branching(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


class WithParameter(nn.Module):
    def __init__(self):
        super().__init__()
        self.token = nn.Parameter(torch.randn(4))

    def forward(self, x):
        return x + self.token


class WithFft(nn.Module):
    def forward(self, x):
        return torch.fft.rfft(x).abs()


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (Branching(), "can't be traced by torch.fx"),
        (WithParameter(), r"token.*a parameter outside torch's own modules.*\(4,\)"),
        (WithFft(), "fft_rfft.*is not known"),
        (nn.Sequential(nn.Linear(4, 4), nn.Bilinear(4, 4, 2)), r"(_1|%1).*Bilinear|Bilinear.*"),
        (nn.Sequential(nn.Linear(4, 6), nn.Unflatten(1, (2, 3)), nn.MaxPool1d(2, ceil_mode=True)), "_2.*ceil_mode"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_refused_nodes_are_named(module, words):
    with pytest.raises(ValueError, match=rf"(?s){words}"):
        saving.from_torch(module, torch.randn(2, 4))


@pytest.mark.parametrize("wrong", [3, "model.pth", layers.Dense(2)])
def test_what_is_no_torch_module(wrong):
    with pytest.raises(ValueError, match="takes a torch module"):
        saving.from_torch(wrong, torch.randn(2, 4))


def test_a_wrong_reading_is_noticed(monkeypatch):
    from torchkeras.saving.plain_torch import read_modules

    monkeypatch.setitem(read_modules.READERS, nn.ReLU, lambda module, r, path, x: x * 1.01)
    with pytest.raises(RuntimeError, match="does not compute"):
        saving.from_torch(nn.Sequential(nn.Linear(3, 3), nn.ReLU()), torch.randn(2, 3))


def test_functional_models_are_returned():
    assert isinstance(saving.from_torch(nn.Linear(2, 2), torch.randn(1, 2)), models.Model)


def test_an_example_that_the_module_cannot_take_is_said():
    with pytest.raises(ValueError, match=r"Conv2d can't be called on the example, of shape \(1, 8, 8, 3\)"):
        saving.from_torch(torch.nn.Conv2d(3, 4, 3), torch.zeros(1, 8, 8, 3))
