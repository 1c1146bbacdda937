"""Arrangements of weights in a layer: each case gives a layer its weights, by Keras's API alone.

A case takes the library, the layer (or model), a function `weight(name, trainable=True)` that makes a weight of it, and
a function `sub(name, *(attribute, trainable))` that makes a sublayer.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def variable(lib: Any, name: str, trainable: bool = True) -> Any:
    return lib.Variable(np.zeros(1, "float32"), name=name, trainable=trainable)


def attributes(lib, s, weight, sub):
    s.a, s.b, s.c, s.d = weight("a"), weight("b", False), weight("c"), weight("d", False)


def lists(lib, s, weight, sub):
    s.first = [weight("w0"), weight("w1", False), weight("w2")]
    s.z, s.n = weight("z"), weight("n", False)
    s.last = [weight("v0"), weight("v1", False)]
    s.y = weight("y")


def dicts(lib, s, weight, sub):
    s.z = weight("z")
    s.held = {"b": weight("b"), "a": weight("a", False)}
    s.q, s.p = weight("q", False), weight("p")


def nests(lib, s, weight, sub):
    s.held = [{"x": [weight("x0"), weight("x1", False)]}, (weight("t0"),)]
    s.z = weight("z")


def nests_of_all_kinds(lib, s, weight, sub):
    s.held = [sub("a", ("k", True)), (sub("b", ("k", True)), {"k": sub("c", ("k", True))}), sub("d", ("k", True))]
    s.named = {"x": variable(lib, "x"), "y": [variable(lib, "y")], "z": variable(lib, "z")}


def tuples(lib, s, weight, sub):
    s.held = (weight("t0"), weight("t1", False))
    s.z = weight("z")
    s.layers_too = (sub("l", ("k", True)), 3)


def appended(lib, s, weight, sub):
    s.held = []
    s.z = weight("z")
    s.held.append(weight("w0"))
    s.n = weight("n", False)
    s.held.insert(0, weight("w1"))


def made_first_assigned_later(lib, s, weight, sub):
    a, n, b = weight("a"), weight("n", False), weight("b")
    s.z = weight("z")
    s.b = b
    s.held = [a, n]


def never_assigned(lib, s, weight, sub):
    weight("a")
    s.b = weight("b")
    weight("c", False)
    s.d = weight("d")


def variables_of_ones_own(lib, s, weight, sub):
    v, u = variable(lib, "v"), variable(lib, "u", False)
    s.a = weight("a")
    s.v = v
    s.held = [variable(lib, "x"), variable(lib, "y", False)]
    s.n, s.u, s.b = weight("n", False), u, weight("b")


def sublayer_first(lib, s, weight, sub):
    s.inner = sub("l", ("k", True), ("m", False))
    s.a, s.n = weight("a"), weight("n", False)


def sublayers_between(lib, s, weight, sub):
    s.a = weight("a")
    s.inner = sub("l", ("k", True), ("m", False), ("j", True))
    s.b, s.n = weight("b"), weight("n", False)
    s.other = sub("o", ("k", True))


def sublayers_in_lists(lib, s, weight, sub):
    s.z = sub("z", ("k", True))
    s.held = [sub("l0", ("k", True), ("m", False)), sub("l1", ("k", True))]
    s.y = sub("y", ("k", True), ("m", False))
    s.named = {"q": sub("q", ("k", True))}


def sublayers_appended(lib, s, weight, sub):
    s.held = []
    s.z = sub("z", ("k", True))
    s.held.append(sub("l0", ("k", True), ("m", False)))
    s.y = sub("y", ("k", True))
    s.held.append(sub("l1", ("k", True)))


def one_layer_twice(lib, s, weight, sub):
    layer = sub("l", ("k", True))
    s.x = sub("x", ("k", True))
    s.a = layer
    s.held = [layer]
    s.w = weight("w")


def layers_within_layers(lib, s, weight, sub):
    inner = sub("i", ("k", True), ("m", False))
    inner.j = sub("j", ("k", True))
    inner.late = inner.add_weight(shape=(1,), name="late")
    s.inner, s.w = inner, weight("w")


def two_names(lib, s, weight, sub):
    s.a, s.c = weight("a"), weight("c")
    s.b = s.a


def two_names_by_a_list(lib, s, weight, sub):
    s.a, s.c = weight("a"), weight("c")
    s.held = [s.a]


def two_names_by_a_dict(lib, s, weight, sub):
    s.a, s.c = weight("a"), weight("c")
    s.held = {"k": s.a, "n": weight("n", False)}


def two_names_from_a_list(lib, s, weight, sub):
    s.held = [weight("w0"), weight("w1")]
    s.a = s.held[0]


def popped(lib, s, weight, sub):
    s.held = [weight("w0"), weight("w1")]
    s.held.pop(0)
    s.z = weight("z")


def deleted(lib, s, weight, sub):
    s.a, s.b = weight("a"), weight("b")
    del s.a


def frozen(lib, s, weight, sub):
    s.a, s.n = weight("a"), weight("n", False)
    s.inner = sub("l", ("k", True), ("m", False))
    s.trainable = False


def frozen_sublayer(lib, s, weight, sub):
    s.a = weight("a")
    s.inner = sub("l", ("k", True), ("m", False))
    s.inner.trainable = False
    s.b = weight("b")


def frozen_weight(lib, s, weight, sub):
    s.a, s.b, s.c = weight("a"), weight("b"), weight("c")
    s.a.trainable = False


def seed_generators(lib, s, weight, sub):
    s.a = weight("a")
    s.seed = lib.random.SeedGenerator(1)
    s.b = weight("b", False)
    s.inner = sub("l", ("k", True))
    s.inner.seed = lib.random.SeedGenerator(1)


def metrics(lib, s, weight, sub):
    s.a = weight("a")
    s.mean = lib.metrics.Mean(name="mean")
    s.b = weight("b", False)


def moving_statistics_first(lib, s, weight, sub):
    s.mean, s.gamma = weight("mean", False), weight("gamma")
    s.variance, s.beta = weight("variance", False), weight("beta")


def layers_of_keras(lib, s, weight, sub):
    s.norm = lib.layers.BatchNormalization()
    s.dense = lib.layers.Dense(1)
    s.norm.build((None, 1))
    s.dense.build((None, 1))
    s.drop = lib.layers.Dropout(0.5, seed=1)
    s.n = weight("n", False)


ARRANGEMENTS = [
    attributes, lists, dicts, nests, nests_of_all_kinds,
    tuples, appended, made_first_assigned_later, never_assigned, variables_of_ones_own,
    sublayer_first, sublayers_between, sublayers_in_lists, sublayers_appended, one_layer_twice, layers_within_layers,
    two_names, two_names_by_a_list, two_names_by_a_dict, two_names_from_a_list, popped, deleted, frozen,
    frozen_sublayer, frozen_weight, seed_generators, metrics, moving_statistics_first, layers_of_keras,
]  # fmt: skip


def functional(lib):
    inputs = lib.Input((1,))
    norm = lib.layers.BatchNormalization()(inputs)
    return lib.Model(inputs, lib.layers.Dense(1)(norm) + lib.layers.Dense(1)(inputs))


def sequential(lib):
    inner = lib.Sequential([lib.layers.Dense(1), lib.layers.BatchNormalization()])
    layers = [lib.Input((1,)), lib.layers.BatchNormalization(), lib.layers.Dropout(0.5), lib.layers.Dense(1), inner]
    return lib.Sequential(layers)


def functional_subclass(lib):
    class Extended(lib.Model):
        def __init__(self):
            inputs = lib.Input((1,))
            super().__init__(inputs, lib.layers.Dense(1)(inputs))
            self.extra = lib.layers.Dense(1, use_bias=False)
            self.extra.build((None, 1))
            self.own = self.add_weight(shape=(1,), name="own")

    return Extended()


MODELS = [functional, sequential, functional_subclass]
