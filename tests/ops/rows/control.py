"""Ops that take functions: branches, loops, scans."""

import keras
import torch

import torchkeras
from tests.ops.row import Row, floats, ints

NAMED = "Keras does not read the functions that a loop's config names"
OPEN = "the carry's size would be open where that of the elements is not"


def given(function):
    """A function as an argument of a row; files of both libraries may name it."""
    for package in (keras, torchkeras):
        package.saving.register_keras_serializable("Tests")(function)
    return lambda _: function


def double(x):
    return x + x


def negative(x):
    return -x


def parts(x):
    return {"sum": x.sum(-1), "square": x * x} if isinstance(x, torch.Tensor) else {"sum": x[..., 0], "square": x * x}


def product(pair):
    return pair[0] * pair[1]


def add(a, b):
    return a + b


def compose(a, b):
    """Of two affine maps, each a pair of factor and summand."""
    return a[0] * b[0], b[0] * a[1] + b[1]


def running_sum(carry, x):
    return carry + x, carry * 2.0


def powers(carry, _):
    return carry * 1.5, carry


def ones():
    return torch.ones((2, 3))


def zeros():
    return torch.zeros((2, 3))


def below_ten(x):
    return x < 10


def below_three(i, x):
    return i < 3


def next_turn(i, x):
    return i + 1, x * 1.5


def increment(x):
    return x + 1


def add_turn(i, x):
    return x * 1.5 + i


X = floats(4, 3)
ROWS = [
    Row("map", (given(double), X)),
    Row("map", (given(product), [X, X])),
    Row("vectorized_map", (given(double), X)),
    Row("vectorized_map", (given(product), [X, X])),
    Row("scan", (given(running_sum), floats(3), X), unknown=OPEN),
    Row("scan", (given(running_sum), floats(3), X), {"reverse": True}, unknown=OPEN),
    Row("scan", (given(running_sum), floats(3), X), {"length": 2, "unroll": True}, unknown=OPEN),
    Row("scan", (given(powers), floats(3)), {"length": 4}),
    *(Row("associative_scan", (given(add), floats(n, 3))) for n in (1, 2, 3, 7, 8)),
    Row("associative_scan", (given(add), floats(3, 5)), {"axis": 1, "reverse": True}),
    Row("associative_scan", (given(add), floats(3, 6)), {"axis": -1}),
    Row("associative_scan", (given(compose), [X, X])),
    *(Row("switch", (index, [given(double), given(negative)], X)) for index in (0, 1, -5, 5)),
    Row("cond", (ints(low=0, high=2), given(ones), given(zeros)), gradient="no input"),
    Row("while_loop", (given(below_ten), given(increment), ints(low=0, high=5)), gradient="integers", reads=NAMED),
    Row("while_loop", (given(below_three), given(next_turn), [0, X]), gradient="eager alone", reads=NAMED),
    Row("fori_loop", (0, 4, given(add_turn), X), reads=NAMED),
]
