"""Steps that `jit_compile=True` makes one graph of: forward and backward pass, update, metrics."""

from __future__ import annotations

import logging
import pickle
import threading

import numpy as np
import pytest
import torch

import torchkeras as keras
from tests.training.test_steps import Guided
from torchkeras.core.state import state
from torchkeras.core.torch_internals import traces_backward
from torchkeras.optimizers.in_graph import apply_as_operator
from torchkeras.training.one_graph import refuse_checkpoints

L, O = keras.layers, keras.optimizers
ROWS, BATCH = 10, 4  # the last batch is ragged


@pytest.fixture
def graphs(record_graphs):
    """The graphs that were compiled, by a backend that makes them functional, as torch's default one does."""
    if not traces_backward():
        pytest.skip("this torch traces no backward passes")
    return record_graphs("aot_eager")


@pytest.fixture
def data(rng):
    return rng.normal(size=(ROWS, 6)).astype("float32"), rng.integers(0, 3, ROWS)


class Clipped(keras.Model):
    def train_step(self, data):
        x, y = data
        y_pred = self(x, training=True)
        loss = self.compute_loss(x=x, y=y, y_pred=y_pred)
        self.zero_grad()
        self.optimizer.scale_loss(loss).backward()
        weights = self.trainable_weights
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        self.optimizer.apply_gradients(zip([weight.grad for weight in weights], weights, strict=True))
        return {"loss": loss, **self.compute_metrics(x, y, y_pred)}


class Variational(keras.Model):
    """Gradients without `backward()`, noise, and trackers of its own."""

    def __init__(self, net):
        super().__init__()
        self.net, self.tracker = net, keras.metrics.Mean(name="total")
        self.seed = keras.random.SeedGenerator(7)

    def train_step(self, data):
        x, y = data
        mean = self.net(x, training=True)
        sample = mean + 0.1 * keras.random.normal(keras.ops.shape(mean), seed=self.seed)
        total = keras.ops.mean(keras.losses.sparse_categorical_crossentropy(y, sample, from_logits=True))
        weights = self.trainable_weights
        self.optimizer.apply(torch.autograd.grad(total, weights), weights)
        self.tracker.update_state(total)
        return {"total": self.tracker.result(), "updates": self.optimizer.iterations + 0}


class Counting(Guided):
    calls = 0

    def train_step(self, data):
        self.calls += 1
        return super().train_step(data)


class Looking(Guided):
    def train_step(self, data):
        logs = super().train_step(data)
        if float(logs["loss"]) < 0:
            raise ValueError("The loss is negative.")
        return logs


def net(model=keras.Model, frozen=False):
    inputs = keras.Input((6,))
    hidden = L.Dense(4, activation="relu", kernel_regularizer="l2", trainable=not frozen)(inputs)
    return model(inputs, L.Dense(3)(L.BatchNormalization()(hidden)))


def scaled():
    return O.LossScaleOptimizer(O.SGD(0.1, momentum=0.9), initial_scale=2.0**10, dynamic_growth_steps=3)


STEPS = {
    "with averages of accumulated gradients": (
        lambda: net(Guided),
        lambda: O.Adam(0.01, gradient_accumulation_steps=2, use_ema=True, ema_overwrite_frequency=2),
    ),
    "with a frozen layer": (lambda: net(Guided, frozen=True), lambda: torch.optim.Adam),
    "with a scaled loss": (lambda: net(Clipped), scaled),
    "variational": (
        lambda: Variational(net()),
        lambda: O.Adam(O.schedules.ExponentialDecay(0.1, 2, 0.9)),
    ),
}


def lines(caplog):
    return [record.getMessage() for record in caplog.records if record.name == "torchkeras"]


def trained(make, optimizer, data, jit):
    keras.utils.set_random_seed(3)
    model = make()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer(), loss, metrics=["accuracy"], jit_compile=jit)
    history = model.fit(*data, epochs=3, batch_size=BATCH, shuffle=False, verbose=0).history
    return model, history


