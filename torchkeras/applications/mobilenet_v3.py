"""MobileNet V3 (Howard et al., 2019): `keras.applications.MobileNetV3Small` and `MobileNetV3Large`."""

from __future__ import annotations

from typing import NamedTuple

from torchkeras import layers
from torchkeras.applications.building.application import Arguments, Family, Variant
from torchkeras.applications.building.blocks import Blocks, channels_of, padding_of_strided, rounded
from torchkeras.applications.building.docstrings import RAW_PIXELS, Facts
from torchkeras.applications.building.input_shapes import square_size
from torchkeras.applications.building.preprocessing import no_preprocessing
from torchkeras.applications.building.weight_files import BUCKET, Hashes, WeightFile, plain
from torchkeras.applications.imagenet_utils import decode_predictions as decode_predictions
from torchkeras.applications.mobilenet import warn_of_size
from torchkeras.applications.mobilenet_v2 import check_tensor
from torchkeras.core.symbolic.keras_tensor import KerasTensor

__all__ = ["MobileNetV3Large", "MobileNetV3Small", "decode_predictions", "preprocess_input"]

RELU, HARD_SILU = "relu", "hard_silu"
_blocks = Blocks(conv={"use_bias": False, "padding": "same"}, norm={"epsilon": 1e-3, "momentum": 0.999})


class Block(NamedTuple):
    """Factor of expansion, output channels, size of the kernel, strides, whether channels are weighed, activation."""

    expansion: float
    filters: int
    size: int
    strides: int
    excites: bool
    function: str


_SMALL = (
    Block(1, 16, 3, 2, True, RELU),
    Block(72.0 / 16, 24, 3, 2, False, RELU),
    Block(88.0 / 24, 24, 3, 1, False, RELU),
    Block(4, 40, 5, 2, True, HARD_SILU),
    Block(6, 40, 5, 1, True, HARD_SILU),
    Block(6, 40, 5, 1, True, HARD_SILU),
    Block(3, 48, 5, 1, True, HARD_SILU),
    Block(3, 48, 5, 1, True, HARD_SILU),
    Block(6, 96, 5, 2, True, HARD_SILU),
    Block(6, 96, 5, 1, True, HARD_SILU),
    Block(6, 96, 5, 1, True, HARD_SILU),
)
_LARGE = (
    Block(1, 16, 3, 1, False, RELU),
    Block(4, 24, 3, 2, False, RELU),
    Block(3, 24, 3, 1, False, RELU),
    Block(3, 40, 5, 2, True, RELU),
    Block(3, 40, 5, 1, True, RELU),
    Block(3, 40, 5, 1, True, RELU),
    Block(6, 80, 3, 2, False, HARD_SILU),
    Block(2.5, 80, 3, 1, False, HARD_SILU),
    Block(2.3, 80, 3, 1, False, HARD_SILU),
    Block(2.3, 80, 3, 1, False, HARD_SILU),
    Block(6, 112, 3, 1, True, HARD_SILU),
    Block(6, 112, 3, 1, True, HARD_SILU),
    Block(6, 160, 5, 2, True, HARD_SILU),
    Block(6, 160, 5, 1, True, HARD_SILU),
    Block(6, 160, 5, 1, True, HARD_SILU),
)


def _active(x: KerasTensor, function: str) -> KerasTensor:
    return layers.ReLU()(x) if function == RELU else layers.Activation(function)(x)


def _excited(x: KerasTensor, reduced: int, name: str) -> KerasTensor:
    """Scale each channel by the hard sigmoid, `relu6(x + 3) / 6`, of a number from all channels."""
    filters = channels_of(x)
    scale = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}squeeze_excite_avg_pool")(x)
    scale = layers.Conv2D(reduced, 1, padding="same", name=f"{name}squeeze_excite_conv")(scale)
    scale = layers.ReLU(name=f"{name}squeeze_excite_relu")(scale)
    scale = layers.Conv2D(filters, 1, padding="same", name=f"{name}squeeze_excite_conv_1")(scale)
    scale = layers.ReLU(6.0)(scale + 3.0) * (1.0 / 6.0)
    return layers.Multiply(name=f"{name}squeeze_excite_mul")([x, scale])


def _inverted_residual(x: KerasTensor, block: Block, filters: int, number: int) -> KerasTensor:
    """Widen, convolve each channel, weigh the channels, narrow again, and add the input where shapes agree."""
    shortcut, width = x, channels_of(x)
    wide = rounded(width * block.expansion)
    name = f"expanded_conv_{number}_" if number else "expanded_conv_"
    if number:
        x = _blocks.norm(_blocks.conv(x, wide, 1, f"{name}expand"), f"{name}expand_bn")
        x = _active(x, block.function)
    if block.strides == 2:
        x = layers.ZeroPadding2D(padding_of_strided(x, block.size), name=f"{name}depthwise_pad")(x)
    padding = "same" if block.strides == 1 else "valid"
    x = _blocks.depthwise(x, block.size, f"{name}depthwise", strides=block.strides, padding=padding)
    x = _active(_blocks.norm(x, f"{name}depthwise_bn"), block.function)
    if block.excites:
        x = _excited(x, rounded(wide * 0.25), name)
    x = _blocks.norm(_blocks.conv(x, filters, 1, f"{name}project"), f"{name}project_bn")
    return layers.Add(name=f"{name}add")([shortcut, x]) if block.strides == 1 and width == filters else x


def _simpler(block: Block) -> Block:
    """The block of a minimalistic network, which has the operations that all hardware is quick at."""
    return block._replace(size=3, excites=False, function=RELU)


