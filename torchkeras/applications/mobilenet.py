"""MobileNet (Howard et al., 2017)."""

from __future__ import annotations

from torchkeras import layers
from torchkeras.applications.building.application import Arguments, Family, Variant, unnamed_poolings
from torchkeras.applications.building.blocks import Blocks
from torchkeras.applications.building.docstrings import TF_PIXELS, Facts
from torchkeras.applications.building.input_shapes import rows, square_size
from torchkeras.applications.building.preprocessing import tf_preprocessing
from torchkeras.applications.building.weight_files import BUCKET, WeightFile
from torchkeras.applications.imagenet_utils import decode_predictions as decode_predictions
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.user_warnings import warn_user

__all__ = ["MobileNet", "decode_predictions", "preprocess_input"]

SIZES = (128, 160, 192, 224)
# Filters and strides of each block.
BLOCKS = (
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1)),
    *((512, 2), (512, 1), (512, 1), (512, 1), (512, 1), (512, 1)),
    *((1024, 2), (1024, 1)),
)
_blocks = Blocks(conv={"use_bias": False, "padding": "same"}, norm={})


def _active(x: KerasTensor, name: str) -> KerasTensor:
    return layers.ReLU(6.0, name=f"{name}_relu")(_blocks.norm(x, f"{name}_bn"))


def _features(image: KerasTensor, arguments: Arguments) -> KerasTensor:
    alpha, multiplier = arguments.own["alpha"], arguments.own["depth_multiplier"]
    x = _active(_blocks.conv(image, int(32 * alpha), 3, "conv1", strides=2), "conv1")
    for i, (filters, strides) in enumerate(BLOCKS, start=1):
        padding = "same"
        if strides == 2:
            x, padding = layers.ZeroPadding2D(((0, 1), (0, 1)), name=f"conv_pad_{i}")(x), "valid"
        options = {"depth_multiplier": multiplier, "strides": strides, "padding": padding}
        x = _active(_blocks.depthwise(x, 3, f"conv_dw_{i}", **options), f"conv_dw_{i}")
        x = _active(_blocks.conv(x, int(filters * alpha), 1, f"conv_pw_{i}"), f"conv_pw_{i}")
    return x


def _classifier(x: KerasTensor, arguments: Arguments) -> KerasTensor:
    x = layers.GlobalAveragePooling2D(keepdims=True)(x)
    x = layers.Dropout(arguments.own["dropout"], name="dropout")(x)
    x = layers.Conv2D(arguments.classes, 1, padding="same", name="conv_preds")(x)
    x = layers.Reshape((arguments.classes,), name="reshape_2")(x)
    return layers.Activation(arguments.classifier_activation, name="predictions")(x)


def _check(variant: Variant, arguments: Arguments) -> None:
    """Check that there are weights for the width, and find the size of images that they were trained on."""
    alpha = arguments.own["alpha"]
    if arguments.pretrained:
        if arguments.own["depth_multiplier"] != 1:
            raise ValueError(
                "If imagenet weights are being loaded, depth multiplier must be 1.  "
                f"Received depth_multiplier={arguments.own['depth_multiplier']}"
            )
        if alpha not in (0.25, 0.50, 0.75, 1.0):
            raise ValueError(
                "If imagenet weights are being loaded, alpha can be one of `0.25`, `0.50`, `0.75` or `1.0` only.  "
                f"Received alpha={alpha}"
            )
    arguments.own["rows"] = named_rows(arguments, SIZES)
    if arguments.name is None:
        arguments.name = f"mobilenet_{alpha:0.2f}_{arguments.own['rows']}"


def named_rows(arguments: Arguments, sizes: tuple[int, ...]) -> int | None:
    """Height of the images in the name of the model, and in the name of its file if weights are loaded."""
    if arguments.input_shape is None and arguments.include_top:
        return 224
    if arguments.pretrained and square_size(arguments.input_shape, sizes) is None:
        warn_of_size(sizes)
        return 224
    return rows(arguments.input_shape)


def warn_of_size(sizes: tuple[int, ...]) -> None:
    """Say that there are no published weights for the size of the images."""
    known = str(sizes[0]) if len(sizes) == 1 else f"in {list(sizes)}"
    warn_user(
        f"`input_shape` is undefined or non-square, or `rows` is not {known}. Weights for input shape (224, 224) will "
        "be loaded as the default."
    )


def _weight_file(variant: Variant, arguments: Arguments) -> WeightFile:
    alpha = {1.0: "1_0", 0.75: "7_5", 0.5: "5_0", 0.25: "2_5"}[arguments.own["alpha"]]
    end = "" if arguments.include_top else "_no_top"
    return WeightFile(f"{BUCKET}/mobilenet/mobilenet_{alpha}_{arguments.own['rows']}_tf{end}.h5")


MobileNet = Family(
    Facts(
        "MobileNet",
        "A small network of depthwise separable convolutions; `alpha` scales its width.",
        "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications (Howard et al., 2017, "
        "arXiv:1704.04861)",
        "mobilenet",
        TF_PIXELS.format(module="mobilenet"),
        {
            "alpha": "factor of the number of filters of all layers.",
            "depth_multiplier": "number of filters for each channel in the depthwise convolutions.",
            "dropout": "fraction of the features that the classifier drops while training.",
            "name": "name of the model; `None` means one with `alpha` and the size of the images.",
        },
    ),
    _features,
    _weight_file,
    _classifier,
    unnamed_poolings,
    own={"alpha": 1.0, "depth_multiplier": 1, "dropout": 1e-3},
    order=(
        *("input_shape", "alpha", "depth_multiplier", "dropout", "include_top", "weights", "input_tensor", "pooling"),
        *("classes", "classifier_activation", "name"),
    ),
    check=_check,
).variant("MobileNet", None, 224, "4.3 million")
preprocess_input = tf_preprocessing("mobilenet")
