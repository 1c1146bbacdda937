"""torch.compile without a graph break, and torch.export, on models and on layers not tried elsewhere."""

from __future__ import annotations

import copy
import inspect
import shutil

import pytest
import torch
import torch._dynamo.testing

import torchkeras as keras
from tests.torch_promises.cases import MODELS, RECURRENT_AND_ATTENTION, built, leaves
from torchkeras import layers

rows = pytest.mark.parametrize("row", [*MODELS, *RECURRENT_AND_ATTENTION], ids=lambda row: row.name)
models = pytest.mark.parametrize("row", MODELS, ids=lambda row: row.name)


@rows
@pytest.mark.parametrize("training", [False, True])
def test_compiles_in_one_graph(row, training):
    torch._dynamo.reset()
    module, inputs = built(row), row.draw(4)
    module.train(training)
    compiled = torch.compile(module, fullgraph=True, backend="eager")
    for got, wanted in zip(leaves(compiled(*inputs)), leaves(module(*inputs)), strict=True):
        torch.testing.assert_close(got, wanted)


@models
def test_gradients_of_the_compiled_module(row):
    torch._dynamo.reset()
    module, inputs = built(row), row.draw(4)
    module(*inputs).square().mean().backward()
    wanted = [p.grad.clone() for p in module.parameters()]
    module.zero_grad()
    torch.compile(module, fullgraph=True, backend="aot_eager")(*inputs).square().mean().backward()
    for parameter, gradient in zip(module.parameters(), wanted, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


class Counted(layers.Layer):
    """Weights of which none is trained, one of them changed twice in a call."""

    def build(self, input_shape):
        self.matrix = self.add_weight(shape=(input_shape[-1], 64), trainable=False, initializer="glorot_uniform")
        self.calls = self.add_weight(shape=(), trainable=False, initializer="zeros")

    def call(self, x):
        self.calls.assign_add(1.0)
        self.calls.assign(self.calls * 2)
        return torch.matmul(x, self.matrix) + self.calls


COMPILERS = ["eager", "aot_eager"] + ["inductor"] * any(map(shutil.which, ("c++", "g++", "clang++")))


@pytest.mark.parametrize("backend", COMPILERS)
def test_weights_that_are_not_trained_in_compiled_code(backend):
    torch._dynamo.reset()
    layer, x = Counted(), torch.randn(3, 8)
    layer.build((None, 8))
    compiled = torch.compile(layer, fullgraph=True, backend=backend)
    for calls in (2.0, 6.0):
        torch.testing.assert_close(compiled(x), x @ layer.matrix + calls)
        assert float(layer.calls) == calls


@models
def test_another_batch_size_compiles_at_most_once_more(row):
    torch._dynamo.reset()
    counter = torch._dynamo.testing.CompileCounter()
    module = built(row)
    compiled = torch.compile(module, fullgraph=True, backend=counter)
    for batch in (4, 4, 6, 3, 5):
        compiled(*row.draw(batch))
    assert counter.frame_count <= 2


@pytest.mark.slow
@pytest.mark.skipif(not any(map(shutil.which, ("c++", "g++", "clang++"))), reason="inductor needs a C++ compiler")
def test_inductor_trains_a_model_with_normalization():
    torch._dynamo.reset()
    row = next(row for row in MODELS if row.name == "sequential")
    module, inputs = built(row), row.draw(8)
    wanted = copy.deepcopy(module)
    for one, run in ((module, torch.compile(module, fullgraph=True)), (wanted, wanted)):
        one.train()
        run(*inputs).square().mean().backward()
    for name, parameter in module.named_parameters():
        torch.testing.assert_close(parameter.grad, wanted.get_parameter(name).grad, rtol=1e-4, atol=1e-6)
    for name, buffer in module.named_buffers():
        torch.testing.assert_close(buffer, wanted.get_buffer(name))


@rows
def test_exports(row):
    module, inputs = built(row), row.draw(4)
    batch = torch.export.Dim("batch", min=2, max=64)
    shapes = tuple(_batch_first(value, batch) for value in inputs)
    program = torch.export.export(module, inputs, dynamic_shapes=shapes)
    larger = row.draw(7)
    for got, wanted in zip(leaves(program.module()(*larger)), leaves(module(*larger)), strict=True):
        torch.testing.assert_close(got, wanted)
    assert {name for name, _ in program.named_parameters()} <= set(module.state_dict())


def _batch_first(value, batch):
    if isinstance(value, dict):
        return {key: _batch_first(item, batch) for key, item in value.items()}
    return {0: batch}


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(3)

    def call(self, image, scale=None, training=None):
        return self.dense(image) * (1.0 if scale is None else scale)


def _listed():
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    return keras.Model([a, b], layers.Add()([a, layers.Dense(4)(b)]))


def _keyed():
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    return keras.Model({"a": a, "b": b}, layers.Add()([a, layers.Dense(4)(b)]))


BATCH = {0: torch.export.Dim("batch", min=2, max=64)}
# A model, its inputs, the dynamic sizes by name, and the names of the exported graph's inputs.
EXPORTS = {
    "layer": (lambda: layers.Dense(3), lambda n: (torch.randn(n, 4),), {"inputs": BATCH}, ["inputs"]),
    "sequential": (
        lambda: keras.Sequential([layers.Dense(3), layers.Dropout(0.5)]),
        lambda n: (torch.randn(n, 4),),
        {"inputs": BATCH},
        ["inputs"],
    ),
    "list": (
        _listed,
        lambda n: ([torch.randn(n, 4), torch.randn(n, 4)],),
        {"inputs": [BATCH, BATCH]},
        ["inputs_0", "inputs_1"],
    ),
    "dict": (
        _keyed,
        lambda n: ({"a": torch.randn(n, 4), "b": torch.randn(n, 4)},),
        {"inputs": {"a": BATCH, "b": BATCH}},
        ["inputs_a", "inputs_b"],
    ),
    "subclass": (
        Subclassed,
        lambda n: (torch.randn(n, 4), torch.randn(n, 3)),
        {"image": BATCH, "scale": BATCH},
        ["image", "scale"],
    ),
}


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("case", EXPORTS)
def test_exports_with_sizes_and_inputs_by_name(case, strict):
    make, draw, dynamic_shapes, names = EXPORTS[case]
    module, inputs = make(), draw(3)
    module(*inputs)
    program = torch.export.export(module, inputs, dynamic_shapes=dynamic_shapes, strict=strict)
    assert list(program.graph_signature.user_inputs) == names
    larger = draw(7)
    torch.testing.assert_close(program.module()(*larger), module(*larger))


def test_the_signature_of_forward_is_that_of_call():
    assert list(inspect.signature(Subclassed().forward).parameters) == ["image", "scale", "training"]
    assert list(inspect.signature(layers.LSTM(2).forward).parameters) == list(
        inspect.signature(layers.LSTM(2).call).parameters
    )


def test_a_forward_of_ones_own_keeps_its_signature():
    class Own(layers.Layer):
        def forward(self, image):
            return image + 1

        def call(self, x):
            raise AssertionError("not called")

    assert list(inspect.signature(Own().forward).parameters) == ["image"]
    torch.testing.assert_close(Own()(torch.zeros(2)), torch.ones(2))


def test_inputs_by_keyword_are_exported():
    module = Subclassed()
    image, scale = torch.randn(3, 4), torch.randn(3, 3)
    module(image)
    program = torch.export.export(module, (image,), {"scale": scale}, dynamic_shapes={"image": BATCH, "scale": BATCH})
    image, scale = torch.randn(5, 4), torch.randn(5, 3)
    torch.testing.assert_close(program.module()(image, scale=scale), module(image, scale=scale))
