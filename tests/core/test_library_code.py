"""The modules of a model that run a user's code."""

import pytest
import torch

import torchkeras as keras
from torchkeras.core.library_code import runs_library_code_only


class Mine(keras.layers.Dense):
    pass


class MyModule(torch.nn.Linear):
    pass


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: keras.Sequential([keras.Input((3,)), keras.layers.Dense(2), keras.layers.Dropout(0.1)]), True),
        (lambda: torch.nn.Sequential(torch.nn.Linear(3, 2), keras.layers.ReLU()), True),
        (lambda: keras.Sequential([keras.Input((3,)), Mine(2)]), False),
        (lambda: keras.Sequential([keras.Input((3,)), keras.layers.Lambda(lambda x: x)]), False),
        (lambda: torch.nn.Sequential(MyModule(3, 2)), False),
        (lambda: type("Own", (keras.Model,), {})(), False),
    ],
)
def test_runs_library_code_only(make, expected):
    assert runs_library_code_only(make()) is expected
