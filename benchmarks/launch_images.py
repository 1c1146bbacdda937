"""Networks of images whose training steps are counted: with Keras's layers, and as a torch user writes them."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from launch_network import CLASSES


def _norm(keras: Any, x: Any) -> Any:
    return keras.layers.BatchNormalization(epsilon=1e-5, momentum=0.9)(x)


def _conv(keras: Any, x: Any, filters: int, size: int, stride: int = 1) -> Any:
    if size > 1 and stride > 1:  # torch's padding, which is not that of "same"
        x = keras.layers.ZeroPadding2D(size // 2)(x)
    padding = "same" if size > 1 and stride == 1 else "valid"
    return _norm(keras, keras.layers.Conv2D(filters, size, stride, padding, use_bias=False)(x))


def _unit(inputs: int, filters: int, size: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    conv = nn.Conv2d(inputs, filters, size, stride, size // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(filters)]


class _Sum(nn.Module):
    """`after(main(x) + side(x))`."""

    def __init__(self, main: list[nn.Module], side: list[nn.Module], after: nn.Module | None = None) -> None:
        super().__init__()
        self.main, self.side = nn.Sequential(*main), nn.Sequential(*side)
        self.after = nn.Identity() if after is None else after

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.after(self.main(x) + self.side(x))


_STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))


def resnet_layers(keras: Any, x: Any) -> Any:
    L = keras.layers
    x = L.ReLU()(_conv(keras, x, 64, 7, 2))
    x = L.MaxPooling2D(3, 2)(L.ZeroPadding2D(1)(x))
    for filters, count, first in _STAGES:
        for block in range(count):
            stride = first if block == 0 else 1
            y = L.ReLU()(_conv(keras, x, filters, 1))
            y = L.ReLU()(_conv(keras, y, filters, 3, stride))
            y = _conv(keras, y, 4 * filters, 1)
            side = _conv(keras, x, 4 * filters, 1, stride) if block == 0 else x
            x = L.ReLU()(L.Add()([y, side]))
    return L.Dense(CLASSES)(L.GlobalAveragePooling2D()(x))


def resnet_module() -> nn.Module:
    parts: list[nn.Module] = [*_unit(3, 64, 7, 2), nn.ReLU(True), nn.MaxPool2d(3, 2, 1)]
    inputs = 64
    for filters, count, first in _STAGES:
        for block in range(count):
            stride = first if block == 0 else 1
            main = [*_unit(inputs, filters, 1), nn.ReLU(True), *_unit(filters, filters, 3, stride), nn.ReLU(True)]
            side = _unit(inputs, 4 * filters, 1, stride) if block == 0 else []
            parts.append(_Sum([*main, *_unit(filters, 4 * filters, 1)], side, nn.ReLU(True)))
            inputs = 4 * filters
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, CLASSES))


# Expansion, filters, blocks, stride of the first.
_INVERTED = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


def mobilenet_layers(keras: Any, x: Any) -> Any:
    L = keras.layers
    x, inputs = L.ReLU(6.0)(_conv(keras, x, 32, 3, 2)), 32
    for expansion, filters, count, first in _INVERTED:
        for block in range(count):
            stride, y = first if block == 0 else 1, x
            if expansion > 1:
                y = L.ReLU(6.0)(_conv(keras, y, expansion * inputs, 1))
            if stride > 1:
                y = L.ZeroPadding2D(1)(y)
            y = L.DepthwiseConv2D(3, stride, "same" if stride == 1 else "valid", use_bias=False)(y)
            y = _conv(keras, L.ReLU(6.0)(_norm(keras, y)), filters, 1)
            x = L.Add()([x, y]) if stride == 1 and inputs == filters else y
            inputs = filters
    x = L.ReLU(6.0)(_conv(keras, x, 1280, 1))
    return L.Dense(CLASSES)(L.GlobalAveragePooling2D()(x))


def mobilenet_module() -> nn.Module:
    parts: list[nn.Module] = [*_unit(3, 32, 3, 2), nn.ReLU6(True)]
    inputs = 32
    for expansion, filters, count, first in _INVERTED:
        for block in range(count):
            stride, wide = first if block == 0 else 1, expansion * inputs
            main = [*_unit(inputs, wide, 1), nn.ReLU6(True)] if expansion > 1 else []
            main += [*_unit(wide, wide, 3, stride, wide), nn.ReLU6(True), *_unit(wide, filters, 1)]
            parts += [_Sum(main, [])] if stride == 1 and inputs == filters else main
            inputs = filters
    parts += [*_unit(inputs, 1280, 1), nn.ReLU6(True), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*parts, nn.Linear(1280, CLASSES))


# Size of the kernel, blocks, filters, expansion, stride of the first.
_EFFICIENT = (
    (3, 1, 16, 1, 1),
    (3, 2, 24, 6, 2),
    (5, 2, 40, 6, 2),
    (3, 3, 80, 6, 2),
    (5, 3, 112, 6, 1),
    (5, 4, 192, 6, 2),
    (3, 1, 320, 6, 1),
)
_MOST_DROPPED, _EFFICIENT_BLOCKS = 0.2, sum(count for _, count, *_ in _EFFICIENT)


def efficientnet_layers(keras: Any, x: Any) -> Any:
    L = keras.layers
    x, inputs, number = L.Activation("silu")(_conv(keras, x, 32, 3, 2)), 32, 0
    for size, count, filters, expansion, first in _EFFICIENT:
        for block in range(count):
            stride, y, wide = first if block == 0 else 1, x, expansion * inputs
            if expansion > 1:
                y = L.Activation("silu")(_conv(keras, y, wide, 1))
            if stride > 1:
                y = L.ZeroPadding2D(size // 2)(y)
            y = L.DepthwiseConv2D(size, stride, "same" if stride == 1 else "valid", use_bias=False)(y)
            y = L.Activation("silu")(_norm(keras, y))
            scale = L.GlobalAveragePooling2D(keepdims=True)(y)
            scale = L.Conv2D(inputs // 4, 1, activation="silu")(scale)
            y = L.Multiply()([y, L.Conv2D(wide, 1, activation="sigmoid")(scale)])
            y = _conv(keras, y, filters, 1)
            if stride == 1 and inputs == filters:
                rate = _MOST_DROPPED * number / _EFFICIENT_BLOCKS
                y = L.Add()([L.Dropout(rate, noise_shape=(None, 1, 1, 1))(y), x])
            x, inputs, number = y, filters, number + 1
    x = L.GlobalAveragePooling2D()(L.Activation("silu")(_conv(keras, x, 1280, 1)))
    return L.Dense(CLASSES)(L.Dropout(0.2)(x))


class _Weighed(nn.Module):
    """Multiplies each channel by a number made of all of them."""

    def __init__(self, channels: int, reduced: int) -> None:
        super().__init__()
        self.scale = nn.Sequential(
            *(nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, reduced, 1), nn.SiLU(True)),
            *(nn.Conv2d(reduced, channels, 1), nn.Sigmoid()),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.scale(x) * x


class _DroppedRows(nn.Module):
    """Drops whole samples, as torchvision's `StochasticDepth` does."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept = torch.empty((len(x), 1, 1, 1), dtype=x.dtype).bernoulli_(1.0 - self.rate)
        return x * kept.div_(1.0 - self.rate)