def both(make, optimizer, data):
    """Train uncompiled and compiled, compare histories, weights and gradients, and return the compiled model."""
    (plain, wanted), (model, history) = (trained(make, optimizer, data, jit) for jit in (False, True))
    assert wanted.keys() == history.keys()
    for name in wanted:
        np.testing.assert_allclose(history[name], wanted[name], rtol=1e-5, err_msg=name)
    for mine, other in zip(model.weights, plain.weights, strict=True):
        torch.testing.assert_close(mine.detach(), other.detach(), rtol=1e-4, atol=1e-6)
        assert (mine.grad is None) == (other.grad is None)
        if mine.grad is not None:
            torch.testing.assert_close(mine.grad, other.grad, rtol=1e-3, atol=1e-6)
    return model


@pytest.mark.parametrize("name", STEPS)
def test_one_graph_with_the_update(name, data, graphs, caplog):
    both(*STEPS[name], data)
    assert len(graphs) == 1 and not lines(caplog)
    assert "apply_gradients" in graphs[0].code
    assert state.entry is None  # which call is the outermost one: traced code sets it and sets it back


def test_the_librarys_step_is_one_graph_with_the_update(data, graphs, caplog):
    class Weighted(keras.Model):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return 2 * super().compute_loss(x, y, y_pred, sample_weight)

    both(lambda: net(Weighted), lambda: O.AdamW(0.01, gradient_accumulation_steps=2, global_clipnorm=0.1), data)
    assert len(graphs) == 1 and not lines(caplog)
    assert "apply_gradients" in graphs[0].code and graphs[0].code.count("add_") >= 4  # the sums of loss and accuracy


@pytest.mark.parametrize("step", [keras.Model, Guided])
def test_hooks_on_weights_are_called(step, data, graphs):
    seen = []

    def hooked():
        model = net(step)
        model.weights[0].register_hook(lambda grad: seen.append(grad) or 2 * grad)
        return model

    both(hooked, lambda: O.SGD(0.1), data)
    assert len(seen) == 2 * 9 and "apply_gradients" not in graphs[0].code


def test_checkpoints_keep_a_backward_pass_of_their_own():
    weight, graphs = torch.ones(2, requires_grad=True), []

    def loss(x):
        return keras.remat(lambda x: torch.exp(x * weight))(x).sum()

    torch.compile(loss, fullgraph=True, backend=lambda graph, _: graphs.append(graph) or graph.forward)(torch.ones(2))
    with pytest.raises(ValueError, match="backward pass that is a graph of its own"):
        refuse_checkpoints(graphs[0])


def test_names_with_checkpoint_in_them_are_no_checkpoints(record_graphs):
    model = torch.nn.ModuleDict({"checkpoint": torch.nn.Linear(2, 2)})

    def loss_after_checkpoint(checkpoint):
        return model["checkpoint"](checkpoint).sum()

    graphs = record_graphs("eager")
    torch.compile(loss_after_checkpoint, fullgraph=True)(torch.ones(1, 2))
    assert "checkpoint" in graphs[0].code
    refuse_checkpoints(graphs[0])


@pytest.mark.parametrize(("step", "reason"), [(Counting, "self.calls += 1"), (Looking, "float(logs")])
def test_a_step_that_is_no_graph_has_its_calls_compiled_and_says_so_once(step, reason, data, graphs, caplog):
    with caplog.at_level(logging.WARNING, logger="torchkeras"):
        model = both(lambda: net(step), lambda: O.SGD(0.1), data)
    (line,) = lines(caplog)
    assert "so only the calls of its layers are" in line and reason in line
    assert __file__ in line and "torchkeras/training" not in line and "__self__" not in line
    assert len(graphs) == (2 if step is Counting else 1)
    if step is Counting:
        assert model.calls == 9  # once per batch


def test_the_operator_changes_copies_and_leaves_the_weights():
    """A compiler that needs the former values hands over copies of weights and numbers."""
    weights = [keras.Variable(torch.ones(3)), keras.Variable(torch.ones(2))]
    grads = [torch.full((3,), 2.0), torch.ones(2)]
    optimizer = O.SGD(0.5)
    optimizer.build(weights)
    number = optimizer._tk_note()
    copies = [weight.detach().clone() for weight in weights]
    numbers = [number.detach().clone() for number in optimizer._tk_numbers()]
    numbers[1].fill_(0.25)  # the learning rate of the step
    torch.ops.torchkeras.apply_gradients(number, grads, [0, 1], None, None, copies, numbers)
    assert [copy.tolist() for copy in copies] == [[0.5] * 3, [0.75] * 2]
    assert [weight.tolist() for weight in weights] == [[1.0] * 3, [1.0] * 2]
    assert int(numbers[0]) == 1 and int(optimizer.iterations) == 0 and float(optimizer.learning_rate) == 0.5


