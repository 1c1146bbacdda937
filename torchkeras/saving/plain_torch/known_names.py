"""How torch's libraries call the parts of networks that `keras.applications` has: torchvision, timm, the authors' code.

A state dict has no graph. Where the shapes of a network's parts leave a choice, as the two branches of a residual block
do, the names of a known library decide.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

# A pattern of a layer's name, and the torch name as a format of the pattern's groups: `{1}`, or `{1-1}`, `{1*2+1}`.
Rows = Mapping[str, str]


@dataclass(frozen=True)
class NameTable:
    """The names of one network in one library.

    Attributes:
        network: name of the network and of the library.
        rows: `{pattern of the layer's name: torch name}`.
        note: a difference between the architectures, for the user; `None` if there is none.
        always_differs: whether outputs differ in any case, not only where the source shows it.
    """

    network: str
    rows: Rows
    note: str | None = None
    always_differs: bool = False

    def torch_name(self, layer: str) -> str | None:
        """The torch name of a layer (without the names of layers around it); `None` if it is not in the table."""
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


TABLES = (
    NameTable("MobileNetV2 of torchvision", _in_stages("Conv1", "bn_Conv1"), _BORDERS.format(""), always_differs=True),
    NameTable(
        "EfficientNet of torchvision",
        _in_stages("stem_conv", "stem_bn"),
        _BORDERS.format(", and some of its networks have another epsilon in their normalizations"),
        always_differs=True,
    ),
    NameTable("MobileNetV3 of torchvision", _in_stages("conv", "conv_bn"), _BORDERS.format(""), always_differs=True),
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
