"""Mixed precision: weights cast together give the numbers of weights cast one by one."""

from __future__ import annotations

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import torchkeras as keras
from torchkeras import layers, models


class CountCasts(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func is torch.ops.aten._to_copy.default
        return func(*args, **(kwargs or {}))


class OneByOne(keras.Model):
    """A model whose own step reads each weight by itself."""

    def train_step(self, data):
        x, y = data
        loss = self.compute_loss(x, y, self(x, training=True))
        self.zero_grad()
        loss.backward()
        weights = self.trainable_weights
        with torch.no_grad():
            self.optimizer.apply([w.grad for w in weights], weights)
        return {"loss": loss}


def dense(inputs):
    shared = layers.Dense(6, activation="tanh")
    return layers.Dense(3)(shared(shared(layers.Dense(6)(inputs))))


def convolutions(inputs):
    x = layers.Reshape((4, 4, 2))(inputs)
    x = layers.BatchNormalization()(layers.Conv2D(6, 3, padding="same")(x))
    x = layers.DepthwiseConv2D(3, depth_multiplier=2)(x)
    x = layers.Conv2DTranspose(5, 2)(layers.SeparableConv2D(4, 2, padding="same")(x))
    x = layers.Conv1D(3, 2)(layers.Reshape((9, 5))(x))
    return layers.Dense(3)(layers.Flatten()(x))


def attention(inputs):
    x = layers.Dense(8)(layers.Reshape((8, 4))(inputs))
    x = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 4)(x, x))
    return layers.Dense(3)(layers.GRU(5)(x))


def trained(kind, network, policy, x, y, values):
    inputs = keras.Input((32,))
    keras.config.set_dtype_policy(policy)
    model = kind(inputs, network(inputs))
    if values:
        model.set_weights(values)
    start = model.get_weights()
    model.compile(keras.optimizers.Adam(1e-2), "mse")
    model.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0)
    return model, start


@pytest.fixture(autouse=True)
def float32_after():
    yield
    keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("network", [dense, convolutions, attention])
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "bfloat16"])
def test_training_is_that_of_weights_cast_one_by_one(network, policy):
    x, y = torch.randn(10, 32), torch.randn(10, 3)
    model, start = trained(models.Model, network, policy, x, y, None)
    other, _ = trained(OneByOne, network, policy, x, y, start)
    for one, two in zip(model.weights, other.weights, strict=True):
        # The order in which a convolution adds up depends on how its kernel lies in memory.
        tolerance = 0.02 if network is convolutions else 0.0
        torch.testing.assert_close(one, two, rtol=tolerance, atol=tolerance)