def efficientnet_module() -> nn.Module:
    parts: list[nn.Module] = [*_unit(3, 32, 3, 2), nn.SiLU(True)]
    inputs, number = 32, 0
    for size, count, filters, expansion, first in _EFFICIENT:
        for block in range(count):
            stride, wide = first if block == 0 else 1, expansion * inputs
            main = [*_unit(inputs, wide, 1), nn.SiLU(True)] if expansion > 1 else []
            main += [*_unit(wide, wide, size, stride, wide), nn.SiLU(True), _Weighed(wide, inputs // 4)]
            main += _unit(wide, filters, 1)
            is_residual = stride == 1 and inputs == filters
            rate = _MOST_DROPPED * number / _EFFICIENT_BLOCKS
            main += [_DroppedRows(rate)] if is_residual and rate else []
            parts += [_Sum(main, [])] if is_residual else main
            inputs, number = filters, number + 1
    parts += [*_unit(inputs, 1280, 1), nn.SiLU(True), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2)]
    return nn.Sequential(*parts, nn.Linear(1280, CLASSES))


_DEPTHS, _WIDTHS = (3, 3, 9, 3), (16, 32, 64, 128)


def convnext_layers(keras: Any, x: Any) -> Any:
    L = keras.layers
    for stage, (depth, width) in enumerate(zip(_DEPTHS, _WIDTHS)):
        size = 2 if stage else 4
        x = L.Conv2D(width, size, size)(L.LayerNormalization(epsilon=1e-6)(x) if stage else x)
        for _ in range(depth):
            y = L.LayerNormalization(epsilon=1e-6)(L.DepthwiseConv2D(7, padding="same")(x))
            x = L.Add()([x, L.Dense(width)(L.Dense(4 * width, activation="gelu")(y))])
    return L.Dense(CLASSES)(L.LayerNormalization(epsilon=1e-6)(L.GlobalAveragePooling2D()(x)))


class _ChannelsLast(nn.Sequential):
    """Layers for `(N, H, W, C)` within those for NCHW."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def convnext_module() -> nn.Module:
    parts: list[nn.Module] = []
    inputs = 3
    for stage, (depth, width) in enumerate(zip(_DEPTHS, _WIDTHS)):
        size = 2 if stage else 4
        parts += [_ChannelsLast(nn.LayerNorm(inputs, 1e-6))] if stage else []
        parts.append(nn.Conv2d(inputs, width, size, size))
        for _ in range(depth):
            dense = [nn.LayerNorm(width, 1e-6), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)]
            parts.append(_Sum([nn.Conv2d(width, width, 7, 1, 3, groups=width), _ChannelsLast(*dense)], []))
        inputs = width
    parts += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LayerNorm(inputs, 1e-6)]
    return nn.Sequential(*parts, nn.Linear(inputs, CLASSES))


_LEVELS = (8, 16, 32, 64)


def unet_layers(keras: Any, x: Any) -> Any:
    L, kept = keras.layers, []

    def twice(x: Any, width: int) -> Any:
        return L.ReLU()(_conv(keras, L.ReLU()(_conv(keras, x, width, 3)), width, 3))

    for width in _LEVELS:
        x = twice(x, width)
        kept.append(x)
        x = L.MaxPooling2D()(x)
    x = twice(x, 2 * _LEVELS[-1])
    for width in reversed(_LEVELS):
        x = L.Conv2DTranspose(width, 2, 2)(x)
        x = twice(L.Concatenate()([kept.pop(), x]), width)
    return L.Conv2D(CLASSES, 1)(x)


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()

        def twice(inputs: int, width: int) -> nn.Module:
            return nn.Sequential(*_unit(inputs, width, 3), nn.ReLU(True), *_unit(width, width, 3), nn.ReLU(True))

        widths = (3, *_LEVELS)
        self.down = nn.ModuleList(twice(*pair) for pair in zip(widths, _LEVELS))
        self.middle = twice(_LEVELS[-1], 2 * _LEVELS[-1])
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * width, width, 2, 2) for width in reversed(_LEVELS))
        self.joined = nn.ModuleList(twice(2 * width, width) for width in reversed(_LEVELS))
        self.head = nn.Conv2d(_LEVELS[0], CLASSES, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept = []
        for part in self.down:
            x = part(x)
            kept.append(x)
            x = F.max_pool2d(x, 2)
        x = self.middle(x)
        for up, joined in zip(self.up, self.joined):
            x = joined(torch.cat([kept.pop(), up(x)], 1))
        return self.head(x).permute(0, 2, 3, 1)
