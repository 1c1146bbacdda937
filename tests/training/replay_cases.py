"""Trainings in eager mode and replayed: optimizers, models, callbacks that change what a step uses."""

from __future__ import annotations

import numpy as np
import torch

import torchkeras as keras
from tests.training import recorded_graphs
from torchkeras.training.state import state_of

L = keras.layers

ROWS, BATCH = 46, 4  # the last batch is ragged


def make(*inside):
    layers = [L.Dense(8, activation="tanh"), *inside, L.Dense(3)]
    return keras.Sequential([keras.Input((6,)), *layers])


def train(model, data, optimizer, jit_compile, epochs=3, compile_options=None, **options):
    """Train from a fixed seed; the history, the weights and the optimizer's state."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    options_of_compile = {"metrics": ["accuracy"], **(compile_options or {})}
    model.compile(optimizer, loss, jit_compile=jit_compile, **options_of_compile)
    torch.manual_seed(3)
    options = {"batch_size": BATCH, "verbose": 0, **options}
    history = model.fit(*data, epochs=epochs, **options).history
    state = [v.detach().cpu().numpy() for v in model.optimizer.variables]
    return history, model.get_weights(), state


def both(make_model, data, make_optimizer, **options):
    """The same training in eager mode and with replays."""
    eager, replayed = make_model(), make_model()
    eager.build((None, 6))
    replayed.build((None, 6))
    replayed.set_weights(eager.get_weights())
    make_options = options.pop("make_options", dict)
    plain = train(eager, data, make_optimizer(), False, **make_options(), **options)
    recorded_graphs.CAPTURED.clear()
    return replayed, plain, train(replayed, data, make_optimizer(), "auto", **make_options(), **options)


def same(left, right, tolerance=0.0):
    (history, *values), (other_history, *other_values) = left, right
    assert history.keys() == other_history.keys()
    for name in history:
        np.testing.assert_allclose(history[name], other_history[name], rtol=tolerance, err_msg=name)
    for ours, theirs in zip(values, other_values, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def replays(model, purpose="train"):
    return state_of(model).replayers[purpose].replays


class PerStep(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule of the user's: Python code."""

    def __call__(self, step):
        return 0.01 / (1 + int(step))

    def get_config(self):
        return {}


O = keras.optimizers

EXACT = {
    "adam": lambda: O.Adam(0.01),
    "adam amsgrad": lambda: O.Adam(0.01, amsgrad=True),
    "adam clipped": lambda: O.Adam(0.01, clipnorm=0.1),
    "adam clipped globally": lambda: O.Adam(0.01, global_clipnorm=0.1),
    "adam schedule": lambda: O.Adam(O.schedules.ExponentialDecay(0.01, 5, 0.7)),
    "adam own schedule": lambda: O.Adam(PerStep()),
    "adam callable": lambda: O.Adam(lambda: 0.02),
    "adam ema": lambda: O.Adam(0.01, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=5),
    "adam accumulation": lambda: O.Adam(0.01, gradient_accumulation_steps=3),
    "adam accumulation, ema": lambda: O.Adam(0.01, gradient_accumulation_steps=2, use_ema=True),
    "sgd": lambda: O.SGD(0.1),
    "loss scale factor": lambda: O.Adam(0.01, loss_scale_factor=8.0),
}

