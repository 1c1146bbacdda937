"""Under torchrun: how weights lie on two ranks, what that saves, and what is refused."""

from __future__ import annotations

import copy
import warnings

import numpy as np
import torch
import torch.distributed.fsdp

import torchkeras as keras
from tests.distributed.strategy_cases import set_strategy
from torchkeras import layers

RULES = {}


def rule(function):
    RULES[function.__name__] = function
    return function


def deep(width=16):
    return keras.Sequential([keras.Input((width,)), *(layers.Dense(width, name=f"wide_{i}") for i in range(4))])


def local(tensors):
    return sum((t.to_local() if hasattr(t, "to_local") else t).numel() for t in tensors)


def trained(model, rows=32, epochs=2):
    x = np.random.normal(size=(rows, *model.input_shape[1:])).astype("float32")
    model.compile(keras.optimizers.Adam(0.01), "mse")
    return model.fit(x, np.tanh(x), batch_size=16, epochs=epochs, verbose=0).history["loss"]


class Gradients(keras.callbacks.Callback):
    """Counts the numbers of the gradients that lie on this rank when a step ends."""

    def on_train_batch_end(self, batch, logs=None):
        self.numbers = local(w.grad for w in self.model.trainable_weights if w.grad is not None)


@rule
def memory_falls():
    """Numbers on this rank as a part of the whole: weights, gradients, state."""
    found = {}
    for strategy in ("data", "model", "sharded"):
        set_strategy(strategy)
        model, gradients = deep(), Gradients()
        model.compile(keras.optimizers.Adam(), "mse")
        model.fit(np.ones((8, 16)), np.ones((8, 16)), callbacks=[gradients], verbose=0)
        whole = model.count_params()
        slots = [v for v in model.optimizer.variables if v.dim()]
        found[strategy] = [local(model.weights) / whole, gradients.numbers / whole, local(slots) / (2 * whole)]
    return found


@rule
def options_of_fully_sharded_training():
    """The same losses with checkpoints, other blocks, weights kept between the passes; near ones in bfloat16."""
    options = {
        "plain": {},
        "checkpoints": {"activation_checkpointing": True},
        "named": {"wrap": ["wide_1", "wide_2"]},
        "kept": {"reshard_after_forward": False},
        "bfloat16": {"param_dtype": "bfloat16", "reduce_dtype": "float32"},
    }
    found = {}
    for name, chosen in options.items():
        keras.utils.set_random_seed(3)
        keras.distribution.set_distribution(keras.distribution.FullyShardedDataParallel(**chosen))
        model = deep()
        found[name] = trained(model)
        x = np.ones((4, 16), "float32")
        before = model.predict(x, verbose=0)
        model.fit(x, x, verbose=0)
        found[name].append(float(np.abs(model.predict(x, verbose=0) - before).max()))
    return found


@rule
def checkpoints_forget_activations():
    """The bytes that a forward pass keeps for the backward pass, without and with activation checkpoints."""

    def kept(**chosen):
        keras.distribution.set_distribution(
            keras.distribution.FullyShardedDataParallel(wrap=["deep_0", "deep_1"], **chosen)
        )
        parts = [keras.Sequential([layers.Dense(16, "tanh") for _ in range(6)], name=f"deep_{i}") for i in range(2)]
        model = keras.Sequential([keras.Input((16,)), *parts])
        model.compile("sgd", "mse")
        seen = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: seen.append(t.numel()) or t, lambda t: t):
            model(torch.ones(64, 16), training=True)
        return sum(seen)

    return [kept(), kept(activation_checkpointing=True)]


@rule
def layouts_that_do_not_fit():
    mesh = keras.distribution.DeviceMesh((1, 2), ["batch", "model"])
    layout_map = keras.distribution.LayoutMap(mesh)
    layout_map[".*a/kernel"] = ("model", None)
    layout_map[".*a/bias"] = ("model", None)
    layout_map[".*b/kernel"] = ("model", "model")
    keras.distribution.set_distribution(keras.distribution.ModelParallel(layout_map=layout_map))
    model = keras.Sequential([keras.Input((3,)), layers.Dense(4, name="a"), layers.Dense(4, name="b")])
    try:
        model.compile("sgd", "mse")
        return ""
    except ValueError as error:
        return str(error)


@rule
def keys_that_match_nothing():
    mesh = keras.distribution.DeviceMesh((1, 2), ["batch", "model"])
    layout_map = keras.distribution.LayoutMap(mesh)
    layout_map["a/kernel"] = (None, "model")
    layout_map[".*a/bias"] = ("model",)
    keras.distribution.set_distribution(keras.distribution.ModelParallel(layout_map=layout_map))
    model = keras.Sequential([keras.Input((3,)), layers.Dense(4, name="a")], name="outer")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.compile("sgd", "mse")
        model.evaluate(np.ones((2, 3)), np.ones((2, 4)), verbose=0)
    return [str(one.message) for one in caught if "layout map" in str(one.message)]