class Halving(O.SGD):
    """An optimizer with an `apply` of the user's."""

    def apply(self, grads, trainable_variables=None):
        super().apply([grad / 2 for grad in grads], trainable_variables)


@pytest.mark.parametrize("kind", [O.SGD, Halving])
def test_the_operator_applies_again_what_fits(kind):
    weights = [keras.Variable(torch.ones(2)), keras.Variable(torch.ones(1))]
    optimizer = kind(0.5)
    optimizer.build(weights)
    site = optimizer._tk_note()

    def update():
        grads = [torch.ones(2), torch.ones(1)]
        numbers = optimizer._tk_numbers()
        torch.ops.torchkeras.apply_gradients(site, grads, [0, 1], None, None, weights, numbers)
        return weights[0].tolist()

    with torch.no_grad():
        step = 0.5 if kind is O.SGD else 0.25
        assert update() == [1 - step] * 2
        assert (optimizer._sites[0].plan is None) == (kind is Halving)
        optimizer.learning_rate = 1.0
        assert update() == [1 - 3 * step] * 2 and int(optimizer.iterations) == 2
        optimizer.clipvalue = 0.25
        assert update() == [0.75 - 3 * step] * 2
        optimizer.clipvalue = None
        weights[0].data = weights[0].data.double()  # another plan
        optimizer.apply([torch.ones(2), torch.ones(1)], weights)
        assert update() == [0.75 - 7 * step] * 2
    assert pickle.loads(pickle.dumps(optimizer))._sites == []


def test_the_operator_wants_the_optimizers_own_variables_in_their_order():
    weights = [keras.Variable(torch.ones(1)), keras.Variable(torch.ones(1))]
    optimizer = O.SGD(0.5)
    with pytest.raises(ValueError, match="must be built"):
        apply_as_operator(optimizer, [torch.ones(1)], weights[:1])
    optimizer.build(weights)
    with pytest.raises(ValueError, match="in the order"):
        apply_as_operator(optimizer, [torch.ones(1)] * 2, weights[::-1])
    apply_as_operator(optimizer, [torch.ones(1)], weights[1:])
    assert [weight.tolist() for weight in weights] == [[1.0], [0.5]]


def test_a_model_trains_in_another_thread_than_the_one_that_imported_the_library(data, graphs):
    """Settings of torch's compiler hold for one thread; batch normalization has weights that are no parameters."""
    found = []
    thread = threading.Thread(target=lambda: found.append(trained(net, lambda: O.SGD(0.1), data, True)))
    thread.start()
    thread.join()
    assert len(found) == 1 and len(graphs) == 1


@pytest.mark.parametrize("kind", ["gru", "list", "tuple", "dict"])
def test_a_step_that_goes_through_the_metrics_of_a_model_with_containers(kind, data, graphs, caplog):
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.last = keras.layers.Dense(3)
            self.parts = {
                "gru": keras.layers.GRU(5),
                "list": [keras.layers.Dense(4)],
                "tuple": (keras.layers.Dense(4),),
                "dict": {"first": keras.layers.Dense(4)},
            }[kind]

        def call(self, x):
            first = {"gru": lambda: self.parts(x[:, :, None])}.get(kind)
            if first is not None:
                return self.last(first())
            return self.last(self.parts["first" if kind == "dict" else 0](x))

        def train_step(self, data):
            x, y = data
            y_pred = self(x, training=True)
            loss = self.compute_loss(x=x, y=y, y_pred=y_pred)
            self.zero_grad()
            loss.backward()
            with torch.no_grad():
                self.optimizer.apply([w.grad for w in self.trainable_weights], self.trainable_weights)
            for metric in self.metrics:
                if metric.name == "loss":
                    metric.update_state(loss)
                else:
                    metric.update_state(y, y_pred)
            return {metric.name: metric.result() for metric in self.metrics}

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model = Own()
    model.compile("sgd", loss, metrics=["accuracy"], jit_compile=True)
    history = model.fit(*data, batch_size=4, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert [r.getMessage() for r in caplog.records if r.name == "torchkeras"] == []
