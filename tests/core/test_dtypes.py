"""Dtype names and promotion are Keras's."""

import itertools

import keras
import numpy as np
import pytest
import torch

from torchkeras.core import dtypes

NAMES = [
    "bool", "uint8", "uint16", "uint32", "int8", "int16", "int32", "int64", "bfloat16", "float16", "float32", "float64",
]  # fmt: skip


@pytest.mark.parametrize("left, right", list(itertools.combinations_with_replacement([*NAMES, int, float], 2)))
def test_result_type_is_keras(left, right):
    assert dtypes.result_type(left, right) == keras.backend.result_type(left, right)


@pytest.mark.parametrize("name", NAMES)
def test_names_go_both_ways(name):
    assert dtypes.standardize_dtype(dtypes.torch_dtype(name)) == name
    if name != "bfloat16":
        assert dtypes.standardize_dtype(np.dtype(name)) == name


@pytest.mark.parametrize("given, name", [(None, "float32"), (int, "int32"), (float, "float32"), (bool, "bool"),
                                         ("torch.float16", "float16"), (torch.int8, "int8")])  # fmt: skip
def test_other_spellings(given, name):
    assert dtypes.standardize_dtype(given) == name


@pytest.mark.parametrize("wrong", ["float31", "floaty", object()])
def test_unknown_types_are_refused(wrong):
    with pytest.raises(ValueError, match="dtype must be one of"):
        dtypes.standardize_dtype(wrong)
