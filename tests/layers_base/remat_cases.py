"""Layers to rematerialize, and what a step with them leaves."""

from __future__ import annotations

import torch
from torch import nn

import torchkeras as keras
from torchkeras import RematScope, layers

LOUDEST = {"full": {}, "activations": {}, "larger_than": {"output_size_threshold": 1}}


class Residual(layers.Layer):
    """Layers within, `training` left to the enclosing call."""

    def __init__(self, seed=None, penalty="l2", **kwargs):
        super().__init__(**kwargs)
        self.up = layers.Dense(12, activation="gelu")
        self.drop = layers.Dropout(0.5, seed=seed)
        self.down = layers.Dense(6, activity_regularizer=penalty)
        self.norm = layers.BatchNormalization()

    def call(self, x):
        return x + self.norm(self.down(self.drop(self.up(x))))


class Tower(layers.Layer):
    def __init__(self, penalty="l2", **kwargs):
        super().__init__(**kwargs)
        self.blocks = [Residual(seed=3, penalty=penalty), Residual(penalty=penalty)]

    def call(self, x):
        for block in self.blocks:
            x = block(x)
        return x


class Counted(layers.Layer):
    """State changed by assignment and in place, read by the formula; a loss of its own."""

    def build(self, input_shape):
        self.assigned = self.add_weight(name="assigned", initializer="ones", trainable=False)
        self.in_place = self.add_weight(name="in_place", initializer="ones", trainable=False)
        self.scale = self.add_weight(name="scale", shape=input_shape[-1:], initializer="ones")

    def call(self, x):
        self.add_loss((x * self.scale).square().mean())
        y = torch.sin(x * self.scale) * (self.assigned + self.in_place)
        self.assigned.assign_add(1.0)
        self.in_place.mul_(3.0)
        return torch.exp(y * (self.assigned + self.in_place) / 10)


class Deep(layers.Layer):
    def build(self, input_shape):
        self.scale = self.add_weight(name="scale", shape=input_shape[-1:], initializer="ones")

    def call(self, x):
        for _ in range(6):
            x = torch.sin(x * self.scale)
        return x

    def compute_output_shape(self, input_shape):
        return input_shape


class Nested(layers.Layer):
    """Nests of tensors in and out."""

    def build(self, input_shape):
        self.scale = self.add_weight(name="scale", shape=input_shape["a"][-1:], initializer="ones")

    def call(self, inputs, training=False):
        a, (b, c) = inputs["a"], inputs["b"]
        factor = 2.0 if training else 1.0
        return {"sum": torch.tanh(a * self.scale + b) * factor, "rest": [torch.sin(c), None]}

    def compute_output_spec(self, inputs, training=False):
        return {"sum": inputs["a"], "rest": [inputs["b"][1], None]}


def flat(rng):
    return torch.from_numpy(rng.normal(size=(5, 6)).astype("float32"))


def images(rng):
    return torch.from_numpy(rng.normal(size=(2, 6, 6, 3)).astype("float32"))


def sequences(rng):
    return torch.from_numpy(rng.normal(size=(3, 4, 6)).astype("float32"))


def nest(rng):
    return {"a": flat(rng), "b": [flat(rng), flat(rng)]}


LAYERS = {
    "dense": (lambda: layers.Dense(7, activation="tanh"), flat),
    "activation that is a layer": (lambda: layers.Dense(7, activation=layers.LeakyReLU()), flat),
    "conv": (lambda: layers.Conv2D(4, 3, activation="silu"), images),
    "batch normalization": (lambda: layers.BatchNormalization(momentum=0.5), images),
    "lstm": (lambda: layers.LSTM(5), sequences),
    "gru cell by cell": (lambda: layers.RNN(layers.GRUCell(5, dropout=0.3, seed=2)), sequences),
    "stateful gru": (lambda: layers.GRU(5, stateful=True), sequences),
    "bidirectional": (lambda: layers.Bidirectional(layers.GRU(4, return_sequences=True)), sequences),
    "dropout": (lambda: layers.Dropout(0.5), flat),
    "seeded dropout": (lambda: layers.Dropout(0.5, seed=4), flat),
    "gaussian noise": (lambda: layers.GaussianNoise(0.5, seed=5), flat),
    "block": (lambda: Residual(seed=6), flat),
    "blocks in blocks": (Tower, flat),
    "mixed precision": (lambda: layers.Dense(7, activation="gelu", dtype="mixed_bfloat16"), flat),
    "block of mixed precision": (lambda: Residual(dtype="mixed_bfloat16"), flat),
    "own state": (Counted, flat),
    "nests": (Nested, nest),
    "torch's": (lambda: layers.TorchModuleWrapper(nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6))), flat),
    "time distributed": (lambda: layers.TimeDistributed(layers.Dense(3, activation="tanh")), sequences),
}


# torch.compile takes no loss out of a checkpoint.
COMPILED = {name: LAYERS[name] for name in ("dense", "conv", "mixed precision")} | {
    "block": (lambda: Residual(penalty=None), flat),
    "blocks in blocks": (lambda: Tower(penalty=None), flat),
}


def made(make, mode, options=None):
    """A layer made under a scope; the same numbers are drawn whatever the mode."""
    keras.utils.set_random_seed(7)
    with RematScope(mode, **(options or {})):
        return make()


def copies(inputs):
    return keras.tree.map_structure(lambda t: t.clone().requires_grad_(), inputs)


def trained(layer, inputs, seed):
    """All that a step leaves: outputs, gradients of inputs and weights, losses, variables, torch's random state."""
    torch.manual_seed(seed)
    inputs = copies(inputs)
    outputs = [t for t in keras.tree.flatten(layer(inputs, training=True)) if t is not None]
    loss = sum(t.float().square().sum() for t in outputs) + sum(layer.losses)
    loss.backward()
    gradients = [t.grad for t in keras.tree.flatten(inputs)] + [p.grad for p in layer.parameters()]
    state = [v.detach().float() for v in layer.variables] + [b.float() for b in layer.buffers()]
    return [*outputs, *gradients, loss, torch.tensor(len(layer.losses)), *state, torch.get_rng_state()]


def assert_equal(got, wanted):
    for a, b in zip(got, wanted, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            torch.testing.assert_close(a, b)


def packed(function):
    """How many bytes autograd keeps of a call, what lies under a checkpoint left out."""
    kept: dict[int, tuple] = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = (storage.nbytes(), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        outputs = function()
    del outputs
    return sum(size for size, _ in kept.values())
