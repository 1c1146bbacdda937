"""Batch normalization of large images stays whole in compiled graphs."""

from __future__ import annotations

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from torchkeras.core.fast_paths.compiled_batch_norm import with_large_batch_norms
from torchkeras.core.fast_paths.switch import use_fast_paths
from torchkeras.core.torch_internals import decompositions, functional_batch_norm


def gradients(x, weight, bias):
    mean, variance = torch.zeros_like(bias), torch.ones_like(bias)
    y, *saved, moved, spread = torch.ops.aten._native_batch_norm_legit_functional(
        x, weight, bias, mean, variance, True, 0.1, 1e-3
    )
    grads = torch.ops.aten.native_batch_norm_backward(
        torch.sin(y), x, weight, mean, variance, *saved, True, 1e-3, [True] * 3
    )
    return y, moved, spread, *grads


def counted(x):
    """The graph of the gradients, the inputs, and how many operators of this library it has."""
    table = decompositions()
    if table is None:
        pytest.skip("this torch has no table")
    inputs = x, torch.rand(x.shape[1]), torch.rand(x.shape[1])
    graph = make_fx(gradients, tracing_mode="fake", decomposition_table=with_large_batch_norms(table))(*inputs)
    return graph, inputs, sum("torchkeras" in str(node.target) for node in graph.graph.nodes)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_large_images_give_the_numbers_and_layouts_of_torch(layout):
    graph, inputs, count = counted(torch.randn(4, 64, 16, 17).contiguous(memory_format=layout))
    assert count == (1 if functional_batch_norm is None else 2)
    for mine, other, value in zip(graph(*inputs), gradients(*inputs), graph.graph.output_node().args[0], strict=True):
        torch.testing.assert_close(mine, other)
        assert mine.stride() == other.stride() == value.meta["val"].stride()  # as the compiler was told


def test_small_images_are_joined_with_their_neighbours():
    graph, inputs, count = counted(torch.randn(4, 8, 3, 5))
    assert count == 0
    for mine, other in zip(graph(*inputs), gradients(*inputs), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-5)


def test_the_switch_leaves_the_compilers_table():
    table = {}
    before = use_fast_paths(False)
    try:
        assert with_large_batch_norms(table) is table
    finally:
        use_fast_paths(before)
