"""Ops in graphs that inductor fuses: values and gradients are those of eager mode."""

from __future__ import annotations

import pytest
import torch

from torchkeras import ops

pytestmark = pytest.mark.slow


def attention(q, k, v):
    scores = ops.einsum("bqd,bkd->bqk", q, k) / ops.sqrt(ops.cast(ops.shape(q)[-1], "float32"))
    future = ops.triu(ops.ones((ops.shape(q)[1], ops.shape(k)[1])), 1)
    scores = ops.where(ops.equal(future, 1), -1e9, scores)
    return ops.matmul(ops.softmax(scores, axis=-1), v)


def normalized_block(x, w, b):
    mean, variance = ops.moments(x, axes=[-1], keepdims=True)
    x = (x - mean) * ops.rsqrt(variance + 1e-5)
    x = ops.gelu(ops.add(ops.matmul(x, w), b))
    return ops.layer_normalization(ops.concatenate([x, ops.silu(x)], axis=-1))


def convolution(x, kernel):
    x = ops.relu(ops.conv(x, kernel, strides=1, padding="same"))
    x = ops.max_pool(ops.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]]), 2, 2)
    return ops.mean(ops.transpose(x, (0, 3, 1, 2)), axis=(2, 3))


def losses(logits, target):
    classes = ops.argmax(target, axis=-1)
    first = ops.sparse_categorical_crossentropy(classes, logits, from_logits=True)
    second = ops.categorical_crossentropy(ops.softmax(target), ops.softmax(logits))
    third = ops.binary_crossentropy(ops.sigmoid(target), logits, from_logits=True)
    return ops.stack([first, second, ops.sum(third, axis=-1)], axis=0) + ops.logsumexp(logits, axis=-1)


def elementwise(x, y):
    x = ops.clip(ops.tanh(x) * ops.softplus(y), -0.9, 0.9)
    x = ops.log1p(ops.square(x)) + ops.exp(ops.minimum(x, y)) - ops.maximum(ops.sin(x), ops.cos(y))
    return ops.cumsum(ops.abs(x), axis=1) * ops.leaky_relu(y, 0.1)


def selections(x, table):
    indices = ops.cast(ops.abs(x[..., 0]) * 10, "int32") % ops.shape(table)[0]
    rows = ops.take(table, indices, axis=0) * ops.expand_dims(ops.one_hot(indices % 3, 3)[..., 1], -1)
    values, _ = ops.top_k(ops.flip(rows, axis=1), 2)
    return ops.tile(ops.reshape(ops.roll(values, 1, axis=1), (ops.shape(x)[0], -1)), (1, 2))


GRAPHS = {
    attention: [(2, 5, 8)] * 3,
    normalized_block: [(3, 4, 8), (8, 6), (6,)],
    convolution: [(2, 6, 6, 3), (3, 3, 3, 4)],
    losses: [(5, 7), (5, 7)],
    elementwise: [(4, 9), (4, 9)],
    selections: [(2, 6, 3), (9, 5)],
}


@pytest.mark.filterwarnings("error:Dynamo detected")
@pytest.mark.parametrize("graph", GRAPHS, ids=lambda graph: graph.__name__)
def test_fused_graphs_are_eager(graph, rng):
    given = [torch.tensor(rng.normal(size=shape), dtype=torch.float32) for shape in GRAPHS[graph]]
    torch.compiler.reset()
    compiled = torch.compile(graph, fullgraph=True, backend="inductor")
    results = []
    for function in (graph, compiled):
        inputs = [x.clone().requires_grad_() for x in given]
        output = function(*inputs)
        weights = torch.linspace(-1, 1, output.numel()).reshape(output.shape)
        gradients = torch.autograd.grad((output * weights).sum(), inputs, allow_unused=True)
        results.append([output, *gradients])
    for eager, fused in zip(*results, strict=True):
        if eager is None:
            assert fused is None or not fused.any()
        else:
            torch.testing.assert_close(fused, eager, rtol=1e-4, atol=1e-5)
    assert any(eager.any() for eager in results[0][1:] if eager is not None)
