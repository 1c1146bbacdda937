"""Arguments and inputs that no layer can take are refused by an error that says what must hold."""

from __future__ import annotations

import numpy as np
import pytest

import torchkeras as keras

ARGUMENTS = [
    ("Reshape", {"target_shape": 3}, "must be a tuple of ints"),
    ("StackedRNNCells", {"cells": 3}, "must be a list of RNN cells"),
    ("Lambda", {"function": "relu"}, "takes a function"),
    ("LSTM", {"units": "a"}, "expected a positive integer"),
    ("GRU", {"units": 2.5}, "expected a positive integer"),
    ("Dropout", {"rate": "a"}, "between 0 and 1"),
    ("GaussianNoise", {"stddev": None}, "between 0 and 1"),
]


@pytest.mark.parametrize("name, arguments, words", ARGUMENTS, ids=lambda v: v if isinstance(v, str) else "")
def test_arguments_of_a_wrong_kind(name, arguments, words):
    with pytest.raises(ValueError, match=words):
        getattr(keras.layers, name)(**arguments)


AXES = [
    ("BatchNormalization", {"axis": 3}, False, "Axis 3 is out of bounds"),
    ("PReLU", {"shared_axes": [3]}, False, "shared_axes must be axes from 1 to 1"),
    ("Concatenate", {"axis": 5}, True, "inputs that have such an axis"),
]


@pytest.mark.parametrize("name, arguments, several, words", AXES)
@pytest.mark.parametrize("x", [keras.KerasTensor((None, 3)), np.ones((2, 3), "float32")], ids=["symbol", "array"])
def test_axes_that_the_inputs_do_not_have(name, arguments, several, words, x):
    with pytest.raises(ValueError, match=words):
        getattr(keras.layers, name)(**arguments)([x, x] if several else x)
