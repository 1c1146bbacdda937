"""torch.compile without a graph break, and torch.export, on models and on layers not tried elsewhere."""

from __future__ import annotations

import copy
import inspect
import shutil

import pytest
import torch
import torch._dynamo.testing

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
    program = torch.export.export(module, inputs, dynamic_shapes=_by_name(module, shapes))
    larger = row.draw(7)
    for got, wanted in zip(leaves(program.module()(*larger)), leaves(module(*larger)), strict=True):
        torch.testing.assert_close(got, wanted)
    assert {name for name, _ in program.named_parameters()} <= set(module.state_dict())


def _batch_first(value, batch):
    if isinstance(value, dict):
        return {key: _batch_first(item, batch) for key, item in value.items()}
    return {0: batch}


def _by_name(module, shapes):
    """What torch.export calls `*args` of `forward` is one nested argument where forward is variadic."""
    kinds = [p.kind for p in inspect.signature(module.forward).parameters.values()]
    return (shapes,) if kinds and kinds[0] is inspect.Parameter.VAR_POSITIONAL else shapes
