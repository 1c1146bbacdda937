"""Networks of sequences whose training steps are counted: with Keras's layers, and as a torch user writes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from launch_network import CLASSES, FEATURES, HEADS, LENGTH, VOCABULARY, WIDTH


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


def text_layers(causal: bool, depth: int = 12) -> Callable[[Any, Any], Any]:
    def layers(keras: Any, x: Any) -> Any:
        h = _places(keras, LENGTH)(keras.layers.Embedding(VOCABULARY, WIDTH)(x))
        h = _blocks(keras, h, depth, causal)
        return keras.layers.Dense(VOCABULARY)(h) if causal else keras.layers.Dense(CLASSES)(h[:, 0])

    return layers


class Text(nn.Module):
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


def vit_layers(keras: Any, x: Any) -> Any:
    L = keras.layers
    h = L.Reshape((16, WIDTH))(L.Conv2D(WIDTH, 8, 8)(x))
    h = _blocks(keras, _places(keras, 16)(h), 12, False)
    return L.Dense(CLASSES)(L.GlobalAveragePooling1D()(h))


class Vit(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, WIDTH, 8, 8)
        self.place = nn.Parameter(torch.randn(16, WIDTH))
        self.blocks = nn.Sequential(*[_Block(False) for _ in range(12)])
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.patches(x).flatten(2).transpose(1, 2) + self.place
        return self.head(self.norm(self.blocks(h)).mean(1))


def lstm_layers(keras: Any, x: Any) -> Any:
    L = keras.layers
    h = L.Embedding(VOCABULARY, WIDTH)(x)
    return L.Dense(CLASSES)(L.LSTM(WIDTH)(L.LSTM(WIDTH, return_sequences=True)(h)))


class Lstm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Embedding(VOCABULARY, WIDTH)
        self.lstm = nn.LSTM(WIDTH, WIDTH, num_layers=2, batch_first=True)
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.lstm(self.token(x))[0][:, -1])


_CONFORMER_BLOCKS, _WINDOW, _DROPPED = 8, 7, 0.1


def conformer_layers(keras: Any, x: Any) -> Any:
    """Blocks of a Conformer (Gulati et al., 2020, arXiv:2005.08100) with two half feed-forward networks."""
    L = keras.layers

    def half(h: Any) -> Any:
        t = L.Dense(4 * WIDTH, activation="silu")(L.LayerNormalization(epsilon=1e-5)(h))
        return L.Add()([h, 0.5 * L.Dropout(_DROPPED)(L.Dense(WIDTH)(L.Dropout(_DROPPED)(t)))])

    h = L.Dropout(_DROPPED)(L.Dense(WIDTH)(x))
    for _ in range(_CONFORMER_BLOCKS):
        h = half(h)
        t = L.LayerNormalization(epsilon=1e-5)(h)
        h = L.Add()([h, L.Dropout(_DROPPED)(L.MultiHeadAttention(HEADS, WIDTH // HEADS)(t, t))])
        t = keras.ops.glu(L.Conv1D(2 * WIDTH, 1)(L.LayerNormalization(epsilon=1e-5)(h)))
        t = L.DepthwiseConv1D(_WINDOW, padding="same", use_bias=False)(t)
        t = L.Activation("silu")(L.BatchNormalization(epsilon=1e-5, momentum=0.9)(t))
        h = half(L.Add()([h, L.Dropout(_DROPPED)(L.Conv1D(WIDTH, 1)(t))]))
        h = L.LayerNormalization(epsilon=1e-5)(h)
    return L.Dense(CLASSES)(L.GlobalAveragePooling1D()(h))


class _Half(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.Sequential(
            *(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 4 * WIDTH), nn.SiLU(True), nn.Dropout(_DROPPED)),
            *(nn.Linear(4 * WIDTH, WIDTH), nn.Dropout(_DROPPED)),
        )

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        return torch.add(h, self.parts(h), alpha=0.5)


class _ConformerBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last, self.norm = _Half(), _Half(), nn.LayerNorm(WIDTH)
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.query, self.key, self.value, self.out = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.widen, self.narrow = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.depthwise = nn.Conv1d(WIDTH, WIDTH, _WINDOW, padding=_WINDOW // 2, groups=WIDTH, bias=False)
        self.batch_norm, self.dropout = nn.BatchNorm1d(WIDTH), nn.Dropout(_DROPPED)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        h = self.first(h)
        t = self.norm1(h)
        q, k, v = (f(t).unflatten(-1, (HEADS, -1)).transpose(1, 2) for f in (self.query, self.key, self.value))
        h = h + self.dropout(self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)))
        t = F.glu(self.widen(self.norm2(h))).transpose(1, 2)
        t = F.silu(self.batch_norm(self.depthwise(t)), inplace=True).transpose(1, 2)
        return self.norm(self.last(h + self.dropout(self.narrow(t))))


def conformer_module() -> nn.Module:
    class Mean(nn.Module):
        def forward(self, h: torch.Tensor) -> torch.Tensor:
            return h.mean(1)

    blocks = [_ConformerBlock() for _ in range(_CONFORMER_BLOCKS)]
    return nn.Sequential(nn.Linear(FEATURES, WIDTH), nn.Dropout(_DROPPED), *blocks, Mean(), nn.Linear(WIDTH, CLASSES))
