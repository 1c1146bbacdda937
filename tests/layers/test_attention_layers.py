"""Promises of attention and of wrapped torch modules: fused equals spelled out, torch's transforms, masks, errors."""

from __future__ import annotations

import copy
import math
from typing import Any

import keras
import pytest
import torch
from torch import nn

import torchkeras
from torchkeras import layers

B, T, S, D = 3, 4, 6, 8

MAKERS = [
    lambda **kw: layers.MultiHeadAttention(2, 3, **kw),
    lambda **kw: layers.GroupQueryAttention(3, 4, 2, **kw),
]
makers = pytest.mark.parametrize("make", MAKERS, ids=["multi_head", "grouped_query"])


def draw() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(B, T, D), torch.randn(B, S, D)


def random_biases(layer: Any) -> Any:
    for weight in layer.weights:
        weight.assign(torch.randn_like(weight) / 2)
    return layer


@pytest.mark.parametrize("causal", [False, True])
@makers
def test_fused_equals_spelled_out(make, causal):
    layer = make()
    x, y = draw()
    layer.build(x.shape, y.shape)
    random_biases(layer)
    mask = torch.rand(B, T, S) < 0.7
    mask[..., 0] = True
    for given in ({}, {"attention_mask": mask}):
        fused = layer(x, y, use_causal_mask=causal, **given)
        spelled, scores = layer(x, y, use_causal_mask=causal, return_attention_scores=True, **given)
        torch.testing.assert_close(fused, spelled, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(scores.sum(-1), torch.ones(scores.shape[:-1]))


def test_multi_head_attention_is_torchs():
    twin = nn.MultiheadAttention(D, 2, batch_first=True)
    nn.init.normal_(twin.in_proj_bias)
    layer = layers.MultiHeadAttention(2, D // 2)
    x = torch.randn(B, T, D)
    layer.build(x.shape, x.shape)
    for dense, weight, bias in zip(
        (layer.query_dense, layer.key_dense, layer.value_dense),
        twin.in_proj_weight.chunk(3),
        twin.in_proj_bias.chunk(3),
        strict=True,
    ):
        dense.kernel.assign(weight.t().reshape(D, 2, D // 2))
        dense.bias.assign(bias.reshape(2, D // 2))
    layer.output_dense.kernel.assign(twin.out_proj.weight.t().reshape(2, D // 2, D))
    layer.output_dense.bias.assign(twin.out_proj.bias)
    torch.testing.assert_close(layer(x, x), twin(x, x, x, need_weights=False)[0], rtol=1e-4, atol=1e-5)


def test_dropout_without_a_seed_keeps_the_mean():
    layer = layers.MultiHeadAttention(2, 4, dropout=0.5)
    x, y = draw()
    expected = layer(x, y)
    assert torch.equal(layer(x, y, training=False), expected)
    with torch.no_grad():
        drawn = torch.stack([layer(x, y, training=True) for _ in range(3000)])
    assert ((drawn.mean(0) - expected).abs() < 7 * drawn.std(0) / 3000**0.5 + 1e-5).all()  # seven standard errors


CALLS: list[dict[str, Any]] = [{}, {"use_causal_mask": True}, {"return_attention_scores": True}, {"training": True}]


@pytest.mark.parametrize("call", CALLS, ids=str)
@makers
def test_compiles_to_one_graph(make, call):
    torch._dynamo.reset()
    layer = make(sliding_window=2, use_gate=True)
    x, y = draw()
    layer(x, y)
    compiled = torch.compile(lambda x, y: layer(x, y, **call), fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(x, y), layer(x, y, **call))


@makers
def test_exports_and_deep_copies(make):
    layer = make()
    x, y = draw()
    expected = layer(x, y)
    assert torch.equal(copy.deepcopy(layer)(x, y), expected)
    program = torch.export.export(layer, (x, y))
    torch.testing.assert_close(program.module()(x, y), expected)
    assert torch.equal(torch.func.functional_call(layer, layer.state_dict(), (x, y)), expected)
    assert layer.to(torch.bfloat16)(x.bfloat16(), y.bfloat16()).dtype == torch.bfloat16


def test_a_users_attention_gets_its_causal_mask():
    seen = []

    class Own(layers.MultiHeadAttention):
        def _compute_attention(
            self,
            query: Any,
            key: Any,
            value: Any,
            attention_mask: Any = None,
            training: Any = None,
            scores: bool = False,
        ) -> Any:
            seen.append(attention_mask)
            return super()._compute_attention(query, key, value, attention_mask, training, scores)

    own, plain = Own(2, 3), layers.MultiHeadAttention(2, 3)
    x = torch.randn(B, T, D)
    outputs = own(x, x, use_causal_mask=True)
    plain.build(x.shape, x.shape)
    plain.set_weights(own.get_weights())
    assert torch.equal(seen[0][0], torch.ones(T, T).tril().bool())
    torch.testing.assert_close(outputs, plain(x, x, use_causal_mask=True), rtol=1e-4, atol=1e-6)


def test_a_query_mask_given_by_hand_counts():
    layer = layers.MultiHeadAttention(2, 3, dropout=0.1, use_bias=False)
    x, y = draw()
    mask = torch.tensor([[True, True, False, False]] * B)
    outputs = layer(x, y, query_mask=mask)
    assert not outputs[:, 2:].any()
    assert torch.equal(outputs._keras_mask, mask)
    assert getattr(x, "_keras_mask", None) is None


def test_flash_attention_may_be_switched_off():
    layer = layers.MultiHeadAttention(2, 4, flash_attention=False)
    x, y = draw()
    plain = layers.MultiHeadAttention(2, 4)
    plain.build(x.shape, y.shape)
    layer.build(x.shape, y.shape)
    plain.set_weights(layer.get_weights())
    torch.testing.assert_close(layer(x, y), plain(x, y), rtol=1e-4, atol=1e-5)


def test_one_matrix_product_where_the_equation_is_one():
    for equation, output, shape in (("abc,cde->abde", (None, 2, 3), (2, 4, 5)), ("...x,xy->...y", 4, (2, 3, 5))):
        layer = layers.EinsumDense(equation, output, bias_axes=equation[-1])
        x = torch.randn(shape)
        layer.build(shape)
        assert layer._matmul_axes == 1
        expected = torch.einsum(equation, x, layer.kernel) + layer.bias
        torch.testing.assert_close(layer(x), expected, rtol=1e-5, atol=1e-6)


WRONG = [
    (lambda: layers.MultiHeadAttention(0, 3), "num_heads"),
    (lambda: layers.MultiHeadAttention(2, "3"), "key_dim"),
    (lambda: layers.MultiHeadAttention(2, 3, value_dim=-1), "value_dim"),
    (lambda: layers.MultiHeadAttention(2, 3, output_shape=7.5), "output_shape"),
    (lambda: layers.MultiHeadAttention(2, 3, attention_axes="1"), "attention_axes"),
    (lambda: layers.MultiHeadAttention(2, 3, sliding_window=0), "sliding_window"),
    (lambda: layers.MultiHeadAttention(2, 3, flash_attention=True, dropout=0.1), "Dropout"),
    (lambda: layers.MultiHeadAttention(2, 3).build((2, 3, 4), (2, 3, 4), (2, 5, 4)), "must be equal"),
    (
        lambda: layers.MultiHeadAttention(2, 3, flash_attention=True)(*draw(), return_attention_scores=True),
        "attention scores",
    ),
    (lambda: layers.GroupQueryAttention(3, 4, 3), "divisible"),
    (lambda: layers.GroupQueryAttention(3, 4, 2).compute_output_shape((2, 3, 4), (2, 3, 5)), "must be equal"),
    (lambda: layers.Attention(score_mode="other"), "score_mode"),
    (lambda: layers.Attention()(draw()[0]), "list of inputs"),
    (lambda: layers.Attention()([draw()[0]]), "length 2 or 3"),
    (lambda: layers.Attention()([*draw()], mask=torch.ones(2, 2)), "mask must be a list"),
]


@pytest.mark.parametrize(("act", "message"), WRONG, ids=[f"{message}{i}" for i, (_, message) in enumerate(WRONG)])
def test_errors_say_what_is_wrong(act, message):
    with pytest.raises(ValueError, match=message):
        act()


# ---------------------------------------------------------------------- torch modules as layers


@torchkeras.core.registry.register_keras_serializable("tests")
class Scaled(nn.Module):
    """A module that describes itself."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.features = features
        self.scale = nn.Parameter(torch.full((features,), 2.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.scale * x

    def get_config(self) -> dict[str, Any]:
        return {"features": self.features}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Scaled:
        return cls(**config)


def test_a_torch_modules_parameters_and_modes_are_the_layers():
    module = nn.Sequential(nn.Linear(D, 5), nn.Dropout(0.5), nn.BatchNorm1d(5))
    layer = layers.TorchModuleWrapper(module, name="wrapped")
    x = torch.randn(B, D)
    assert layer.name == "wrapped"
    assert [id(w) for w in layer.trainable_weights] == [id(p) for p in module.parameters()]
    assert layer.compute_output_shape((None, D)) == (None, 5)
    layer(x, training=True)
    assert all(inner.training for inner in module.modules())
    assert torch.equal(layer(x), layer(x, training=False))
    assert not any(inner.training for inner in module.modules())


def test_a_registered_module_is_described_by_its_config():
    layer = layers.TorchModuleWrapper(Scaled(D))
    again = layers.TorchModuleWrapper.from_config(layer.get_config())
    assert isinstance(again.module, Scaled)
    x = torch.randn(B, D)
    assert torch.equal(again(x), 2 * x)


def test_pickled_modules_are_refused():
    with pytest.raises(ValueError, match="not registered"):
        layers.TorchModuleWrapper.from_config(layers.TorchModuleWrapper(nn.Linear(2, 2)).get_config())
    config = keras.layers.TorchModuleWrapper(nn.Linear(2, 2)).get_config()
    for safe_mode in (None, True, False):
        with pytest.raises(ValueError, match="pickled torch module"):
            layers.TorchModuleWrapper.from_config(config, safe_mode=safe_mode)
    with pytest.raises(ValueError, match="lazy"):
        layers.TorchModuleWrapper(nn.LazyLinear(3))
    with pytest.raises(ValueError, match=r"nn\.Module"):
        layers.TorchModuleWrapper(math.sqrt)
