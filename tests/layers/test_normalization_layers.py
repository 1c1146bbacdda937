"""Normalizations against their formulas in float64, and the life of the moving statistics."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from torchkeras import layers, models


def test_batch_normalization_moves_by_the_biased_variance(rng):
    x = torch.from_numpy(rng.normal(3.0, 2.0, size=(4, 3, 5, 2)))
    layer = layers.BatchNormalization(momentum=0.9, dtype="float64")
    mean, variance = np.zeros(2), np.ones(2)
    for _ in range(3):
        y = layer(x, training=True)
        batch_mean, batch_variance = x.numpy().mean((0, 1, 2)), x.numpy().var((0, 1, 2))
        mean, variance = 0.9 * mean + 0.1 * batch_mean, 0.9 * variance + 0.1 * batch_variance
        np.testing.assert_allclose(
            y.detach().numpy(), (x.numpy() - batch_mean) / np.sqrt(batch_variance + 1e-3), rtol=1e-9
        )
        np.testing.assert_allclose(layer.moving_mean.numpy(), mean, rtol=1e-12)
        np.testing.assert_allclose(layer.moving_variance.numpy(), variance, rtol=1e-12)
    expected = (x.numpy() - mean) / np.sqrt(variance + 1e-3)
    np.testing.assert_allclose(layer(x).detach().numpy(), expected, rtol=1e-9)


def test_batch_normalization_frozen_is_in_inference_mode():
    layer = layers.BatchNormalization()
    x = torch.randn(8, 3) * 3 + 1
    layer.build(x.shape)
    layer.trainable = False
    torch.testing.assert_close(layer(x, training=True), layer(x, training=False))
    np.testing.assert_array_equal(layer.moving_mean.numpy(), np.zeros(3))
    layer.trainable = True
    layer(x, training=True)
    assert layer.moving_mean.numpy().any()


@pytest.mark.parametrize("shape", [(8, 3), (4, 5, 3), (2, 4, 4, 3)])
def test_batch_normalization_backward_after_two_forwards(shape):
    """As a discriminator has it: one batch of real images, one of fake ones, one backward."""
    layer = layers.BatchNormalization()
    (layer(torch.randn(shape), training=True) + layer(torch.randn(shape), training=True)).square().sum().backward()
    assert layer.gamma.grad.isfinite().all()


def test_batch_normalization_of_a_single_sample_is_finite():
    layer = layers.BatchNormalization(momentum=0.5)
    y = layer(torch.full((1, 2), 3.0), training=True)
    np.testing.assert_allclose(y.detach().numpy(), 0.0, atol=1e-6)
    np.testing.assert_allclose(layer.moving_variance.numpy(), 0.5)
    np.testing.assert_allclose(layer.moving_mean.numpy(), 1.5)


def test_batch_normalization_keeps_statistics_in_float32_under_mixed_precision():
    layer = layers.BatchNormalization(dtype="mixed_bfloat16")
    y = layer(torch.randn(16, 3) + 5, training=True)
    assert y.dtype == torch.bfloat16
    assert {w.dtype for w in layer.weights} == {torch.float32}


@pytest.mark.parametrize("axis", [1, 2, (0 + 1, 2), (1, 3), -1])
def test_layer_normalization_over_any_axes(axis, rng):
    x = rng.normal(size=(2, 4, 3, 5))
    layer = layers.LayerNormalization(axis=axis, epsilon=1e-4, dtype="float64")
    y = layer(torch.from_numpy(x)).detach().numpy()
    expected = (x - x.mean(axis, keepdims=True)) / np.sqrt(x.var(axis, keepdims=True) + 1e-4)
    np.testing.assert_allclose(y, expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("axis", [1, (1, 3), -1])
def test_rms_normalization_over_any_axes(axis, rng):
    x = rng.normal(size=(2, 4, 3, 5))
    y = layers.RMSNormalization(axis=axis, dtype="float64")(torch.from_numpy(x)).detach().numpy()
    expected = x / np.sqrt(np.square(x).mean(axis, keepdims=True) + 1e-6)
    np.testing.assert_allclose(y, expected, rtol=1e-8, atol=1e-10)


def test_unit_normalization_of_zeros_is_zeros():
    np.testing.assert_array_equal(layers.UnitNormalization()(torch.zeros(2, 3)).numpy(), np.zeros((2, 3)))


def test_an_axis_that_is_not_there_is_refused():
    for make in (layers.LayerNormalization, layers.RMSNormalization, layers.BatchNormalization):
        with pytest.raises(ValueError, match="out of bounds"):
            make(axis=3).compute_output_shape((2, 3))


# ---------------------------------------------------------------- moving statistics in the call of a model


class ReadsVariance(layers.Layer):
    """Calls a batch normalization and notes its moving variance within its own call, twice."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.norm = layers.BatchNormalization(momentum=0.5)

    def call(self, x, training=None):
        y = self.norm(x, training=training)
        self.first = self.norm.moving_variance.clone()
        y = self.norm(y * 3, training=training)
        self.inferred = self.norm(x, training=False)
        return y


def moved(layer, x):
    """The layer's moving variance after it learned from `x` by itself, and its outputs."""
    y = layer(x, training=True)
    return y, layer.moving_variance.clone()


@pytest.mark.parametrize("dtype", ["float64", "mixed_bfloat16"])
def test_a_models_moving_statistics_are_those_of_its_layers(dtype):
    made = [layers.BatchNormalization(momentum=m, dtype=dtype) for m in (0.5, 0.9, 0.75)]
    alone = [layers.BatchNormalization(momentum=m, dtype=dtype) for m in (0.5, 0.9, 0.75)]
    model = models.Sequential(made)
    for _ in range(3):
        x = torch.randn(6, 4, 4, 5, dtype=torch.float64) * 2 + 1
        model(x, training=True).float().square().sum().backward()
        for one, other in zip(made, alone, strict=True):
            x, variance = moved(other, x)
            torch.testing.assert_close(one.moving_variance, variance, check_dtype=True)
            torch.testing.assert_close(one.moving_mean, other.moving_mean)


def test_a_moving_variance_is_up_to_date_wherever_it_is_read():
    layer, norm = ReadsVariance(), layers.BatchNormalization(momentum=0.5)
    x = torch.randn(8, 3) * 4
    y, first = moved(norm, x)
    layer(x, training=True)
    torch.testing.assert_close(layer.first, first)
    _, second = moved(norm, y * 3)
    torch.testing.assert_close(layer.norm.moving_variance, second)
    torch.testing.assert_close(layer.inferred, norm(x, training=False))


def test_moving_statistics_move_where_the_call_of_a_later_layer_fails():
    class Fails(layers.Layer):
        def call(self, x):
            raise RuntimeError("on purpose")

    norm = layers.BatchNormalization(momentum=0.5)
    model = models.Sequential([norm, Fails()])
    with pytest.raises(RuntimeError, match="on purpose"):
        model(torch.tensor([[0.0], [4.0]]), training=True)
    assert norm.moving_variance.tolist() == [2.5]  # 0.5 * 1 + 0.5 * 4


@pytest.mark.parametrize("rank", [2, 3])
def test_group_normalization_of_images_trains_where_nothing_before_it_does(rank, rng):
    # torch's kernel for channels-last images ends the process here.
    x = torch.from_numpy(rng.normal(size=(2, *range(3, 3 + rank), 4)).astype("float32"))
    layer = layers.GroupNormalization(2)
    layer(x).square().sum().backward()
    found = layer.gamma.grad
    layer.zero_grad()
    layer(x.requires_grad_()).square().sum().backward()
    torch.testing.assert_close(found, layer.gamma.grad)