CLOSE = {
    "sgd momentum": lambda: O.SGD(0.1, momentum=0.9),
    "sgd nesterov": lambda: O.SGD(0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    "adamw": lambda: O.AdamW(0.01),
    "rmsprop": lambda: O.RMSprop(0.01, momentum=0.5, centered=True),
    "adagrad": lambda: O.Adagrad(0.01),
    "adadelta": lambda: O.Adadelta(0.5),
    "adamax": lambda: O.Adamax(0.01),
    "nadam": lambda: O.Nadam(0.01),
    "ftrl": lambda: O.Ftrl(0.01, beta=0.1),
    "lion": lambda: O.Lion(0.001, weight_decay=0.01),
    "lamb": lambda: O.Lamb(0.01),
    "adafactor": lambda: O.Adafactor(0.01),
    "muon": lambda: O.Muon(0.01),
    "schedule free": lambda: O.ScheduleFreeAdamW(0.01, warmup_steps=5),
    "multi": lambda: O.MultiOptimizer(O.OptimizerMap(O.Adam(0.01), {".*bias": O.SGD(0.1)})),
}


def adam():
    return O.Adam(0.01)


MODELS = {
    "dropout": lambda: make(L.Dropout(0.5), L.GaussianNoise(0.1)),
    "batch normalization": lambda: make(L.BatchNormalization()),
    "regularized": lambda: make(L.Dense(4, kernel_regularizer="l2", activity_regularizer="l1")),
    "constrained": lambda: make(L.Dense(4, kernel_constraint=keras.constraints.MaxNorm(0.5))),
    "torch's": lambda: make(torch.nn.LayerNorm(8), torch.nn.GELU()),
    "recurrent": lambda: make(L.Reshape((4, 2)), L.LSTM(8, activation="sigmoid")),
    "frozen": lambda: make(L.Dense(4, trainable=False)),
    "state of layers": lambda: make(L.BatchNormalization(renorm=True), L.SpectralNormalization(L.Dense(4))),
}


class Acting(keras.callbacks.Callback):
    """Changes everything that a callback may change while replays are going on."""

    def __init__(self, act, batch=30):
        super().__init__()
        self.act, self.batch, self.count = act, batch, 0

    def on_train_batch_end(self, batch, logs=None):
        self.count += 1
        if self.count == self.batch:
            self.act(self.model)


def assign(model):
    for weight in model.trainable_weights:
        weight.assign(weight * 0.5)


def set_rate(model):
    model.optimizer.learning_rate = 0.05


def stop(model):
    model.stop_training = True


def evaluate(model):
    x = np.linspace(-1, 1, 24).reshape(4, 6).astype("float32")
    for _ in range(6):
        model.evaluate(x, np.zeros(4), batch_size=2, verbose=0)
        model.predict(x, batch_size=2, verbose=0)


def replace(model):
    kernel = model.layers[0].kernel
    kernel.data = kernel.data.clone() * 0.5


ACTIONS = {
    "assign": assign,
    "set rate": set_rate,
    "stop": stop,
    "evaluate": evaluate,
    "replace": replace,
    "dropout": lambda model: setattr(model.layers[1], "rate", 0.9),
    "frozen statistics": lambda model: setattr(model.layers[2], "trainable", False),
    "clipping": lambda model: setattr(model.optimizer, "clipnorm", 1e-3),
    "precision": lambda model: setattr(model.layers[1], "dtype_policy", "float32"),
    "epsilon": lambda model: keras.config.set_epsilon(1e-3),
    "activation": lambda model: setattr(model.layers[0], "activation", my_activation),
    "hook": lambda model: model.layers[0].register_forward_hook(lambda *args: None) and None,
    "set weights": lambda model: model.set_weights([w * 0.9 for w in model.get_weights()]),
    "new rows in the optimizer": lambda model: model.optimizer.set_weights(
        [w * 0.9 for w in model.optimizer.variables]
    ),
    "another training": lambda model: train(make(), (np.ones((8, 6), "float32"), np.zeros(8)), adam(), "auto"),
    "a batch": lambda model: model.train_on_batch(np.ones((2, 6), "float32"), np.zeros(2)),
}

CALLBACKS = {
    "schedule by epoch": lambda: keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.5),
    "plateau": lambda: keras.callbacks.ReduceLROnPlateau(monitor="loss", patience=0, min_delta=10.0),
    "early stopping": lambda: keras.callbacks.EarlyStopping("accuracy", patience=1, restore_best_weights=True),
}


def my_activation(x):
    return torch.tanh(x)
