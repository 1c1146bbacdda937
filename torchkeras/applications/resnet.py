"""ResNet (He et al., 2015)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from torchkeras import layers
from torchkeras.applications.building.application import Arguments, Family, Variant
from torchkeras.applications.building.blocks import Blocks, activation
from torchkeras.applications.building.docstrings import CAFFE_PIXELS, Facts
from torchkeras.applications.building.preprocessing import caffe_preprocessing
from torchkeras.applications.building.weight_files import Hashes, WeightFile, tf_kernels
from torchkeras.applications.imagenet_utils import decode_predictions as decode_predictions
from torchkeras.core.symbolic.keras_tensor import KerasTensor

__all__ = ["ResNet50", "ResNet101", "ResNet152", "decode_predictions", "preprocess_input", "torch_strides"]

_strides_as_torch: ContextVar[bool] = ContextVar("strides_as_torch", default=False)


@contextmanager
def torch_strides() -> Iterator[None]:
    """Make ResNets inside that halve the image in the 3x3 convolution of a block, as torchvision's and timm's do.

    Keras's ResNet halves it in the first 1x1 convolution, as the paper's does (v1); torch's is called v1.5. Both have
    the same weights, which `keras.saving.load_torch_weights` loads into either, and compute other outputs with them.
    This function is an addition of torchkeras.

    Example:
        >>> with keras.applications.resnet.torch_strides():
        ...     model = keras.applications.ResNet50(weights=None, input_shape=(64, 64, 3))
        >>> model.get_layer("conv3_block1_1_conv").strides, model.get_layer("conv3_block1_2_conv").strides
        ((1, 1), (2, 2))
    """
    token = _strides_as_torch.set(True)
    try:
        yield
    finally:
        _strides_as_torch.reset(token)


_blocks = Blocks(conv={}, norm={"epsilon": 1.001e-5}, counts_axis=True)


def stem(blocks: Blocks, image: KerasTensor, with_norm: bool) -> KerasTensor:
    """The first convolution and pooling, which leave a quarter of each side."""
    x = layers.ZeroPadding2D(3, name="conv1_pad")(image)
    x = blocks.conv(x, 64, 7, "conv1_conv", strides=2)
    if with_norm:
        x = activation(blocks.norm(x, "conv1_bn"), "relu", "conv1_relu")
    x = layers.ZeroPadding2D(1, name="pool1_pad")(x)
    return layers.MaxPooling2D(3, strides=2, name="pool1_pool")(x)


def _bottleneck(x: KerasTensor, filters: int, strides: int, name: str, projects: bool) -> KerasTensor:
    """1x1, 3x3 and 1x1 convolutions, added to the input or to its projection."""
    shortcut = x
    if projects:
        shortcut = _blocks.conv(x, 4 * filters, 1, f"{name}_0_conv", strides=strides)
        shortcut = _blocks.norm(shortcut, f"{name}_0_bn")
    as_torch = _strides_as_torch.get() and strides > 1
    x = _blocks.conv(x, filters, 1, f"{name}_1_conv", strides=1 if as_torch else strides)
    x = activation(_blocks.norm(x, f"{name}_1_bn"), "relu", f"{name}_1_relu")
    if as_torch:
        x = layers.ZeroPadding2D(1, name=f"{name}_2_pad")(x)
        x = _blocks.conv(x, filters, 3, f"{name}_2_conv", strides=strides)
    else:
        x = _blocks.conv(x, filters, 3, f"{name}_2_conv", padding="same")
    x = activation(_blocks.norm(x, f"{name}_2_bn"), "relu", f"{name}_2_relu")
    x = _blocks.norm(_blocks.conv(x, 4 * filters, 1, f"{name}_3_conv"), f"{name}_3_bn")
    x = layers.Add(name=f"{name}_add")([shortcut, x])
    return activation(x, "relu", f"{name}_out")


def _features(image: KerasTensor, arguments: Arguments, depths: tuple[int, ...]) -> KerasTensor:
    x = stem(_blocks, image, with_norm=True)
    for stage, depth in enumerate(depths):
        for block in range(depth):
            strides = 2 if stage and not block else 1
            x = _bottleneck(x, 64 * 2**stage, strides, f"conv{stage + 2}_block{block + 1}", projects=not block)
    return x


_HASHES = {
    "resnet50": Hashes("2cb95161c43110f7111970584f804107", "4d473c1dd8becc155b73f8504c6f6626"),
    "resnet101": Hashes("f1aeb4b969a6efcfb50fad2f0c20cfc5", "88cf7a10940856eca736dc7b7e228a21"),
    "resnet152": Hashes("100835be76be38e30d865e96f2aaae62", "ee4c566cf9a93f14d82f913c2dc6dd0c"),
}


def _weight_file(variant: Variant, arguments: Arguments) -> WeightFile:
    name = variant.name.lower()
    return tf_kernels("resnet", name, arguments.include_top, _HASHES[name])


_family = Family(
    Facts(
        "ResNet",
        "A residual network: each block adds what its convolutions compute to its own input, which keeps a hundred "
        "layers trainable.",
        "Deep Residual Learning for Image Recognition (He et al., 2015, arXiv:1512.03385)",
        "resnet",
        CAFFE_PIXELS.format(module="resnet"),
    ),
    _features,
    _weight_file,
)
ResNet50 = _family.variant("ResNet50", "resnet50", 224, "25.6 million", depths=(3, 4, 6, 3))
ResNet101 = _family.variant("ResNet101", "resnet101", 224, "44.7 million", depths=(3, 4, 23, 3))
ResNet152 = _family.variant("ResNet152", "resnet152", 224, "60.4 million", depths=(3, 8, 36, 3))
preprocess_input = caffe_preprocessing("resnet")
