"""EfficientNet (Tan and Le, 2019)."""

from __future__ import annotations

import math
from typing import Any

from torchkeras import layers
from torchkeras.applications.building.application import Arguments, Constructor, Family, Variant
from torchkeras.applications.building.blocks import (
    Blocks,
    activation,
    channels_of,
    padding_of_strided,
    repeats,
    rounded,
    squeeze_and_excite,
    stochastic_depth,
)
from torchkeras.applications.building.docstrings import RAW_PIXELS, Facts
from torchkeras.applications.building.preprocessing import TORCH_DEVIATION, no_preprocessing
from torchkeras.applications.building.weight_files import Hashes, WeightFile, plain
from torchkeras.applications.imagenet_utils import decode_predictions as decode_predictions
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.initializers import VarianceScaling

__all__ = [
    "EfficientNetB0",
    "EfficientNetB1",
    "EfficientNetB2",
    "EfficientNetB3",
    "EfficientNetB4",
    "EfficientNetB5",
    "EfficientNetB6",
    "EfficientNetB7",
    "decode_predictions",
    "preprocess_input",
]

DROP_CONNECT = 0.2
# For each stage: size of the kernel, repeats, output channels, factor of expansion, strides.
STAGES = (
    (3, 1, 16, 1, 1),
    (3, 2, 24, 6, 2),
    (5, 2, 40, 6, 2),
    (3, 3, 80, 6, 2),
    (5, 3, 112, 6, 1),
    (5, 4, 192, 6, 2),
    (3, 1, 320, 6, 1),
)


def kernels() -> VarianceScaling:
    """The initializer of all convolutions of the EfficientNets."""
    return VarianceScaling(scale=2.0, mode="fan_out", distribution="truncated_normal")


def classifier(x: KerasTensor, arguments: Arguments, dropout: float, **options: Any) -> KerasTensor:
    """The mean of each channel, dropout, and one dense layer."""
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    if dropout > 0:
        x = layers.Dropout(dropout, name="top_dropout")(x)
    return layers.Dense(
        arguments.classes,
        activation=arguments.classifier_activation,
        kernel_initializer=VarianceScaling(scale=1 / 3, mode="fan_out", distribution="uniform"),
        name="predictions",
        **options,
    )(x)


def _blocks() -> Blocks:
    return Blocks(
        conv={"padding": "same", "use_bias": False, "kernel_initializer": kernels()},
        norm={},
        depthwise={"use_bias": False, "depthwise_initializer": kernels()},
        counts_axis=True,
    )


def _active(blocks: Blocks, x: KerasTensor, name: str) -> KerasTensor:
    return activation(blocks.norm(x, f"{name}bn"), "silu", f"{name}activation")


