"""Weights of torchvision's and timm's networks in those of `keras.applications`: equal outputs, or a warning."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn

import torchkeras as keras
from tests.saving.plain_torch import torch_networks as nets
from torchkeras import layers, saving
from torchkeras.applications import convnext, resnet
from torchkeras.applications.building.application import Family

DEPTHS, WIDTHS = (2, 1, 1, 1), (8, 12, 16, 20)


class Bottleneck(nn.Module):
    """A block of torchvision's ResNet, which halves the image in its 3x3 convolution."""

    def __init__(self, inside: int, width: int, stride: int, project: bool) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inside, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        if project:
            conv = nn.Conv2d(inside, 4 * width, 1, stride, bias=False)
            self.downsample = nn.Sequential(conv, nn.BatchNorm2d(4 * width))

    def forward(self, x):
        y = torch.relu(self.bn1(self.conv1(x)))
        y = self.bn3(self.conv3(torch.relu(self.bn2(self.conv2(y)))))
        return torch.relu(y + (self.downsample(x) if hasattr(self, "downsample") else x))


class TorchResNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, padding=3, bias=False), nn.BatchNorm2d(64)
        inside = 64
        for stage, depth in enumerate(DEPTHS):
            width = 64 * 2**stage
            blocks = [Bottleneck(inside, width, 2 if stage else 1, True)]
            blocks += [Bottleneck(4 * width, width, 1, False) for _ in range(depth - 1)]
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
            inside = 4 * width
        self.fc = nn.Linear(inside, 10)

    def forward(self, x):
        x = nn.functional.max_pool2d(torch.relu(self.bn1(self.conv1(x))), 3, 2, padding=1)
        for stage in range(4):
            x = getattr(self, f"layer{stage + 1}")(x)
        return self.fc(x.mean((2, 3)))


class ChannelNorm(nn.LayerNorm):
    def forward(self, x):
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class ConvNeXtBlock(nn.Module):
    """A block of timm's ConvNeXt."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv_dw = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, 4 * width), "fc2": nn.Linear(4 * width, width)})
        self.gamma = nn.Parameter(torch.rand(width))

    def forward(self, x):
        y = self.norm(self.conv_dw(x).movedim(1, -1))
        y = self.mlp["fc2"](nn.functional.gelu(self.mlp["fc1"](y)))
        return x + (y * self.gamma).movedim(-1, 1)


class TimmConvNeXt(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, WIDTHS[0], 4, 4), ChannelNorm(WIDTHS[0], eps=1e-6))
        self.stages = nn.ModuleList()
        for stage, (depth, width) in enumerate(zip(DEPTHS, WIDTHS, strict=True)):
            before = WIDTHS[stage - 1]
            down = [ChannelNorm(before, eps=1e-6), nn.Conv2d(before, width, 2, 2)] if stage else [nn.Identity()]
            blocks = nn.Sequential(*[ConvNeXtBlock(width) for _ in range(depth)])
            self.stages.append(nn.ModuleDict({"downsample": nn.Sequential(*down), "blocks": blocks}))
        self.head = nn.ModuleDict({"norm": nn.LayerNorm(WIDTHS[3], eps=1e-6), "fc": nn.Linear(WIDTHS[3], 10)})

    def forward(self, x):
        x = self.stem(x)
        for stage in self.stages:
            x = stage["blocks"](stage["downsample"](x))
        return self.head["fc"](self.head["norm"](x.mean((2, 3))))


class TorchvisionBlock(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        parts = {
            0: nn.Conv2d(width, width, 7, padding=3, groups=width),
            2: nn.LayerNorm(width, eps=1e-6),
            3: nn.Linear(width, 4 * width),
            5: nn.Linear(4 * width, width),
        }
        self.block = nn.ModuleDict({str(i): part for i, part in parts.items()})
        self.layer_scale = nn.Parameter(torch.rand(width, 1, 1))

    def forward(self, x):
        block = self.block
        y = block["2"](block["0"](x).movedim(1, -1))
        y = block["5"](nn.functional.gelu(block["3"](y))).movedim(-1, 1)
        return x + y * self.layer_scale


class TorchvisionConvNeXt(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        features = [nn.Sequential(nn.Conv2d(3, WIDTHS[0], 4, 4), ChannelNorm(WIDTHS[0], eps=1e-6))]
        for stage, (depth, width) in enumerate(zip(DEPTHS, WIDTHS, strict=True)):
            if stage:
                before = WIDTHS[stage - 1]
                features.append(nn.Sequential(ChannelNorm(before, eps=1e-6), nn.Conv2d(before, width, 2, 2)))
            features.append(nn.Sequential(*[TorchvisionBlock(width) for _ in range(depth)]))
        self.features = nn.Sequential(*features)
        self.classifier = nn.Sequential(nn.LayerNorm(WIDTHS[3], eps=1e-6), nn.Flatten(), nn.Linear(WIDTHS[3], 10))

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


def variant(family: Family, name: str, **options):
    """A variant of a family in a size of the test's own."""
    make = family.variant(name, name.lower(), 64, "few", **options)
    extra = {"include_preprocessing": False} if family is convnext._family else {}
    return make(weights=None, input_shape=(64, 64, 3), classes=10, classifier_activation=None, **extra)


