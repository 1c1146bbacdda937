"""What `training` and `trainable` mean: the argument, the enclosing call, the flag, frozen layers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import torchkeras as keras
from torchkeras import layers


class Told(layers.Layer):
    """Notes what its call was told."""

    def call(self, x, training=None):
        self.told = training
        return x


class Outer(layers.Layer):
    def __init__(self, inner, **kwargs):
        super().__init__(**kwargs)
        self.inner = inner
        self.given = {}

    def call(self, x):
        return self.inner(x, **self.given)


class OuterTraining(Outer):
    def call(self, x, training=None):
        return self.inner(x, **self.given)


def functional(inner):
    x = keras.Input((3,))
    return keras.Model(x, inner(layers.Dense(3)(x)))


def sequential(inner):
    return keras.Sequential([keras.Input((3,)), layers.Dense(3), inner])


def late(inner):
    return keras.Sequential([layers.Dense(3), inner])


wrap = pytest.mark.parametrize("wrap", [lambda x: x, Outer, OuterTraining, functional, sequential, late,
                                        lambda x: functional(sequential(x)),
                                        lambda x: Outer(functional(x))])  # fmt: skip


@wrap
@pytest.mark.parametrize("flag", [False, True])
@pytest.mark.parametrize("argument", [None, False, True])
def test_the_argument_wins_over_the_flag(wrap, flag, argument):
    told = Told()
    model = wrap(told)
    model.train(flag)
    model(torch.ones(2, 3), training=argument)
    assert told.told is (flag if argument is None else argument)


@pytest.mark.parametrize("outer", [Outer, OuterTraining])
@pytest.mark.parametrize("inner_argument", [False, True])
def test_the_nearest_argument_wins(outer, inner_argument):
    told = Told()
    model = outer(told)
    model.given = {"training": inner_argument}
    model(torch.ones(2, 3), training=not inner_argument)
    assert told.told is inner_argument


def test_a_new_layer_is_in_inference_mode():
    told = Told()
    told(torch.ones(2, 3))
    assert told.told is False
    assert not told.training


def test_what_a_call_was_told_ends_with_it():
    told = Told()
    outer = Outer(told)
    outer(torch.ones(2, 3), training=True)
    told(torch.ones(2, 3))
    assert told.told is False


def test_an_error_leaves_nothing_behind():
    class Broken(layers.Layer):
        def call(self, x):
            raise RuntimeError("on purpose")

    told = Told()
    with pytest.raises(RuntimeError, match="on purpose"):
        Outer(Broken())(torch.ones(2, 3), training=True)
    Outer(told)(torch.ones(2, 3))
    assert told.told is False


@pytest.mark.parametrize("default", [False, True])
def test_the_default_of_the_signature_is_the_last_resort(default):
    class Defaulted(layers.Layer):
        def call(self, x, training=default):
            self.told = training
            return x

    layer = Defaulted()
    layer(torch.ones(1))
    assert layer.told is default
    layer(torch.ones(1), training=not default)
    assert layer.told is (not default)


@wrap
def test_dropout_in_a_graph_follows_the_call(wrap):
    model = wrap(layers.Dropout(0.5))
    x = torch.ones(40, 3)
    model(x)
    outputs = {told: (model(x, training=told) == 0).any().item() for told in (None, False, True)}
    assert outputs == {None: False, False: False, True: True}


def test_arguments_that_are_no_tensors_go_by_keyword():
    for x in (torch.ones(2, 3), keras.Input((3,))):
        with pytest.raises(ValueError, match="positional"):
            Told()(x, True)


# ------------------------------------------------------------------ trainable


class Nested(keras.Model):
    def __init__(self):
        super().__init__()
        self.blocks = [layers.Dense(3), functional(layers.Dense(3))]
        self.named = {"end": layers.BatchNormalization()}
        self.plain = torch.nn.Linear(3, 3)

    def call(self, x):
        for block in self.blocks:
            x = block(x)
        return self.plain(self.named["end"](x))


def built():
    model = Nested()
    model(torch.ones(2, 3))
    return model


def test_trainable_reaches_everything():
    model = built()
    model.trainable = False
    assert model.trainable_weights == []
    assert len(model.non_trainable_weights) == len(model.weights) == 4 + 2 + 4 + 2
    assert not any(p.requires_grad for p in model.parameters())
    assert not any(layer.trainable for layer in model._flatten_layers() if isinstance(layer, layers.Layer))
    model.trainable = True
    assert len(model.trainable_weights) == 10
    assert all(p.requires_grad for p in model.parameters())


def test_trainable_weights_are_the_parameters_that_take_gradients():
    model = built()
    model.blocks[1].trainable = False
    assert {id(w) for w in model.trainable_weights} == {id(p) for p in model.parameters() if p.requires_grad}


def test_a_frozen_parent_hides_a_thawed_child():
    model = built()
    model.trainable = False
    model.blocks[0].trainable = True
    assert model.trainable_weights == []
    assert len(model.blocks[0].trainable_weights) == 2


def test_weights_made_in_a_frozen_layer_are_frozen():
    layer = layers.Dense(2, trainable=False)
    layer.build((None, 3))
    assert layer.trainable_weights == []
    assert not layer.kernel.requires_grad


def test_frozen_batch_normalization_stays_as_it_is(rng):
    model = keras.Sequential([keras.Input((3,)), layers.BatchNormalization()])
    x = rng.normal(3.0, 2.0, (8, 3)).astype("float32")
    model.layers[0].trainable = False
    before = model.get_weights()
    np.testing.assert_allclose(model(x, training=True).detach(), model(x, training=False).detach())
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    model.layers[0].trainable = True
    model(x, training=True)
    assert not np.allclose(before[2], model.get_weights()[2])


def test_training_behind_any_number_of_inputs():
    class Any(layers.Layer):
        def call(self, *inputs, training=None):
            return sum(inputs) * (2 if training else 1)

    x = torch.ones(2)
    assert float(Any()(x, x, training=True)[0]) == 4
    assert float(Any()(x, training=True)[0]) == 2
    assert float(Any().train()(x)[0]) == 2
