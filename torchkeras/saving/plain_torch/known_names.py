"""How torch's libraries call the parts of networks that `keras.applications` has: torchvision, timm, the authors' code.

A state dict has no graph. Where the shapes of a network's parts leave a choice, as the two branches of a residual block
do, the names of a known library decide.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torchkeras import layers
from torchkeras.layers.base.layer import Layer

# A pattern of a layer's name, and the torch name as a format of the pattern's groups: `{1}`, or `{1-1}`, `{1*2+1}`.
Rows = Mapping[str, str]


@dataclass(frozen=True)
class NameTable:
    """The names of one network in one library.

    Attributes:
        network: name of the network and of the library.
        rows: `{pattern of the layer's name: torch name}`.
        note: a difference between the architectures, for the user; `None` if there is none.
        differs: whether a model's outputs are others than the network's in any case, not only where the source shows
            it.
        numbered: `{pattern of names that are numbered as the layers are made: all torch names in this order}`.
        left_out: the beginning of names of modules that the model does not have; `None` if it has all.
    """

    network: str
    rows: Rows
    note: str | None = None
    differs: Callable[[Any], bool] = lambda model: False
    numbered: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    left_out: str | None = None

    def torch_names(self, layers: Mapping[int, str]) -> dict[int, str]:
        """The torch names of layers (given without the names of layers around them), of those in the table."""
        found = {i: name for i, layer in layers.items() if (name := self._torch_name(layer)) is not None}
        for pattern, names in self.numbered.items():
            numbers = {i: int(match[1] or 0) for i, name in layers.items() if (match := re.fullmatch(pattern, name))}
            if len(numbers) != len(names):
                return {}
            found |= dict(zip(sorted(numbers, key=numbers.__getitem__), names))
        return found

    def _torch_name(self, layer: str) -> str | None:
        for pattern, name in self.rows.items():
            found = re.fullmatch(rf"(?:.*_)?{pattern}", layer)
            if found is not None:
                return _filled(name, [int(group) for group in found.groups()])
        return None


def _filled(name: str, numbers: list[int]) -> str:
    return re.sub(r"\{(\d)([^}]*)\}", lambda slot: str(_number(numbers, slot)), name)


def _number(numbers: list[int], slot: re.Match) -> int:
    """The number for a slot `{1}`, `{1-1}`, `{1+1}`, `{1*2+1}`."""
    value = numbers[int(slot[1]) - 1]
    for sign, operand in re.findall(r"([*+-])(\d+)", slot[2]):
        value = _OPERATIONS[sign](value, int(operand))
    return value


_OPERATIONS: dict[str, Callable[[int, int], int]] = {
    "*": lambda a, b: a * b,
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
}

_RESNET = {
    "conv1_conv": "conv1",
    "conv1_bn": "bn1",
    r"conv(\d)_block(\d+)_0_conv": "layer{1-1}.{2-1}.downsample.0",
    r"conv(\d)_block(\d+)_0_bn": "layer{1-1}.{2-1}.downsample.1",
    r"conv(\d)_block(\d+)_(\d)_conv": "layer{1-1}.{2-1}.conv{3}",
    r"conv(\d)_block(\d+)_(\d)_bn": "layer{1-1}.{2-1}.bn{3}",
    "predictions": "fc",
}
STRIDES = (
    "torchvision's and timm's ResNets halve the image in the 3x3 convolution of a block (v1.5), Keras's in the first "
    "1x1 convolution. With strides in other places the same weights give other outputs: make the model inside "
    "`with keras.applications.resnet.torch_strides():`."
)


def _convnext(stem: str, down: str, block: str, parts: tuple[str, str, str, str, str], head: tuple[str, str]) -> Rows:
    """The rows of a ConvNeXt: where the stem, the narrowing layers, the blocks with their parts and the head are."""
    of_block = ("depthwise_conv", "layernorm", "pointwise_conv_1", "pointwise_conv_2", "layer_scale")
    return {
        "stem_conv": f"{stem}.0",
        "stem_layernorm": f"{stem}.1",
        r"downsampling_layernorm_(\d)": f"{down}.0",
        r"downsampling_conv_(\d)": f"{down}.1",
        **{rf"stage_(\d)_block_(\d+)_{layer}": f"{block}.{part}" for layer, part in zip(of_block, parts, strict=True)},
        "head_layernorm": head[0],
        "head_dense": head[1],
    }


_BORDERS = (
    "Where a convolution halves the image, torchvision's pads it on both sides, Keras's below and at the right, so "
    "that the same weights see the image half a step apart{}. Fine-tune the model, or take torchvision's module as it "
    "is by keras.saving.from_torch."
)


def _in_stages(conv: str, norm: str) -> Rows:
    """The first rows of a network of torchvision whose other layers are found by shape and order."""
    return {norm: "features.0.1", conv: "features.0.0"}


def _always(model: Layer) -> bool:
    return True


_POOLING = (
    "torchvision's Inception counts the zeros around an image in its average pooling, Keras's does not: make the model "
    "inside `with keras.applications.inception_v3.torch_pooling():`."
)


def _pools_as_keras(model: Layer) -> bool:
    return any(isinstance(layer, layers.AveragePooling2D) and layer.padding == "same" for layer in model.layers)


def _inception(kind: str) -> tuple[str, ...]:
    """The convolutions of torchvision's Inception V3 (`kind` "conv") or their normalizations ("bn"), in its order."""
    of_35 = "branch1x1 branch5x5_1 branch5x5_2 branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3 branch_pool"
    sevens = [f"branch7x7{part}" for part in "_1 _2 _3 dbl_1 dbl_2 dbl_3 dbl_4 dbl_5".split()]
    of_17 = " ".join(["branch1x1", *sevens, "branch_pool"])
    of_8 = (
        "branch1x1 branch3x3_1 branch3x3_2a branch3x3_2b branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3a branch3x3dbl_3b "
        "branch_pool"
    )
    modules = {
        **dict.fromkeys(("Mixed_5b", "Mixed_5c", "Mixed_5d"), of_35),
        "Mixed_6a": "branch3x3 branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3",
        **dict.fromkeys(("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"), of_17),
        "Mixed_7a": "branch3x3_1 branch3x3_2 branch7x7x3_1 branch7x7x3_2 branch7x7x3_3 branch7x7x3_4",
        **dict.fromkeys(("Mixed_7b", "Mixed_7c"), of_8),
    }
    stem = "Conv2d_1a_3x3 Conv2d_2a_3x3 Conv2d_2b_3x3 Conv2d_3b_1x1 Conv2d_4a_3x3".split()
    parts = [f"{module}.{branch}" for module, branches in modules.items() for branch in branches.split()]
    return tuple(f"{name}.{kind}" for name in (*stem, *parts))


