"""Each op: the numbers are Keras's, the inferred shape is the eager one, the config makes the op again."""

import keras
import numpy as np
import pytest
import torch

import torchkeras
from torchkeras import ops
from torchkeras.core.symbolic.keras_tensor import KerasTensor

UNARY = [
    "absolute", "negative", "exp", "expm1", "log", "log1p", "log2", "log10", "sqrt", "rsqrt", "square", "sign", "floor",
    "ceil", "sin", "cos", "tan", "arctan", "sinh", "cosh", "tanh", "isnan", "isinf", "isfinite", "reciprocal", "erf",
    "stop_gradient", "zeros_like", "ones_like", "sum", "mean", "max", "min", "prod", "var", "std", "argmax", "argmin",
    "transpose", "squeeze", "ravel", "flip", "logsumexp", "relu", "sigmoid", "softmax", "log_softmax", "elu", "gelu",
    "silu", "softplus",
]  # fmt: skip
BINARY = [
    "add", "subtract", "multiply", "divide", "power", "mod", "floor_divide", "maximum", "minimum", "equal", "not_equal",
    "less", "less_equal", "greater", "greater_equal", "arctan2",
]  # fmt: skip
# (name, shapes of the tensors, config)
CONFIGURED = [
    ("sum", [(2, 3, 4)], {"axis": (0, 2)}),
    ("sum", [(2, 3)], {"axis": 1, "keepdims": True}),
    ("mean", [(2, 3)], {"axis": 0}),
    ("max", [(2, 3)], {"axis": -1, "keepdims": True}),
    ("prod", [(2, 3)], {"axis": 1}),
    ("var", [(2, 3)], {"axis": 1}),
    ("argmax", [(2, 3)], {"axis": 1}),
    ("cumsum", [(2, 3)], {"axis": 1}),
    ("logsumexp", [(2, 3)], {"axis": 1}),
    ("clip", [(2, 3)], {"x_min": 0.7, "x_max": 1.1}),
    ("round", [(2, 3)], {"decimals": 1}),
    ("cast", [(2, 3)], {"dtype": "float16"}),
    ("reshape", [(2, 6)], {"newshape": (2, 3, 2)}),
    ("transpose", [(2, 3, 4)], {"axes": (1, 0, 2)}),
    ("expand_dims", [(2, 3)], {"axis": 1}),
    ("broadcast_to", [(1, 3)], {"shape": (2, 3)}),
    ("repeat", [(2, 3)], {"repeats": 2, "axis": 1}),
    ("tile", [(2, 3)], {"repeats": (1, 2)}),
    ("flip", [(2, 3)], {"axis": 1}),
    ("swapaxes", [(2, 3)], {"axis1": 0, "axis2": 1}),
    ("pad", [(2, 3)], {"pad_width": ((0, 1), (2, 0))}),
    ("matmul", [(2, 3), (3, 4)], {}),
    ("matmul", [(5, 2, 3), (3, 4)], {}),
    ("dot", [(2, 3), (3, 4)], {}),
    ("add", [(2, 3), (3,)], {}),
    ("where", [(2, 3), (2, 3), (2, 3)], {}),
]
ROWS = [(name, [(2, 3)], {}) for name in UNARY] + [(name, [(2, 3), (2, 3)], {}) for name in BINARY] + CONFIGURED


def inputs(rng, shapes):
    return [rng.uniform(0.5, 1.5, size=shape).astype("float32") for shape in shapes]


@pytest.mark.parametrize("name, shapes, config", ROWS)
def test_numbers_are_keras(name, shapes, config, rng):
    arrays = inputs(rng, shapes)
    ours = getattr(ops, name)(*map(torch.from_numpy, arrays), **config)
    theirs = getattr(keras.ops, name)(*map(torch.from_numpy, arrays), **config)
    assert torchkeras.backend.standardize_dtype(ours.dtype) == keras.backend.standardize_dtype(theirs.dtype)
    np.testing.assert_allclose(ops.convert_to_numpy(ours), keras.ops.convert_to_numpy(theirs), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name, shapes, config", ROWS)
def test_symbolic_form_is_the_eager_one(name, shapes, config, rng):
    arrays = inputs(rng, shapes)
    eager = getattr(ops, name)(*map(torch.from_numpy, arrays), **config)
    symbols = [torchkeras.Input(batch_shape=shape) for shape in shapes]
    output = getattr(ops, name)(*symbols, **config)
    assert isinstance(output, KerasTensor)
    assert output.shape == tuple(eager.shape)
    assert output.dtype == torchkeras.backend.standardize_dtype(eager.dtype)
    model = torchkeras.Model(symbols, output)
    torch.testing.assert_close(model([torch.from_numpy(a) for a in arrays]), eager, equal_nan=True)


def test_unknown_sizes_stay_unknown():
    x = torchkeras.Input((4,))
    assert ops.mean(x, axis=1).shape == (None,)
    assert ops.mean(x, axis=0).shape == (4,)
    assert ops.concatenate([x, x], axis=1).shape == (None, 8)
    assert ops.concatenate([x, x], axis=0).shape == (None, 4)
    assert x[:, 1:3].shape == (None, 2)


def test_operators(rng):
    x, y = torchkeras.Input((3,)), torchkeras.Input((3,))
    outputs = [x + y, 1 - x, x * 2, x / y, x**2, -x, abs(x), x > y, x[:, 0], 3 // y, x % 2]
    model = torchkeras.Model([x, y], outputs)
    a, b = (torch.from_numpy(rng.uniform(1, 2, (4, 3)).astype("float32")) for _ in range(2))
    wanted = [a + b, 1 - a, a * 2, a / b, a**2, -a, abs(a), a > b, a[:, 0], 3 // b, a % 2]
    for ours, right in zip(model([a, b]), wanted, strict=True):
        torch.testing.assert_close(ours, right)
