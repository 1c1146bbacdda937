"""`trainable` has no effect before `compile()`; one model in several threads; lengths of single batches."""

from __future__ import annotations

import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

import torchkeras as keras
from torchkeras import layers


@pytest.fixture
def data(rng):
    return rng.normal(size=(32, 4)).astype("float32"), rng.normal(size=(32, 1)).astype("float32")


def model_of(rate=0.1, **options):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, name="a"), layers.Dense(1, name="b")])
    model.compile(keras.optimizers.SGD(rate), "mse", **options)
    return model


# ------------------------------------------------------------------------------------------------ trainable


class Freezes(keras.callbacks.Callback):
    def __init__(self, hook, layer, value=False):
        super().__init__()
        self.layer, self.value = layer, value
        setattr(self, hook, self.freeze)

    def freeze(self, *args, **kwargs):
        target = self.model if self.layer is None else self.model.get_layer(self.layer)
        target.trainable = self.value


HOOKS = ["on_train_begin", "on_epoch_begin", "on_train_batch_begin", "on_train_batch_end", "on_epoch_end"]


@pytest.mark.parametrize("layer", ["a", None])
@pytest.mark.parametrize("hook", HOOKS)
def test_a_callback_that_freezes_has_no_effect_until_compile(hook, layer, data):
    model, reference = model_of(), model_of()
    reference.set_weights(model.get_weights())
    options = {"batch_size": 8, "epochs": 2, "shuffle": False, "verbose": 0}
    model.fit(*data, callbacks=[Freezes(hook, layer)], **options)
    reference.fit(*data, **options)
    for found, wanted in zip(model.get_weights(), reference.get_weights(), strict=True):
        np.testing.assert_array_equal(found, wanted)
    frozen = model if layer is None else model.get_layer(layer)
    assert not frozen.trainable and not any(w.requires_grad for w in frozen.weights)
    model.compile(keras.optimizers.SGD(0.1), "mse")
    before = frozen.get_weights()
    if layer is not None:
        model.fit(*data, verbose=0)
    assert all(map(np.array_equal, before, frozen.get_weights()))


def test_freezing_after_compile_is_said_once(data):
    model = model_of()
    model.get_layer("a").trainable = False
    with pytest.warns(UserWarning, match=r"`trainable` of sequential\w*/a/kernel, .*/a/bias was changed after compile"):
        model.fit(*data, verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(*data, verbose=0)
        model.compile("sgd", "mse")
        model.fit(*data, verbose=0)


# ------------------------------------------------------------------------------------------------ threads


def test_evaluations_in_several_threads_are_right(data):
    model = model_of(metrics=["mae"])
    parts = [(data[0][:rows], data[1][:rows]) for rows in (4, 9, 16, 32)]
    expected = [model.evaluate(*part, batch_size=2, verbose=0) for part in parts]
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: [model.evaluate(*part, batch_size=2, verbose=0) for part in parts], range(8)):
            np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("method", ["evaluate", "test_on_batch", "train_on_batch", "fit"])
def test_another_thread_is_refused_while_fit_runs(method, data):
    model, errors = model_of(), []

    def call():
        try:
            getattr(model, method)(*data)
        except RuntimeError as error:
            errors.append(str(error))

    def in_a_thread(batch, logs):
        thread = threading.Thread(target=call)
        thread.start()
        thread.join(timeout=30)
        assert not thread.is_alive()

    callback = keras.callbacks.LambdaCallback(on_train_batch_end=in_a_thread)
    model.fit(*data, batch_size=32, verbose=0, callbacks=[callback])
    assert len(errors) == 1 and f"{method}() was called while fit() trains this model" in errors[0]
    model.evaluate(*data, verbose=0)


# ------------------------------------------------------------------------------------------------ single batches


class Pool(layers.Layer):
    """The mean over the nodes of each of 4 graphs."""

    def call(self, x):
        return x.reshape(4, -1, x.shape[-1]).mean(1)


@pytest.mark.parametrize("weighted", [False, True])
def test_a_batchs_targets_may_have_other_lengths_than_its_inputs(weighted, rng):
    x, y = rng.normal(size=(20, 3)).astype("float32"), rng.normal(size=(4, 1)).astype("float32")
    weights = rng.uniform(0.5, 1, size=4).astype("float32") if weighted else None
    model = keras.Sequential([Pool(), layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.0), "mse", metrics=["mae"])
    outputs = model.predict_on_batch(x)
    error = outputs.astype("float64") - y
    expected = [((error**2)[:, 0] * (1 if weights is None else weights)).mean(), np.abs(error).mean()]
    assert outputs.shape == (4, 1)
    np.testing.assert_allclose(model.train_on_batch(x, y, sample_weight=weights), expected, rtol=1e-5)
    np.testing.assert_allclose(model.test_on_batch(x, y, sample_weight=weights), expected, rtol=1e-5)


def test_predict_says_why_outputs_can_not_be_joined():
    model = keras.Sequential([keras.Input((None, 2)), layers.Dense(3)])
    batches = [torch.zeros(4, 5, 2), torch.zeros(4, 5, 2), torch.zeros(2, 7, 2)]
    with pytest.raises(ValueError, match=r"batch 0 gave the shape \(4, 5, 3\), batch 2 the shape \(2, 7, 3\)"):
        model.predict(batches.__iter__(), verbose=0)
    with pytest.raises(ValueError, match="at least one batch"):
        model.predict(iter([]), verbose=0)
