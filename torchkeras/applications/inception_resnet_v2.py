"""Inception-ResNet V2 (Szegedy et al., 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from torch import Tensor

from torchkeras.applications.building.application import Arguments, Family, Variant, unnamed_poolings
from torchkeras.applications.building.blocks import activation, channels_of
from torchkeras.applications.building.docstrings import TF_PIXELS, Facts
from torchkeras.applications.building.preprocessing import tf_preprocessing
from torchkeras.applications.building.weight_files import Hashes, WeightFile, tf_kernels
from torchkeras.applications.imagenet_utils import decode_predictions as decode_predictions
from torchkeras.applications.inception_v3 import blocks, conv, convs, halved, max_pool, module_35, stem
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.types import Shape
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.base.options import LayerOptions

__all__ = ["InceptionResNetV2", "decode_predictions", "preprocess_input"]


class CustomScaleLayer(Layer):
    """Add a scaled second tensor to a first: `inputs[0] + scale * inputs[1]`.

    Args:
        scale: the factor of the second tensor.
        **kwargs: `name`, `dtype` and the other arguments of `Layer`.
    """

    keras_module = "keras.src.applications.inception_resnet_v2"

    def __init__(self, scale: float, **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(**kwargs)
        self.scale = scale

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        return inputs[0] + inputs[1] * self.scale

    def compute_output_shape(self, input_shape: Sequence[Shape]) -> Shape:
        return input_shape[0]


def _residual(x: KerasTensor, branches: list[KerasTensor], scale: float, name: str, active: bool = True) -> KerasTensor:
    """Add the branches, scaled and with as many channels as the input, to the input."""
    mixed = blocks.concatenate(branches, f"{name}_mixed")
    up = blocks.conv(mixed, channels_of(x), 1, f"{name}_conv", use_bias=True)
    x = CustomScaleLayer(scale)([x, up])
    return activation(x, "relu", f"{name}_ac") if active else x


def _block_35(x: KerasTensor, name: str) -> KerasTensor:
    branches = [conv(x, 32, 1), convs(x, (32, 1), (32, 3)), convs(x, (32, 1), (48, 3), (64, 3))]
    return _residual(x, branches, 0.17, name)


def _block_17(x: KerasTensor, name: str) -> KerasTensor:
    return _residual(x, [conv(x, 192, 1), convs(x, (128, 1), (160, (1, 7)), (192, (7, 1)))], 0.1, name)


def _block_8(x: KerasTensor, name: str, scale: float = 0.2, active: bool = True) -> KerasTensor:
    branches = [conv(x, 192, 1), convs(x, (192, 1), (224, (1, 3)), (256, (3, 1)))]
    return _residual(x, branches, scale, name, active)


def _features(image: KerasTensor, arguments: Arguments) -> KerasTensor:
    x = module_35(stem(image), 96, 64, "mixed_5b")
    for i in range(1, 11):
        x = _block_35(x, f"block35_{i}")
    x = blocks.concatenate([halved(x, 384), halved(convs(x, (256, 1), (256, 3)), 384), max_pool(x)], "mixed_6a")
    for i in range(1, 21):
        x = _block_17(x, f"block17_{i}")
    branches = [halved(conv(x, 256, 1), 384), halved(conv(x, 256, 1), 288), halved(convs(x, (256, 1), (288, 3)), 320)]
    x = blocks.concatenate([*branches, max_pool(x)], "mixed_7a")
    for i in range(1, 10):
        x = _block_8(x, f"block8_{i}")
    x = _block_8(x, "block8_10", scale=1.0, active=False)
    return activation(blocks.norm(blocks.conv(x, 1536, 1, "conv_7b"), "conv_7b_bn"), "relu", "conv_7b_ac")


def _weight_file(variant: Variant, arguments: Arguments) -> WeightFile:
    hashes = Hashes("e693bd0210a403b3192acc6073ad2e96", "d19885ff4a710c122648d3b5c3b684e4")
    return tf_kernels("inception_resnet_v2", "inception_resnet_v2", arguments.include_top, hashes)


InceptionResNetV2 = Family(
    Facts(
        "InceptionResNetV2",
        "Inception modules whose branches are scaled and added to their input.",
        "Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning (Szegedy et al., 2016, "
        "arXiv:1602.07261)",
        "inception_resnet_v2",
        TF_PIXELS.format(module="inception_resnet_v2"),
    ),
    _features,
    _weight_file,
    poolings=unnamed_poolings,
    min_size=75,
).variant("InceptionResNetV2", "inception_resnet_v2", 299, "55.9 million")
preprocess_input = tf_preprocessing("inception_resnet_v2")
