"""Losses that layers add: kept until the outermost layer is called again, never shown by another model."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import torch

import torchkeras as keras
from torchkeras import layers
from torchkeras.layers.base import losses


class Adds(layers.Layer):
    def call(self, x, training=None):
        self.add_loss(x.square().mean())
        if training:
            self.add_loss(x.abs().mean())
        return x


class Holder(keras.Model):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def call(self, x, times=1):
        for _ in range(times):
            x = self.inner(x)
        return x


def test_losses_are_those_of_the_last_call():
    layer = Adds()
    for _ in range(2):
        layer(torch.full((3,), 2.0), training=True)
        assert [float(loss) for loss in layer.losses] == [4.0, 2.0]
    layer(torch.full((3,), 3.0))
    assert [float(loss) for loss in layer.losses] == [9.0]


def test_one_call_that_runs_a_layer_twice_adds_both():
    model = Holder(Adds())
    for _ in range(2):
        model(torch.full((3,), 2.0), times=2)
        assert len(model.losses) == 2 == len(model.inner.losses)


def test_a_layer_in_two_models_shows_each_its_own():
    inner = Adds()
    one, other = Holder(inner), Holder(inner)
    one(torch.full((3,), 2.0))
    other(torch.full((3,), 3.0))
    assert [float(loss) for loss in other.losses] == [9.0]
    inner(torch.full((3,), 4.0))
    assert [float(loss) for loss in inner.losses] == [16.0]
    one(torch.full((3,), 5.0))
    assert [float(loss) for loss in one.losses] == [25.0]


def test_losses_of_one_model_are_no_matter_of_another():
    plain = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    gc.collect()
    before = losses.may_exist(plain)
    model = Holder(Adds())
    model(torch.ones(3))
    assert losses.may_exist(model)
    layer = weakref.ref(model.inner)
    del model
    gc.collect()
    assert layer() is None
    assert losses.may_exist(plain) == before


def test_a_regularizer_is_the_matter_of_its_model():
    plain = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    regular = keras.Sequential([keras.Input((3,)), layers.Dense(2, kernel_regularizer="l2")])
    losses._holders.clear()
    assert losses.may_exist(regular) and not losses.may_exist(plain)
    plain.add(layers.Dense(1, kernel_regularizer="l2"))
    assert losses.may_exist(plain)


def test_a_regularizer_is_found_however_it_comes_to_the_model():
    def regular():
        return keras.Sequential([keras.Input((2,)), layers.Dense(2, kernel_regularizer="l2")])

    gc.collect()
    losses._holders.clear()
    model, other = Holder(layers.Dense(2)), regular()
    model.inner.build((None, 2))
    assert not losses.may_exist(model)
    model.inner = other  # made before the model was asked: the number of regularized layers stays the same
    assert losses.may_exist(model)

    model = Holder(layers.Dense(2))
    model.inner.build((None, 2))
    assert not losses.may_exist(model)
    del other  # one regularized layer goes, another comes
    gc.collect()
    model.inner.kernel.regularizer = keras.regularizers.L2()
    assert losses.may_exist(model)

    model, late = Holder(layers.Dense(2)), regular()
    model.blocks = []
    assert not losses.may_exist(model)
    model.blocks.append(late)
    assert losses.may_exist(model)


def test_a_regularized_layer_in_the_place_of_a_freed_one_is_found():
    losses._holders.clear()
    model = Holder(layers.Dense(2))
    freed = layers.Dense(2, kernel_regularizer="l2")
    freed.build((None, 2))
    assert not losses.may_exist(model)
    del freed
    gc.collect()
    model.inner = layers.Dense(2, kernel_regularizer="l2")
    model.inner.build((None, 2))
    assert losses.may_exist(model) and len(model.losses) == 1


def test_training_counts_added_losses_and_regularizers():
    x = np.ones((8, 3), "float32")
    for inner, expected in ((Adds(), 2.0), (layers.Dense(3, kernel_regularizer="l2"), None)):
        model = Holder(inner)
        model(torch.ones(1, 3))
        wanted = expected if expected is not None else 0.01 * float(inner.kernel.square().sum().detach())
        model.compile("sgd", None)
        assert abs(model.train_on_batch(x) - wanted) < 1e-5


def test_a_layer_that_comes_through_a_torch_module_is_seen(rng):
    """Its regularizer counts, also where the loss of the model was computed before."""

    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.row = torch.nn.Sequential(torch.nn.Linear(3, 3))

        def call(self, x):
            return self.row(x)

    model = Model()
    model.compile("sgd", "mse")
    x = rng.normal(size=(4, 3)).astype("float32")
    model.fit(x, x, verbose=0)
    losses._holders.clear()  # layers of other tests that added losses and live on
    assert not losses.may_exist(model)
    late = keras.layers.Dense(3, kernel_regularizer="l2")
    late.build((None, 3))
    model.row.append(late)
    assert losses.may_exist(model)
    expected = np.mean((model(x).detach().numpy() - x) ** 2) + 0.01 * float((late.kernel.detach() ** 2).sum())
    np.testing.assert_allclose(model.evaluate(x, x, verbose=0), expected, rtol=1e-5)