def as_resnet():
    return variant(resnet._family, "ResNet50", depths=DEPTHS)


def as_convnext():
    return variant(convnext._family, "ConvNeXtTiny", depths=DEPTHS, widths=WIDTHS)


@pytest.mark.parametrize("make", [TimmConvNeXt, TorchvisionConvNeXt])
def test_convnext_of_the_libraries(make):
    module, model, x = nets.shaken(make()), as_convnext(), torch.randn(2, 3, 64, 64)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pairs = saving.load_torch_weights(model, module.state_dict(), verbose=False)
    assert len(set(pairs.values())) == len(pairs)
    torch.testing.assert_close(model(x.movedim(1, -1)), module(x), rtol=1e-4, atol=1e-4)


def test_resnet_with_torchs_strides_and_with_kerass():
    module, x = nets.shaken(TorchResNet()), torch.randn(2, 3, 64, 64)
    with resnet.torch_strides():
        model = as_resnet()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pairs = saving.load_torch_weights(model, module, verbose=False)
    assert pairs["conv2_block1_0_conv"] == "layer1.0.downsample.0" and pairs["predictions"] == "fc"
    assert not model.get_layer("conv2_block1_1_conv").bias.any()
    expected = module(x)
    torch.testing.assert_close(model(x.movedim(1, -1)), expected, rtol=1e-3, atol=1e-4 * expected.abs().max().item())
    for source in (module, module.state_dict()):
        with pytest.warns(
            UserWarning, match=r"(?s)strides of 'conv3_block1_1_conv': \(2, 2\), in torch \(1, 1\).*torch_strides"
        ):
            saving.load_torch_weights(keras_resnet := as_resnet(), source, verbose=False)
    assert not torch.allclose(keras_resnet(x.movedim(1, -1)), expected, rtol=0.01)


def test_a_classifier_on_a_flattened_image_takes_its_columns_in_torchs_order(tmp_path):
    def torch_network():
        return nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 31 * 31, 5))

    module, x = torch_network(), torch.randn(2, 3, 64, 64)
    models = {
        "last": [layers.Conv2D(4, 3, 2), layers.ReLU(), layers.Flatten(), layers.Dropout(0.5), layers.Dense(5)],
        "first": [layers.Permute((3, 1, 2)), layers.Conv2D(4, 3, 2, data_format="channels_first"), layers.ReLU()]
        + [layers.Flatten(), layers.Dense(5)],
        "both": [layers.Permute((3, 1, 2)), layers.Conv2D(4, 3, 2, data_format="channels_first"), layers.ReLU()]
        + [layers.Flatten(data_format="channels_first"), layers.Dense(5)],
        "permuted": [layers.Conv2D(4, 3, 2, activation="relu"), layers.Permute((3, 1, 2)), layers.Flatten()]
        + [layers.Dense(5)],
    }
    for name, parts in models.items():
        model = keras.Sequential([keras.Input((64, 64, 3)), *parts])
        pairs = saving.load_torch_weights(model, module, verbose=False)
        torch.testing.assert_close(model(x.movedim(1, -1)), module(x), rtol=1e-4, atol=1e-4, msg=name)
        saving.save_torch_weights(model, tmp_path / "w.pth", mapping=pairs)
        other = torch_network()
        other.load_state_dict(torch.load(tmp_path / "w.pth"))
        torch.testing.assert_close(other(x), module(x), msg=name)


def test_differences_that_a_module_shows_are_said():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Conv2D(4, 3, name="c"), layers.BatchNormalization(name="n")]
    )
    with pytest.warns(UserWarning, match="epsilon of 'n': 0.001, in torch 1e-05"):
        saving.load_torch_weights(model, module, verbose=False)
