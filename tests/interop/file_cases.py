"""Models worth saving, as functions of a Keras-like package `k`: `(model, inputs, targets)`, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np

# No bias comes right before a BatchNormalization: it would have no gradient but rounding, which Adam makes steps of.


def row(k: Any, rng: Any) -> Any:
    L = k.layers
    model = k.Sequential(
        [k.Input((4,)), L.Dense(8, "relu"), L.BatchNormalization(), L.Dropout(0.0, seed=3), L.Dense(2)]
    )
    model.compile("adam", "mse", metrics=["mae"])
    return model, rng.normal(size=(32, 4)), rng.normal(size=(32, 2))


def schedule(k: Any, rng: Any) -> Any:
    L = k.layers
    model = k.Sequential([k.Input((4,)), L.Dense(8, "tanh", kernel_regularizer="l2"), L.Dense(3, "softmax")])
    rate = k.optimizers.schedules.ExponentialDecay(0.05, 3, 0.7)
    loss = k.losses.SparseCategoricalCrossentropy()
    model.compile(k.optimizers.SGD(rate, momentum=0.9, nesterov=True), loss, metrics=["accuracy"])
    return model, rng.normal(size=(32, 4)), rng.integers(0, 3, 32)


def images(k: Any, rng: Any) -> Any:
    L = k.layers
    x = k.Input((8, 8, 3))
    y = L.Conv2D(4, 3, padding="same", activation="relu")(x)
    y = L.Add()([y, L.BatchNormalization()(L.SeparableConv2D(4, 3, padding="same", use_bias=False)(y))])
    y = L.Dense(2)(L.GlobalAveragePooling2D()(L.MaxPooling2D()(y)))
    model = k.Model(x, y)
    model.compile(k.optimizers.RMSprop(0.01, momentum=0.5), "mse")
    return model, rng.normal(size=(32, 8, 8, 3)), rng.normal(size=(32, 2))


def shared_and_nested(k: Any, rng: Any) -> Any:
    L = k.layers
    a, b = k.Input((5, 3), name="a"), k.Input((5, 3), name="b")
    encoder = L.LSTM(4, return_sequences=True, name="encoder")
    both = L.MultiHeadAttention(2, 3)(encoder(a), encoder(b))
    inner = k.Sequential([k.Input((5, 4)), L.Dense(3, "relu"), L.LayerNormalization()], name="inner")
    y = L.TimeDistributed(L.Dense(2))(inner(both))
    y = L.Bidirectional(L.GRU(2))(y)
    model = k.Model([a, b], [L.Dense(1, name="one")(y), y * 2 + 1])
    model.compile(k.optimizers.Adam(0.01, amsgrad=True), ["mse", "mae"], loss_weights=[1.0, 0.5])
    x = [rng.normal(size=(32, 5, 3)), rng.normal(size=(32, 5, 3))]
    return model, x, [rng.normal(size=(32, 1)), rng.normal(size=(32, 4))]


def words(k: Any, rng: Any) -> Any:
    L = k.layers
    x = k.Input((6,), dtype="int32")
    y = L.Embedding(11, 4, mask_zero=True)(x)
    y = L.RNN([L.LSTMCell(3), L.GRUCell(3)])(y)
    model = k.Model(x, L.Dense(1, "sigmoid")(y))
    model.compile(k.optimizers.AdamW(0.02), "binary_crossentropy", metrics=["accuracy"])
    return model, rng.integers(0, 11, (32, 6)), rng.integers(0, 2, (32, 1))


def scaled(k: Any, rng: Any) -> Any:
    model = k.Sequential([k.Input((4,)), k.layers.Dense(3, "relu"), k.layers.Dense(2)])
    model.compile(k.optimizers.LossScaleOptimizer(k.optimizers.SGD(0.1, momentum=0.5)), k.losses.LogCosh())
    return model, rng.normal(size=(32, 4)), rng.normal(size=(32, 2))


def averaged(k: Any, rng: Any) -> Any:
    model = k.Sequential([k.Input((4,)), k.layers.Dense(3, "gelu"), k.layers.Dense(2)])
    model.compile(k.optimizers.Nadam(0.01, use_ema=True, clipnorm=0.5), "mse")
    return model, rng.normal(size=(32, 4)), rng.normal(size=(32, 2))


def subclassed(k: Any, rng: Any) -> Any:
    model = custom_class(k)(width=3)
    model.compile("adam", "mse")
    x, y = rng.normal(size=(32, 2)), rng.normal(size=(32, 2))
    model(x[:2].astype("float32"))
    return model, x, y


_CLASSES: dict[str, Any] = {}


def custom_class(k: Any) -> Any:
    """A model with layers in lists, lists within lists, dicts, tuples, private attributes and under two names."""
    if k.__name__ not in _CLASSES:
        _CLASSES[k.__name__] = _make_class(k)
    return _CLASSES[k.__name__]


def _make_class(k: Any) -> Any:
    L = k.layers

    class Blocks(k.Model):
        def __init__(self, width=3, **kwargs):
            super().__init__(**kwargs)
            self.width = width
            self.blocks = [L.Dense(2, "tanh"), L.Dense(2, "tanh"), [L.Dense(2, "tanh"), {"a": L.Dense(2, "tanh")}]]
            self.by_name = {"z": L.Dense(2, "tanh"), "a": L.Dense(2, "tanh")}
            self.pair = (L.Dense(2, use_bias=False), L.BatchNormalization())
            self._hidden = L.Dense(2)
            self.last = L.Dense(2)
            self.alias = self.blocks[0]
            self.scale = self.add_weight(shape=(2,), name="scale", initializer="ones")
            self.rnn = L.RNN(L.LSTMCell(2))

        def call(self, x, training=None):
            x = self.blocks[1](self.blocks[0](x))
            x = self.blocks[2][1]["a"](self.blocks[2][0](x))
            x = self.by_name["a"](self.by_name["z"](x))
            x = self._hidden(self.pair[1](self.pair[0](x), training=training))
            x = x + self.rnn(k.ops.expand_dims(x, 1))
            return self.last(x) * self.scale

        def get_config(self):
            return {"width": self.width, "name": self.name}

        @classmethod
        def from_config(cls, config):
            return cls(**config)

    return Blocks


ALL = [row, schedule, images, shared_and_nested, words, scaled, averaged, subclassed]


def as_floats(value: Any) -> Any:
    if isinstance(value, list):
        return [as_floats(one) for one in value]
    return value.astype("float32") if value.dtype == np.float64 else value
