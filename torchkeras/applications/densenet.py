"""DenseNet (Huang et al., 2016)."""

from __future__ import annotations

from torchkeras import layers
from torchkeras.applications.building.application import Arguments, Family, Variant
from torchkeras.applications.building.blocks import Blocks, activation, channels_of
from torchkeras.applications.building.docstrings import TORCH_PIXELS, Facts
from torchkeras.applications.building.preprocessing import torch_preprocessing
from torchkeras.applications.building.weight_files import Hashes, WeightFile, tf_kernels
from torchkeras.applications.imagenet_utils import decode_predictions as decode_predictions
from torchkeras.core.symbolic.keras_tensor import KerasTensor

__all__ = ["DenseNet121", "DenseNet169", "DenseNet201", "decode_predictions", "preprocess_input"]

GROWTH = 32
_blocks = Blocks(conv={"use_bias": False}, norm={"epsilon": 1.001e-5}, counts_axis=True)


def _active(x: KerasTensor, norm: str, relu: str) -> KerasTensor:
    return activation(_blocks.norm(x, norm), "relu", relu)


def _growing(x: KerasTensor, name: str) -> KerasTensor:
    """Append `GROWTH` channels that a 1x1 and a 3x3 convolution compute from all channels so far."""
    new = _blocks.conv(_active(x, f"{name}_0_bn", f"{name}_0_relu"), 4 * GROWTH, 1, f"{name}_1_conv")
    new = _blocks.conv(_active(new, f"{name}_1_bn", f"{name}_1_relu"), GROWTH, 3, f"{name}_2_conv", padding="same")
    return _blocks.concatenate([x, new], f"{name}_concat")


def _transition(x: KerasTensor, name: str) -> KerasTensor:
    """Halve the channels and both sides of the images."""
    x = _blocks.conv(_active(x, f"{name}_bn", f"{name}_relu"), channels_of(x) // 2, 1, f"{name}_conv")
    return layers.AveragePooling2D(2, strides=2, name=f"{name}_pool")(x)


def _features(image: KerasTensor, arguments: Arguments, depths: tuple[int, ...]) -> KerasTensor:
    x = _blocks.conv(layers.ZeroPadding2D(3)(image), 64, 7, "conv1_conv", strides=2)
    x = layers.ZeroPadding2D(1)(_active(x, "conv1_bn", "conv1_relu"))
    x = layers.MaxPooling2D(3, strides=2, name="pool1")(x)
    for stage, depth in enumerate(depths, start=2):
        if stage > 2:
            x = _transition(x, f"pool{stage - 1}")
        for block in range(1, depth + 1):
            x = _growing(x, f"conv{stage}_block{block}")
    return _active(x, "bn", "relu")


_HASHES = {
    "densenet121": Hashes("9d60b8095a5708f2dcce2bca79d332c7", "30ee3e1110167f948a6b9946edeeb738"),
    "densenet169": Hashes("d699b8f76981ab1b30698df4c175e90b", "b8c4d4c20dd625c148057b9ff1c1176b"),
    "densenet201": Hashes("1ceb130c1ea1b78c3bf6114dbdfd8807", "c13680b51ded0fb44dff2d8f86ac8bb1"),
}


def _weight_file(variant: Variant, arguments: Arguments) -> WeightFile:
    name = variant.name.lower()
    return tf_kernels("densenet", name, arguments.include_top, _HASHES[name])


_family = Family(
    Facts(
        "DenseNet",
        "Each convolution reads the outputs of all convolutions before it in its stage and appends a few channels.",
        "Densely Connected Convolutional Networks (Huang et al., 2016, arXiv:1608.06993)",
        "densenet",
        TORCH_PIXELS.format(module="densenet"),
    ),
    _features,
    _weight_file,
    channels_last_only=True,
)
DenseNet121 = _family.variant("DenseNet121", "densenet121", 224, "8.1 million", depths=(6, 12, 24, 16))
DenseNet169 = _family.variant("DenseNet169", "densenet169", 224, "14.3 million", depths=(6, 12, 32, 32))
DenseNet201 = _family.variant("DenseNet201", "densenet201", 224, "20.2 million", depths=(6, 12, 48, 32))
preprocess_input = torch_preprocessing("densenet")
