"""ResNet-50, BERT-base and GPT-2 (124M), in plain torch and in the API of Keras, with weights of the same sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn


@dataclass
class Network:
    """The sizes of a network and of its batches."""

    name: str
    batch: int
    size: int
    """Pixels a side, or tokens in a row."""
    vocabulary: int = 0
    width: int = 0
    heads: int = 0
    depth: int = 12
    writes: bool = False
    """Whether it predicts each next token, rather than a class."""

    def data(self, steps: int, device: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs and targets for some steps."""
        rows = self.batch * steps
        if not self.vocabulary:
            x = torch.randn(rows, self.size, self.size, 3, device=device)
            return x, torch.randint(0, 1000, (rows,), device=device)
        x = torch.randint(0, self.vocabulary, (rows, self.size), device=device)
        return x, x.roll(-1, 1) if self.writes else torch.randint(0, 2, (rows,), device=device)


NETWORKS = {
    "resnet50": Network("ResNet-50", 128, 224),
    "bert": Network("BERT-base", 32, 512, 30522, 768, 12),
    "gpt2": Network("GPT-2 124M", 16, 1024, 50304, 768, 12, writes=True),
}
SMALL = {
    "resnet50": Network("ResNet-50, small", 2, 32),
    "bert": Network("BERT, small", 2, 8, 100, 32, 4, depth=2),
    "gpt2": Network("GPT-2, small", 2, 8, 100, 32, 4, depth=2, writes=True),
}
STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))


# ------------------------------------------------------------------------------------------------ plain torch


def _convolution(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs))


class Bottleneck(nn.Module):
    def __init__(self, inputs: int, filters: int, stride: int) -> None:
        super().__init__()
        outputs = 4 * filters
        self.first = _convolution(inputs, filters, 1)
        self.second = _convolution(filters, filters, 3, stride)
        self.third = _convolution(filters, outputs, 1)
        self.short = _convolution(inputs, outputs, 1, stride) if inputs != outputs else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.first(x), inplace=True)
        y = F.relu(self.second(y), inplace=True)
        return F.relu(self.third(y).add_(self.short(x)), inplace=True)


class ResNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        blocks, inputs = [], 64
        for stage, (filters, count) in enumerate(STAGES):
            for place in range(count):
                blocks.append(Bottleneck(inputs, filters, 2 if stage and not place else 1))
                inputs = 4 * filters
        self.stem, self.blocks, self.head = _convolution(3, 64, 7, 2), nn.Sequential(*blocks), nn.Linear(2048, 1000)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.stem(images.permute(0, 3, 1, 2)), inplace=True)
        return self.head(self.blocks(F.max_pool2d(x, 3, 2, 1)).mean((2, 3)))


class TransformerBlock(nn.Module):
    def __init__(self, of: Network) -> None:
        super().__init__()
        width = of.width
        self.heads, self.causal = of.heads, of.writes
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key, self.value = nn.Linear(width, width), nn.Linear(width, width), nn.Linear(width, width)
        self.out, self.up, self.down = nn.Linear(width, width), nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm_1(x)
        parts = [part(y).unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (self.query, self.key, self.value)]
        y = F.scaled_dot_product_attention(*parts, is_causal=self.causal)
        x = x + self.out(y.transpose(1, 2).flatten(2))
        return x + self.down(F.gelu(self.up(self.norm_2(x))))


class Transformer(nn.Module):
    def __init__(self, of: Network) -> None:
        super().__init__()
        self.writes = of.writes
        self.tokens, self.places = nn.Embedding(of.vocabulary, of.width), nn.Parameter(torch.zeros(of.size, of.width))
        self.blocks = nn.Sequential(*[TransformerBlock(of) for _ in range(of.depth)])
        self.norm = nn.LayerNorm(of.width)
        self.head = nn.Linear(of.width, of.vocabulary if of.writes else 2)

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.blocks(self.tokens(numbers) + self.places))
        return self.head(x if self.writes else x[:, 0])


def torch_network(of: Network) -> nn.Module:
    """The network in plain torch."""
    return Transformer(of) if of.vocabulary else ResNet()


# ------------------------------------------------------------------------------------------------ the API of Keras


def keras_network(keras: Any, of: Network) -> Any:
    """The network in the API of Keras."""
    return _keras_transformer(keras, of) if of.vocabulary else _keras_resnet(keras, of)


def _keras_resnet(keras: Any, of: Network) -> Any:
    layers = keras.layers

    def convolution(x: Any, filters: int, size: int, stride: int = 1) -> Any:
        if size > 1 and stride > 1:  # torch pads both sides alike
            x = layers.ZeroPadding2D(size // 2)(x)
        padding = "same" if size > 1 and stride == 1 else "valid"
        x = layers.Conv2D(filters, size, strides=stride, padding=padding, use_bias=False)(x)
        return layers.BatchNormalization(epsilon=1e-5, momentum=0.9)(x)

    inputs = keras.Input((of.size, of.size, 3))
    x = layers.ReLU()(convolution(inputs, 64, 7, 2))
    x = layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(1)(x))
    for stage, (filters, count) in enumerate(STAGES):
        for place in range(count):
            stride = 2 if stage and not place else 1
            y = layers.ReLU()(convolution(x, filters, 1))
            y = convolution(layers.ReLU()(convolution(y, filters, 3, stride)), 4 * filters, 1)
            x = layers.ReLU()(layers.Add()([y, x if place else convolution(x, 4 * filters, 1, stride)]))
    return keras.Model(inputs, layers.Dense(1000)(layers.GlobalAveragePooling2D()(x)))


def _keras_transformer(keras: Any, of: Network) -> Any:
    layers = keras.layers

    class Places(layers.Layer):  # type: ignore[misc, name-defined]
        def build(self, shape: Any) -> None:
            self.places = self.add_weight(shape=(of.size, of.width), initializer="zeros", name="places")

        def call(self, inputs: Any) -> Any:
            return inputs + self.places

    inputs = keras.Input((of.size,), dtype="int64")
    x = Places()(layers.Embedding(of.vocabulary, of.width)(inputs))
    for _ in range(of.depth):
        y = layers.LayerNormalization(epsilon=1e-5)(x)
        y = layers.MultiHeadAttention(of.heads, of.width // of.heads)(y, y, use_causal_mask=of.writes)
        x = layers.Add()([x, y])
        y = layers.Dense(4 * of.width, activation="gelu")(layers.LayerNormalization(epsilon=1e-5)(x))
        x = layers.Add()([x, layers.Dense(of.width)(y)])
    x = layers.LayerNormalization(epsilon=1e-5)(x)
    return keras.Model(inputs, layers.Dense(of.vocabulary)(x) if of.writes else layers.Dense(2)(x[:, 0]))
