"""Compiled steps see whatever changed since they were compiled, though they look for changes as rarely as they may."""

from __future__ import annotations

import pytest
import torch

import torchkeras as keras
from torchkeras.core.torch_internals import count_dispatch_modes, newest_compiled_code, traces_backward
from torchkeras.training.compiled_method import CompiledMethod, RecompiledError
from torchkeras.training.state import state_of

L, O = keras.layers, keras.optimizers
ROWS, BATCH = 8, 2


class Scaled(L.Layer):
    scale = 1.0

    def call(self, inputs):
        return inputs * self.scale


def change(model):
    """Values that the graph reads, a setting that the update reads, and one that is a constant of the graph."""
    dense, scaled = model.layers
    dense.kernel.assign(2 * dense.kernel)
    dense.bias.data = dense.bias.data + 1
    model.optimizer.learning_rate = 0.5 * float(model.optimizer.learning_rate)
    model.optimizer.global_clipnorm = 0.1
    scaled.scale *= 1.5


class ChangeInEpoch(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if batch == 2:
            change(self.model)


class ChangeAfterEpoch(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if epoch == 0:
            change(self.model)


def trained(place, x, y, jit):
    """A model that something changed in its training."""
    keras.utils.set_random_seed(7)
    model = keras.Sequential([keras.Input((2,)), L.Dense(1), Scaled()])
    model.compile(O.SGD(0.01), "mse", jit_compile=jit)
    options = {"epochs": 2, "batch_size": BATCH, "shuffle": False, "verbose": 0}

    def batches():
        for index in range(2 * ROWS // BATCH):
            if index == 3:
                change(model)
            rows = slice(index * BATCH % ROWS, index * BATCH % ROWS + BATCH)
            yield x[rows], y[rows]

    if place == "data":
        model.fit(batches(), steps_per_epoch=ROWS // BATCH, epochs=2, verbose=0)
    elif place == "fits":
        model.fit(x, y, **options)
        change(model)
        model.fit(x, y, **options)
    else:
        model.fit(x, y, callbacks=[place()], **options)
    return model


@pytest.mark.parametrize("place", [ChangeInEpoch, ChangeAfterEpoch, "fits", "data"])
def test_a_change_counts_from_the_next_batch_on(place, rng, monkeypatch):
    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda f, **kwargs: real(f, **{**kwargs, "backend": "eager"}))
    x, y = rng.normal(size=(ROWS, 2)).astype("float32"), rng.normal(size=(ROWS, 1)).astype("float32")
    plain, compiled = (trained(place, x, y, jit) for jit in (False, True))
    for mine, other in zip(compiled.weights, plain.weights, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-5)
    if traces_backward() and not count_dispatch_modes():
        assert state_of(compiled).train_step._whole is None  # it noticed the constant


class Scales:
    factor = 2.0

    def scale(self, x, *others, **named):
        return x * self.factor + sum(others) + named.get("more", 0.0)


def test_guards_are_evaluated_before_each_call_or_once():
    scales = Scales()
    method = CompiledMethod(scales.scale, backend="eager")

    def tensors():
        return torch.ones(2), torch.full((2,), 2.0)

    method(*tensors(), more=torch.ones(2))
    for _ in range(2):
        assert method.again("two", *tensors(), more=torch.ones(2)).tolist() == [5.0, 5.0]
    assert not method.unguarded
    method.check_guards(each=False)
    assert method.again("two", *tensors(), more=torch.ones(2)).tolist() == [5.0, 5.0]
    if newest_compiled_code(method.method) is not None:
        assert list(method.unguarded) == ["two"]
        assert method.again("two", *tensors(), more=torch.zeros(2)).tolist() == [4.0, 4.0]
    scales.factor = 3.0
    method.check_guards(each=False)  # as before each epoch
    with pytest.raises(RecompiledError, match="factor"):
        method.again("two", *tensors(), more=torch.ones(2))
    torch._dynamo.reset()  # throws all code away
    with pytest.raises(RecompiledError):
        method.again("two", *tensors(), more=torch.ones(2))
    assert method(*tensors(), more=torch.ones(2)).tolist() == [6.0, 6.0]


def test_code_for_other_arguments_is_not_taken():
    method = CompiledMethod(Scales().scale, backend="eager", dynamic=False)
    for rows in (2, 3):
        method(torch.ones(rows))
        method.check_guards(each=False)
    for rows in (2, 3, 2, 3):
        assert method.again(rows, torch.ones(rows)).tolist() == [2.0] * rows
