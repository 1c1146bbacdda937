"""MobileNet V2 (Sandler et al., 2018)."""

from __future__ import annotations

from torchkeras import layers
from torchkeras.applications.building.application import Arguments, Family, Variant, unnamed_poolings
from torchkeras.applications.building.blocks import Blocks, channels_of, padding_of_strided, rounded
from torchkeras.applications.building.docstrings import TF_PIXELS, Facts
from torchkeras.applications.building.preprocessing import tf_preprocessing
from torchkeras.applications.building.weight_files import BUCKET, WeightFile
from torchkeras.applications.imagenet_utils import decode_predictions as decode_predictions
from torchkeras.applications.mobilenet import named_rows
from torchkeras.core import settings
from torchkeras.core.symbolic.keras_tensor import KerasTensor

__all__ = ["MobileNetV2", "decode_predictions", "preprocess_input"]

SIZES = (96, 128, 160, 192, 224)
# For each stage: repeats, output channels, factor of expansion, strides.
STAGES = (
    (1, 16, 1, 1),
    (2, 24, 6, 2),
    (3, 32, 6, 2),
    (4, 64, 6, 2),
    (3, 96, 6, 1),
    (3, 160, 6, 2),
    (1, 320, 6, 1),
)
_blocks = Blocks(conv={"use_bias": False, "padding": "same"}, norm={"epsilon": 1e-3, "momentum": 0.999})


def _inverted_residual(x: KerasTensor, filters: int, expansion: int, strides: int, number: int) -> KerasTensor:
    """Widen, convolve each channel, narrow again without an activation, and add the input where shapes agree."""
    shortcut, width = x, channels_of(x)
    name = f"block_{number}_" if number else "expanded_conv_"
    if number:
        x = _blocks.norm(_blocks.conv(x, expansion * width, 1, f"{name}expand"), f"{name}expand_BN")
        x = layers.ReLU(6.0, name=f"{name}expand_relu")(x)
    if strides == 2:
        x = layers.ZeroPadding2D(padding_of_strided(x, 3), name=f"{name}pad")(x)
    padding = "same" if strides == 1 else "valid"
    x = _blocks.depthwise(x, 3, f"{name}depthwise", strides=strides, padding=padding)
    x = layers.ReLU(6.0, name=f"{name}depthwise_relu")(_blocks.norm(x, f"{name}depthwise_BN"))
    x = _blocks.norm(_blocks.conv(x, filters, 1, f"{name}project"), f"{name}project_BN")
    return layers.Add(name=f"{name}add")([shortcut, x]) if width == filters and strides == 1 else x


def _features(image: KerasTensor, arguments: Arguments) -> KerasTensor:
    alpha = arguments.own["alpha"]
    x = _blocks.norm(_blocks.conv(image, rounded(32 * alpha), 3, "Conv1", strides=2), "bn_Conv1")
    x = layers.ReLU(6.0, name="Conv1_relu")(x)
    number = 0
    for count, filters, expansion, strides in STAGES:
        for i in range(count):
            x = _inverted_residual(x, rounded(int(filters * alpha)), expansion, 1 if i else strides, number)
            number += 1
    last = rounded(1280 * alpha) if alpha > 1.0 else 1280
    x = _blocks.norm(_blocks.conv(x, last, 1, "Conv_1", padding="valid"), "Conv_1_bn")
    return layers.ReLU(6.0, name="out_relu")(x)


def _classifier(x: KerasTensor, arguments: Arguments) -> KerasTensor:
    x = layers.GlobalAveragePooling2D()(x)
    return layers.Dense(arguments.classes, activation=arguments.classifier_activation, name="predictions")(x)


def check_tensor(arguments: Arguments) -> None:
    """Take the size of the images from `input_tensor`, or check that it agrees with `input_shape`.

    Raises:
        ValueError: the two have different widths.
    """
    tensor, shape = arguments.input_tensor, arguments.input_shape
    if tensor is None or len(tensor.shape) != 4:
        return
    if shape is None:
        arguments.input_shape = tuple(tensor.shape[1:])
        return
    axis = 1 if settings.image_data_format() == "channels_first" else 2
    if tensor.shape[axis] != shape[1]:
        raise ValueError(
            f"input_tensor.shape[{axis}] must equal input_shape[1]; Received "
            f"`input_tensor.shape={tuple(tensor.shape)}`, `input_shape={shape}`"
        )


def _check(variant: Variant, arguments: Arguments) -> None:
    """Check that there are weights for the width, and find the size of images that they were trained on."""
    alpha = arguments.own["alpha"]
    check_tensor(arguments)
    if arguments.pretrained:
        if alpha not in (0.35, 0.50, 0.75, 1.0, 1.3, 1.4):
            raise ValueError(
                "If imagenet weights are being loaded, alpha must be one of `0.35`, `0.50`, `0.75`, `1.0`, `1.3` or "
                f"`1.4` only; Received `alpha={alpha}`"
            )
    arguments.own["rows"] = named_rows(arguments, SIZES)
    if arguments.name is None:
        arguments.name = f"mobilenetv2_{alpha:0.2f}_{arguments.own['rows']}"


def _weight_file(variant: Variant, arguments: Arguments) -> WeightFile:
    end = "" if arguments.include_top else "_no_top"
    which = f"{float(arguments.own['alpha'])}_{arguments.own['rows']}{end}"
    return WeightFile(f"{BUCKET}/mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{which}.h5")


MobileNetV2 = Family(
    Facts(
        "MobileNetV2",
        "A small network of inverted residuals: narrow between the blocks, wide within them; `alpha` scales its width.",
        "MobileNetV2: Inverted Residuals and Linear Bottlenecks (Sandler et al., 2018, arXiv:1801.04381)",
        "mobilenet_v2",
        TF_PIXELS.format(module="mobilenet_v2"),
        {
            "alpha": "factor of the number of filters of all layers.",
            "name": "name of the model; `None` means one with `alpha` and the size of the images.",
        },
    ),
    _features,
    _weight_file,
    _classifier,
    unnamed_poolings,
    own={"alpha": 1.0},
    order=(
        *("input_shape", "alpha", "include_top", "weights", "input_tensor", "pooling"),
        *("classes", "classifier_activation", "name"),
    ),
    check=_check,
).variant("MobileNetV2", None, 224, "3.5 million")
preprocess_input = tf_preprocessing("mobilenet_v2")
