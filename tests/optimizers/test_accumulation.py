"""Gradients of k batches together do what the k-times batch does."""

import numpy as np
import pytest
import torch

import torchkeras as keras
from tests.optimizers.optimizer_cases import NAMES, assert_equal, gradients, make, variables
from torchkeras import optimizers
from torchkeras.core.variables.variable import Variable
from torchkeras.optimizers import loss_scale

K, BATCH, STEPS, WORDS = 4, 6, 5, 7
OPTIMIZERS = {
    "SGD": lambda **a: keras.optimizers.SGD(0.1, momentum=0.9, **a),
    "Adam": lambda **a: keras.optimizers.Adam(0.01, epsilon=1e-3, **a),
    "AdamW": lambda **a: keras.optimizers.AdamW(0.01, epsilon=1e-3, global_clipnorm=0.5, **a),
    "Muon": lambda **a: keras.optimizers.Muon(0.01, **a),
}


@pytest.fixture
def float64():
    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    yield
    keras.config.set_floatx(before)


def sequences():
    """Sequences with a mask, of which each batch has another number of valid entries."""
    return keras.Sequential(
        [
            keras.Input((WORDS,), dtype="int32"),
            keras.layers.Embedding(9, 4, mask_zero=True),
            keras.layers.Dense(3, kernel_regularizer="l2"),
        ]
    )


