"""EfficientNet V2 (Tan and Le, 2021)."""

from __future__ import annotations

from typing import NamedTuple

from torchkeras import layers
from torchkeras.applications.building.application import ORDER, Arguments, Constructor, Family, Variant
from torchkeras.applications.building.blocks import (
    Blocks,
    activation,
    channels_of,
    repeats,
    squeeze_and_excite,
    stochastic_depth,
)
from torchkeras.applications.building.docstrings import RAW_PIXELS, Facts
from torchkeras.applications.building.preprocessing import TORCH_DEVIATION, TORCH_MEAN, no_preprocessing
from torchkeras.applications.building.weight_files import BUCKET, Hashes, WeightFile, plain
from torchkeras.applications.efficientnet import DROP_CONNECT, classifier, kernels
from torchkeras.applications.imagenet_utils import decode_predictions as decode_predictions
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.initializers import Constant

__all__ = [
    "EfficientNetV2B0",
    "EfficientNetV2B1",
    "EfficientNetV2B2",
    "EfficientNetV2B3",
    "EfficientNetV2L",
    "EfficientNetV2M",
    "EfficientNetV2S",
    "decode_predictions",
    "preprocess_input",
]


class Stage(NamedTuple):
    """A stage: `fused` blocks have one 3x3 convolution in the place of a 1x1 and a depthwise one, and no excitation."""

    blocks: int
    strides: int
    expansion: int
    filters: int
    fused: bool


_BASE = (
    Stage(1, 1, 1, 16, True),
    Stage(2, 2, 4, 32, True),
    Stage(2, 2, 4, 48, True),
    Stage(3, 2, 4, 96, False),
    Stage(5, 1, 6, 112, False),
    Stage(8, 2, 6, 192, False),
)
_SMALL = (
    Stage(2, 1, 1, 24, True),
    Stage(4, 2, 4, 48, True),
    Stage(4, 2, 4, 64, True),
    Stage(6, 2, 4, 128, False),
    Stage(9, 1, 6, 160, False),
    Stage(15, 2, 6, 256, False),
)
_MEDIUM = (
    Stage(3, 1, 1, 24, True),
    Stage(5, 2, 4, 48, True),
    Stage(5, 2, 4, 80, True),
    Stage(7, 2, 4, 160, False),
    Stage(14, 1, 6, 176, False),
    Stage(18, 2, 6, 304, False),
    Stage(5, 1, 6, 512, False),
)
_LARGE = (
    Stage(4, 1, 1, 32, True),
    Stage(7, 2, 4, 64, True),
    Stage(7, 2, 4, 96, True),
    Stage(10, 2, 4, 192, False),
    Stage(19, 1, 6, 224, False),
    Stage(25, 2, 6, 384, False),
    Stage(7, 1, 6, 640, False),
)


