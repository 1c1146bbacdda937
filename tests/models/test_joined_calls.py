"""Zero padding done inside the convolution behind it: the numbers of two calls, and two calls where somebody looks."""

from __future__ import annotations

import copy
import io

import numpy as np
import pytest
import torch
from torch.nn.modules.module import register_module_forward_hook
from torch.utils._python_dispatch import TorchDispatchMode

import torchkeras as keras
from torchkeras import layers


class Calls(TorchDispatchMode):
    """The names of the torch operations that run."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


def pads(function, *args):
    """How many padded copies torch makes on the way."""
    with Calls() as calls, torch.no_grad():
        function(*args)
    return calls.names.count("constant_pad_nd")


class OwnConv(layers.Conv2D):
    def call(self, inputs):
        return super().call(inputs) + 1


class OwnPadding(layers.ZeroPadding2D):
    def call(self, inputs):
        return super().call(inputs) + 1


# The shape of a sample, the two layers, and whether the padding goes into the convolution.
ROWS = {
    "1d": ((9, 3), lambda: (layers.ZeroPadding1D(2), layers.Conv1D(4, 3, strides=2)), True),
    "2d": ((7, 8, 3), lambda: (layers.ZeroPadding2D((1, 2)), layers.Conv2D(4, (3, 2), strides=2)), True),
    "3d": ((5, 4, 6, 2), lambda: (layers.ZeroPadding3D((1, 2, 0)), layers.Conv3D(3, 2, activation="relu")), True),
    "same": ((7, 8, 3), lambda: (layers.ZeroPadding2D(1), layers.Conv2D(4, 3, padding="same")), True),
    "dilated": ((9, 8, 4), lambda: (layers.ZeroPadding2D(2), layers.Conv2D(4, 3, dilation_rate=2, groups=2)), True),
    "channels first": (
        (3, 7, 8),
        lambda: (
            layers.ZeroPadding2D(1, data_format="channels_first"),
            layers.Conv2D(4, 3, data_format="channels_first"),
        ),
        True,
    ),
    "uneven": ((7, 8, 3), lambda: (layers.ZeroPadding2D(((0, 1), (0, 1))), layers.Conv2D(4, 3)), False),
    "own convolution": ((7, 8, 3), lambda: (layers.ZeroPadding2D(1), OwnConv(4, 3)), False),
    "own padding": ((7, 8, 3), lambda: (OwnPadding(1), layers.Conv2D(4, 3)), False),
    "regularized": (
        (7, 8, 3),
        lambda: (layers.ZeroPadding2D(1, activity_regularizer="l2"), layers.Conv2D(4, 3)),
        False,
    ),
    "other type": ((7, 8, 3), lambda: (layers.ZeroPadding2D(1, dtype="float64"), layers.Conv2D(4, 3)), False),
}  # fmt: skip


def joined(name, rng):
    shape, make, is_joined = ROWS[name]
    padding, convolution = make()
    x = keras.Input(shape)
    model = keras.Model(x, convolution(padding(x)))
    value = torch.tensor(rng.standard_normal((2, *shape), dtype="float32"))
    return model, padding, convolution, value, is_joined


@pytest.mark.parametrize("name", ROWS)
def test_numbers_and_gradients_are_those_of_the_two_calls(name, rng):
    model, padding, convolution, x, is_joined = joined(name, rng)
    results = []
    for run in (model, lambda x: convolution(padding(x))):
        x.requires_grad_().grad = None
        model.zero_grad()
        y = run(x)
        y.square().sum().backward()
        results.append([y.detach(), x.grad, *[w.grad for w in model.trainable_weights]])
    for got, wanted in zip(*results, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)
    assert pads(model, x) == (0 if is_joined else 1)
    assert pads(model, x[:1]) == pads(copy.deepcopy(model), x[:1])


def test_a_model_that_is_pickled_still_joins(rng):
    model, _, _, x, _ = joined("2d", rng)
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    again = torch.load(file, weights_only=False)
    torch.testing.assert_close(again(x), model(x))
    assert pads(again, x) == 0


def _hook_on(module):
    def watch(seen):
        return [module.register_forward_hook(lambda m, args, out: seen.append((args[0].shape, out.shape)))]

    return watch


WATCHERS = {
    "a hook of the padding": lambda padding, convolution: _hook_on(padding),
    "a hook of the convolution": lambda padding, convolution: _hook_on(convolution),
    "a hook of all modules": lambda padding, convolution: (
        lambda seen: [
            register_module_forward_hook(
                lambda m, args, out: seen.append((args[0].shape, out.shape)) if m in (padding, convolution) else None
            )
        ]
    ),
}


@pytest.mark.parametrize("watcher", WATCHERS)
def test_hooks_see_the_padded_tensor(watcher, rng):
    model, padding, convolution, x, _ = joined("2d", rng)
    padded = padding.compute_output_shape(tuple(x.shape))
    seen: list = []
    handles = WATCHERS[watcher](padding, convolution)(seen)
    assert pads(model, x) == 1
    shapes = [tuple(shape) for pair in seen for shape in pair]
    assert padded in shapes
    for handle in handles:
        handle.remove()
    assert pads(model, x) == 0


def test_a_forward_put_onto_the_padding_runs(rng):
    model, padding, _, x, _ = joined("2d", rng)
    before = padding.forward
    padding.forward = lambda x: before(x) + 1
    got = model(x)
    del padding.forward
    assert not torch.allclose(got, model(x))


def test_the_padded_tensor_as_an_output(rng):
    _, padding, convolution, x, _ = joined("2d", rng)
    start = keras.Input(x.shape[1:])
    padded = padding(start)
    model = keras.Model(start, [padded, convolution(padded)])
    got, y = model(x)
    torch.testing.assert_close(got, padding(x))
    torch.testing.assert_close(y, convolution(got))
    first = keras.Model(model.input, padding.output if len(padding._inbound_nodes) == 1 else padded)
    torch.testing.assert_close(first(x), got)


def test_a_padding_that_two_convolutions_take(rng):
    start = keras.Input((7, 8, 3))
    padded = layers.ZeroPadding2D(1)(start)
    model = keras.Model(start, layers.Add()([layers.Conv2D(4, 3)(padded), layers.Conv2D(4, 3)(padded)]))
    x = torch.tensor(rng.standard_normal((2, 7, 8, 3), dtype="float32"))
    assert pads(model, x) == 1


def test_a_lost_mask_is_told(rng):
    model, _, _, x, _ = joined("1d", rng)
    mask = np.ones(x.shape[:2], bool)
    with pytest.warns(UserWarning, match="does not pass it on"):
        model(x, mask=mask)


def test_mixed_precision(rng):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model, padding, convolution, x, _ = joined("2d", rng)
    finally:
        keras.config.set_dtype_policy("float32")
    x = x.to(torch.bfloat16)
    start = keras.Input(x.shape[1:], dtype="bfloat16")
    model = keras.Model(start, convolution(padding(start)))
    assert pads(model, x) == 0
    torch.testing.assert_close(model(x), convolution(padding(x)), rtol=2e-2, atol=2e-2)


def test_compiled_whole(rng):
    model, padding, convolution, x, _ = joined("2d", rng)
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(x), convolution(padding(x)))
