"""`jit_compile=True`: one graph a step, the same numbers, and a line in the log where that can't be."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

import torchkeras as keras
from torchkeras.core.torch_internals import traces_backward

L, O = keras.layers, keras.optimizers
ROWS, BATCH = 22, 4  # the last batch is ragged


@pytest.fixture
def graphs(record_graphs):
    """The graphs that were compiled, by a backend that runs them as they are."""
    return record_graphs("eager")


@pytest.fixture
def data(rng):
    return rng.normal(size=(ROWS, 6)).astype("float32"), rng.integers(0, 3, ROWS)


def make(*inside):
    return keras.Sequential([keras.Input((6,)), L.Dense(8, activation="relu"), *inside, L.Dense(3)])


def lines(caplog):
    return [record.getMessage() for record in caplog.records if record.name == "torchkeras"]


def train(model, data, jit, optimizer="adam", metrics=("accuracy",), **options):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=list(metrics), jit_compile=jit)
    options = {"epochs": 3, "batch_size": BATCH, "shuffle": False, "verbose": 0, **options}
    return model.fit(*data, **options).history


def both(make_model, data, **options):
    """Histories of the same training, uncompiled and compiled, and the second model."""
    plain, compiled = make_model(), make_model()
    compiled.set_weights(plain.get_weights())
    return train(plain, data, False, **options), train(compiled, data, True, **options), compiled


def same(left, right):
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_allclose(left[name], right[name], rtol=1e-5, err_msg=name)


CASES = {
    "plain": (make, {}),
    "batch normalization": (lambda: make(L.BatchNormalization()), {}),
    "regularized": (lambda: make(L.Dense(4, kernel_regularizer="l2")), {}),
    "metrics": (make, {"metrics": ["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(2)]}),
    "averages": (make, {"optimizer": O.Adam(use_ema=True, ema_overwrite_frequency=3)}),
    "clipped": (make, {"optimizer": O.SGD(0.1, global_clipnorm=0.1)}),
    "weights": (make, {"sample_weight": np.linspace(0, 1, ROWS).astype("float32")}),
}


@pytest.mark.parametrize("name", CASES)
def test_one_graph_with_the_metrics(name, data, graphs, caplog):
    make_model, options = CASES[name]
    optimizer = options.get("optimizer")
    plain, compiled = make_model(), make_model()
    compiled.set_weights(plain.get_weights())
    found = []
    for model, jit in ((plain, False), (compiled, True)):
        if optimizer is not None:
            options = {**options, "optimizer": type(optimizer).from_config(optimizer.get_config())}
        if "metrics" in options:
            options = {**options, "metrics": ["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(2)]}
        found.append(train(model, data, jit, **options))
    same(*found)
    assert len(graphs) == 1 and not lines(caplog)
    code = graphs[0].code
    assert code.count("add_") >= 4  # the sums of the loss and of the metric


def test_accumulated_gradients(data, graphs):
    def adam():
        return O.Adam(0.01, gradient_accumulation_steps=3)

    plain, compiled = make(), make()
    compiled.set_weights(plain.get_weights())
    same(train(plain, data, False, adam()), train(compiled, data, True, adam()))
    assert len(graphs) == 1


def test_mixed_float16(data, graphs):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        plain, compiled, _ = both(make, data)
    finally:
        keras.dtype_policies.reset_dtype_policy()
    np.testing.assert_allclose(plain["loss"], compiled["loss"], rtol=1e-2)
    assert len(graphs) == 1


def test_evaluation_and_prediction_are_one_graph_each(data, graphs, caplog):
    plain, compiled, model = both(make, data, validation_data=data)
    same(plain, compiled)
    assert len(graphs) == 2
    model.compile("adam", "mse", jit_compile=False)
    x, y = data[0], np.eye(3, dtype="float32")[data[1]]
    wanted = model.evaluate(x, y, batch_size=BATCH, verbose=0), model.predict(x, batch_size=BATCH, verbose=0)
    del graphs[:]
    model.compile("adam", "mse", jit_compile=True)
    for _ in range(3):
        found = model.evaluate(x, y, batch_size=BATCH, verbose=0), model.predict(x, batch_size=BATCH, verbose=0)
        np.testing.assert_allclose(found[0], wanted[0], rtol=1e-5)
        np.testing.assert_allclose(found[1], wanted[1], rtol=1e-5)
    assert len(graphs) == 2 and not lines(caplog)


def test_steps_on_one_batch_are_one_graph_each_and_share_those_of_passes(data, graphs, caplog):
    x, y = data[0][:BATCH], np.eye(3, dtype="float32")[data[1][:BATCH]]
    model = make()
    model.compile("adam", "mse", metrics=["mae"], jit_compile=False)
    wanted = model.test_on_batch(x, y), model.predict_on_batch(x)
    model.jit_compile = True
    for _ in range(3):
        np.testing.assert_allclose(model.test_on_batch(x, y), wanted[0], rtol=1e-5)
        np.testing.assert_allclose(model.predict_on_batch(x), wanted[1], rtol=1e-5)
    model.evaluate(x, y, batch_size=BATCH, verbose=0)
    model.predict(x, batch_size=BATCH, verbose=0)
    assert len(graphs) == 2 and not lines(caplog)


@pytest.mark.parametrize("method", ["predict", "predict_on_batch"])
def test_a_prediction_may_build_the_model(method, data, graphs, caplog):
    model = keras.Sequential([L.Dense(8, activation="relu"), L.Dense(3)])
    model.compile("adam", "mse", jit_compile=True)
    first, second = (np.asarray(getattr(model, method)(data[0][:BATCH])) for _ in range(2))
    np.testing.assert_allclose(first, second, rtol=1e-5)
    assert len(graphs) == 1 and not lines(caplog)


def test_a_batch_after_a_fit_sees_what_has_changed_since(data, graphs):
    x, y = data[0][:BATCH], data[1][:BATCH]
    model = make(L.LeakyReLU(negative_slope=0.5))
    train(model, (x, y), True, O.SGD(0.0), metrics=())
    model.layers[1].negative_slope = -3.0
    found = model.train_on_batch(x, y)
    model.jit_compile = False
    np.testing.assert_allclose(found, model.train_on_batch(x, y), rtol=1e-5)


def test_several_outputs(rng, graphs):
    def two():
        inputs = keras.Input((6,))
        h = L.Dense(4)(inputs)
        return keras.Model(inputs, {"a": L.Dense(1, name="a")(h), "b": L.Dense(2, name="b")(h)})

    x = rng.normal(size=(ROWS, 6)).astype("float32")
    y = {"a": rng.normal(size=(ROWS, 1)).astype("float32"), "b": rng.normal(size=(ROWS, 2)).astype("float32")}
    plain, compiled = two(), two()
    compiled.set_weights(plain.get_weights())
    found = []
    for model, jit in ((plain, False), (compiled, True)):
        model.compile("adam", "mse", metrics={"a": ["mae"]}, jit_compile=jit)
        found.append(model.fit(x, y, epochs=3, batch_size=BATCH, shuffle=False, verbose=0).history)
    same(*found)
    assert len(graphs) == 1 and "a_loss" in found[1]


class Breaking(L.Layer):
    def call(self, inputs):
        torch._dynamo.graph_break()
        return inputs * 2.0


def test_a_break_is_reported_once_with_its_line(data, graphs, caplog):
    with caplog.at_level(logging.WARNING, logger="torchkeras"):
        plain, compiled, _ = both(lambda: make(Breaking()), data)
    same(plain, compiled)
    (line,) = lines(caplog)
    assert "can't be compiled as one graph" in line and "test_jit.py" in line and "graph_break()" in line


class Scaled(L.Layer):
    scale = 1.0

    def call(self, inputs):
        return inputs * self.scale


def test_another_compilation_is_reported_once(data, graphs, caplog):
    class Changing(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.model.layers[1].scale = 1.0 + epoch

    with caplog.at_level(logging.WARNING, logger="torchkeras"):
        plain, compiled, _ = both(lambda: make(Scaled()), data, callbacks=[Changing()])
    same(plain, compiled)
    (line,) = lines(caplog)
    assert "compiled once more" in line and "scale" in line


def test_an_own_train_step_around_the_librarys_is_one_graph(data, graphs):
    class Own(keras.Sequential):
        def train_step(self, data):
            return super().train_step(data)

    def own():
        return Own([keras.Input((6,)), L.Dense(3)])

    plain, compiled, _ = both(own, data)
    same(plain, compiled)
    assert len(graphs) == 1


@pytest.mark.slow
def test_the_default_compiler(data):
    """Once with torch's own compiler, beside the counting one."""
    plain, compiled, _ = both(lambda: keras.Sequential([keras.Input((6,)), L.Dense(3)]), data)
    same(plain, compiled)