def _features(image: KerasTensor, arguments: Arguments, blocks: tuple[Block, ...], last: int) -> KerasTensor:
    alpha, minimalistic = arguments.own["alpha"], arguments.own["minimalistic"]
    function = RELU if minimalistic else HARD_SILU
    arguments.own.update(function=function, last=last)
    x = image
    if arguments.own["include_preprocessing"]:
        x = layers.Rescaling(scale=1.0 / 127.5, offset=-1.0)(x)
    x = _active(_blocks.norm(_blocks.conv(x, 16, 3, "conv", strides=2), "conv_bn"), function)
    for number, block in enumerate(blocks):
        block = _simpler(block) if minimalistic else block
        x = _inverted_residual(x, block, rounded(block.filters * alpha), number)
    x = _blocks.conv(x, rounded(channels_of(x) * 6), 1, "conv_1")
    return _active(_blocks.norm(x, "conv_1_bn"), function)


def _classifier(x: KerasTensor, arguments: Arguments) -> KerasTensor:
    own = arguments.own
    width = rounded(own["last"] * own["alpha"]) if own["alpha"] > 1.0 else own["last"]
    x = layers.GlobalAveragePooling2D(keepdims=True)(x)
    x = _active(layers.Conv2D(width, 1, padding="same", name="conv_2")(x), own["function"])
    if own["dropout_rate"] > 0:
        x = layers.Dropout(own["dropout_rate"])(x)
    x = layers.Conv2D(arguments.classes, 1, padding="same", name="logits")(x)
    return layers.Activation(arguments.classifier_activation, name="predictions")(layers.Flatten()(x))


def _check(variant: Variant, arguments: Arguments) -> None:
    """Check the width and the images; without a shape, images have any size."""
    own = arguments.own
    check_tensor(arguments)
    if arguments.pretrained:
        if own["alpha"] not in ((1.0,) if own["minimalistic"] else (0.75, 1.0)):
            raise ValueError(
                "If imagenet weights are being loaded, alpha can be one of `0.75`, `1.0` for non minimalistic or `1.0` "
                f"for minimalistic only. Received alpha={own['alpha']}"
            )
        if square_size(arguments.input_shape, (224,)) is None:
            warn_of_size((224,))


_HASHES = {
    "large_224_0.75_float": Hashes("765b44a33ad4005b3ac83185abf1d0eb", "40af19a13ebea4e2ee0c676887f69a2e"),
    "large_224_1.0_float": Hashes("59e551e166be033d707958cf9e29a6a7", "07fb09a5933dd0c8eaafa16978110389"),
    "large_minimalistic_224_1.0_float": Hashes("675e7b876c45c57e9e63e6d90a36599c", "ec5221f64a2f6d1ef965a614bdae7973"),
    "small_224_0.75_float": Hashes("cb65d4e5be93758266aa0a7f2c6708b7", "ebdb5cc8e0b497cd13a7c275d475c819"),
    "small_224_1.0_float": Hashes("8768d4c2e7dee89b9d02b2d03d65d862", "d3e8ec802a04aa4fc771ee12a9a9b836"),
    "small_minimalistic_224_1.0_float": Hashes("99cd97fb2fcdad2bf028eb838de69e37", "cde8136e733e811080d9fcd8a252f7e4"),
}


def _weight_file(variant: Variant, arguments: Arguments) -> WeightFile:
    kind = variant.name.removeprefix("MobileNetV3").lower() + "_minimalistic" * bool(arguments.own["minimalistic"])
    name = f"{kind}_224_{float(arguments.own['alpha'])}_float"
    address = f"{BUCKET}/mobilenet_v3/weights_mobilenet_v3_{name}"
    return plain(address, arguments.include_top, _HASHES[name], end="_no_top_v2")


_family = Family(
    Facts(
        "MobileNetV3",
        "A small network found by a search: inverted residuals with squeeze-and-excitation and hard activations.",
        "Searching for MobileNetV3 (Howard et al., 2019, arXiv:1905.02244)",
        "mobilenet_v3",
        RAW_PIXELS + " With `include_preprocessing=False` it takes values between -1 and 1.",
        {
            "alpha": "factor of the number of filters of all blocks.",
            "minimalistic": "whether to leave out what some hardware is slow at: 5x5 kernels, excitation, hard-swish.",
            "dropout_rate": "fraction of the features that the classifier drops while training.",
            "include_preprocessing": "whether the network starts with a layer that scales pixels of 0 to 255.",
            "input_shape": "sizes of an image, such as `(200, 200, 3)`, at least {least} high and wide; `None` means "
            "any size, with the classifier too.",
        },
    ),
    _features,
    _weight_file,
    _classifier,
    own={"alpha": 1.0, "minimalistic": False, "dropout_rate": 0.2, "include_preprocessing": True},
    order=(
        *("input_shape", "alpha", "minimalistic", "include_top", "weights", "input_tensor", "classes", "pooling"),
        *("dropout_rate", "classifier_activation", "include_preprocessing", "name"),
    ),
    check=_check,
    any_size=True,
)
MobileNetV3Small = _family.variant("MobileNetV3Small", "MobileNetV3Small", 224, "2.6 million", blocks=_SMALL, last=1024)
MobileNetV3Large = _family.variant("MobileNetV3Large", "MobileNetV3Large", 224, "5.5 million", blocks=_LARGE, last=1280)
preprocess_input = no_preprocessing("mobilenet_v3")
