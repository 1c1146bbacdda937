"""An LSTM in graphs that `torch.compile` makes for a CPU: one operator, the same numbers and gradients."""

from __future__ import annotations

import pytest
import torch

from torchkeras import layers
from torchkeras.layers.recurrent import compiled_lstm as module

pytestmark = pytest.mark.skipif(not module._IS_HERE, reason="this torch has no oneDNN")


@pytest.fixture
def graphs():
    """The graphs that were compiled, and a compiler that runs them as they are."""
    torch._dynamo.reset()
    functional = torch._dynamo.lookup_backend("aot_eager")
    found = []

    def count(graph, example):
        found.append(graph)
        return functional(graph, example)

    return found, count


def gradients(function, layer, inputs):
    inputs = inputs.clone().requires_grad_()
    layer.zero_grad()
    value = function(inputs)
    value.backward()
    return [value.detach(), inputs.grad, *(weight.grad for weight in layer.trainable_weights)]


@pytest.mark.parametrize("case", ["plain", "masked, without bias"])
def test_gradients_are_those_of_torchs_kernel(case, graphs):
    found, compiler = graphs
    masked = case != "plain"
    layer = layers.LSTM(3, use_bias=not masked, return_sequences=True, return_state=True)
    layer.build((4, 5, 2))
    mask = torch.ones(4, 5, dtype=torch.bool)
    mask[0, 2:] = False

    def loss(inputs):
        outputs, h, c = layer(inputs, mask=mask) if masked else layer(inputs)
        return (outputs * outputs).sum() + 2 * h.sum() + (c**3).sum()

    compiled = torch.compile(loss, fullgraph=True, backend=compiler)
    inputs = torch.randn(4, 5, 2)
    for mine, other in zip(gradients(compiled, layer, inputs), gradients(loss, layer, inputs), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-5)
    assert "torchkeras.lstm" in found[0].code
    with torch.no_grad():
        torch.testing.assert_close(compiled(inputs), loss(inputs))


def test_second_derivatives_are_refused():
    tensors = [torch.randn(shape) for shape in [(5, 4, 2), (12, 2), (12, 3), (12,), (1, 4, 3), (1, 4, 3)]]
    x = tensors[0].requires_grad_()
    outputs, *_ = torch.ops.torchkeras.lstm(*tensors, True)
    (first,) = torch.autograd.grad(outputs.sum(), x, create_graph=True)
    with pytest.raises(NotImplementedError, match="second derivative"):
        first.sum().backward()


def test_programs_for_elsewhere_have_torchs_own_operators():
    layer = layers.LSTM(3)
    layer.build((4, 5, 2))
    program = torch.export.export(layer, (torch.randn(4, 5, 2),))
    assert not any("torchkeras" in str(node.target) for node in program.graph.nodes)