def test_the_attributes_can_be_set(data, graphs):
    model = make()
    assert not model.jit_compile and not model.run_eagerly
    model.jit_compile = True
    for _ in range(2):
        model.predict(data[0], batch_size=BATCH, verbose=0)
    assert len(graphs) == 1
    model.run_eagerly = True
    model.compile("sgd", "mse", jit_compile=True)
    assert model.jit_compile and not model.run_eagerly
    model.run_eagerly = True
    assert not model.jit_compile
    model.run_eagerly = False
    model.jit_compile = True
    assert model.jit_compile


def test_predict_and_evaluate_stop_when_a_callback_says_so(data):
    class Stop(keras.callbacks.Callback):
        def on_predict_batch_end(self, batch, logs=None):
            self.model.stop_predicting = batch == 1

        def on_test_batch_end(self, batch, logs=None):
            self.model.stop_evaluating = batch == 1
            self.seen = batch

    model, stop = make(), Stop()
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    assert len(model.predict(data[0], batch_size=BATCH, verbose=0, callbacks=[stop])) == 2 * BATCH
    model.evaluate(*data, batch_size=BATCH, verbose=0, callbacks=[stop])
    assert stop.seen == 1
    assert len(model.predict(data[0], batch_size=BATCH, verbose=0)) == ROWS


