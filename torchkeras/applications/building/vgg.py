"""VGG (Simonyan and Zisserman, 2014): the family of `keras.applications.vgg16` and `vgg19`."""

from __future__ import annotations

from torchkeras import layers
from torchkeras.applications.building.application import Arguments, Constructor, Family, Variant, unnamed_poolings
from torchkeras.applications.building.docstrings import CAFFE_PIXELS, Facts
from torchkeras.applications.building.weight_files import Hashes, WeightFile, tf_kernels
from torchkeras.core.symbolic.keras_tensor import KerasTensor


def _features(image: KerasTensor, arguments: Arguments, depths: tuple[int, ...]) -> KerasTensor:
    """Blocks of 3x3 convolutions, each with a pooling that halves the image."""
    x = image
    for block, (filters, depth) in enumerate(zip((64, 128, 256, 512, 512), depths), start=1):
        for conv in range(1, depth + 1):
            x = layers.Conv2D(filters, 3, activation="relu", padding="same", name=f"block{block}_conv{conv}")(x)
        x = layers.MaxPooling2D(2, strides=2, name=f"block{block}_pool")(x)
    return x


def _classifier(x: KerasTensor, arguments: Arguments) -> KerasTensor:
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(4096, activation="relu", name="fc1")(x)
    x = layers.Dense(4096, activation="relu", name="fc2")(x)
    return layers.Dense(arguments.classes, activation=arguments.classifier_activation, name="predictions")(x)


_HASHES = {
    "vgg16": Hashes("64373286793e3c8b2b4e3219cbf3544b", "6d6bbae143d832006294945121d1f1fc"),
    "vgg19": Hashes("cbe5617147190e668d6c5d5026f83318", "253f8cb515780f3b799900260a226db6"),
}


def _weight_file(variant: Variant, arguments: Arguments) -> WeightFile:
    name = variant.name.lower()
    return tf_kernels(name, name, arguments.include_top, _HASHES[name])


def vgg(name: str, parameters: str, depths: tuple[int, ...]) -> Constructor:
    """The function of a variant: `depths` is the number of convolutions of each block."""
    module = name.lower()
    facts = Facts(
        "VGG",
        "A plain stack of 3x3 convolutions with poolings between them, and a classifier of three dense layers, which "
        "holds most of the parameters.",
        "Very Deep Convolutional Networks for Large-Scale Image Recognition (Simonyan and Zisserman, 2014, "
        "arXiv:1409.1556)",
        module,
        CAFFE_PIXELS.format(module=module),
    )
    family = Family(facts, _features, _weight_file, _classifier, unnamed_poolings)
    return family.variant(name, module, 224, parameters, depths=depths)
