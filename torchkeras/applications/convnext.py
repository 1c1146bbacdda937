"""ConvNeXt (Liu et al., 2022)."""

from __future__ import annotations

from typing import Unpack

from torch import Tensor

from torchkeras import layers
from torchkeras.applications.building.application import (
    ORDER,
    Arguments,
    Constructor,
    Family,
    Variant,
    unnamed_poolings,
)
from torchkeras.applications.building.blocks import activation
from torchkeras.applications.building.docstrings import RAW_PIXELS, Facts
from torchkeras.applications.building.preprocessing import TORCH_DEVIATION, TORCH_MEAN, no_preprocessing
from torchkeras.applications.building.weight_files import BUCKET, Hashes, WeightFile, plain
from torchkeras.applications.imagenet_utils import decode_predictions as decode_predictions
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.types import Shape
from torchkeras.initializers import Constant
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.base.options import LayerOptions
from torchkeras.models.sequential import Sequential

__all__ = [
    "ConvNeXtBase",
    "ConvNeXtLarge",
    "ConvNeXtSmall",
    "ConvNeXtTiny",
    "ConvNeXtXLarge",
    "decode_predictions",
    "preprocess_input",
]

EPSILON = 1e-6


class LayerScale(Layer):
    """Multiply each channel by a trainable number that starts small (Touvron et al., 2021, arXiv:2103.17239).

    Args:
        init_values: the number that all channels start with.
        projection_dim: number of channels.
        **kwargs: `name`, `dtype` and the other arguments of `Layer`.
    """

    keras_module = "keras.src.applications.convnext"

    def __init__(self, init_values: float, projection_dim: int, **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(**kwargs)
        self.init_values = init_values
        self.projection_dim = projection_dim

    def build(self, input_shape: Shape) -> None:
        self.gamma = self.add_weight(
            shape=(self.projection_dim,), initializer=Constant(self.init_values), trainable=True
        )

    def call(self, inputs: Tensor) -> Tensor:
        return inputs * self.gamma

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape


def _normalized(x: KerasTensor, name: str | None = None) -> KerasTensor:
    return layers.LayerNormalization(epsilon=EPSILON, name=name)(x)


def _block(x: KerasTensor, filters: int, name: str) -> KerasTensor:
    """A 7x7 convolution of each channel and two dense layers over the channels, added to the input."""
    shortcut = x
    x = layers.Conv2D(filters, 7, padding="same", groups=filters, name=f"{name}_depthwise_conv")(x)
    x = _normalized(x, f"{name}_layernorm")
    x = layers.Dense(4 * filters, name=f"{name}_pointwise_conv_1")(x)
    x = activation(x, "gelu", f"{name}_gelu")
    x = layers.Dense(filters, name=f"{name}_pointwise_conv_2")(x)
    x = LayerScale(EPSILON, filters, name=f"{name}_layer_scale")(x)
    # A KerasTensor gets its operators at run time.
    return shortcut + activation(x, "linear", f"{name}_identity")  # type: ignore[operator]


def _features(
    image: KerasTensor, arguments: Arguments, depths: tuple[int, ...], widths: tuple[int, ...]
) -> KerasTensor:
    name, x = arguments.name, image
    if arguments.own["include_preprocessing"] and image.shape[-1] == 3:
        mean = [255 * value for value in TORCH_MEAN]
        variance = [(255 * value) ** 2 for value in TORCH_DEVIATION]
        x = layers.Normalization(mean=mean, variance=variance, name=f"{name}_prestem_normalization")(x)
    for stage, (depth, filters) in enumerate(zip(depths, widths)):
        conv = layers.Conv2D(
            filters,
            2 if stage else 4,
            strides=2 if stage else 4,
            name=f"{name}_downsampling_conv_{stage - 1}" if stage else f"{name}_stem_conv",
        )
        norm = layers.LayerNormalization(
            epsilon=EPSILON, name=f"{name}_downsampling_layernorm_{stage - 1}" if stage else f"{name}_stem_layernorm"
        )
        narrowing = [norm, conv] if stage else [conv, norm]
        x = Sequential(narrowing, name=f"{name}_downsampling_block_{stage - 1}" if stage else f"{name}_stem")(x)
        for block in range(depth):
            x = _block(x, filters, f"{name}_stage_{stage}_block_{block}")
    return x


def _classifier(x: KerasTensor, arguments: Arguments) -> KerasTensor:
    x = layers.GlobalAveragePooling2D(name=f"{arguments.name}_head_gap")(x)
    x = _normalized(x, f"{arguments.name}_head_layernorm")
    return layers.Dense(
        arguments.classes, activation=arguments.classifier_activation, name=f"{arguments.name}_head_dense"
    )(x)


def _poolings(x: KerasTensor, arguments: Arguments) -> KerasTensor:
    return _normalized(unnamed_poolings(x, arguments))


_HASHES = {
    "convnext_tiny": Hashes(
        "8ae6e78ce2933352b1ef4008e6dd2f17bc40771563877d156bc6426c7cf503ff",
        "d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1",
    ),
    "convnext_small": Hashes(
        "ce1277d8f1ee5a0ef0e171469089c18f5233860ceaf9b168049cb9263fd7483c",
        "6fc8009faa2f00c1c1dfce59feea9b0745eb260a7dd11bee65c8e20843da6eab",
    ),
    "convnext_base": Hashes(
        "52cbb006d3dadd03f6e095a8ca1aca47aecdd75acb4bc74bce1f5c695d0086e6",
        "40a20c5548a5e9202f69735ecc06c990e6b7c9d2de39f0361e27baeb24cb7c45",
    ),
    "convnext_large": Hashes(
        "070c5ed9ed289581e477741d3b34beffa920db8cf590899d6d2c67fba2a198a6",
        "96f02b6f0753d4f543261bc9d09bed650f24dd6bc02ddde3066135b63d23a1cd",
    ),
    "convnext_xlarge": Hashes(
        "c1f5ccab661354fc3a79a10fa99af82f0fbf10ec65cb894a3ae0815f17a889ee",
        "de3f8a54174130e0cecdc71583354753d557fcf1f4487331558e2a16ba0cfe05",
    ),
}


def _key(variant: Variant) -> str:
    return f"convnext_{variant.name.removeprefix('ConvNeXt').lower()}"


def _weight_file(variant: Variant, arguments: Arguments) -> WeightFile:
    name = _key(variant)
    return plain(f"{BUCKET}/convnext/{name}", arguments.include_top, _HASHES[name])


def _check(variant: Variant, arguments: Arguments) -> None:
    """Check that a model with published weights bears the variant's name, by which its layers are called."""
    if arguments.pretrained and _key(variant) not in (arguments.name or ""):
        raise ValueError(
            f'Model name "{arguments.name}" does not match weights variant "{_key(variant)}". When using imagenet '
            f'weights, model name must contain the weights variant (e.g., "{_key(variant)}").'
        )


_family = Family(
    Facts(
        "ConvNeXt",
        "A convolutional network with the proportions of a vision transformer: large depthwise kernels, layer "
        "normalization and dense layers over the channels.",
        "A ConvNet for the 2020s (Liu et al., 2022, arXiv:2201.03545)",
        "convnext",
        RAW_PIXELS + " With `include_preprocessing=False` it takes scaled pixels.",
        {"include_preprocessing": "whether the network starts with a layer that scales pixels of 0 to 255."},
    ),
    _features,
    _weight_file,
    _classifier,
    _poolings,
    own={"include_preprocessing": True},
    order=("include_top", "include_preprocessing", *ORDER[1:]),
    check=_check,
    channels_last_only=True,
)


def _variant(name: str, parameters: str, depth: int, width: int) -> Constructor:
    return _family.variant(
        f"ConvNeXt{name}",
        f"convnext_{name.lower()}",
        224,
        parameters,
        depths=(3, 3, depth, 3),
        widths=(width, 2 * width, 4 * width, 8 * width),
    )


ConvNeXtTiny = _variant("Tiny", "28.6 million", depth=9, width=96)
ConvNeXtSmall = _variant("Small", "50.2 million", depth=27, width=96)
ConvNeXtBase = _variant("Base", "88.6 million", depth=27, width=128)
ConvNeXtLarge = _variant("Large", "197.8 million", depth=27, width=192)
ConvNeXtXLarge = _variant("XLarge", "350.2 million", depth=27, width=256)
preprocess_input = no_preprocessing("convnext")