class OwnLoop(keras.Sequential):
    """A step from scratch: torch code, nothing of the library's step."""

    def train_step(self, data):
        x, y = data
        self.zero_grad()
        y_pred = self(x, training=True)
        loss = self.compute_loss(x, y, y_pred)
        loss.backward()
        weights = self.trainable_weights
        self.optimizer.apply([weight.grad for weight in weights], weights)
        return {"loss": loss, **self.compute_metrics(x, y, y_pred)}

    def test_step(self, data):
        x, y = data
        y_pred = self(x, training=False)
        return {"loss": self.compute_loss(x, y, y_pred), **self.compute_metrics(x, y, y_pred)}

    def predict_step(self, data):
        return torch.softmax(self(data, training=False), -1)


def test_steps_from_scratch_are_one_graph_each(data, graphs, caplog):
    def own():
        keras.utils.set_random_seed(7)
        return OwnLoop([keras.Input((6,)), L.Dense(8), L.Dropout(0.3), L.Dense(3)])

    found = []
    for jit in (False, True):
        model = own()
        history = train(model, data, jit, validation_data=data)
        found.append({**history, "predicted": model.predict(data[0], batch_size=BATCH, verbose=0)})
        assert len(graphs) == (3 if jit else 0)  # training, validation, prediction; three epochs with a ragged batch
        train(model, data, jit)
        assert len(graphs) == (4 if jit else 0)  # compile() made the steps again, once
    same(*found)
    assert not lines(caplog)


class GAN(keras.Model):
    def __init__(self):
        super().__init__()
        self.discriminator = keras.Sequential([keras.Input((6,)), L.Dense(4, activation="relu"), L.Dense(1)])
        self.generator = keras.Sequential([keras.Input((2,)), L.Dense(4, activation="relu"), L.Dense(6)])
        self.losses_seen = [keras.metrics.Mean(name="d"), keras.metrics.Mean(name="g")]

    def compile(self, **kwargs):
        super().compile(**kwargs)
        self.d_optimizer, self.g_optimizer = O.Adam(0.01), O.Adam(0.02)

    def train_step(self, data):
        real = data
        rows = len(real)
        loss_of = torch.nn.functional.binary_cross_entropy_with_logits
        for turn, (part, optimizer) in enumerate(
            [(self.discriminator, self.d_optimizer), (self.generator, self.g_optimizer)]
        ):
            noise = keras.random.normal((rows, 2))
            self.zero_grad()
            if turn == 0:
                seen = torch.cat([self.generator(noise).detach(), real])
                loss = loss_of(self.discriminator(seen), torch.arange(2 * rows)[:, None].lt(rows).float())
            else:
                loss = loss_of(self.discriminator(self.generator(noise)), torch.zeros(rows, 1))
            loss.backward()
            optimizer.apply([weight.grad for weight in part.trainable_weights], part.trainable_weights)
            self.losses_seen[turn].update_state(loss)
        return {metric.name: metric.result() for metric in self.losses_seen}