@rule
def an_optimizer_of_weights_that_were_replaced():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(2)

        def call(self, x):
            return self.dense(x)

        def train_step(self, data):
            x, y = data
            self.zero_grad()
            loss = (self(x) - y).square().mean()
            loss.backward()
            self.early.step()
            return {"loss": loss}

    set_strategy("sharded")
    model = Own()
    model(torch.zeros(1, 3))
    model.early = torch.optim.SGD(model.parameters(), 0.1)
    model.compile()
    try:
        model.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0)
        return ""
    except RuntimeError as error:
        return str(error)


def messages_per_step(run):
    """By kind, from the difference of a run of six steps and one of two; the rest belongs to the epoch."""
    counts = []
    for steps in (2, 6):
        with torch.profiler.profile() as profile:
            run(steps)
        kinds = [event.name for event in profile.events() if event.name.startswith("gloo:")]
        counts.append({kind: kinds.count(kind) for kind in set(kinds)})
    return {
        kind: (count - counts[0].get(kind, 0)) / 4 for kind, count in counts[1].items() if count != counts[0].get(kind)
    }


@rule
def messages():
    """Those of `fit`, and of a loop by hand around torch's own wrappers."""
    found = {}
    for strategy in ("data", "sharded"):
        set_strategy(strategy)
        model = deep()
        model.compile("sgd", "mse", metrics=["mae"])
        model.fit(np.ones((4, 16)), np.ones((4, 16)), epochs=3, verbose=0)  # DDP's first steps arrange its messages

        def fit(steps, model=model):
            model.fit(np.ones((4 * steps, 16)), np.ones((4 * steps, 16)), batch_size=4, verbose=0)

        hand = torch.nn.Sequential(*(torch.nn.Linear(16, 16) for _ in range(4)))
        if strategy == "data":
            hand = torch.nn.parallel.DistributedDataParallel(hand)
        else:
            for layer in (*hand, hand):
                torch.distributed.fsdp.fully_shard(layer, reshard_after_forward=True)
        optimizer = torch.optim.SGD(hand.parameters(), 0.01)

        def loop(steps, hand=hand, optimizer=optimizer):
            for _ in range(steps):
                optimizer.zero_grad()
                (hand(torch.ones(2, 16)) - 1).square().mean().backward()
                optimizer.step()

        loop(3)
        found[strategy] = [messages_per_step(fit), messages_per_step(loop)]
        if strategy == "data":
            real = torch.compile
            torch.compile = lambda function, **kwargs: real(function, **{**kwargs, "backend": "eager"})
            model.compile("sgd", "mse", metrics=["mae"], jit_compile=True)
            fit(3)
            found["compiled"] = [messages_per_step(fit), found[strategy][1]]
            torch.compile = real
    return found


@rule
def models_in_parts_are_copied_or_refused():
    """A copy predicts alike and trains by itself; work on whole weights is refused before anything has changed."""
    set_strategy("model")
    model, x = deep(4), np.ones((4, 4), "float32")
    trained(model)
    twin = copy.deepcopy(model)
    before = model.predict(x, verbose=0)
    alike = np.array_equal(twin.predict(x, verbose=0), before)
    trained(twin)
    alone = np.array_equal(model.predict(x, verbose=0), before) and not np.array_equal(
        twin.predict(x, verbose=0), before
    )
    said = []
    for work in (
        lambda: model.quantize("int8"),
        lambda: model.export("m.pt2", "torch"),
        lambda: keras.saving.to_torch(model),
    ):
        try:
            work()
        except RuntimeError as error:
            said.append(str(error))
    return [alike, alone, np.array_equal(model.predict(x, verbose=0), before), said]


@rule
def batches_of_each_rank():
    """`auto_shard_dataset=False`: the data give each rank batches of its own."""
    rank = keras.distributed.rank()
    keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))
    keras.utils.set_random_seed(2)
    model = keras.Sequential([keras.Input((1,)), layers.Dense(1, use_bias=False, kernel_initializer="ones")])
    model.compile(keras.optimizers.SGD(0.5), "mse")
    x = np.array([[1.0], [2.0]])[rank : rank + 1]
    model.fit(x, np.zeros((1, 1)), verbose=0)
    return model.get_weights()[0].item()


def run():
    found = {}
    for name, function in RULES.items():
        keras.utils.clear_session()
        keras.utils.set_random_seed(1)
        try:
            found[name] = function()
        finally:
            keras.distribution.set_distribution(None)
    return found