def _inverted_residual(
    blocks: Blocks, x: KerasTensor, size: int, filters: int, expansion: int, strides: int, drop: float, name: str
) -> KerasTensor:
    """Widen, convolve each channel, weigh the channels, narrow again, and add the input where shapes agree."""
    shortcut, width = x, channels_of(x)
    if expansion != 1:
        x = blocks.conv(x, width * expansion, 1, f"{name}expand_conv")
        x = _active(blocks, x, f"{name}expand_")
    if strides == 2:
        x = layers.ZeroPadding2D(padding_of_strided(x, size), name=f"{name}dwconv_pad")(x)
    padding = "valid" if strides == 2 else "same"
    x = blocks.depthwise(x, size, f"{name}dwconv", strides=strides, padding=padding)
    x = _active(blocks, x, name)
    x = squeeze_and_excite(blocks, x, max(1, width // 4), name)
    x = blocks.norm(blocks.conv(x, filters, 1, f"{name}project_conv"), f"{name}project_bn")
    if strides == 1 and width == filters:
        x = layers.Add(name=f"{name}add")([stochastic_depth(x, drop, f"{name}drop"), shortcut])
    return x


def _features(image: KerasTensor, arguments: Arguments, width: float, depth: float) -> KerasTensor:
    blocks = _blocks()
    x = layers.Rescaling(1.0 / 255.0)(image)
    x = layers.Normalization(axis=blocks.axis)(x)
    if arguments.pretrained:
        # The published weights were trained on channels divided by the root of their deviation.
        x = layers.Rescaling([1.0 / math.sqrt(deviation) for deviation in TORCH_DEVIATION])(x)
    x = layers.ZeroPadding2D(padding_of_strided(x, 3), name="stem_conv_pad")(x)
    x = blocks.conv(x, rounded(32 * width), 3, "stem_conv", strides=2, padding="valid")
    x = _active(blocks, x, "stem_")
    counts = [repeats(stage[1], depth) for stage in STAGES]
    number = 0
    for stage, (size, _, filters, expansion, strides) in enumerate(STAGES):
        for i in range(counts[stage]):
            drop = DROP_CONNECT * number / float(sum(counts))
            name = f"block{stage + 1}{chr(97 + i)}_"
            x = _inverted_residual(
                blocks, x, size, rounded(filters * width), expansion, 1 if i else strides, drop, name
            )
            number += 1
    return _active(blocks, blocks.conv(x, rounded(1280 * width), 1, "top_conv"), "top_")


_HASHES = {
    "b0": Hashes("902e53a9f72be733fc0bcb005b3ebbac", "50bc09e76180e00e4465e1a485ddc09d"),
    "b1": Hashes("1d254153d4ab51201f1646940f018540", "74c4e6b3e1f6a1eea24c589628592432"),
    "b2": Hashes("b15cce36ff4dcbd00b6dd88e7857a6ad", "111f8e2ac8aa800a7a99e3239f7bfb39"),
    "b3": Hashes("ffd1fdc53d0ce67064dc6a9c7960ede0", "af6d107764bb5b1abb91932881670226"),
    "b4": Hashes("18c95ad55216b8f92d7e70b3a046e2fc", "ebc24e6d6c33eaebbd558eafbeedf1ba"),
    "b5": Hashes("ace28f2a6363774853a83a0b21b9421a", "38879255a25d3c92d5e44e04ae6cec6f"),
    "b6": Hashes("165f6e37dce68623721b423839de8be5", "9ecce42647a20130c1f39a5d4cb75743"),
    "b7": Hashes("8c03f828fec3ef71311cd463b6759d99", "cbcfe4450ddf6f3ad90b1b398090fe4a"),
}


def _weight_file(variant: Variant, arguments: Arguments) -> WeightFile:
    name = variant.name.lower()
    address = f"https://storage.googleapis.com/keras-applications/{name}"
    return plain(address, arguments.include_top, _HASHES[name[-2:]])


_facts = Facts(
    "EfficientNet",
    "Inverted residuals with squeeze-and-excitation; the variants scale width, depth and image size together.",
    "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks (Tan and Le, 2019, arXiv:1905.11946)",
    "efficientnet",
    RAW_PIXELS,
)


def _variant(number: int, size: int, parameters: str, width: float, depth: float, dropout: float) -> Constructor:
    def head(x: KerasTensor, arguments: Arguments) -> KerasTensor:
        return classifier(x, arguments, dropout)

    family = Family(_facts, _features, _weight_file, head)
    name = f"EfficientNetB{number}"
    return family.variant(name, name.lower(), size, parameters, width=width, depth=depth)


EfficientNetB0 = _variant(0, 224, "5.3 million", width=1.0, depth=1.0, dropout=0.2)
EfficientNetB1 = _variant(1, 240, "7.9 million", width=1.0, depth=1.1, dropout=0.2)
EfficientNetB2 = _variant(2, 260, "9.2 million", width=1.1, depth=1.2, dropout=0.3)
EfficientNetB3 = _variant(3, 300, "12.3 million", width=1.2, depth=1.4, dropout=0.3)
EfficientNetB4 = _variant(4, 380, "19.5 million", width=1.4, depth=1.8, dropout=0.4)
EfficientNetB5 = _variant(5, 456, "30.6 million", width=1.6, depth=2.2, dropout=0.4)
EfficientNetB6 = _variant(6, 528, "43.3 million", width=1.8, depth=2.6, dropout=0.5)
EfficientNetB7 = _variant(7, 600, "66.7 million", width=2.0, depth=3.1, dropout=0.5)
preprocess_input = no_preprocessing("efficientnet")
