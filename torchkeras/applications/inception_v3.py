"""Inception V3 (Szegedy et al., 2015)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from torchkeras import layers
from torchkeras.applications.building.application import Arguments, Family, Variant, unnamed_poolings
from torchkeras.applications.building.blocks import Blocks, activation
from torchkeras.applications.building.docstrings import TF_PIXELS, Facts
from torchkeras.applications.building.preprocessing import tf_preprocessing
from torchkeras.applications.building.weight_files import Hashes, WeightFile, tf_kernels
from torchkeras.applications.imagenet_utils import decode_predictions as decode_predictions
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.types import Sizes

__all__ = ["InceptionV3", "decode_predictions", "preprocess_input", "torch_pooling"]

_pools_as_torch: ContextVar[bool] = ContextVar("pools_as_torch", default=False)


@contextmanager
def torch_pooling() -> Iterator[None]:
    """Make Inceptions inside whose average pooling counts the zeros around an image, as torchvision's does.

    Keras's takes the mean of the values inside the image alone. Both have the same weights, which
    `keras.saving.load_torch_weights` loads into either, and compute other outputs with them. This function is an
    addition of torchkeras.

    Example:
        >>> with keras.applications.inception_v3.torch_pooling():
        ...     model = keras.applications.InceptionV3(weights=None, input_shape=(75, 75, 3))
        >>> sum(isinstance(layer, keras.layers.ZeroPadding2D) for layer in model.layers)
        9
    """
    token = _pools_as_torch.set(True)
    try:
        yield
    finally:
        _pools_as_torch.reset(token)


blocks = Blocks(conv={"use_bias": False, "padding": "same"}, norm={"scale": False}, counts_axis=True)


def conv(x: KerasTensor, filters: int, size: Sizes, **options: Any) -> KerasTensor:
    """A convolution, normalization and ReLU with automatic names, by which the files know them."""
    return activation(blocks.norm(blocks.conv(x, filters, size, **options)), "relu")


def convs(x: KerasTensor, *widths_and_sizes: tuple[int, Sizes]) -> KerasTensor:
    """Several of them, one after another."""
    for filters, size in widths_and_sizes:
        x = conv(x, filters, size)
    return x


def halved(x: KerasTensor, filters: int) -> KerasTensor:
    return conv(x, filters, 3, strides=2, padding="valid")


def max_pool(x: KerasTensor) -> KerasTensor:
    return layers.MaxPooling2D(3, strides=2)(x)


def average_pool(x: KerasTensor) -> KerasTensor:
    if _pools_as_torch.get():
        return layers.AveragePooling2D(3, strides=1)(layers.ZeroPadding2D(1)(x))
    return layers.AveragePooling2D(3, strides=1, padding="same")(x)


def stem(image: KerasTensor) -> KerasTensor:
    """The first five convolutions of the Inceptions."""
    x = halved(image, 32)
    x = conv(x, 32, 3, padding="valid")
    x = max_pool(conv(x, 64, 3))
    x = conv(x, 80, 1, padding="valid")
    return max_pool(conv(x, 192, 3, padding="valid"))


def module_35(x: KerasTensor, first: int, pool: int, name: str) -> KerasTensor:
    """Branches with one 1x1, one 5x5, two 3x3 convolutions and a pooling, on images of 35 by 35."""
    return blocks.concatenate(
        [
            conv(x, first, 1),
            convs(x, (48, 1), (64, 5)),
            convs(x, (64, 1), (96, 3), (96, 3)),
            conv(average_pool(x), pool, 1),
        ],
        name,
    )


def _module_17(x: KerasTensor, width: int, name: str) -> KerasTensor:
    """Branches with 7x7 convolutions, each split into 1x7 and 7x1, on images of 17 by 17."""
    return blocks.concatenate(
        [
            conv(x, 192, 1),
            convs(x, (width, 1), (width, (1, 7)), (192, (7, 1))),
            convs(x, (width, 1), (width, (7, 1)), (width, (1, 7)), (width, (7, 1)), (192, (1, 7))),
            conv(average_pool(x), 192, 1),
        ],
        name,
    )


def _module_8(x: KerasTensor, number: int, name: str) -> KerasTensor:
    """Branches that end with a 1x3 and a 3x1 convolution side by side, on images of 8 by 8."""
    first = conv(x, 320, 1)
    middle = conv(x, 384, 1)
    middle = blocks.concatenate([conv(middle, 384, (1, 3)), conv(middle, 384, (3, 1))], f"mixed9_{number}")
    last = convs(x, (448, 1), (384, 3))
    last = blocks.concatenate([conv(last, 384, (1, 3)), conv(last, 384, (3, 1))])
    return blocks.concatenate([first, middle, last, conv(average_pool(x), 192, 1)], name)


def _features(image: KerasTensor, arguments: Arguments) -> KerasTensor:
    x = stem(image)
    for i, pool in enumerate((32, 64, 64)):
        x = module_35(x, 64, pool, f"mixed{i}")
    x = blocks.concatenate([halved(x, 384), halved(convs(x, (64, 1), (96, 3)), 96), max_pool(x)], "mixed3")
    for i, width in enumerate((128, 160, 160, 192), start=4):
        x = _module_17(x, width, f"mixed{i}")
    wide = halved(conv(x, 192, 1), 320)
    deep = halved(convs(x, (192, 1), (192, (1, 7)), (192, (7, 1))), 192)
    x = blocks.concatenate([wide, deep, max_pool(x)], "mixed8")
    for i in (0, 1):
        x = _module_8(x, i, f"mixed{9 + i}")
    return x


def _weight_file(variant: Variant, arguments: Arguments) -> WeightFile:
    hashes = Hashes("9a0d58056eeedaa3f26cb7ebd46da564", "bcbd6486424b2319ff4ef7d526e38f63")
    return tf_kernels("inception_v3", "inception_v3", arguments.include_top, hashes)


InceptionV3 = Family(
    Facts(
        "InceptionV3",
        "Modules of parallel branches with kernels of several sizes; large kernels are split into smaller ones.",
        "Rethinking the Inception Architecture for Computer Vision (Szegedy et al., 2015, arXiv:1512.00567)",
        "inception_v3",
        TF_PIXELS.format(module="inception_v3"),
    ),
    _features,
    _weight_file,
    poolings=unnamed_poolings,
    min_size=75,
).variant("InceptionV3", "inception_v3", 299, "23.9 million")
preprocess_input = tf_preprocessing("inception_v3")
