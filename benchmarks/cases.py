"""The models that are timed: each once in plain torch, once in Keras's API (for torchkeras and for Keras itself)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

Arrays = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Case:
    """One row of the table.

    `layers(lib, x)` maps a symbolic input to logits with the layers of `lib`; `module()` is the same network as a torch
    user writes it. One logit means binary classification. `images` are given to torch as NCHW, with `channels_last` in
    that memory format, where it is the faster one for torch.
    """

    name: str
    samples: int
    batch_size: int
    data: Callable[[int, np.random.Generator], Arrays]
    layers: Callable[[Any, Any], Any]
    module: Callable[[], nn.Module]
    outputs: int = 10
    images: bool = False
    channels_last: bool = False
    predict: bool = False


def _normal(shape: tuple[int, ...], classes: int) -> Callable[[int, np.random.Generator], Arrays]:
    """Random inputs with a label that depends on them, so that there is something to learn."""

    def draw(n: int, rng: np.random.Generator) -> Arrays:
        x = rng.standard_normal((n, *shape), dtype="float32")
        scores = x.reshape(n, -1)[:, :64] @ rng.standard_normal((min(64, int(np.prod(shape))), classes))
        if classes == 1:
            return x, (scores > 0).astype("float32")
        return x, scores.argmax(1)

    return draw


def _tokens(vocabulary: int, length: int, classes: int) -> Callable[[int, np.random.Generator], Arrays]:
    def draw(n: int, rng: np.random.Generator) -> Arrays:
        x = rng.integers(1, vocabulary, (n, length))
        scores = rng.standard_normal((vocabulary, classes))[x].mean(1)
        return x, (scores > 0).astype("float32") if classes == 1 else scores.argmax(1)

    return draw


# ------------------------------------------------------------------------------------------------ dense


def _mlp_layers(widths: tuple[int, ...], outputs: int, dropout: float = 0.0) -> Callable[[Any, Any], Any]:
    def layers(lib: Any, x: Any) -> Any:
        for width in widths:
            x = lib.layers.Dense(width, activation="relu")(x)
            if dropout:
                x = lib.layers.Dropout(dropout)(x)
        return lib.layers.Dense(outputs)(x)

    return layers


def _mlp_module(inputs: int, widths: tuple[int, ...], outputs: int, dropout: float = 0.0) -> Callable[[], nn.Module]:
    def module() -> nn.Module:
        parts: list[nn.Module] = []
        for before, width in zip((inputs, *widths), widths):
            parts += [nn.Linear(before, width), nn.ReLU()]
            if dropout:
                parts.append(nn.Dropout(dropout))
        return nn.Sequential(*parts, nn.Linear(widths[-1], outputs))

    return module


# ------------------------------------------------------------------------------------------------ images


def _convnet_layers(lib: Any, x: Any) -> Any:
    for filters in (32, 64):
        x = lib.layers.Conv2D(filters, 3, activation="relu")(x)
        x = lib.layers.MaxPooling2D()(x)
    x = lib.layers.Flatten()(x)
    return lib.layers.Dense(10)(lib.layers.Dense(128, activation="relu")(x))


def _convnet_module() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(1600, 128), nn.ReLU(), nn.Linear(128, 10),
    )  # fmt: skip


_STAGES = ((32, 1), (64, 2), (128, 2))


def _resnet_layers(lib: Any, x: Any) -> Any:
    L = lib.layers

    def norm(x: Any) -> Any:
        return L.BatchNormalization(epsilon=1e-5, momentum=0.9)(x)

    x = L.ReLU()(norm(L.Conv2D(32, 3, padding="same", use_bias=False)(x)))
    for filters, stride in _STAGES:
        y = L.ZeroPadding2D(1)(x)
        y = L.ReLU()(norm(L.Conv2D(filters, 3, strides=stride, use_bias=False)(y)))
        y = norm(L.Conv2D(filters, 3, padding="same", use_bias=False)(y))
        if stride != 1:
            x = norm(L.Conv2D(filters, 1, strides=stride, use_bias=False)(x))
        x = L.ReLU()(L.Add()([x, y]))
    return L.Dense(10)(L.GlobalAveragePooling2D()(x))


class _Block(nn.Module):
    def __init__(self, inputs: int, filters: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, filters, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(filters)
        self.shortcut = nn.Identity()
        if stride != 1:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, filters, 1, stride, bias=False), nn.BatchNorm2d(filters))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(y + self.shortcut(x))


class _ResNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 32, 3, 1, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU())
        widths = [32, *(filters for filters, _ in _STAGES)]
        self.blocks = nn.Sequential(*[_Block(w, *stage) for w, stage in zip(widths, _STAGES)])
        self.head = nn.Linear(128, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.blocks(self.stem(x)).mean((2, 3)))


# ------------------------------------------------------------------------------------------------ sequences


def _transformer_layers(lib: Any, x: Any) -> Any:
    L = lib.layers
    x = L.Embedding(2000, 128)(x)
    for _ in range(2):
        attended = L.MultiHeadAttention(num_heads=4, key_dim=32)(x, x)
        x = L.LayerNormalization(epsilon=1e-5)(L.Add()([x, attended]))
        widened = L.Dense(128)(L.Dense(512, activation="relu")(x))
        x = L.LayerNormalization(epsilon=1e-5)(L.Add()([x, widened]))
    return L.Dense(10)(L.GlobalAveragePooling1D()(x))


class _Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(2000, 128)
        block = nn.TransformerEncoderLayer(128, 4, 512, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(block, 2, enable_nested_tensor=False)
        self.head = nn.Linear(128, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.encoder(self.embedding(x)).mean(1))


def _lstm_layers(lib: Any, x: Any) -> Any:
    return lib.layers.Dense(10)(lib.layers.LSTM(128)(x))


class _Lstm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(32, 128, batch_first=True)
        self.head = nn.Linear(128, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.lstm(x)[0][:, -1])


def _embedding_layers(lib: Any, x: Any) -> Any:
    x = lib.layers.GlobalAveragePooling1D()(lib.layers.Embedding(5000, 32)(x))
    return lib.layers.Dense(1)(lib.layers.Dense(16, activation="relu")(x))


class _EmbeddingMean(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5000, 32)
        self.head = nn.Sequential(nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.embedding(x).mean(1))


_mlp = _mlp_layers((512, 512), 10, dropout=0.2), _mlp_module(784, (512, 512), 10, dropout=0.2)

CASES = (
    Case(
        "tiny MLP 32-64-64-1, batch 32", 20_000, 32,
        _normal((32,), 1), _mlp_layers((64, 64), 1), _mlp_module(32, (64, 64), 1), outputs=1,
    ),
    Case("MLP 784-512-512-10, dropout, batch 128", 20_000, 128, _normal((784,), 10), *_mlp),
    Case(
        "convnet 28x28x1, batch 64", 6_400, 64,
        _normal((28, 28, 1), 10), _convnet_layers, _convnet_module, images=True,
    ),
    Case(
        "ResNet 64x64x3, batch 32", 480, 32,
        _normal((64, 64, 3), 10), _resnet_layers, _ResNet, images=True, channels_last=True,
    ),
    Case("transformer, 2 blocks, 64x128, batch 32", 960, 32, _tokens(2000, 64, 10), _transformer_layers, _Transformer),
    Case("LSTM 128, length 64, batch 64", 1_920, 64, _normal((64, 32), 10), _lstm_layers, _Lstm),
    Case(
        "embedding mean pool, length 100, batch 64", 9_600, 64,
        _tokens(5000, 100, 1), _embedding_layers, _EmbeddingMean, outputs=1,
    ),
    Case("predict, MLP, 60,000 rows, batch 128", 60_000, 128, _normal((784,), 10), *_mlp, predict=True),
)  # fmt: skip