TABLES = (
    NameTable(
        "Inception V3 of torchvision",
        {"predictions": "fc"},
        _POOLING,
        _pools_as_keras,
        {r"conv2d(?:_(\d+))?": _inception("conv"), r"batch_normalization(?:_(\d+))?": _inception("bn")},
        "AuxLogits.",
    ),
    NameTable("MobileNetV2 of torchvision", _in_stages("Conv1", "bn_Conv1"), _BORDERS.format(""), differs=_always),
    NameTable(
        "EfficientNet of torchvision",
        _in_stages("stem_conv", "stem_bn"),
        _BORDERS.format(", and some of its networks have another epsilon in their normalizations"),
        differs=_always,
    ),
    NameTable("MobileNetV3 of torchvision", _in_stages("conv", "conv_bn"), _BORDERS.format(""), differs=_always),
    NameTable("ResNet of torchvision and timm", _RESNET, STRIDES),
    NameTable(
        "ConvNeXt of timm",
        _convnext(
            "stem",
            "stages.{1+1}.downsample",
            "stages.{1}.blocks.{2}",
            ("conv_dw", "norm", "mlp.fc1", "mlp.fc2", "gamma"),
            ("head.norm", "head.fc"),
        ),
    ),
    NameTable(
        "ConvNeXt of torchvision",
        _convnext(
            "features.0",
            "features.{1*2+2}",
            "features.{1*2+1}.{2}",
            ("block.0", "block.2", "block.3", "block.5", "layer_scale"),
            ("classifier.0", "classifier.2"),
        ),
    ),
    NameTable(
        "ConvNeXt of its authors",
        _convnext(
            "downsample_layers.0",
            "downsample_layers.{1+1}",
            "stages.{1}.{2}",
            ("dwconv", "norm", "pwconv1", "pwconv2", "gamma"),
            ("norm", "head"),
        ),
    ),
)
