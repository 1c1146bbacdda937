"""What torch users do to layers: compile, export, functional_call, no copies of images, gradients that flow."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F

from torchkeras import layers

ROWS = [
    (layers.Dense, {"units": 4, "activation": "relu"}, (2, 5)),
    (layers.Dense, {"units": 4}, (2, 3, 5)),
    (layers.Conv1D, {"filters": 4, "kernel_size": 3, "padding": "causal"}, (2, 8, 3)),
    (layers.Conv2D, {"filters": 4, "kernel_size": 3, "padding": "same", "strides": 2}, (2, 6, 6, 3)),
    (layers.Conv2DTranspose, {"filters": 4, "kernel_size": 3, "strides": 2}, (2, 4, 4, 3)),
    (layers.SeparableConv2D, {"filters": 4, "kernel_size": 3}, (2, 6, 6, 3)),
    (layers.MaxPooling2D, {"padding": "same", "pool_size": 2, "strides": 1}, (2, 5, 5, 3)),
    (layers.AveragePooling1D, {"pool_size": 2}, (2, 6, 3)),
    (layers.GlobalAveragePooling2D, {}, (2, 4, 4, 3)),
    (layers.BatchNormalization, {}, (4, 5, 5, 3)),
    (layers.BatchNormalization, {}, (4, 3)),
    (layers.LayerNormalization, {"axis": 1}, (2, 4, 6)),
    (layers.UnitNormalization, {"axis": [1, 2]}, (2, 3, 4)),
    (layers.ZeroPadding2D, {}, (2, 3, 4, 2)),
    (layers.Conv3D, {"filters": 2, "kernel_size": 2, "padding": "same"}, (2, 3, 4, 3, 2)),
    (layers.GroupNormalization, {"groups": 2}, (2, 3, 3, 4)),
    (layers.Dropout, {"rate": 0.5}, (4, 5)),
    (layers.Dropout, {"rate": 0.5, "seed": 3, "noise_shape": (None, 1)}, (4, 5)),
    (layers.GaussianNoise, {"stddev": 0.5, "seed": 3}, (4, 5)),
    (layers.PReLU, {}, (2, 4)),
    (layers.Softmax, {"axis": (1, 2)}, (2, 4, 3)),
    (layers.Flatten, {}, (2, 3, 4)),
    (layers.Reshape, {"target_shape": (-1, 2)}, (2, 3, 4)),
    (layers.UpSampling2D, {}, (2, 3, 3, 2)),
    (layers.Masking, {}, (2, 3, 4)),
    (layers.Rescaling, {"scale": 0.5}, (2, 3)),
]
rows = pytest.mark.parametrize("make, kwargs, shape", ROWS, ids=lambda v: getattr(v, "__name__", None))


def built(make, kwargs, shape):
    layer = make(**kwargs)
    layer.build(shape)
    return layer


@pytest.mark.parametrize("training", [False, True])
@rows
def test_compiles_without_a_graph_break(make, kwargs, shape, training):
    torch._dynamo.reset()
    layer, x = built(make, kwargs, shape), torch.randn(shape)
    compiled = torch.compile(layer, fullgraph=True, backend="eager")
    got = compiled(x, training=training)
    assert got.shape == layer(x, training=training).shape
    if not training:
        torch.testing.assert_close(got, layer(x))


@pytest.mark.parametrize("make, kwargs, shape", ROWS[::3], ids=lambda v: getattr(v, "__name__", None))
def test_exports(make, kwargs, shape):
    layer, x = built(make, kwargs, shape), torch.randn(shape)
    batch = torch.export.Dim("batch", min=2, max=64)
    program = torch.export.export(layer, (x,), dynamic_shapes=({0: batch},))
    larger = torch.randn(7, *shape[1:])
    torch.testing.assert_close(program.module()(larger), layer(larger))


@rows
def test_functional_call_uses_the_weights_given(make, kwargs, shape):
    layer, x = built(make, kwargs, shape), torch.randn(shape)
    if not list(layer.parameters()):
        pytest.skip("no weights")
    weights = {name: torch.rand_like(w) + 0.5 for name, w in layer.state_dict().items()}
    got = torch.func.functional_call(layer, weights, (x,))
    layer.load_state_dict(weights)
    torch.testing.assert_close(got, layer(x))


@rows
def test_half_computes_in_half(make, kwargs, shape):
    layer = built(make, kwargs, shape).to(torch.bfloat16)
    assert layer(torch.randn(shape, dtype=torch.bfloat16)).dtype == torch.bfloat16


@pytest.mark.parametrize(
    "layer",
    [layers.Conv2D(4, 3), layers.Conv1D(4, 3), layers.MaxPool2D(), layers.AvgPool1D(2), layers.BatchNormalization()],
    ids=lambda layer: type(layer).__name__,
)
def test_images_stay_contiguous_in_keras_layout(layer):
    x = torch.randn((2, 8, 3) if "1D" in type(layer).__name__ else (2, 8, 8, 3))
    for training in (False, True):
        assert layer(x, training=training).is_contiguous()


def test_what_only_shows_another_shape_copies_nothing():
    x = torch.randn(2, 6, 6, 4)
    for layer in (layers.Flatten(), layers.Reshape((36, 4)), layers.Permute((3, 1, 2)), layers.Cropping2D(1)):
        assert layer(x).untyped_storage().data_ptr() == x.untyped_storage().data_ptr()


def test_convolution_equals_torch_on_the_same_weights():
    layer, x = built(layers.Conv2D, {"filters": 5, "kernel_size": (3, 2), "strides": 2}, (2, 7, 8, 4)), None
    x = torch.randn(2, 7, 8, 4, dtype=torch.float64)
    layer = layer.double()
    wanted = F.conv2d(x.permute(0, 3, 1, 2), layer.kernel.permute(3, 2, 0, 1), layer.bias, stride=2).permute(0, 2, 3, 1)
    torch.testing.assert_close(layer(x), wanted)


SEEDED = {
    "Dropout": (lambda: layers.Dropout(0.5, seed=3), (4, 5)),
    "SpatialDropout1D": (lambda: layers.SpatialDropout1D(0.5, seed=3), (2, 3, 4)),
    "GaussianNoise": (lambda: layers.GaussianNoise(0.5, seed=3), (4, 5)),
    "GaussianDropout": (lambda: layers.GaussianDropout(0.5, seed=3), (4, 5)),
    "AlphaDropout": (lambda: layers.AlphaDropout(0.5, seed=3), (4, 5)),
    "GRU": (lambda: layers.GRU(2, dropout=0.5, recurrent_dropout=0.5, seed=3), (2, 3, 4)),
}


@pytest.mark.parametrize("make, shape", SEEDED.values(), ids=SEEDED.keys())
def test_compiled_seeded_layers_draw_the_eager_numbers(make, shape):
    torch._dynamo.reset()
    eager, x = make(), torch.randn(shape)
    eager.build(shape)
    layer = copy.deepcopy(eager)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    for _ in range(2):
        torch.testing.assert_close(compiled(x, training=True), eager(x, training=True))
    for mine, theirs in zip(layer.variables, eager.variables, strict=True):
        torch.testing.assert_close(mine.value, theirs.value)


def test_dropout_without_a_seed_follows_torchs_generator():
    layer, x = layers.Dropout(0.5), torch.ones(4, 64)
    draws = []
    for _ in range(2):
        torch.manual_seed(7)
        draws.append(layer(x, training=True))
    torch.testing.assert_close(*draws)
    torch.manual_seed(7)
    torch.testing.assert_close(draws[0], F.dropout(x, 0.5))
    assert not torch.equal(layer(x, training=True), draws[0])
    assert layer(x) is x


def test_trainable_false_asks_for_no_gradients():
    layer = built(layers.Dense, {"units": 2, "trainable": False}, (None, 3))
    assert not layer(torch.randn(4, 3)).requires_grad
    assert layer.trainable_weights == []
