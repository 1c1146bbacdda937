"""`jit_compile=True`: one graph a step, the same numbers, and a line in the log where that can't be."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

import torchkeras as keras

L, O = keras.layers, keras.optimizers
ROWS, BATCH = 22, 4  # the last batch is ragged


@pytest.fixture
def graphs(monkeypatch):
    """The graphs that were compiled, by a backend that runs them as they are."""
    found = []

    def count(module, example):
        found.append(module)
        return module.forward

    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda f, **kwargs: real(f, **{**kwargs, "backend": count}))
    torch._dynamo.reset()
    return found


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


def test_an_own_train_step_compiles_the_librarys_part(data, graphs):
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