def test_a_gan_with_two_optimizers(data, graphs, caplog):
    found = []
    for jit in (False, True):
        keras.utils.set_random_seed(7)
        model = GAN()
        model.compile(jit_compile=jit)
        found.append(model.fit(data[0], epochs=3, batch_size=BATCH, verbose=0).history)
    same(*found)
    # Else the generator, and the discriminator of both and of generated rows.
    assert len(graphs) == (1 if traces_backward() else 3) and not lines(caplog)


class Block(L.Layer):
    def __init__(self, broken=False, **kwargs):
        super().__init__(**kwargs)
        self.broken = broken
        self.norm, self.dense, self.drop = L.BatchNormalization(), L.Dense(6, activation="relu"), L.Dropout(0.2)

    def call(self, inputs, training=False):
        if self.broken:
            torch._dynamo.graph_break()
        return inputs + self.drop(self.dense(self.norm(inputs, training=training)), training=training)


def blocks(count, make_block=Block, dtype=None):
    keras.utils.set_random_seed(7)
    inside = [make_block(dtype=dtype) for _ in range(count)]
    return keras.Sequential([keras.Input((6,)), *inside, L.Dense(3)])


class TorchBlocks(L.Layer):
    """Blocks of torch, in a torch module."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inside = torch.nn.Sequential(
            *(torch.nn.Sequential(torch.nn.Linear(6, 6), torch.nn.Tanh()) for _ in range(3))
        )

    def call(self, inputs):
        return self.inside(inputs)


REGIONAL = {
    "blocks": (lambda: blocks(5), {}),
    "in mixed precision": (lambda: blocks(3, dtype="mixed_bfloat16"), {}),
    "of torch": (lambda: blocks(1, TorchBlocks), {}),
}


@pytest.mark.parametrize("name", REGIONAL)
def test_repeated_blocks_share_their_graphs(name, data, graphs, caplog):
    make_model, options = REGIONAL[name]
    found = []
    for jit in (False, "regional"):
        model = make_model()
        history = train(model, data, jit, validation_data=data, **options)
        found.append({**history, "predicted": model.predict(data[0], batch_size=BATCH, verbose=0)})
    assert model.jit_compile
    same(*found)
    # In training of the first block, whose inputs need no gradient, and of all others; in validation; in prediction
    # again of the first one, whose inputs were not made in torch's inference mode, and of all others.
    assert len(graphs) == 5 and not lines(caplog)


def test_without_repeated_blocks_the_step_is_compiled_whole(data, graphs, caplog):
    with caplog.at_level(logging.INFO, logger="torchkeras"):
        train(make(), data, "regional")
    (line,) = lines(caplog)
    assert len(graphs) == 1 and "repeat" in line


def test_a_break_in_a_block_is_reported_once(data, graphs, caplog):
    def broken(**kwargs):
        return Block(True, **kwargs)

    found = [train(blocks(3, broken), data, jit) for jit in (False, "regional")]
    same(*found)
    (line,) = lines(caplog)
    assert "can't be compiled as one graph" in line and "test_jit.py" in line


def test_a_choice_that_depends_on_data_runs_uncompiled(data, graphs, caplog):
    class Ways(keras.Model):
        def __init__(self):
            super().__init__()
            self.ways = [L.Dense(3), L.Dense(3)]

        def build(self, shape):
            for way in self.ways:
                way.build(shape)

        def call(self, x):
            return self.ways[int(x[0, 0] > 0)](x)

    def make():
        model = Ways()
        model.build((None, 6))
        return model

    plain, compiled, _ = both(make, data)
    same(plain, compiled)
    assert "can't be compiled, so it runs uncompiled" in lines(caplog)[0]


@pytest.mark.parametrize(
    "layer",
    [
        lambda: keras.layers.Rescaling([0.5, 2.0, 3.0], [0.0, 1.0, 2.0]),
        lambda: keras.layers.Normalization(mean=[0.0, 1.0, 2.0], variance=[1.0, 2.0, 3.0]),
        lambda: keras.layers.Discretization(bin_boundaries=[0.0, 1.0], output_mode="multi_hot"),
    ],
)
def test_lists_of_numbers_in_layers_do_not_break_the_graph(layer, rng):
    x = torch.from_numpy(rng.normal(size=(4, 3)).astype("float32"))
    made = layer()
    expected = made(x)
    torch.testing.assert_close(torch.compile(made, backend="eager", fullgraph=True)(x), expected)


class Counting(L.Layer):
    """Code that depends on what its own calls changed: every third one gives zeros, and a factor grows."""

    def __init__(self, growth=0.0):
        super().__init__()
        self.calls, self.factor, self.growth = 0, 1.0, growth

    def call(self, x):
        self.calls += 1
        self.factor += self.growth
        return x * (self.factor if self.calls % 3 else 0.0)


@pytest.mark.parametrize("growth", [0.0, 0.01])  # a number that is not an integer is compiled for each value
def test_code_that_changes_what_it_depends_on(growth, data, graphs, caplog):
    models = []
    plain, compiled, _ = both(lambda: models.append(make(Counting(growth))) or models[-1], data)
    same(plain, compiled)
    assert models[0].layers[1].calls == models[1].layers[1].calls >= 18
    assert ["is compiled once more" in line for line in lines(caplog)] == [True]


def test_a_step_that_counts(data, graphs):
    class Alternating(keras.Sequential):
        step = 0

        def train_step(self, data):
            self.step += 1
            return super().train_step(data) if self.step % 3 else {"loss": 0.0 * keras.ops.sum(self(data[0]))}

    def make_model():
        return Alternating([keras.Input((6,)), L.Dense(8, activation="relu"), L.Dense(3)])

    plain, compiled, model = both(make_model, data, metrics=())
    same(plain, compiled)
    assert model.step == 18


def test_an_error_of_the_users_code_is_theirs_and_the_graph_serves_afterwards(data, graphs, caplog):
    class Refusing(L.Layer):
        def call(self, x):
            if len(x) == 3:
                raise ValueError("not three")
            return x

    model = make(Refusing())
    train(model, data, True, epochs=1)
    count = len(graphs)
    with pytest.raises(ValueError, match="not three"):
        model.fit(*data, batch_size=3, verbose=0)
    model.fit(*data, batch_size=BATCH, verbose=0)
    assert len(graphs) == count and lines(caplog) == []


def test_threads_that_train_compiled_models_at_once(data, graphs, caplog):
    models = [make() for _ in range(4)]
    with ThreadPoolExecutor(len(models)) as pool:
        found = list(pool.map(lambda model: train(model, data, True), models))
    assert all(len(history["loss"]) == 3 and np.isfinite(history["loss"]).all() for history in found)
    assert len(graphs) == len(models) and lines(caplog) == []


@pytest.mark.parametrize("kind", ["register_forward_hook", "register_forward_pre_hook"])
def test_hooks_that_were_hung_later_are_called(kind, data, graphs):
    """Torch's guards do not look at hooks."""

    def twice(layer, inputs, outputs=None):
        return 2.0 * (inputs[0] if outputs is None else outputs)

    plain, compiled = make(), make()
    compiled.set_weights(plain.get_weights())
    found = []
    for model, jit in ((plain, False), (compiled, True)):
        history = [train(model, data, jit)["loss"]]
        handle = getattr(model.layers[0], kind)(twice)
        for _ in range(2):  # with the hook, then without it
            values = model.fit(*data, batch_size=BATCH, shuffle=False, epochs=2, verbose=0).history["loss"]
            seen = model.predict(data[0], batch_size=BATCH, verbose=0).sum()
            history += [values, [model.evaluate(*data, batch_size=BATCH, verbose=0)[0], float(seen)]]
            handle.remove()
        found.append(np.concatenate(history))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-4)
