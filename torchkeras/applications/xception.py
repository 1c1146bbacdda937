"""Xception (Chollet, 2016)."""

from __future__ import annotations

from torchkeras import layers
from torchkeras.applications.building.application import Arguments, Family, Variant, unnamed_poolings
from torchkeras.applications.building.blocks import Blocks, activation
from torchkeras.applications.building.docstrings import TF_PIXELS, Facts
from torchkeras.applications.building.preprocessing import tf_preprocessing
from torchkeras.applications.building.weight_files import Hashes, WeightFile, tf_kernels
from torchkeras.applications.imagenet_utils import decode_predictions as decode_predictions
from torchkeras.core.symbolic.keras_tensor import KerasTensor

__all__ = ["Xception", "decode_predictions", "preprocess_input"]

_blocks = Blocks(conv={"use_bias": False}, norm={})


def _separable(x: KerasTensor, filters: int, name: str) -> KerasTensor:
    return _blocks.norm(_blocks.separable(x, filters, 3, name, padding="same"), f"{name}_bn")


def _narrowing(x: KerasTensor, block: int, widths: tuple[int, int]) -> KerasTensor:
    """Two separable convolutions and a pooling, added to a projection; the first block's input is active already."""
    shortcut = _blocks.norm(_blocks.conv(x, widths[1], 1, strides=2, padding="same"))
    for i, filters in enumerate(widths, start=1):
        if block > 2 or i > 1:
            x = activation(x, "relu", f"block{block}_sepconv{i}_act")
        x = _separable(x, filters, f"block{block}_sepconv{i}")
    x = layers.MaxPooling2D(3, strides=2, padding="same", name=f"block{block}_pool")(x)
    return layers.Add()([x, shortcut])


def _features(image: KerasTensor, arguments: Arguments) -> KerasTensor:
    x = _blocks.conv(image, 32, 3, "block1_conv1", strides=2)
    x = activation(_blocks.norm(x, "block1_conv1_bn"), "relu", "block1_conv1_act")
    x = _blocks.conv(x, 64, 3, "block1_conv2")
    x = activation(_blocks.norm(x, "block1_conv2_bn"), "relu", "block1_conv2_act")
    for block, filters in ((2, 128), (3, 256), (4, 728)):
        x = _narrowing(x, block, (filters, filters))
    for block in range(5, 13):
        shortcut = x
        for i in (1, 2, 3):
            x = activation(x, "relu", f"block{block}_sepconv{i}_act")
            x = _separable(x, 728, f"block{block}_sepconv{i}")
        x = layers.Add()([x, shortcut])
    x = _narrowing(x, 13, (728, 1024))
    for i, filters in ((1, 1536), (2, 2048)):
        x = activation(_separable(x, filters, f"block14_sepconv{i}"), "relu", f"block14_sepconv{i}_act")
    return x


def _weight_file(variant: Variant, arguments: Arguments) -> WeightFile:
    hashes = Hashes("0a58e3b7378bc2990ea3b43d5981f1f6", "b0042744bf5b25fce3cb969f33bebb97")
    return tf_kernels("xception", "xception", arguments.include_top, hashes)


Xception = Family(
    Facts(
        "Xception",
        "Inception's idea taken to its end: depthwise separable convolutions with residual connections.",
        "Xception: Deep Learning with Depthwise Separable Convolutions (Chollet, 2016, arXiv:1610.02357)",
        "xception",
        TF_PIXELS.format(module="xception"),
    ),
    _features,
    _weight_file,
    poolings=unnamed_poolings,
    min_size=71,
).variant("Xception", "xception", 299, "22.9 million")
preprocess_input = tf_preprocessing("xception")
