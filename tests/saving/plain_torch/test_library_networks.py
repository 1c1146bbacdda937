"""Weights of torchvision's and timm's networks in those of `keras.applications`: equal outputs, or a warning."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn

import torchkeras as keras
from tests.saving.plain_torch import torch_networks as nets
from torchkeras import layers, saving
from torchkeras.applications import convnext, inception_v3, resnet
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


class ConvNorm(nn.Module):
    """A convolution of torchvision's Inception, with zeros around the image unless it halves it."""

    def __init__(self, inside: int, width: int, size: int | tuple[int, int] = 1, stride: int = 1, pad: bool = True):
        super().__init__()
        height, across = (size, size) if isinstance(size, int) else size
        border = (height // 2, across // 2) if pad and stride == 1 else 0
        self.conv = nn.Conv2d(inside, width, (height, across), stride, border, bias=False)
        self.bn = nn.BatchNorm2d(width, eps=0.001)

    def forward(self, x):
        return torch.relu(self.bn(self.conv(x)))


W, H = (1, 7), (7, 1)
TAIL = {"1x1": [(320, 1)], "3x3": [(384, 1), "3x3_2a 3x3_2b"], "3x3dbl": [(448, 1), (384, 3), "3x3dbl_3a 3x3dbl_3b"]}


def of_35(pool):
    double = [(64, 1), (96, 3), (96, 3)]
    return {"1x1": [(64, 1)], "5x5": [(48, 1), (64, 5)], "3x3dbl": double, "_pool": [(pool, 1)]}


def of_17(width):
    double = [(width, 1), (width, H), (width, W), (width, H), (192, W)]
    return {"1x1": [(192, 1)], "7x7": [(width, 1), (width, W), (192, H)], "7x7dbl": double, "_pool": [(192, 1)]}


# The branches of each module: width, size and stride of their convolutions; at the end perhaps two side by side.
INCEPTION = {
    **{f"5{letter}": of_35(pool) for letter, pool in zip("bcd", (32, 64, 64), strict=True)},
    "6a": {"3x3": [(384, 3, 2)], "3x3dbl": [(64, 1), (96, 3), (96, 3, 2)], "max": []},
    **{f"6{letter}": of_17(width) for letter, width in zip("bcde", (128, 160, 160, 192), strict=True)},
    "7a": {"3x3": [(192, 1), (320, 3, 2)], "7x7x3": [(192, 1), (192, W), (192, H), (192, 3, 2)], "max": []},
    **{f"7{letter}": {**TAIL, "_pool": [(192, 1)]} for letter in "bc"},
}


class InceptionModule(nn.Module):
    def __init__(self, inside: int, branches) -> None:
        super().__init__()
        self.branches, self.width = {}, 0
        for branch, rows in branches.items():
            names, width = [], inside
            for i, row in enumerate(rows):
                if isinstance(row, str):
                    names.append([f"branch{part}" for part in row.split()])
                    for name, size in zip(names[-1], ((1, 3), (3, 1)), strict=True):
                        setattr(self, name, ConvNorm(width, 384, size))
                    width = 768
                else:
                    names.append([f"branch{branch}" + (f"_{i + 1}" if len(rows) > 1 else "")])
                    setattr(self, names[-1][0], ConvNorm(width, *row))
                    width = row[0]
            self.branches[branch], self.width = names, self.width + width

    def forward(self, x):
        outputs = []
        for branch, names in self.branches.items():
            y = nn.functional.max_pool2d(x, 3, 2) if branch == "max" else x
            y = nn.functional.avg_pool2d(y, 3, 1, 1) if branch == "_pool" else y
            for together in names:
                y = torch.cat([getattr(self, name)(y) for name in together], 1)
            outputs.append(y)
        return torch.cat(outputs, 1)


class TorchInception(nn.Module):
    """torchvision's Inception V3, with the auxiliary classifier that it has in training."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3, self.Conv2d_2a_3x3 = ConvNorm(3, 32, 3, 2), ConvNorm(32, 32, 3, pad=False)
        self.Conv2d_2b_3x3, self.Conv2d_3b_1x1 = ConvNorm(32, 64, 3), ConvNorm(64, 80)
        self.Conv2d_4a_3x3 = ConvNorm(80, 192, 3, pad=False)
        width = 192
        for name, branches in INCEPTION.items():
            module = InceptionModule(width, branches)
            self.add_module(f"Mixed_{name}", module)
            width = module.width
            if name == "6e":
                self.AuxLogits = nn.ModuleDict({"conv0": ConvNorm(width, 128), "fc": nn.Linear(128, 10)})
        self.fc = nn.Linear(width, 10)

    def forward(self, x):
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(nn.functional.max_pool2d(x, 3, 2)))
        x = nn.functional.max_pool2d(x, 3, 2)
        for name in INCEPTION:
            x = getattr(self, f"Mixed_{name}")(x)
        return self.fc(x.mean((2, 3)))


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


def as_inception():
    return keras.applications.InceptionV3(weights=None, input_shape=(75, 75, 3), classes=10, classifier_activation=None)


def test_inception_of_torchvision(capsys):
    """The auxiliary classifier is left out; scales, which Keras's normalizations lack, go into the variances."""
    module, x = nets.shaken(TorchInception()), torch.randn(2, 3, 75, 75)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name.endswith("bn.weight"):
                parameter.abs_().add_(0.5)
            elif name.endswith("conv.weight"):
                parameter.mul_(2.0 / parameter[0].numel() ** 0.5)
    with inception_v3.torch_pooling():
        model = as_inception()
    with pytest.warns(
        UserWarning, match="have no scale or no offset.*in inference the outputs are the module's"
    ) as seen:
        pairs = saving.load_torch_weights(model, module.state_dict())
    assert len(seen) == 1 and "AuxLogits.conv0.conv" in capsys.readouterr().out
    assert len(set(pairs.values())) == len(pairs) == 2 * 94 + 1
    with torch.no_grad():
        expected = module(x)
        scale = expected.abs().max().item()
        torch.testing.assert_close(model(x.movedim(1, -1)), expected, rtol=1e-4, atol=1e-4 * scale)
    with pytest.warns(UserWarning) as seen:
        saving.load_torch_weights(other := as_inception(), module.state_dict(), verbose=False)
    assert "computes otherwise" in str(seen[0].message) and "torch_pooling" in str(seen[0].message)
    with torch.no_grad():
        assert not torch.allclose(other(x.movedim(1, -1)), expected, rtol=1e-2, atol=1e-2 * scale)


@pytest.mark.parametrize("options", [{"scale": False}, {"center": False}, {"scale": False, "center": False}])
def test_a_normalization_with_fewer_weights_than_torchs(options):
    module = nets.shaken(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, eps=1e-3, affine=len(options) < 2)))
    x = torch.randn(2, 3, 8, 8)
    model = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3), layers.BatchNormalization(**options)])
    if len(options) < 2:
        before = model.get_weights()
        with pytest.raises(ValueError, match="each scale is positive"), torch.no_grad():
            module[1].weight[1] = -1.0
            saving.load_torch_weights(model, module.state_dict(), verbose=False)
        assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))
        with pytest.warns(UserWarning, match="no scale or no offset"), torch.no_grad():
            module[1].weight.abs_()
            saving.load_torch_weights(model, module.state_dict(), verbose=False)
    else:
        saving.load_torch_weights(model, module.state_dict(), verbose=False)
    torch.testing.assert_close(model(x.movedim(1, -1)), module(x).movedim(1, -1), rtol=1e-4, atol=1e-4)


def test_a_normalization_of_rows_without_the_scale_of_torchs():
    module = nets.shaken(nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4)))
    model = keras.Sequential([keras.Input((3,)), layers.Dense(4), layers.LayerNormalization(scale=False)])
    with pytest.raises(ValueError, match="the layer has no place"):
        saving.load_torch_weights(model, module.state_dict(), verbose=False)


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
