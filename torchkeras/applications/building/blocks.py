"""Small parts that several families are made of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torchkeras import layers
from torchkeras.core import settings
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.types import Sizes


class Blocks:
    """Convolutions and normalizations with the settings that a family uses everywhere.

    Args:
        conv: arguments of every convolution, such as `{"use_bias": False}`.
        norm: arguments of every batch normalization, such as `{"momentum": 0.999}`.
        depthwise: arguments of every depthwise convolution; `None` means those of `conv`. Default: `None`.
        counts_axis: whether a file names the channels' axis of channels-last images 3 (else -1). Default: `False`.
    """

    def __init__(
        self,
        conv: Mapping[str, Any],
        norm: Mapping[str, Any],
        depthwise: Mapping[str, Any] | None = None,
        counts_axis: bool = False,
    ) -> None:
        self.conv_settings = conv
        self.norm_settings = norm
        self.depthwise_settings = conv if depthwise is None else depthwise
        self.counts_axis = counts_axis

    @property
    def axis(self) -> int:
        """The axis of the channels, as the family's files name it."""
        if settings.image_data_format() == "channels_first":
            return 1
        return 3 if self.counts_axis else -1

    def conv(self, x: KerasTensor, filters: int, size: Sizes, name: str | None = None, **options: Any) -> KerasTensor:
        return layers.Conv2D(filters, size, name=name, **{**self.conv_settings, **options})(x)

    def depthwise(self, x: KerasTensor, size: Sizes, name: str | None = None, **options: Any) -> KerasTensor:
        return layers.DepthwiseConv2D(size, name=name, **{**self.depthwise_settings, **options})(x)

    def separable(
        self, x: KerasTensor, filters: int, size: Sizes, name: str | None = None, **options: Any
    ) -> KerasTensor:
        return layers.SeparableConv2D(filters, size, name=name, **{**self.depthwise_settings, **options})(x)

    def norm(self, x: KerasTensor, name: str | None = None, **options: Any) -> KerasTensor:
        return layers.BatchNormalization(axis=self.axis, name=name, **{**self.norm_settings, **options})(x)

    def concatenate(self, parts: list[KerasTensor], name: str | None = None) -> KerasTensor:
        return layers.Concatenate(axis=self.axis, name=name)(parts)


def activation(x: KerasTensor, function: str, name: str | None = None) -> KerasTensor:
    return layers.Activation(function, name=name)(x)


def padding_of_strided(x: KerasTensor, size: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Zeros around an image so that a kernel of odd `size` with stride 2 halves it: one less before an even side."""
    sides = x.shape[2:] if settings.image_data_format() == "channels_first" else x.shape[1:3]
    after = size // 2
    before = [after if side is None or side % 2 else after - 1 for side in sides]
    if None in sides:
        before = [after - 1, after - 1]
    return ((before[0], after), (before[1], after))


def channels_of(x: KerasTensor) -> int:
    """The number of channels of images."""
    return x.shape[1 if settings.image_data_format() == "channels_first" else -1]


def rounded(width: float, divisor: int = 8, least: int | None = None) -> int:
    """The multiple of `divisor` that is nearest to a width, but at least 90% of it."""
    near = max(divisor if least is None else least, int(width + divisor / 2) // divisor * divisor)
    return near + divisor if near < 0.9 * width else near


def repeats(count: int, factor: float) -> int:
    """A number of blocks, scaled and rounded up."""
    return math.ceil(factor * count)


def squeeze_and_excite(blocks: Blocks, x: KerasTensor, reduced: int, name: str) -> KerasTensor:
    """Scale each channel by a number from all of them (Hu et al., 2018, arXiv:1709.01507), as EfficientNets do."""
    filters = channels_of(x)
    one_pixel = (filters, 1, 1) if settings.image_data_format() == "channels_first" else (1, 1, filters)
    scale = layers.GlobalAveragePooling2D(name=f"{name}se_squeeze")(x)
    scale = layers.Reshape(one_pixel, name=f"{name}se_reshape")(scale)
    options = {"padding": "same", "use_bias": True}
    scale = blocks.conv(scale, reduced, 1, f"{name}se_reduce", activation="silu", **options)
    scale = blocks.conv(scale, filters, 1, f"{name}se_expand", activation="sigmoid", **options)
    return layers.Multiply(name=f"{name}se_excite")([x, scale])


def stochastic_depth(x: KerasTensor, rate: float, name: str) -> KerasTensor:
    """Drop whole samples of a branch while training (Huang et al., 2016, arXiv:1603.09382)."""
    return layers.Dropout(rate, noise_shape=(None, 1, 1, 1), name=name)(x) if rate > 0 else x
