"""Trainings that must come out the same under every strategy: models, optimizers, steps of the user's, files."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import numpy as np
import torch

import torchkeras as keras
from tests.distributed.equal_cases import adam, mlp, plain
from torchkeras import distributed, layers, optimizers

CASES = {}


def case(function):
    CASES[function.__name__] = function
    return function


ON_FOUR_RANKS = ("perceptron", "transformer", "convolutional_net", "recurrent", "adversarial_pair")
LAYOUTS = {
    ".*dense(_[0-9]+)?/kernel": ("model", None),
    ".*wide(_[0-9]+)?/kernel": (None, "model"),
    ".*wide(_[0-9]+)?/bias": ("model",),
    ".*both/kernel": ("batch", "model"),
    ".*rows/embeddings": ("model", None),
    ".*columns/embeddings": (None, "model"),
    ".*(query|key|value)/kernel": (None, "model", None),
    ".*(query|key|value)/bias": ("model", None),
    ".*attention_output/kernel": ("model", None, None),
    ".*(lstm|gru)_cell.*kernel": (None, "model"),
    ".*outputs[0-9]/kernel": (None, None, None, "model"),
    ".*outputs[0-9]/bias": ("model",),
    ".*inputs[0-9]/kernel": (None, None, "model", None),
    ".*depthwise_conv2d/kernel": (None, None, "model", None),
    ".*transpose/kernel": (None, "model", None),
    ".*gamma": ("model",),
}


def set_strategy(name: str) -> None:
    """Set a distribution over all ranks: "model" or "hybrid" on two axes, "sharded" on one; others unset it."""
    keras.distribution.set_distribution(_distribution(name))


@functools.cache
def _distribution(name: str):
    """The same object each time: every mesh has process groups of its own."""
    if name in ("model", "hybrid"):
        shape = (distributed.world_size() // 2, 2)
        mesh = keras.distribution.DeviceMesh(shape, ["batch", "model"])
    if name == "model":
        layout_map = keras.distribution.LayoutMap(mesh)
        layout_map.update(LAYOUTS)
        return keras.distribution.ModelParallel(layout_map=layout_map)
    if name == "hybrid":
        return keras.distribution.FullyShardedDataParallel(mesh)
    return keras.distribution.FullyShardedDataParallel() if name == "sharded" else None


def run(seed: int, strategy: str, names=None) -> dict:
    found = {}
    for name in names or CASES:
        keras.utils.clear_session()
        keras.utils.set_random_seed(seed)
        set_strategy(strategy)
        try:
            found[name] = plain(CASES[name]())
        except Exception as error:
            error.add_note(f"in the case {name} under {strategy!r}")
            raise
        finally:
            keras.distribution.set_distribution(None)
    return found


def curve(model, x, y, epochs=5, optimizer=None, **options):
    """20 steps, the last of each epoch with an odd number of rows; then what came of them."""
    model.compile(optimizer or adam(), "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(x, y, batch_size=16, epochs=epochs, verbose=0, validation_data=(x[:9], y[:9]), **options)
    return {
        "history": history.history,
        "weights": [w.tolist() for w in model.get_weights()],
        "predict": model.predict(x[:21], batch_size=8, verbose=0).tolist(),
        "evaluate": model.evaluate(x, y, verbose=0),
    }


def targets(samples=53, classes=4):
    return np.random.randint(0, classes, samples)


# ---------------------------------------------------------------------------- models


@case
def perceptron():
    inputs = keras.Input((6,))
    hidden = layers.Dense(8, activation="tanh", name="wide_1")(inputs)
    hidden = layers.Dense(8, activation="softmax", name="both")(hidden)
    outputs = layers.Dense(4, activation="softmax", name="dense_9")(layers.Dense(8)(hidden))
    return curve(keras.Model(inputs, outputs), np.random.normal(size=(53, 6)), targets())


def block(x, heads, name):
    attended = layers.MultiHeadAttention(heads, 4, name=f"attention_{name}")(x, x, use_causal_mask=True)
    x = layers.LayerNormalization()(x + attended)
    hidden = layers.Dense(16, activation="gelu", name=f"wide_{len(name)}")(x)
    return layers.LayerNormalization()(x + layers.Dense(8)(hidden))


@case
def transformer():
    inputs = keras.Input((7,), dtype="int32")
    x = layers.Embedding(20, 8, name="rows")(inputs) + layers.Embedding(20, 8, name="columns")(inputs)
    x = block(block(x, 2, "a"), 4, "bb")
    grouped = layers.GroupQueryAttention(4, 4, 2, name="grouped")
    x = layers.GlobalAveragePooling1D()(grouped(x, x))
    model = keras.Model(inputs, layers.Dense(4, activation="softmax", name="dense_9")(x))
    return curve(model, np.random.randint(0, 20, (53, 7)), targets())


@case
def convolutional_net():
    model = keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            layers.ZeroPadding2D(1),
            layers.Conv2D(4, 3, activation="relu", name="outputs1"),
            layers.BatchNormalization(synchronized=True),
            layers.Conv2D(6, 3, strides=2, name="inputs1"),
            layers.DepthwiseConv2D(3, padding="same"),
            layers.Reshape((9, 6)),
            layers.Conv1DTranspose(4, 2, name="transpose"),
            layers.Flatten(),
            layers.Dense(4, activation="softmax", name="wide"),
        ]
    )
    return curve(model, np.random.normal(size=(53, 8, 8, 2)), targets())


@case
def recurrent():
    inputs = keras.Input((6,), dtype="int32")
    x = layers.Embedding(10, 6, mask_zero=True, name="rows")(inputs)
    x = layers.Bidirectional(layers.LSTM(4, return_sequences=True))(x)
    x = layers.RNN(layers.GRUCell(4))(x)
    model = keras.Model(inputs, layers.Dense(4, activation="softmax", name="dense_9")(x))
    words = np.random.randint(1, 10, (53, 6)) * (np.arange(6) < np.random.randint(1, 7, (53, 1)))
    words[::2, 0] -= 10  # the same rows of the table, counted from its end
    return curve(model, words, targets(), epochs=3)


@case
def attention_scores_and_masks():
    inputs = keras.Input((5, 6))
    mask = keras.Input((4, 5, 5), dtype="bool")
    layer = layers.MultiHeadAttention(4, 2, name="attention")
    outputs, scores = layer(inputs, inputs, attention_mask=mask, return_attention_scores=True)
    model = keras.Model([inputs, mask], {"outputs": outputs, "scores": scores})
    model.compile("sgd", "mse")
    x = np.random.normal(size=(9, 5, 6)).astype("float32")
    masks = np.random.uniform(size=(9, 4, 5, 5)) > 0.3
    y = {"outputs": np.zeros((9, 5, 6)), "scores": np.ones((9, 4, 5, 5))}
    history = model.fit([x, masks], y, verbose=0).history
    return [history, {name: value.tolist() for name, value in model.predict([x, masks], verbose=0).items()}]


# ---------------------------------------------------------------------------- optimizers

OPTIMIZERS = {
    **{
        name: lambda name=name: optimizers.get({"class_name": name, "config": {"learning_rate": 0.01}})
        for name in "Adagrad Adadelta Ftrl Lion Adafactor Muon".split()
    },
    **{
        name: lambda name=name: optimizers.get({"class_name": name, "config": {"learning_rate": 0.01, "epsilon": 1e-3}})
        for name in "RMSprop Adam Adamax Nadam Lamb".split()
    },
    "momentum": lambda: optimizers.SGD(0.01, momentum=0.9, nesterov=True, weight_decay=0.01),
    "clipvalue": lambda: adam(clipvalue=0.01),
    "clipnorm": lambda: adam(clipnorm=0.02),
    "global_clipnorm": lambda: adam(global_clipnorm=0.05),
    "averages": lambda: adam(use_ema=True, ema_momentum=0.9),
    "overwritten by averages": lambda: optimizers.SGD(0.1, use_ema=True, ema_overwrite_frequency=3),
    "accumulation": lambda: adam(gradient_accumulation_steps=3, global_clipnorm=0.1),
    "loss scale": lambda: optimizers.LossScaleOptimizer(adam(), initial_scale=8.0),
    "torch": lambda: lambda parameters: torch.optim.AdamW(parameters, lr=0.01, eps=1e-3, weight_decay=0.1),
}


@case
def every_optimizer():
    x, y = np.random.normal(size=(37, 6)).astype("float32"), targets(37)
    found = {}
    for name, make in OPTIMIZERS.items():
        keras.utils.set_random_seed(7)
        model = mlp(layers.Dense(8, activation="tanh", name="wide"), units=4, activation="softmax")
        model.compile(make(), "sparse_categorical_crossentropy")
        history = model.fit(x, y, batch_size=16, epochs=2, verbose=0).history
        found[name] = [history, [w.tolist() for w in model.get_weights()]]
    return found


@case
def constraints_and_regularizers():
    kernel = {
        "kernel_constraint": keras.constraints.MaxNorm(0.9),
        "kernel_regularizer": keras.regularizers.L1L2(0.01, 0.01),
    }
    model = mlp(
        layers.Dense(8, bias_constraint="non_neg", name="wide", **kernel), units=4, activation="softmax", **kernel
    )
    return curve(model, np.random.normal(size=(53, 6)), targets())


# ---------------------------------------------------------------------------- uses of layers


@case
def a_layer_used_twice_and_weights_never_used():
    class Twice(keras.Model):
        def __init__(self):
            super().__init__()
            self.shared = layers.Dense(6, activation="tanh", name="wide")
            self.unused = layers.Dense(6, name="dense")
            self.out = layers.Dense(4, activation="softmax", name="dense_1")

        def build(self, shape):
            self.shared.build(shape)
            self.unused.build(shape)
            self.out.build(shape)

        def call(self, x):
            return self.out(self.shared(self.shared(x)))

    return curve(Twice(), np.random.normal(size=(53, 6)), targets())


@case
def weights_that_another_layer_reads():
    class Tied(keras.Model):
        def __init__(self):
            super().__init__()
            self.embedding = layers.Embedding(4, 6, name="columns")
            self.dense = layers.Dense(6, name="dense")

        def call(self, x):
            hidden = self.dense(self.embedding(x).mean(1))
            return torch.softmax(hidden @ self.embedding.embeddings.T, -1)

    return curve(Tied(), np.random.randint(0, 4, (53, 5)), targets())


@case
def frozen_parts_and_adapters():
    model = mlp(layers.Dense(8, name="wide"), units=4, activation="softmax")
    model.layers[0].trainable = False
    model.layers[1].enable_lora(2)
    first = curve(model, np.random.normal(size=(53, 6)), targets())
    model.layers[0].trainable = True
    return [first, curve(model, np.random.normal(size=(53, 6)), targets())]


# ---------------------------------------------------------------------------- steps of the user's


@case
def adversarial_pair():
    class Pair(keras.Model):
        def __init__(self):
            super().__init__()
            self.maker = keras.Sequential([keras.Input((4,)), layers.Dense(8, "relu", name="wide"), layers.Dense(6)])
            self.judge = keras.Sequential([keras.Input((6,)), layers.Dense(8, "relu", name="wide"), layers.Dense(1)])
            self.seen = keras.metrics.Mean(name="judged")

        def compile(self):
            super().compile()
            self.makes, self.judges = adam(), optimizers.RMSprop(0.01, epsilon=1e-3, global_clipnorm=1.0)

        def call(self, x):
            return self.judge(self.maker(x))

        def train_step(self, data):
            noise, real = data
            judged = {"real": self.judge(real), "made": self.judge(self.maker(noise))}
            loss = (
                torch.nn.functional.softplus(-judged["real"]).mean()
                + torch.nn.functional.softplus(judged["made"]).mean()
            )
            self._update(loss, self.judge, self.judges)
            fooled = torch.nn.functional.softplus(-self.judge(self.maker(noise))).mean()
            self._update(fooled, self.maker, self.makes)
            self.seen.update_state(loss, sample_weight=len(real))
            return {"judged": self.seen.result()}

        def _update(self, loss, part, optimizer):
            self.zero_grad()
            loss.backward()
            weights = part.trainable_weights
            optimizer.apply([w.value.grad for w in weights], weights)

    pair = Pair()
    pair.compile()
    noise, real = (np.random.normal(size=(53, size)).astype("float32") for size in (4, 6))
    history = pair.fit(noise, real, batch_size=16, epochs=4, verbose=0).history
    return [history, [w.tolist() for w in pair.get_weights()]]


@case
def a_step_that_assigns():
    class Scaled(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(4, activation="softmax", name="wide")

        def call(self, x):
            return self.dense(x)

        def train_step(self, data):
            logs = super().train_step(data)
            for weight in self.trainable_weights:
                weight.assign(weight.numpy() * 0.9)
            return logs

    return curve(Scaled(), np.random.normal(size=(53, 6)), targets())


# ---------------------------------------------------------------------------- files and types


@case
def saved_and_loaded():
    def make():
        return mlp(layers.Dense(8, name="wide"), units=4, activation="softmax")

    x, y = np.random.normal(size=(53, 6)), targets()
    box = [tempfile.mkdtemp()]
    if distributed.world_size() > 1:
        box = [distributed.broadcast_object(box[0])]
    folder = Path(box[0])
    model = make()
    first = curve(model, x, y, optimizer=adam(use_ema=True))
    model.save(folder / "model.keras")
    model.save_weights(folder / "some.weights.h5")
    loaded = keras.models.load_model(folder / "model.keras")
    again = loaded.fit(x, y, batch_size=16, epochs=2, verbose=0, shuffle=False).history
    other = make()
    other.compile("sgd", "sparse_categorical_crossentropy")
    other.load_weights(folder / "some.weights.h5")
    distributed.barrier()
    state = other.state_dict()
    return [first, again, other.evaluate(x, y, verbose=0), sorted(float(_whole(v).sum()) for v in state.values())]


def _whole(tensor):
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
