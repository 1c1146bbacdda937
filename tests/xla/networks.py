"""Small networks with data, a row each, that training on torch_xla is tried with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import torchkeras as keras

L, M, O = keras.layers, keras.metrics, keras.optimizers


def dense_network(*inside: Any, units: int = 1, activation: str | None = None) -> Callable[[], Any]:
    """A function that makes a network of two dense layers with others between, each given by a function."""

    def make() -> Any:
        layers = [L.Dense(16, activation="tanh"), *(one() for one in inside), L.Dense(units, activation=activation)]
        return keras.Sequential([keras.Input((8,)), *layers])

    return make


def convolutional_network() -> Any:
    """Convolutions of all kinds, normalizations, pooling."""
    layers = [
        L.Conv2D(8, 3, padding="same"),
        L.BatchNormalization(),
        L.ReLU(),
        L.MaxPooling2D(),
        L.SeparableConv2D(8, 3, padding="same", activation="gelu"),
        L.GroupNormalization(4),
        L.Conv2DTranspose(4, 2, strides=2),
        L.UpSampling2D(2),
        L.GlobalAveragePooling2D(),
        L.Dense(4),
    ]
    return keras.Sequential([keras.Input((8, 8, 3)), *layers])


def transformer() -> Any:
    """A block with attention over masked sequences."""
    inputs = keras.Input((6,), dtype="int64")
    x = L.Embedding(20, 16, mask_zero=True)(inputs)
    x = L.LayerNormalization()(L.add([x, L.MultiHeadAttention(2, 8)(x, x)]))
    inner = L.Dense(16)(L.Dense(32, activation="gelu")(x))
    x = L.LayerNormalization()(L.add([x, inner]))
    return keras.Model(inputs, L.Dense(4)(L.GlobalAveragePooling1D()(x)))


def recurrent(cell: Any) -> Callable[[], Any]:
    """A function that makes a network of recurrent layers over masked sequences."""

    def make() -> Any:
        inputs = keras.Input((6,), dtype="int64")
        x = cell(8, return_sequences=True)(L.Embedding(20, 8, mask_zero=True)(inputs))
        return keras.Model(inputs, L.Dense(4)(L.Bidirectional(cell(4))(x)))

    return make


def numbers(rng: np.random.Generator, rows: int = 70) -> tuple[np.ndarray, np.ndarray]:
    """Vectors, and a number for each."""
    x = rng.normal(size=(rows, 8)).astype("float32")
    return x, 0.3 * x.sum(1, keepdims=True)


def yes_or_no(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Vectors, and 0 or 1 for each."""
    x, y = numbers(rng)
    return x, (y > 0).astype("float32")


def images(rng: np.random.Generator, rows: int = 36) -> tuple[np.ndarray, np.ndarray]:
    """Images, and their classes."""
    return rng.normal(size=(rows, 8, 8, 3)).astype("float32"), rng.integers(0, 4, rows)


def sentences(rng: np.random.Generator, rows: int = 36) -> tuple[np.ndarray, np.ndarray]:
    """Sequences of numbers that end in zeros, and their classes."""
    words = rng.integers(1, 20, (rows, 6))
    words[rng.random(rows) < 0.5, 4:] = 0
    return words, rng.integers(0, 4, rows)


def descent() -> Any:
    """An optimizer for networks with biases before a normalization: Adam makes steps of their gradients' rounding."""
    return O.SGD(0.05, momentum=0.9)


def classes(optimizer: Callable[[], Any] = lambda: O.Adam(0.003)) -> dict[str, Any]:
    """The arguments of `compile()` for logits of classes."""
    return {
        "optimizer": optimizer,
        "loss": lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        "metrics": lambda: ["accuracy", M.SparseTopKCategoricalAccuracy(2)],
    }
