"""ResNet V2 (He et al., 2016): normalization and activation stand before each convolution."""

from __future__ import annotations

from torchkeras import layers
from torchkeras.applications.building.application import Arguments, Family, Variant
from torchkeras.applications.building.blocks import Blocks, activation
from torchkeras.applications.building.docstrings import TF_PIXELS, Facts
from torchkeras.applications.building.preprocessing import tf_preprocessing
from torchkeras.applications.building.weight_files import Hashes, WeightFile, tf_kernels
from torchkeras.applications.imagenet_utils import decode_predictions as decode_predictions
from torchkeras.applications.resnet import stem
from torchkeras.core.symbolic.keras_tensor import KerasTensor

__all__ = ["ResNet50V2", "ResNet101V2", "ResNet152V2", "decode_predictions", "preprocess_input"]

_blocks = Blocks(conv={}, norm={"epsilon": 1.001e-5}, counts_axis=True)


def _bottleneck(x: KerasTensor, filters: int, strides: int, name: str, projects: bool) -> KerasTensor:
    """1x1, 3x3 and 1x1 convolutions of the normalized input, added to the input or to its projection."""
    before = activation(_blocks.norm(x, f"{name}_preact_bn"), "relu", f"{name}_preact_relu")
    if projects:
        shortcut = _blocks.conv(before, 4 * filters, 1, f"{name}_0_conv", strides=strides)
    else:
        shortcut = layers.MaxPooling2D(1, strides=strides)(x) if strides > 1 else x
    x = _blocks.conv(before, filters, 1, f"{name}_1_conv", use_bias=False)
    x = activation(_blocks.norm(x, f"{name}_1_bn"), "relu", f"{name}_1_relu")
    x = layers.ZeroPadding2D(1, name=f"{name}_2_pad")(x)
    x = _blocks.conv(x, filters, 3, f"{name}_2_conv", strides=strides, use_bias=False)
    x = activation(_blocks.norm(x, f"{name}_2_bn"), "relu", f"{name}_2_relu")
    x = _blocks.conv(x, 4 * filters, 1, f"{name}_3_conv")
    return layers.Add(name=f"{name}_out")([shortcut, x])


def _features(image: KerasTensor, arguments: Arguments, depths: tuple[int, ...]) -> KerasTensor:
    x = stem(_blocks, image, with_norm=False)
    last = len(depths) - 1
    for stage, depth in enumerate(depths):
        for block in range(depth):
            strides = 2 if stage < last and block == depth - 1 else 1
            x = _bottleneck(x, 64 * 2**stage, strides, f"conv{stage + 2}_block{block + 1}", projects=not block)
    return activation(_blocks.norm(x, "post_bn"), "relu", "post_relu")


_HASHES = {
    "resnet50v2": Hashes("3ef43a0b657b3be2300d5770ece849e0", "fac2f116257151a9d068a22e544a4917"),
    "resnet101v2": Hashes("6343647c601c52e1368623803854d971", "c0ed64b8031c3730f411d2eb4eea35b5"),
    "resnet152v2": Hashes("a49b44d1979771252814e80f8ec446f9", "ed17cf2e0169df9d443503ef94b23b33"),
}


def _weight_file(variant: Variant, arguments: Arguments) -> WeightFile:
    name = variant.name.lower()
    return tf_kernels("resnet", name, arguments.include_top, _HASHES[name])


_family = Family(
    Facts(
        "ResNet V2",
        "A residual network whose blocks normalize and activate before each convolution, so that the sum of the "
        "blocks passes on unchanged.",
        "Identity Mappings in Deep Residual Networks (He et al., 2016, arXiv:1603.05027)",
        "resnet_v2",
        TF_PIXELS.format(module="resnet_v2"),
    ),
    _features,
    _weight_file,
)
ResNet50V2 = _family.variant("ResNet50V2", "resnet50v2", 224, "25.6 million", depths=(3, 4, 6, 3))
ResNet101V2 = _family.variant("ResNet101V2", "resnet101v2", 224, "44.7 million", depths=(3, 4, 23, 3))
ResNet152V2 = _family.variant("ResNet152V2", "resnet152v2", 224, "60.4 million", depths=(3, 8, 36, 3))
preprocess_input = tf_preprocessing("resnet_v2")