def _scaled_width(filters: int, width: float) -> int:
    """The multiple of 8 that is nearest to a scaled number of filters."""
    return max(8, int(filters * width + 4) // 8 * 8)


def _blocks() -> Blocks:
    return Blocks(
        conv={"padding": "same", "use_bias": False, "kernel_initializer": kernels()},
        norm={"momentum": 0.9},
        depthwise={"padding": "same", "use_bias": False, "depthwise_initializer": kernels()},
        counts_axis=True,
    )


def _active(blocks: Blocks, x: KerasTensor, name: str) -> KerasTensor:
    return activation(blocks.norm(x, f"{name}bn"), "silu", f"{name}activation")


def _inverted_residual(
    blocks: Blocks, x: KerasTensor, stage: Stage, filters: int, strides: int, drop: float, name: str
) -> KerasTensor:
    """One block of a stage; a fused block that does not widen is a single convolution."""
    shortcut, width = x, channels_of(x)
    widens = stage.expansion != 1
    if stage.fused and widens:
        x = blocks.conv(x, width * stage.expansion, 3, f"{name}expand_conv", strides=strides)
        x = _active(blocks, x, f"{name}expand_")
    elif not stage.fused:
        x = blocks.conv(x, width * stage.expansion, 1, f"{name}expand_conv")
        x = _active(blocks, x, f"{name}expand_")
        x = blocks.depthwise(x, 3, f"{name}dwconv2", strides=strides)
        x = _active(blocks, x, name)
        x = squeeze_and_excite(blocks, x, max(1, width // 4), name)
    single = stage.fused and not widens
    size, last_strides = (3, strides) if single else (1, 1)
    x = blocks.norm(blocks.conv(x, filters, size, f"{name}project_conv", strides=last_strides), f"{name}project_bn")
    if single:
        x = activation(x, "silu", f"{name}project_activation")
    if strides == 1 and width == filters:
        x = layers.Add(name=f"{name}add")([stochastic_depth(x, drop, f"{name}drop"), shortcut])
    return x


def _scaled(blocks: Blocks, image: KerasTensor, base: bool) -> KerasTensor:
    """Pixels of 0 to 255 as the variant was trained on them."""
    if not base or channels_of(image) != 3:
        return layers.Rescaling(scale=1.0 / 128.0, offset=-1)(image)
    x = layers.Rescaling(scale=1.0 / 255)(image)
    variance = [deviation**2 for deviation in TORCH_DEVIATION]
    return layers.Normalization(mean=list(TORCH_MEAN), variance=variance, axis=blocks.axis)(x)


def _features(
    image: KerasTensor, arguments: Arguments, stages: tuple[Stage, ...], stem: int, width: float, depth: float
) -> KerasTensor:
    blocks = _blocks()
    x = image
    if arguments.own["include_preprocessing"]:
        x = _scaled(blocks, x, base=stages is _BASE)
    x = _active(blocks, blocks.conv(x, _scaled_width(stem, width), 3, "stem_conv", strides=2), "stem_")
    counts = [repeats(stage.blocks, depth) for stage in stages]
    number, total = 0, sum(stage.blocks for stage in stages)
    for i, stage in enumerate(stages):
        for j in range(counts[i]):
            drop = DROP_CONNECT * number / total
            name = f"block{i + 1}{chr(97 + j)}_"
            strides = 1 if j else stage.strides
            x = _inverted_residual(blocks, x, stage, _scaled_width(stage.filters, width), strides, drop, name)
            number += 1
    return _active(blocks, blocks.conv(x, _scaled_width(1280, width), 1, "top_conv"), "top_")


_HASHES = {
    "b0": Hashes("21ecbf6da12460d5c40bb2f29ceb2188", "893217f2bb855e2983157299931e43ff"),
    "b1": Hashes("069f0534ff22adf035c89e2d9547a9dc", "0e80663031ca32d657f9caa404b6ec37"),
    "b2": Hashes("424e49f28180edbde1e94797771950a7", "1dfe2e7a5d45b6632553a8961ea609eb"),
    "b3": Hashes("1f1fc43bd98a6e4fd8fdfd551e02c7a0", "f6abf7b5849ac99a89b50dd3fd532856"),
    "s": Hashes("e1d88a8495beba45748fedd0cecbe016", "af0682fb74e8c54910f2d4393339c070"),
    "m": Hashes("a3bf6aa3276309f4fc6a34aa114c95cd", "1b8dc055df72dde80d614482840fe342"),
    "l": Hashes("27e6d408b53c7ebc868fefa357689935", "b0b66b5c863aef5b46e8608fe1711615"),
}


def _weight_file(variant: Variant, arguments: Arguments) -> WeightFile:
    variant_name = variant.name.removeprefix("EfficientNetV2").lower()
    address = f"{BUCKET}/efficientnet_v2/efficientnetv2-{variant_name}"
    return plain(address, arguments.include_top, _HASHES[variant_name])


def _classifier(x: KerasTensor, arguments: Arguments) -> KerasTensor:
    return classifier(x, arguments, 0.2, bias_initializer=Constant(0.0))


_family = Family(
    Facts(
        "EfficientNetV2",
        "An EfficientNet that trains faster: its first stages have plain convolutions in the place of depthwise ones.",
        "EfficientNetV2: Smaller Models and Faster Training (Tan and Le, 2021, arXiv:2104.00298)",
        "efficientnet_v2",
        RAW_PIXELS + " With `include_preprocessing=False` it takes scaled pixels.",
        {"include_preprocessing": "whether the network starts with layers that scale pixels of 0 to 255."},
    ),
    _features,
    _weight_file,
    _classifier,
    own={"include_preprocessing": True},
    order=(*ORDER[:-1], "include_preprocessing", "name"),
)


def _variant(
    name: str,
    size: int,
    parameters: str,
    stages: tuple[Stage, ...] = _BASE,
    stem: int = 32,
    width: float = 1.0,
    depth: float = 1.0,
) -> Constructor:
    model_name = f"efficientnetv2-{name.lower()}"
    return _family.variant(
        f"EfficientNetV2{name}", model_name, size, parameters, stages=stages, stem=stem, width=width, depth=depth
    )


EfficientNetV2B0 = _variant("B0", 224, "7.2 million")
EfficientNetV2B1 = _variant("B1", 240, "8.2 million", depth=1.1)
EfficientNetV2B2 = _variant("B2", 260, "10.2 million", width=1.1, depth=1.2)
EfficientNetV2B3 = _variant("B3", 300, "14.5 million", width=1.2, depth=1.4)
EfficientNetV2S = _variant("S", 384, "21.6 million", _SMALL, stem=24)
EfficientNetV2M = _variant("M", 480, "54.4 million", _MEDIUM, stem=24)
EfficientNetV2L = _variant("L", 480, "119.0 million", _LARGE)
preprocess_input = no_preprocessing("efficientnet_v2")