def vectors():
    return keras.Sequential([keras.Input((WORDS,)), keras.layers.Dense(5, activation="tanh"), keras.layers.Dense(3)])


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "mean_with_sample_weight"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_k_batches_equal_one_of_k_times_the_size(name, masked, weighted, reduction, rng, float64):
    rows = K * BATCH * STEPS
    x = rng.integers(0, 9, size=(rows, WORDS)) if masked else rng.normal(size=(rows, WORDS))
    if masked:  # some batches are nearly all padding
        x *= rng.uniform(size=(rows, WORDS)) < np.repeat(rng.uniform(0.1, 1.0, size=rows // BATCH), BATCH)[:, None]
    y = rng.normal(size=(rows, WORDS, 3) if masked else (rows, 3))
    weight = rng.uniform(0.1, 2.0, size=(rows, WORDS) if masked else rows) if weighted else None
    models = [(sequences if masked else vectors)() for _ in range(2)]
    models[1].set_weights(models[0].get_weights())
    for model, batch, arguments in zip(
        models, (BATCH, K * BATCH), ({"gradient_accumulation_steps": K}, {}), strict=True
    ):
        loss = keras.losses.MeanSquaredError(reduction=reduction)
        model.compile(OPTIMIZERS[name](**arguments), loss)
        model.fit(x, y, sample_weight=weight, batch_size=batch, shuffle=False, verbose=0)
    for accumulated, whole in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_allclose(accumulated, whole, rtol=1e-9, atol=1e-10)
    assert int(models[0].optimizer.iterations) == int(models[1].optimizer.iterations) == STEPS


def test_a_batch_without_anything_valid_counts_nothing(rng, float64):
    x, y = rng.integers(1, 9, size=(2 * BATCH, WORDS)), rng.normal(size=(2 * BATCH, WORDS, 3))
    x[:BATCH] = 0
    model, other = sequences(), sequences()
    other.set_weights(model.get_weights())
    model.compile(keras.optimizers.SGD(0.1, gradient_accumulation_steps=2), "mse")
    other.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(x, y, batch_size=BATCH, shuffle=False, verbose=0)
    other.fit(x[BATCH:], y[BATCH:], batch_size=BATCH, verbose=0)
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-9)
        assert np.isfinite(a).all()


def test_weights_are_forgotten_after_each_update():
    variable = keras.Variable(torch.zeros(()))
    optimizer = keras.optimizers.SGD(1.0, gradient_accumulation_steps=2)
    for grad, weight in [(1.0, 1.0), (4.0, 2.0), (1.0, 5.0), (3.0, 5.0), (1.0, None), (2.0, None)]:
        optimizer._tk_batch_weight = weight
        optimizer.apply([torch.tensor(grad)], [variable])
    assert variable.item() == pytest.approx(-(1 + 2 * 4) / 3 - 2 - 1.5)


# -- everything that goes by updates


class AtMost(keras.constraints.Constraint):
    def __call__(self, w):
        return w.clamp(max=0.2)


def schedule():
    return optimizers.schedules.ExponentialDecay(0.05, decay_steps=1, decay_rate=0.7)


ARGUMENTS = {
    "ema": {"use_ema": True, "ema_momentum": 0.5},
    "ema in place": {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 2},
    "decay": {"weight_decay": 0.1},
    "clip": {"global_clipnorm": 0.5},
    "scale": {"loss_scale_factor": 4.0},
}


def scheduled(name, **arguments):
    optimizer = make(name, **arguments)
    optimizer.learning_rate = schedule()
    return optimizer


@pytest.mark.parametrize("place", ["host", "device"])
@pytest.mark.parametrize("base", ARGUMENTS)
@pytest.mark.parametrize("name", NAMES)
def test_k_calls_are_one_by_the_weighted_mean(name, base, place, rng):
    """Weights, state, averages, the schedule's rate and the number of updates; the last update has fewer calls."""
    mine = variables(rng, "float64")
    theirs = [Variable(v.detach().clone(), name=v.name) for v in mine]
    for own in (mine, theirs):
        own[2].constraint = AtMost()
    parts = scheduled(name, gradient_accumulation_steps=3, **ARGUMENTS[base])
    whole = scheduled(name, **ARGUMENTS[base])
    for optimizer, own in ((parts, mine), (whole, theirs)):
        optimizer.build(own)
        if place == "device":
            optimizer._tk_count_on(torch.device("cpu"))
    for weights in ([2.0, 2.0, 2.0], [1.0, 5.0, 2.0], [4.0, 3.0]):
        rows = [gradients(rng, mine) for _ in weights]
        for weight, grads in zip(weights, rows, strict=True):
            parts._tk_batch_weight = weight
            parts.apply(grads, mine)
        total = sum(weights)
        columns = zip(*rows, strict=True)
        whole.apply([sum(w * g for w, g in zip(weights, column, strict=True)) / total for column in columns], theirs)
    assert parts._tk_apply_accumulated_gradients() and not parts._tk_apply_accumulated_gradients()
    assert_equal(
        mine, theirs, rtol=1e-9, atol=1e-9
    )  # also where the rate is one of float32, which is the same for both
    assert int(parts.iterations) == int(whole.iterations) == 3
    assert float(parts.learning_rate) == float(whole.learning_rate)
    kept = [v for v in parts.variables if "gradient_accumulator" not in v.name and v.name != "iteration"]
    assert_equal(kept, [v for v in whole.variables if v.name != "iteration"], rtol=1e-9, atol=1e-9)
    for v in parts.variables:
        assert "gradient_accumulator" not in v.name or not v.any()


WRAPPERS = {
    "plain": lambda make: make(),
    "LossScaleOptimizer": lambda make: optimizers.LossScaleOptimizer(make(), initial_scale=2.0),
    "MultiOptimizer": lambda make: optimizers.MultiOptimizer(optimizers.OptimizerMap(make(), {".*bias": make()})),
    "function": lambda make: (
        lambda one, other: optimizers.MultiOptimizer(lambda v: one if "bias" in v.path else other)
    )(make(), make()),
}


class OwnStep(keras.Model):
    """A training step of the user's."""

    def __init__(self, body):
        super().__init__()
        self.body = body

    def call(self, x):
        return self.body(x)

    def train_step(self, data):
        x, y = data
        loss = self.compute_loss(x=x, y=y, y_pred=self(x, training=True))
        self.zero_grad()
        self.optimizer.scale_loss(loss).backward()
        trainable = self.trainable_weights
        with torch.no_grad():
            self.optimizer.apply([w.grad for w in trainable], trainable)
        return {"loss": loss.detach()}


@pytest.mark.parametrize("place", ["host", "device"])
@pytest.mark.parametrize("own_step", [False, True])
@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_what_is_left_when_fit_ends_is_applied(wrapper, outputs, own_step, place, rng, float64, monkeypatch):
    """Weighted by its rows, once; the next `fit` begins with nothing left over."""
    if place == "device":
        monkeypatch.setattr(loss_scale, "_HOSTS", ())
    arguments = {"use_ema": True, "ema_momentum": 0.5}
    models = []
    for batch, extra in ((BATCH, {"gradient_accumulation_steps": K}), (K * BATCH, {})):
        body = vectors()
        if outputs == 2:
            body = keras.Model(body.inputs, [body.outputs[0], body.layers[0].output])
        if models:
            body.set_weights(models[0][2])
        start = body.get_weights()
        model = OwnStep(body) if own_step else body
        optimizer = WRAPPERS[wrapper](
            lambda extra=extra: optimizers.Adam(schedule(), epsilon=1e-3, **arguments, **extra)
        )
        model.compile(optimizer, "mse" if outputs == 1 else ["mse", "mae"])
        models.append((model, batch, start))
    for rows in (2 * K * BATCH + BATCH + 3, BATCH + 1):
        x, y = rng.normal(size=(rows, WORDS)), rng.normal(size=(rows, 3))
        targets = y if outputs == 1 else [y, rng.normal(size=(rows, 5))]
        for model, batch, _ in models:
            model.fit(x, targets, batch_size=batch, shuffle=False, verbose=0)
        for left, right in zip(*(model.get_weights() for model, _, _ in models), strict=True):
            np.testing.assert_allclose(left, right, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("name", ["Adam", "Muon"])
def test_a_gradient_that_comes_in_some_calls_counts_in_the_update(name, rng):
    mine = variables(rng, "float64")
    theirs = [Variable(v.detach().clone(), name=v.name) for v in mine]
    parts, whole = make(name, gradient_accumulation_steps=2), make(name)
    parts.build(mine)
    whole.build(theirs)
    first, second = gradients(rng, mine), gradients(rng, mine)
    parts.apply(first[:3], mine[:3])
    parts.apply(second[1:3], mine[1:3])
    whole.apply([first[0] / 2, *((a + b) / 2 for a, b in zip(first[1:3], second[1:3], strict=True))], theirs[:3])
    assert_equal(mine, theirs, rtol=1e-6, atol=1e-8)
    parts.apply(first[2:], mine[2:])
    whole.apply(first[2:], theirs[2:])
    parts._tk_apply_accumulated_gradients()
    assert_equal(mine, theirs, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("place", ["host", "device"])
def test_a_step_that_is_taken_back_weighs_nothing(place, monkeypatch):
    if place == "device":
        monkeypatch.setattr(loss_scale, "_HOSTS", ())
    variable = Variable(torch.zeros(()))
    optimizer = optimizers.LossScaleOptimizer(optimizers.SGD(1.0, gradient_accumulation_steps=3), initial_scale=1.0)
    for grad, weight in [(1.0, 1.0), (torch.inf, 7.0), (4.0, 2.0)]:
        optimizer._tk_batch_weight = weight
        scale = float(optimizer.scale_loss(1.0))
        optimizer.apply([torch.tensor(grad * scale)], [variable])
    optimizer._tk_apply_accumulated_gradients()
    assert variable.item() == pytest.approx(-(1 + 2 * 4) / 3)
    assert int(optimizer.iterations) == 1


def test_the_gradients_in_a_file_count_like_the_next_ones():
    variable, other = Variable(torch.zeros(())), Variable(torch.zeros(()))
    first, second = (optimizers.SGD(1.0, gradient_accumulation_steps=3) for _ in range(2))
    store = {}
    first._tk_batch_weight = second._tk_batch_weight = 4
    first.apply([torch.tensor(2.0)], [variable])
    first.save_own_variables(store)
    second.apply([torch.tensor(9.0)], [other])
    second.apply([torch.tensor(9.0)], [other])
    second.load_own_variables(store)
    second._tk_batch_weight = 3
    second.apply([torch.tensor(4.0)], [other])
    assert second._tk_apply_accumulated_gradients()
    assert other.item() == -3.0


def test_without_accumulation_there_is_nothing_to_apply(rng):
    mine = variables(rng)
    adam, torchs = optimizers.Adam(), optimizers.TorchOptimizer(torch.optim.SGD)
    for optimizer in (adam, torchs, optimizers.LossScaleOptimizer(torchs)):
        assert not optimizer._tk_accumulates and not optimizer._tk_apply_accumulated_gradients()
    assert not optimizers.SGD(gradient_accumulation_steps=2)._tk_apply_accumulated_gradients()
    adam.apply(gradients(rng, mine), mine)
    assert not adam._tk_apply_accumulated_gradients()
