"""Layers and models on which torch's own operations are tried: a maker, its arguments, an input shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch

import torchkeras as keras
from tests.interop.layer_cases import ALL
from torchkeras import layers


class Row(NamedTuple):
    """One thing to try; `draw` makes inputs for a batch size, as positional arguments of the call."""

    name: str
    make: Callable[[], Any]
    draw: Callable[[int], tuple]


def floats(*shape: int) -> Callable[[int], tuple]:
    return lambda batch: (torch.randn(batch, *shape),)


def tokens(length: int, vocabulary: int) -> Callable[[int], tuple]:
    return lambda batch: (torch.randint(1, vocabulary, (batch, length)),)


# ------------------------------------------------------------------------------------------------ models


def sequential() -> Any:
    return keras.Sequential(
        [keras.Input((5,)), layers.Dense(8, activation="relu"), layers.BatchNormalization(), layers.Dense(3)]
    )


def convnet() -> Any:
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    x = layers.MaxPooling2D()(x)
    x = layers.BatchNormalization()(x)
    x = layers.Add()([x, layers.Conv2D(4, 1)(x)])
    return keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))


def shared_and_nested() -> Any:
    """A model used twice inside another, a shared layer, two inputs in a dict."""
    inner_input = keras.Input((4,))
    inner = keras.Model(inner_input, layers.Dense(6, activation="tanh")(inner_input), name="inner")
    left, right = keras.Input((4,), name="left"), keras.Input((4,), name="right")
    joined = layers.Concatenate()([inner(left), inner(right)])
    shared = layers.Dense(12, name="shared")
    return keras.Model({"left": left, "right": right}, layers.Dense(2)(shared(shared(joined))))


def transformer() -> Any:
    inputs = keras.Input((6,), dtype="int64")
    x = layers.Embedding(11, 8)(inputs)
    x = layers.LayerNormalization()(layers.Add()([x, layers.MultiHeadAttention(2, 4)(x, x)]))
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling1D()(x)))


def recurrent() -> Any:
    inputs = keras.Input((7, 3))
    return keras.Model(inputs, layers.Dense(2)(layers.GRU(4)(layers.LSTM(5, return_sequences=True)(inputs))))


class Subclassed(keras.Model):
    """Layers in attributes and in a list, as users write them."""

    def __init__(self, units: int = 6, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.first = layers.Dense(units, activation="relu")
        self.blocks = [layers.Dense(units), layers.Dense(units)]
        self.last = layers.Dense(2)

    def call(self, x: Any) -> Any:
        x = self.first(x)
        for block in self.blocks:
            x = x + block(x)
        return self.last(x)


class OwnLayer(layers.Layer):
    """A layer with a weight, a buffer and a sublayer of its own."""

    def __init__(self, units: int = 4, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.inner = layers.Dense(units)

    def build(self, input_shape: Any) -> None:
        self.scale = self.add_weight(name="scale", shape=(self.units,), initializer="ones")
        self.shift = self.add_weight(name="shift", shape=(self.units,), initializer="zeros", trainable=False)
        self.inner.build(input_shape)

    def call(self, x: Any) -> Any:
        return self.inner(x) * self.scale + self.shift

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[:-1], self.units)


def with_torch_module() -> Any:
    return keras.Sequential([keras.Input((5,)), torch.nn.Linear(5, 4), layers.Dense(3)])


MODELS = [
    Row("sequential", sequential, floats(5)),
    Row("convnet", convnet, floats(8, 8, 3)),
    Row("shared_and_nested", shared_and_nested, lambda n: ({k: torch.randn(n, 4) for k in ("left", "right")},)),
    Row("transformer", transformer, tokens(6, 11)),
    Row("recurrent", recurrent, floats(7, 3)),
    Row("subclassed", Subclassed, floats(5)),
    Row("own_layer", OwnLayer, floats(5)),
    Row("with_torch_module", with_torch_module, floats(5)),
]

# ------------------------------------------------------------------------------------------------ layers


def _inputs(shape: Any, batch: int) -> tuple:
    """Random inputs of the shape given in the table of layers, with another batch size."""
    if shape[0] == "int":
        return (torch.randint(0, shape[1], (batch, *shape[2][1:])),)
    if isinstance(shape, list):
        return ([torch.from_numpy(np.random.normal(size=(batch, *one[1:])).astype("float32")) for one in shape],)
    return (torch.randn(batch, *shape[1:]),)


def _layer_rows() -> list[Row]:
    """One row a layer class: the first of each in the table that is compared with Keras."""
    rows: dict[str, Row] = {}
    for name, kwargs, shape in ALL:
        rows.setdefault(
            name,
            Row(
                name,
                lambda name=name, kwargs=kwargs: getattr(layers, name)(**kwargs),
                lambda n, s=shape: _inputs(s, n),
            ),
        )
    return list(rows.values())


RECURRENT_AND_ATTENTION = [
    Row("LSTM", lambda: layers.LSTM(4), floats(6, 3)),
    Row("LSTM-sequences", lambda: layers.LSTM(4, return_sequences=True, go_backwards=True), floats(6, 3)),
    Row("LSTM-not-fused", lambda: layers.LSTM(4, activation="relu"), floats(6, 3)),
    Row("GRU", lambda: layers.GRU(4), floats(6, 3)),
    Row("MultiHeadAttention", lambda: layers.MultiHeadAttention(2, 4), lambda n: (torch.randn(n, 5, 8),) * 2),
]

LAYERS = [*_layer_rows(), *RECURRENT_AND_ATTENTION]


def built(row: Row) -> Any:
    """The module, run once, so that all weights are there."""
    module = row.make()
    with torch.no_grad():
        module(*row.draw(3))
    return module


def randomize(module: torch.nn.Module) -> None:
    """Other weights than the initial ones, which often are zeros or ones; positive, as variances must be."""
    with torch.no_grad():
        for tensor in (*module.parameters(), *module.buffers()):
            if tensor.is_floating_point():
                tensor.copy_(torch.rand_like(tensor) * 0.5 + 0.25)


def leaves(outputs: Any) -> list[torch.Tensor]:
    if isinstance(outputs, (list, tuple)):
        return [leaf for value in outputs for leaf in leaves(value)]
    if isinstance(outputs, dict):
        return [leaf for value in outputs.values() for leaf in leaves(value)]
    return [outputs]