def test_a_step_casts_all_weights_at_once():
    x, y = torch.randn(12, 32), torch.randn(12, 3)
    counts = CountCasts()

    class SecondEpoch(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                counts.__enter__()

        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                counts.__exit__(None, None, None)

    keras.config.set_dtype_policy("mixed_bfloat16")
    model = models.Sequential([layers.Dense(5) for _ in range(20)] + [layers.Dense(3)])
    model.compile("sgd", "mse")
    model.fit(x, y, batch_size=12, epochs=2, verbose=0, callbacks=[SecondEpoch()])
    assert 0 < counts.count < 8  # inputs, outputs, loss


class Changes(layers.Layer):
    """Reads its weight, changes it in place, reads it again."""

    def build(self, shape):
        self.factor = self.add_weight(shape=(), initializer="ones")

    def call(self, x):
        first = x * self.factor
        if x.device.type != "meta":
            with torch.no_grad():
                self._parameters["factor"].add_(1)
        return first + x * self.factor


def test_a_weight_that_a_call_changes_is_cast_again():
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = models.Sequential([Changes()])
    model.compile(keras.optimizers.SGD(0.0), "mse")
    logs = model.fit(torch.ones(3, 1), torch.zeros(3, 1), batch_size=1, epochs=1, verbose=0)
    expected = sum((2 * f + 1) ** 2 for f in (1, 2, 3)) / 3  # (f + (f + 1))**2
    assert logs.history["loss"] == [pytest.approx(expected)]


def test_layers_that_run_now_and_then_and_layers_that_thaw():
    class Now(keras.Model):
        def __init__(self):
            super().__init__()
            self.always, self.sometimes, self.steps = layers.Dense(4), layers.Dense(4), 0

        def call(self, x):
            self.steps += 1
            return self.sometimes(self.always(x)) if self.steps % 2 else self.always(x)

    keras.config.set_dtype_policy("mixed_bfloat16")
    model = Now()
    model(torch.zeros(1, 4))
    model.sometimes.trainable = False
    model.compile("sgd", "mse")
    x = torch.randn(8, 4)
    model.fit(x, x, batch_size=2, epochs=2, verbose=0)
    before = model.sometimes.kernel.clone()
    model.sometimes.trainable = True
    model.compile("sgd", "mse")
    with pytest.warns(UserWarning, match="Gradients do not exist"):
        model.fit(x, x, batch_size=2, epochs=2, verbose=0)
    assert not torch.equal(before, model.sometimes.kernel)


def test_gradients_of_gradients():
    class Penalized(keras.Model):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            loss = super().compute_loss(x, y, y_pred, sample_weight)
            grads = torch.autograd.grad(loss, [self.layers[-1].kernel], create_graph=True)
            return loss + sum(g.square().sum() for g in grads)

    class PenalizedOneByOne(Penalized, OneByOne):
        pass

    x, y = torch.randn(8, 32), torch.randn(8, 3)
    model, start = trained(Penalized, dense, "mixed_bfloat16", x, y, None)
    other, _ = trained(PenalizedOneByOne, dense, "mixed_bfloat16", x, y, start)
    for one, two in zip(model.weights, other.weights, strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=0)


def test_predict_casts_a_weight_once_and_again_when_it_has_changed():
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = models.Sequential([layers.Dense(1, kernel_initializer="ones", use_bias=False)])
    x = torch.ones(6, 4)
    counts = CountCasts()
    with counts:
        model.predict(x, batch_size=6, verbose=0)
    once = counts.count
    with counts:
        model.predict(x, batch_size=1, verbose=0)
    assert counts.count - once - once < 6  # inputs may be cast batch by batch

    class Doubles(keras.callbacks.Callback):
        def on_predict_batch_end(self, batch, logs=None):
            self.model.layers[0].kernel.assign(self.model.layers[0].kernel * 2)

    found = model.predict(x, batch_size=2, verbose=0, callbacks=[Doubles()])
    assert found[:, 0].tolist() == [4, 4, 8, 8, 16, 16]


class AddsLoss(layers.Layer):
    def call(self, inputs):
        self.add_loss(inputs.square().mean())
        return inputs


class NodesOfEarlierSteps(keras.callbacks.Callback):
    """Notes the weights to whose gradients a step adds by a node of an earlier step's graph."""

    def __init__(self):
        super().__init__()
        self.found = []

    def on_train_batch_end(self, batch, logs=None):
        for weight in self.model.trainable_weights:
            marks = weight.view_as(weight).grad_fn.next_functions[0][0].metadata
            self.found += [weight.path] * marks.setdefault("seen", False)
            marks["seen"] = True


def test_no_step_goes_on_with_the_graph_of_the_step_before(rng):
    """A node of a graph computes in the stream in which it was made, which may be another one than a capture's."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        inner = [layers.Dense(4, activity_regularizer="l2"), AddsLoss(), layers.BatchNormalization()]
        model = keras.Sequential([keras.Input((6,)), layers.Dense(4), *inner, layers.Dense(3)])
    finally:
        keras.dtype_policies.reset_dtype_policy()
    model.compile("adam", "mse", jit_compile=False)
    nodes = NodesOfEarlierSteps()
    x = rng.normal(size=(8, 6)).astype("float32")
    model.fit(x, x[:, :3], batch_size=2, verbose=0, callbacks=[nodes])
    assert not nodes.found
