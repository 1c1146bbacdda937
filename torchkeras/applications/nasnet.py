"""NASNet-A (Zoph et al., 2017)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from torchkeras import layers
from torchkeras.applications.building.application import Arguments, Family, Variant, unnamed_poolings
from torchkeras.applications.building.blocks import Blocks, activation, channels_of, padding_of_strided
from torchkeras.applications.building.docstrings import TF_PIXELS, Facts
from torchkeras.applications.building.preprocessing import tf_preprocessing
from torchkeras.applications.building.weight_files import BUCKET, Hashes, WeightFile
from torchkeras.applications.imagenet_utils import decode_predictions as decode_predictions
from torchkeras.core.naming import name_scope
from torchkeras.core.symbolic.keras_tensor import KerasTensor

__all__ = ["NASNetLarge", "NASNetMobile", "decode_predictions", "preprocess_input"]

_blocks = Blocks(
    conv={"use_bias": False, "padding": "same", "kernel_initializer": "he_normal"},
    norm={"momentum": 0.9997, "epsilon": 1e-3},
    depthwise={"use_bias": False, "padding": "same"},
)


Cell: TypeAlias = Callable[[KerasTensor, KerasTensor | None, int, str], KerasTensor]


def _within(scope: str) -> Callable[[Cell], Cell]:
    """Make a cell's weights bear `scope` and the cell's name in their paths."""

    def decorate(cell: Cell) -> Cell:
        def scoped(x: KerasTensor, before: KerasTensor | None, filters: int, name: str) -> KerasTensor:
            with name_scope(f"{scope}_{name}"):
                return cell(x, before, filters, name)

        return scoped

    return decorate


def _relu(x: KerasTensor) -> KerasTensor:
    return activation(x, "relu")


def _separable(x: KerasTensor, filters: int, size: int, name: str, strides: int = 1) -> KerasTensor:
    """ReLU, separable convolution and normalization, twice; the first convolution may halve the image."""
    with name_scope(f"separable_conv_block_{name}"):
        x, padding = _relu(x), "same"
        if strides == 2:
            x = layers.ZeroPadding2D(padding_of_strided(x, size), name=f"separable_conv_1_pad_{name}")(x)
            padding = "valid"
        x = _blocks.separable(x, filters, size, f"separable_conv_1_{name}", strides=strides, padding=padding)
        x = _relu(_blocks.norm(x, f"separable_conv_1_bn_{name}"))
        x = _blocks.separable(x, filters, size, f"separable_conv_2_{name}")
        return _blocks.norm(x, f"separable_conv_2_bn_{name}")


def _average(x: KerasTensor, name: str) -> KerasTensor:
    return layers.AveragePooling2D(3, strides=1, padding="same", name=name)(x)


def _fitted(before: KerasTensor | None, x: KerasTensor, filters: int, name: str) -> KerasTensor:
    """The output of the cell before the last, with the size of `x` and `filters` channels."""
    if before is None:
        return x
    if before.shape[1] != x.shape[1]:
        with name_scope("adjust_block"), name_scope(f"adjust_reduction_block_{name}"):
            return _halved(before, filters, name)
    if channels_of(before) != filters:
        with name_scope("adjust_block"), name_scope(f"adjust_projection_block_{name}"):
            before = _blocks.conv(_relu(before), filters, 1, f"adjust_conv_projection_{name}")
            return _blocks.norm(before, f"adjust_bn_{name}")
    return before


def _halved(x: KerasTensor, filters: int, name: str) -> KerasTensor:
    """Every other pixel, and those one step to the right and below, each with half of the channels."""
    x = activation(x, "relu", f"adjust_relu_1_{name}")
    first = layers.AveragePooling2D(1, strides=2, name=f"adjust_avg_pool_1_{name}")(x)
    first = _blocks.conv(first, filters // 2, 1, f"adjust_conv_1_{name}")
    shifted = layers.Cropping2D(((1, 0), (1, 0)))(layers.ZeroPadding2D(((0, 1), (0, 1)))(x))
    second = layers.AveragePooling2D(1, strides=2, name=f"adjust_avg_pool_2_{name}")(shifted)
    second = _blocks.conv(second, filters // 2, 1, f"adjust_conv_2_{name}")
    return _blocks.norm(_blocks.concatenate([first, second]), f"adjust_bn_{name}")


@_within("normal_A_block")
def _normal_cell(x: KerasTensor, before: KerasTensor | None, filters: int, name: str) -> KerasTensor:
    """Five sums of separable convolutions and poolings, side by side, at the size of the input."""
    before = _fitted(before, x, filters, name)
    h = _blocks.norm(_blocks.conv(_relu(x), filters, 1, f"normal_conv_1_{name}"), f"normal_bn_1_{name}")

    def branch(source: KerasTensor, size: int, place: str) -> KerasTensor:
        with name_scope(f"block_{place[-1]}"):
            return _separable(source, filters, size, f"normal_{place}_{name}")

    pairs = [
        lambda: (branch(h, 5, "left1"), branch(before, 3, "right1")),
        lambda: (branch(before, 5, "left2"), branch(before, 3, "right2")),
        lambda: (_average(h, f"normal_left3_{name}"), before),
        lambda: (_average(before, f"normal_left4_{name}"), _average(before, f"normal_right4_{name}")),
        lambda: (branch(h, 3, "left5"), h),
    ]
    sums = [layers.Add(name=f"normal_add_{i}_{name}")([*pair()]) for i, pair in enumerate(pairs, start=1)]
    return _blocks.concatenate([before, *sums], f"normal_concat_{name}")


@_within("reduction_A_block")
def _reduction_cell(x: KerasTensor, before: KerasTensor | None, filters: int, name: str) -> KerasTensor:
    """Sums of strided separable convolutions and poolings, side by side, at half the size of the input."""
    before = _fitted(before, x, filters, name)
    h = _blocks.norm(_blocks.conv(_relu(x), filters, 1, f"reduction_conv_1_{name}"), f"reduction_bn_1_{name}")
    padded = layers.ZeroPadding2D(padding_of_strided(h, 3), name=f"reduction_pad_1_{name}")(h)

    def branch(source: KerasTensor, size: int, place: str, block: int, strides: int = 2) -> KerasTensor:
        with name_scope(f"block_{block}"):
            return _separable(source, filters, size, f"reduction_{place}_{name}", strides)

    def max_pool(place: str) -> KerasTensor:
        return layers.MaxPooling2D(3, strides=2, name=f"reduction_{place}_{name}")(padded)

    first = layers.Add(name=f"reduction_add_1_{name}")([branch(h, 5, "left1", 1), branch(before, 7, "right1", 1)])
    second = layers.Add(name=f"reduction_add_2_{name}")([max_pool("left2"), branch(before, 7, "right2", 2)])
    mean = layers.AveragePooling2D(3, strides=2, name=f"reduction_left3_{name}")(padded)
    third = layers.Add(name=f"reduction_add3_{name}")([mean, branch(before, 5, "right3", 3)])
    fourth = layers.Add()([second, _average(first, f"reduction_left4_{name}")])
    fifth = layers.Add(name=f"reduction_add4_{name}")([branch(first, 3, "left4", 5, strides=1), max_pool("right5")])
    return _blocks.concatenate([second, third, fourth, fifth], f"reduction_concat_{name}")


def _features(
    image: KerasTensor, arguments: Arguments, repeats: int, filters: int, stem: int, keeps_before: bool
) -> KerasTensor:
    """Three stages of normal cells; each cell reads the outputs of the two cells before it.

    Args:
        repeats: normal cells in a stage.
        filters: filters of the first stage; each further stage has twice as many.
        stem: filters of the first convolution.
        keeps_before: whether the cell after a reduction reads the cell before it, not the one before that.
    """
    x = _blocks.norm(_blocks.conv(image, stem, 3, "stem_conv1", strides=2, padding="valid"), "stem_bn1")
    before = None
    x, before = _reduction_cell(x, before, filters // 4, "stem_1"), x
    x, before = _reduction_cell(x, before, filters // 2, "stem_2"), x
    number = 0
    for stage in range(3):
        if stage:
            reduced = _reduction_cell(x, before, filters * 2**stage, f"reduce_{repeats * stage}")
            x, before = reduced, x if keeps_before else before
            number = repeats * stage + 1
        for i in range(repeats):
            x, before = _normal_cell(x, before, filters * 2**stage, str(number + i)), x
    return _relu(x)


def _classifier(x: KerasTensor, arguments: Arguments) -> KerasTensor:
    x = layers.GlobalAveragePooling2D()(x)
    return layers.Dense(arguments.classes, activation=arguments.classifier_activation, name="predictions")(x)


_HASHES = {
    "mobile": Hashes("020fb642bf7360b370c678b08e0adf61", "1ed92395b5b598bdda52abe5c0dbfd63"),
    "large": Hashes("11577c9a518f0070763c2b964a382f17", "d81d89dc07e6e56530c4e77faddd61b5"),
}


def _weight_file(variant: Variant, arguments: Arguments) -> WeightFile:
    kind = variant.name.removeprefix("NASNet").lower()
    hashes, top = _HASHES[kind], arguments.include_top
    return WeightFile(
        f"{BUCKET}/nasnet/NASNet-{kind}{'' if top else '-no-top'}.h5",
        hashes.top if top else hashes.no_top,
        f"nasnet_{kind}{'' if top else '_no_top'}.h5",
    )


_family = Family(
    Facts(
        "NASNet",
        "A network whose two kinds of cells were found by a search; each cell reads the two cells before it.",
        "Learning Transferable Architectures for Scalable Image Recognition (Zoph et al., 2017, arXiv:1707.07012)",
        "nasnet",
        TF_PIXELS.format(module="nasnet"),
        {
            "input_shape": "sizes of an image, such as `(200, 200, 3)`, at least {least} high and wide; `None` means "
            "`({size}, {size}, 3)`. The published classifier takes its own size only.",
        },
    ),
    _features,
    _weight_file,
    _classifier,
    unnamed_poolings,
    order=(
        "input_shape",
        "include_top",
        "weights",
        "input_tensor",
        *("pooling", "classes", "classifier_activation", "name"),
    ),
    default_shape=True,
    channels_last_only=True,
)
NASNetMobile = _family.variant(
    "NASNetMobile", "nasnet_mobile", 224, "5.3 million", repeats=4, filters=44, stem=32, keeps_before=True
)
NASNetLarge = _family.variant(
    "NASNetLarge", "nasnet_large", 331, "88.9 million", repeats=6, filters=168, stem=96, keeps_before=False
)
preprocess_input = tf_preprocessing("nasnet")
