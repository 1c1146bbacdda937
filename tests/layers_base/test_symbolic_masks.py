"""Masks on symbolic tensors, and masks that get lost on the way to a layer that uses them."""

from __future__ import annotations

import copy
import warnings

import numpy as np
import pytest
import torch

import torchkeras as keras
from torchkeras import layers, ops
from torchkeras.core.symbolic.keras_tensor import KerasTensor


def embedded(name=None):
    inputs = keras.Input((5,), dtype="int32", name=name)
    return inputs, layers.Embedding(10, 4, mask_zero=True)(inputs)


def shape_of(mask):
    return None if mask is None else (mask.shape, mask.dtype)


FULL = ((None, 5), "bool")
# A layer behind a masked embedding, and what its output's mask is in Keras.
LAYERS = {
    "Dense": (lambda: layers.Dense(3), FULL),
    "Dropout": (lambda: layers.Dropout(0.5), FULL),
    "sequences": (lambda: layers.LSTM(3, return_sequences=True), FULL),
    "last": (lambda: layers.LSTM(3), None),
    "Flatten": (lambda: layers.Flatten(), None),
    "pooling": (lambda: layers.GlobalAveragePooling1D(), None),
    "Bidirectional": (lambda: layers.Bidirectional(layers.GRU(2, return_sequences=True)), FULL),
    "TimeDistributed": (lambda: layers.TimeDistributed(layers.Dense(2)), FULL),
}


@pytest.mark.filterwarnings("ignore:Layer .* received a mask")
@pytest.mark.parametrize("kind", LAYERS)
def test_masks_of_outputs(kind):
    make, expected = LAYERS[kind]
    _, x = embedded()
    assert isinstance(x._keras_mask, KerasTensor) and shape_of(x._keras_mask) == FULL
    assert shape_of(getattr(make()(x), "_keras_mask", None)) == expected


@pytest.mark.parametrize("merge", [layers.Add, layers.Multiply, layers.Concatenate])
def test_masks_of_merged_tensors(merge):
    _, x = embedded()
    assert shape_of(merge()([x, layers.Dense(4)(x)])._keras_mask) == FULL


def test_masking_gives_a_symbolic_mask():
    x = layers.Masking(mask_value=2.0)(keras.Input((6, 4)))
    assert shape_of(x._keras_mask) == ((None, 6), "bool")
    assert x._keras_mask._keras_history.operation.name.startswith("any")


def test_a_symbolic_mask_is_computed_when_it_is_an_output():
    inputs, x = embedded()
    model = keras.Model(inputs, [layers.Dense(2)(x), x._keras_mask])
    data = np.array([[1, 2, 0, 0, 3]])
    _, mask = model(data)
    assert mask.tolist() == [[True, True, False, False, True]]
    assert copy.deepcopy(model)(data)[1].tolist() == mask.tolist()
    again = keras.Model.from_config(model.get_config())
    assert again(data)[1].tolist() == mask.tolist()


def test_a_symbolic_mask_is_given_to_a_layer():
    inputs, x = embedded()
    recurrent = layers.LSTM(3)
    given = keras.Model(inputs, recurrent(ops.multiply(x, 1.0), mask=x._keras_mask))
    data = np.array([[1, 2, 3, 0, 0], [4, 5, 6, 7, 8]])
    expected = recurrent(given.layers[1](data))
    torch.testing.assert_close(given(data), expected)


def test_a_rule_written_in_torch_is_recorded():
    class Shifted(layers.Layer):
        def __init__(self):
            super().__init__()
            self.supports_masking = True

        def call(self, x):
            return x

        def compute_mask(self, inputs, mask=None):
            return torch.logical_not(mask)

    inputs, x = embedded()
    model = keras.Model(inputs, Shifted()(x)._keras_mask)
    assert model(np.array([[1, 0, 0, 0, 3]])).tolist() == [[False, True, True, True, False]]


LOSING = {
    "times a number": lambda x: x * 1.0,
    "plus itself": lambda x: x + x,
    "an op": ops.relu,
    "two ops": lambda x: ops.relu(x * 2.0) + 1.0,
    "stacked": lambda x: ops.concatenate([x, x], axis=-1),
}


class Subclassed(keras.Model):
    def __init__(self, between, last):
        super().__init__()
        self.embedding = layers.Embedding(10, 4, mask_zero=True)
        self.between = between
        self.last = last

    def call(self, x):
        return self.last(self.between(self.embedding(x)))


LAST = {"recurrent": lambda: layers.LSTM(2), "pooling": layers.GlobalAveragePooling1D}


@pytest.mark.parametrize("last", LAST)
@pytest.mark.parametrize("kind", LOSING)
def test_a_lost_mask_is_warned_of(kind, last):
    data = np.array([[1, 2, 0, 0, 3]])
    _, x = embedded()
    with pytest.warns(UserWarning, match="uses masks, but gets none"):
        LAST[last]()(LOSING[kind](x))
    model = Subclassed(LOSING[kind], LAST[last]())
    with pytest.warns(UserWarning, match="uses masks, but gets none"):
        model(data)
    with warnings.catch_warnings():  # the first call alone is watched
        warnings.simplefilter("error")
        model(data)


KEEPING = {
    "a layer": lambda x: layers.Dense(3)(x),
    "an activation": lambda x: layers.Activation("relu")(x),
    "a sum": lambda x: layers.Add()([x, x]),
    "other sizes": lambda x: ops.mean(x, axis=1, keepdims=True),
}


@pytest.mark.parametrize("kind", KEEPING)
def test_no_warning_where_nothing_is_lost(kind):
    _, x = embedded()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layers.LSTM(2)(KEEPING[kind](x))
        if kind != "a layer":
            Subclassed(KEEPING[kind], layers.LSTM(2))(np.array([[1, 2, 0, 0, 3]]))


class NeedsItsMask(layers.Layer):
    def call(self, x, mask=None):
        assert mask is not None, "no mask"
        return x * ops.cast(mask, x.dtype)[..., None]


class NeedsBothMasks(layers.Layer):
    def call(self, pair, mask=None):
        assert [m is not None for m in mask] == [True, True], "no masks"
        return pair[0] + pair[1]


@pytest.mark.parametrize("length", [5, None])
def test_a_layer_gets_its_mask_also_when_only_shapes_are_inferred(length):
    inputs = keras.Input((length,), dtype="int32")
    x = layers.Dense(3)(layers.Embedding(10, 4, mask_zero=True)(inputs))
    outputs = NeedsItsMask()(x)
    assert outputs.shape == (None, length, 3) and NeedsBothMasks()([x, x]).shape == (None, length, 3)
    values = keras.Model(inputs, outputs).predict(np.array([[1, 2, 0, 0, 3]]), verbose=0)
    assert (values[0, [2, 3]] == 0).all() and (values[0, [0, 1, 4]] != 0).any()
