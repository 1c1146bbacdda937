"""Networks whose training steps are counted: each once with Keras's layers, once as a torch user writes it.

The sizes are small where the number of calls does not depend on them: depth and structure are those of the originals.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

CLASSES = 10
VOCABULARY, LENGTH, WIDTH, HEADS = 100, 8, 32, 4


@dataclass(frozen=True)
class Network:
    """A row of the table.

    `layers(keras, x)` maps a symbolic input to logits; `module()` is the same network in torch, which takes images as
    NCHW. `targets` is the shape of the class numbers behind the batch axis.
    """

    name: str
    shape: tuple[int, ...]
    layers: Callable[[Any, Any], Any]
    module: Callable[[], nn.Module]
    classes: int = CLASSES
    targets: tuple[int, ...] = ()

    def data(self, rows: int) -> tuple[np.ndarray, np.ndarray]:
        """Random inputs and class numbers."""
        rng = np.random.default_rng(0)
        if len(self.shape) == 1:
            x = rng.integers(0, VOCABULARY, (rows, *self.shape))
        else:
            x = rng.standard_normal((rows, *self.shape), dtype="float32")
        return x, rng.integers(0, self.classes, (rows, *self.targets))


# ------------------------------------------------------------------------------------------------ convolutions


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


def _resnet_layers(keras: Any, x: Any) -> Any:
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


def _resnet_module() -> nn.Module:
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


def _mobilenet_layers(keras: Any, x: Any) -> Any:
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


def _mobilenet_module() -> nn.Module:
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


_DEPTHS, _WIDTHS = (3, 3, 9, 3), (16, 32, 64, 128)


def _convnext_layers(keras: Any, x: Any) -> Any:
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


def _convnext_module() -> nn.Module:
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


def _unet_layers(keras: Any, x: Any) -> Any:
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


class _UNet(nn.Module):
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


# ------------------------------------------------------------------------------------------------ sequences


def _blocks(keras: Any, h: Any, depth: int, causal: bool) -> Any:
    L = keras.layers
    for _ in range(depth):
        t = L.LayerNormalization(epsilon=1e-5)(h)
        h = L.Add()([h, L.MultiHeadAttention(HEADS, WIDTH // HEADS)(t, t, use_causal_mask=causal)])
        t = L.LayerNormalization(epsilon=1e-5)(h)
        h = L.Add()([h, L.Dense(WIDTH)(L.Dense(4 * WIDTH, activation="gelu")(t))])
    return L.LayerNormalization(epsilon=1e-5)(h)


class _Block(nn.Module):
    def __init__(self, causal: bool) -> None:
        super().__init__()
        self.causal = causal
        self.query, self.key, self.value, self.out = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.dense1, self.dense2 = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        t = self.norm1(h)
        q, k, v = (f(t).unflatten(-1, (HEADS, -1)).transpose(1, 2) for f in (self.query, self.key, self.value))
        a = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal).transpose(1, 2).flatten(2)
        h = h + self.out(a)
        return h + self.dense2(F.gelu(self.dense1(self.norm2(h))))


def _places(keras: Any, length: int) -> Any:
    class Places(keras.layers.Layer):
        def build(self, shape: Any) -> None:
            self.place = self.add_weight(shape=(length, WIDTH), initializer="uniform", name="place")

        def call(self, h: Any) -> Any:
            return h + self.place

    return Places()


def _text_layers(causal: bool, depth: int = 12) -> Callable[[Any, Any], Any]:
    def layers(keras: Any, x: Any) -> Any:
        h = _places(keras, LENGTH)(keras.layers.Embedding(VOCABULARY, WIDTH)(x))
        h = _blocks(keras, h, depth, causal)
        return keras.layers.Dense(VOCABULARY)(h) if causal else keras.layers.Dense(CLASSES)(h[:, 0])

    return layers


class _Text(nn.Module):
    def __init__(self, causal: bool, depth: int = 12) -> None:
        super().__init__()
        self.causal = causal
        self.token = nn.Embedding(VOCABULARY, WIDTH)
        self.place = nn.Parameter(torch.randn(LENGTH, WIDTH))
        self.blocks = nn.Sequential(*[_Block(causal) for _ in range(depth)])
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, VOCABULARY if causal else CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.norm(self.blocks(self.token(x) + self.place))
        return self.head(h if self.causal else h[:, 0])


def _vit_layers(keras: Any, x: Any) -> Any:
    L = keras.layers
    h = L.Reshape((16, WIDTH))(L.Conv2D(WIDTH, 8, 8)(x))
    h = _blocks(keras, _places(keras, 16)(h), 12, False)
    return L.Dense(CLASSES)(L.GlobalAveragePooling1D()(h))


class _Vit(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, WIDTH, 8, 8)
        self.place = nn.Parameter(torch.randn(16, WIDTH))
        self.blocks = nn.Sequential(*[_Block(False) for _ in range(12)])
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.patches(x).flatten(2).transpose(1, 2) + self.place
        return self.head(self.norm(self.blocks(h)).mean(1))


def _lstm_layers(keras: Any, x: Any) -> Any:
    L = keras.layers
    h = L.Embedding(VOCABULARY, WIDTH)(x)
    return L.Dense(CLASSES)(L.LSTM(WIDTH)(L.LSTM(WIDTH, return_sequences=True)(h)))


class _Lstm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Embedding(VOCABULARY, WIDTH)
        self.lstm = nn.LSTM(WIDTH, WIDTH, num_layers=2, batch_first=True)
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.lstm(self.token(x))[0][:, -1])


_IMAGE = (32, 32, 3)

NETWORKS = (
    Network("ResNet-50", _IMAGE, _resnet_layers, _resnet_module),
    Network("BERT-base", (LENGTH,), _text_layers(False), lambda: _Text(False)),
    Network("GPT-2", (LENGTH,), _text_layers(True), lambda: _Text(True), VOCABULARY, (LENGTH,)),
    Network("MobileNetV2", _IMAGE, _mobilenet_layers, _mobilenet_module),
    Network("ConvNeXt-T", _IMAGE, _convnext_layers, _convnext_module),
    Network("ViT, 12 blocks", _IMAGE, _vit_layers, _Vit),
    Network("U-Net, 4 levels", _IMAGE, _unet_layers, _UNet, CLASSES, _IMAGE[:2]),
    Network("LSTM, 2 layers", (LENGTH,), _lstm_layers, _Lstm),
)
