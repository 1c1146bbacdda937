"""A GRU and a SimpleRNN in compiled graphs for a CPU: one operator, the numbers and gradients of eager code."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from torchkeras import layers
from torchkeras.core.torch_internals import traces_backward, tracing_backward

BATCH, TIME, FEATURES, UNITS = 4, 6, 2, 3

# The kind of layer, its arguments, whether there is a mask, and the type of the inputs.
CASES: list[tuple[str, dict[str, Any], bool, torch.dtype]] = [
    ("GRU", {"return_sequences": True, "return_state": True}, False, torch.float32),
    ("GRU", {"return_sequences": True, "go_backwards": True, "dtype": "float64"}, True, torch.float64),
    ("GRU", {"use_bias": False, "zero_output_for_mask": True}, True, torch.float32),
    ("GRU", {"dtype": "bfloat16", "return_state": True}, False, torch.bfloat16),
    ("SimpleRNN", {"return_sequences": True, "return_state": True}, False, torch.float32),
    ("SimpleRNN", {"activation": "relu", "go_backwards": True}, True, torch.float32),
]


class Graphs:
    """A compiler that runs graphs of ATen operators as they are, and keeps the names of their operators."""

    def __init__(self) -> None:
        torch._dynamo.reset()
        self.operators: list[list[str]] = []

    def __call__(self, graph: torch.fx.GraphModule, example: list[Any]) -> Any:
        from functorch.compile import make_boxed_func
        from torch._dynamo.backends.common import aot_autograd

        def note(graph: torch.fx.GraphModule, example: list[Any]) -> Any:
            self.operators.append([str(node.target) for node in graph.graph.nodes if node.op == "call_function"])
            return make_boxed_func(graph.forward)

        return aot_autograd(fw_compiler=note, bw_compiler=note)(graph, example)


def make(kind: str, form: dict[str, Any]) -> Any:
    layer = getattr(layers, kind)(UNITS, **form)
    layer.build((BATCH, TIME, FEATURES))
    for weight in layer.weights:
        weight.assign(torch.randn(weight.shape) / 2)
    return layer


def with_gradients(function: Callable[..., Any], weights: list[Tensor], tensors: list[Tensor]) -> list[Tensor]:
    tensors = [tensor.clone().requires_grad_() for tensor in tensors]
    outputs = torch.utils._pytree.tree_leaves(function(tensors))
    loss = sum((output.double().sin() * torch.arange(output.numel()).view_as(output)).sum() for output in outputs)
    return [*outputs, *torch.autograd.grad(loss, [*tensors, *weights])]


def assert_same(found: list[Tensor], expected: list[Tensor]) -> None:
    for one, other in zip(found, expected, strict=True):
        if other.dtype is torch.bfloat16:
            assert (one - other).abs().max() <= 0.05 * other.abs().max()
        else:
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_compiled_equals_eager():
    made, graphs = [make(kind, form) for kind, form, *_ in CASES], Graphs()
    mask = torch.ones(BATCH, TIME, dtype=torch.bool)
    mask[0, 2:], mask[1] = False, torch.tensor([False, True, True, False, True, False])

    def function(tensors: list[Tensor]) -> list[Any]:
        given = zip(made, CASES, tensors[::2], tensors[1::2], strict=True)
        masks = {True: {"mask": mask}, False: {}}
        return [layer(x, initial_state=[h], **masks[masked]) for layer, (*_, masked, _), x, h in given]

    compiled = torch.compile(function, fullgraph=True, backend=graphs)
    shapes = (BATCH, TIME, FEATURES), (BATCH, UNITS)
    tensors = [torch.randn(shape, dtype=dtype) for *_, dtype in CASES for shape in shapes]
    weights = [weight for layer in made for weight in layer.weights]
    assert_same(*(with_gradients(call, weights, tensors) for call in (compiled, function)))
    with torch.no_grad():
        assert_same(*(torch.utils._pytree.tree_leaves(call(tensors)) for call in (compiled, function)))
    assert len(graphs.operators) == 3  # forward, backward, forward without gradients
    for operators in graphs.operators:
        assert sum("torchkeras" in name for name in operators) == len(CASES)
        assert not [name for name in operators if name.startswith("aten") and ("mm" in name or "tanh" in name)]


def test_an_unneeded_gradient_is_none():
    layer, x = make("GRU", {}), torch.randn(BATCH, TIME, FEATURES)
    layer.cell.recurrent_kernel.requires_grad_(False)
    torch._dynamo.reset()
    results = []
    for call in (torch.compile(layer, fullgraph=True, backend="aot_eager"), layer):
        layer.zero_grad()
        call(x).square().sum().backward()
        results.append([weight.grad for weight in layer.weights])
    assert results[0].pop(1) is results[1].pop(1) is None
    torch.testing.assert_close(*results)


@pytest.mark.parametrize("kind", ["GRU", "SimpleRNN"])
def test_transforms_and_gradients_of_gradients_are_those_of_eager_code(kind):
    layer, x = make(kind, {}), torch.randn(BATCH, 2, FEATURES)

    def loss(x: Tensor) -> Tensor:
        return layer(x).square().sum()

    def transformed(x: Tensor) -> tuple[Tensor, ...]:
        return torch.func.grad(loss)(x), *torch.func.jvp(layer, (x,), (torch.ones_like(x),))

    def penalty(x: Tensor) -> Tensor:
        (gradient,) = torch.autograd.grad(loss(x), x, create_graph=True)
        return gradient.square().sum()

    torch._dynamo.reset()
    compiled = torch.compile(transformed, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), transformed(x))
    if traces_backward():
        x.requires_grad_()
        with tracing_backward():
            value = torch.compile(penalty, fullgraph=True, backend="aot_eager")(x)
        torch.testing.assert_close(value, penalty(x))


@pytest.mark.parametrize("kind", ["GRU", "LSTM"])
def test_autocast_and_empty_batches(kind):
    layer = make(kind, {})
    torch._dynamo.reset()
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    x = torch.randn(BATCH, TIME, FEATURES)
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        torch.testing.assert_close(compiled(x), layer(x), rtol=0.1, atol=0.1)
    if kind == "GRU":
        assert compiled(x[:0]).shape == (0, UNITS)


def test_a_program_for_elsewhere_has_torchs_own_operators():
    program = torch.export.export(make("GRU", {}), (torch.randn(BATCH, 2, FEATURES),))
    assert not any("torchkeras" in str(node.target) for node in program.graph.nodes)


def test_a_cell_that_is_unrolled_over_many_steps_is_reported(caplog):
    layer = make("GRU", {"recurrent_activation": "hard_sigmoid"})
    torch._dynamo.reset()
    compiled = torch.compile(layer, fullgraph=True, backend="eager")
    with caplog.at_level(logging.WARNING, "torchkeras"):
        compiled(torch.randn(1, 50, FEATURES))
    assert "50 steps" in caplog.text and "GRUCell" in caplog.text
