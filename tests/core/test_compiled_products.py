"""Products of matrices by oneDNN in graphs that are compiled."""

from __future__ import annotations

import pytest
import torch

from torchkeras.core.fast_paths import compiled_products
from torchkeras.core.fast_paths.compiled_products import product_options, use_onednn
from torchkeras.core.fast_paths.switch import use_fast_paths
from torchkeras.core.torch_internals import compiler_pass, onednn_linear

aten = torch.ops.aten
LARGE = (64, 256, 128)  # rows, inputs, units
needs_onednn = pytest.mark.skipif(
    onednn_linear is None or not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN"
)


def changed(function, *tensors):
    """The graph of a function after the pass, and how many products are oneDNN's."""
    graph = torch.fx.experimental.proxy_tensor.make_fx(function, tracing_mode="fake")(*tensors)
    use_onednn(graph.graph)
    graph.recompile()
    return graph, sum(node.target is torch.ops.torchkeras.product.default for node in graph.graph.nodes)


def tensors(rows, inputs, units, dtype=torch.float32):
    shapes = (rows, inputs), (inputs, units), (units,)
    return [torch.randn(shape, dtype=dtype) for shape in shapes]


@needs_onednn
def test_forward_and_backward_products_are_those_of_torch():
    def forward_and_backward(x, kernel, bias):
        y = torch.addmm(bias, x, kernel)
        grad = torch.relu(y)
        return y, torch.mm(grad, kernel.t()), torch.mm(x.t(), grad)

    values = tensors(*LARGE)
    graph, count = changed(forward_and_backward, *values)
    assert count == 3
    for mine, other in zip(graph(*values), forward_and_backward(*values), strict=True):
        assert mine.stride() == other.stride()
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-3)


KEPT = {
    "small": (lambda x, kernel, bias: torch.mm(x, kernel), tensors(4, 8, 8)),
    "one row": (lambda x, kernel, bias: torch.mm(x, kernel), tensors(1, 1024, 1024)),
    "float64": (lambda x, kernel, bias: torch.mm(x, kernel), tensors(*LARGE, torch.float64)),
    "a bias for each row": (lambda x, kernel, bias: torch.addmm(bias.expand(64, -1) * 2, x, kernel), tensors(*LARGE)),
    "scaled": (lambda x, kernel, bias: torch.addmm(bias, x, kernel, alpha=2), tensors(*LARGE)),
}


@pytest.mark.parametrize("name", KEPT)
def test_other_products_are_left_alone(name):
    function, values = KEPT[name]
    assert changed(function, *values)[1] == 0


def test_products_of_unknown_sizes_are_left_alone():
    graph = torch.fx.experimental.proxy_tensor.make_fx(torch.mm, tracing_mode="symbolic")(*tensors(*LARGE)[:2])
    use_onednn(graph.graph)
    assert any(node.target is aten.mm.default for node in graph.graph.nodes)


def test_the_pass_is_for_cpus_where_it_pays(monkeypatch):
    monkeypatch.setattr(compiled_products, "onednn_is_faster_here", lambda: False)
    assert not product_options()
    monkeypatch.setattr(compiled_products, "onednn_is_faster_here", lambda: True)
    monkeypatch.setattr(compiled_products, "onednn_enabled", lambda: True)
    if compiler_pass(use_onednn, "") is None:
        pytest.skip("this torch's compiler takes no passes")
    (found,) = product_options().values()
    assert found.uuid() == product_options()["post_grad_custom_post_pass"].uuid()  # else nothing compiled is kept
    before = use_fast_paths(False)
    try:
        assert not product_options()
    finally:
        use_fast_paths(before)


@needs_onednn
@pytest.mark.slow
def test_the_compiler_takes_the_pass(monkeypatch):
    monkeypatch.setattr(compiled_products, "onednn_is_faster_here", lambda: True)
    values = tensors(*LARGE)
    compiled = torch.compile(lambda x, k, b: torch.relu(torch.addmm(b, x, k)), options=product_options())
    found, (code,) = torch._inductor.utils.run_and_get_code(compiled, *values)
    assert "torchkeras.product" in code
    torch.testing.assert_close(found, torch.relu(torch.addmm(values[2], *values[:2])), rtol=1e-4, atol=1e-3)
