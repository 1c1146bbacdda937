"""`jit_compile=True` on two ranks: the curves of one uncompiled process, and what was compiled.

Graphs are made by Dynamo and run as they are: the compiler behind is torch's business.
"""

from __future__ import annotations

import logging

import numpy as np
import torch

import torchkeras as keras
from tests.distributed.equal_cases import Own, adam, mlp, plain
from tests.distributed.strategy_cases import set_strategy
from torchkeras import layers, optimizers


def data():
    x = np.random.normal(size=(37, 6)).astype("float32")  # the last batch is ragged, also of other shares
    return x, (x.sum(-1) > 0).astype("int32")[:, None]


def trained(model, jit, optimizer, loss="binary_crossentropy", **options):
    x, y = data()
    model.compile(optimizer, loss, metrics=["accuracy"], jit_compile=jit)
    history = model.fit(x, y, batch_size=8, epochs=2, verbose=0, **options).history
    return [history, [w.tolist() for w in model.get_weights()]]


def step(jit):
    """Accumulation, clipping, a loss that sums over the ranks, validation."""
    x, y = data()
    optimizer = adam(gradient_accumulation_steps=2, global_clipnorm=0.1)
    loss = keras.losses.BinaryCrossentropy(reduction="mean_with_sample_weight")
    return trained(mlp(), jit, optimizer, loss, sample_weight=y + 0.5, validation_data=(x[:11], y[:11]))


def own_step(jit):
    """A step from scratch is one graph; gradients are reduced within its operator that applies them."""

    class Scratch(Own):
        def train_step(self, data):
            x, y = data
            self.zero_grad()
            y_pred = self(x, training=True)
            loss = self.compute_loss(x, y, y_pred)
            loss.backward()
            weights = self.trainable_weights
            self.optimizer.apply([weight.value.grad for weight in weights], weights)
            return {"loss": loss, **self.compute_metrics(x, y, y_pred)}

    return trained(Scratch(mlp()), jit, optimizers.SGD(0.1))


def blocks(jit):
    return trained(mlp(layers.Dense(8, activation="relu", name="wide")), jit, optimizers.SGD(0.1, momentum=0.9))


UNDER = {"data": (step, own_step), "model": (step,), "sharded": (blocks,)}


class Lines(logging.Handler):
    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


def run(seed, strategy=None):
    """By case what came of it, how many graphs there were, and what was logged; uncompiled without a strategy."""
    graphs = []

    def count(module, example):
        graphs.append(module)
        return module.forward

    found, real, log = {}, torch.compile, Lines()
    logging.getLogger("torchkeras").addHandler(log)
    torch.compile = lambda function, **kwargs: real(function, **{**kwargs, "backend": count})
    try:
        for case in UNDER[strategy] if strategy else (step, own_step, blocks):
            keras.utils.clear_session()
            keras.utils.set_random_seed(seed)
            set_strategy(strategy or "none")
            graphs.clear()
            result = case(jit=strategy is not None)
            found[case.__name__] = {"result": plain(result), "graphs": len(graphs), "logged": log.lines[:]}
    finally:
        set_strategy("none")
        torch.compile = real
        logging.getLogger("torchkeras").removeHandler(log)
    return found
