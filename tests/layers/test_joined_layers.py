"""Convolution, normalization and activation in one call: the numbers of three calls, and three where somebody looks."""

from __future__ import annotations

import pytest
import torch
import torch.nn.utils.prune
from torch.autograd import forward_ad
from torch.nn.modules.module import register_module_forward_hook

import torchkeras as keras
from torchkeras import layers
from torchkeras.core.fast_paths import fused_convolution, pointwise
from torchkeras.core.fast_paths.switch import use_fast_paths
from torchkeras.layers.base.joined import JoinedLayers

L = layers


def norm(**options):
    return L.BatchNormalization(
        beta_initializer="normal", gamma_initializer="uniform", moving_mean_initializer="normal", **options
    )


def plus(number):
    return lambda x: x + number


def times(number):
    return lambda x: x * number


def excited(x):
    """A block of MobileNetV3."""
    scale = L.Conv2D(2, 1, activation="relu")(L.GlobalAveragePooling2D(keepdims=True)(x))
    return L.Multiply()([x, times(1 / 6)(L.ReLU(6.0)(plus(3.0)(L.Conv2D(8, 1)(scale))))])


# The shape of a sample, the layers in a row, and how many calls a model makes of them.
ROWS = {
    "three": ((7, 8, 3), lambda: [L.Conv2D(4, 3, bias_initializer="normal"), norm(), L.ReLU()], 1),
    "one place": ((9, 8, 3), lambda: [L.Conv2D(4, 1, use_bias=False), norm(), L.Activation("silu")], 1),
    "few places": ((2, 2, 40), lambda: [L.Conv2D(50, 1), norm(scale=False), L.Activation("hard_swish")], 1),
    "few images": ((3, 3, 16), lambda: [L.Conv2D(64, 3), norm(center=False), L.ReLU()], 1),
    "depthwise": ((7, 8, 3), lambda: [L.DepthwiseConv2D(3, depth_multiplier=2), norm(), L.ReLU(6.0)], 1),
    "uneven": ((8, 8, 3), lambda: [L.DepthwiseConv2D(3, strides=2, padding="same"), norm(), L.ReLU(6)], 1),
    "padded": ((7, 8, 4), lambda: [L.ZeroPadding2D(1), L.Conv2D(4, 3, 2, groups=2), norm(), L.ReLU()], 1),
    "padded unevenly": (
        (8, 9, 4),
        lambda: [L.ZeroPadding2D(((0, 1), (1, 1))), L.DepthwiseConv2D(3, 2), norm(), L.ReLU()],
        1,
    ),
    "dilated": ((9, 9, 3), lambda: [L.Conv2D(4, 3, dilation_rate=2, padding="same"), norm()], 1),
    "causal": ((9, 3), lambda: [L.Conv1D(4, 3, padding="causal"), norm(), L.Activation("tanh")], 1),
    "sequence": ((9, 3), lambda: [L.Conv1D(4, 1), norm(), L.Activation("sigmoid")], 1),
    "volume": ((4, 5, 4, 2), lambda: [L.Conv3D(3, 2), norm(), L.ReLU()], 1),
    "channels first": (
        (3, 7, 8),
        lambda: [L.Conv2D(4, 3, data_format="channels_first"), norm(axis=1), L.ReLU()],
        1,
    ),
    "one pixel": ((1, 1, 40), lambda: [L.Conv2D(50, 1), norm(), L.ReLU(), L.Conv2D(9, 1, activation="relu")], 2),
    "no normalization": ((7, 8, 3), lambda: [L.Conv2D(4, 3), L.Activation("relu6")], 1),
    "own activation": ((7, 8, 3), lambda: [L.Conv2D(4, 3, activation="relu"), norm(), L.ReLU()], 2),
    "normalized first": ((7, 8, 3), lambda: [norm(), L.ReLU(), L.Conv2D(4, 1), norm(), L.ReLU()], 2),
    "renormalized": ((4, 4, 3), lambda: [L.Conv2D(4, 1), norm(renorm=True), L.ReLU()], 1),
    "rows": ((6,), lambda: [norm(), L.ReLU()], 1),
    "other axis": ((7, 8, 3), lambda: [L.Conv2D(4, 3), norm(axis=1), L.ReLU()], 2),
    "slope": ((7, 8, 3), lambda: [L.Conv2D(4, 3), norm(), L.ReLU(negative_slope=0.1)], 2),
    "not each value": ((7, 8, 3), lambda: [L.Conv2D(4, 3), norm(), L.Activation("softmax")], 2),
    "hard sigmoid": ((1, 1, 9), lambda: [L.Conv2D(4, 1), plus(3.0), L.ReLU(6.0), times(1 / 6)], 1),
    "hard sigmoid, divided": ((7, 3), lambda: [plus(3), L.ReLU(6), lambda x: x / 6], 1),
    "no hard sigmoid": ((7, 3), lambda: [plus(2.0), L.ReLU(6.0), times(1 / 6)], 3),
    "nor this": ((7, 3), lambda: [plus(3.0), L.ReLU(5.0), times(1 / 6)], 3),
    "excited": ((5, 4, 8), lambda: [excited], 4),
    "frozen": ((7, 8, 3), lambda: [L.Conv2D(4, 3), norm(trainable=False), L.ReLU()], 1),
    "regularized": ((7, 8, 3), lambda: [L.Conv2D(4, 3), norm(activity_regularizer="l2"), L.ReLU()], 1),
}


def models(name, dtype):
    """The model with joined calls, and one of equal weights without."""
    shape, make, _ = ROWS[name]
    found = []
    for fast in (False, True):
        keras.utils.set_random_seed(3)
        keras.config.set_dtype_policy(dtype)
        before = use_fast_paths(fast)
        try:
            x = y = keras.Input(shape)
            for layer in make():
                y = layer(y)
            found.append(keras.Model(x, y))
        finally:
            use_fast_paths(before)
            keras.config.set_dtype_policy("float32")
    return found[1], found[0]


def calls(model):
    return [step.operation for step in model._tk_graph._run_steps]


@pytest.mark.parametrize("name", ROWS)
def test_numbers_of_single_calls(name):
    """Outputs, gradients, statistics."""
    joined, plain = models(name, "float64")
    assert len(calls(joined)) == ROWS[name][2]
    x = torch.randn(4, *ROWS[name][0], dtype=torch.float64)
    results = []
    for model in (joined, plain):
        values = x.clone().requires_grad_()
        outputs = model(values, training=True)
        (outputs.square().sum() + sum(model.losses)).backward()
        with torch.no_grad():
            seen = model(x)
        results.append([outputs, values.grad, seen, *(p.grad for p in model.parameters()), *model.buffers()])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12) if ours is not None else None


def changes(weights):
    """Ways to change weights, of which torch counts some."""
    yield lambda: [w.data.mul_(0.5) for w in weights]
    yield lambda: [w.copy_(w * 0.9) for w in weights]
    yield lambda: [w.assign(w * 1.1) for w in weights]
    yield lambda: [w.detach().numpy().__imul__(0.8) for w in weights]
    yield lambda: [setattr(w, "data", w.detach() * 0.7) for w in weights]


@pytest.mark.parametrize("name", ROWS)
def test_without_gradients(name):
    """The numbers of single calls with gradients, of the weights as they are now."""
    joined, plain = models(name, "float32")
    x = torch.randn(4, *ROWS[name][0])
    for change in [lambda: None, *changes(joined.weights)]:
        with torch.no_grad():
            change()
            plain.set_weights(joined.get_weights())
        expected = plain(x).detach()
        for mode in (torch.inference_mode, torch.no_grad):
            with mode():
                torch.testing.assert_close(joined(x), expected, rtol=1e-5, atol=1e-5)


def kernels(model, x):
    """The names of the calls that torch's profiler sees."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        model(x)
    return {event.key for event in profile.key_averages()}


@pytest.mark.skipif(not fused_convolution._is_here(), reason="oneDNN's kernels are for x86 CPUs")
def test_one_kernel_where_no_gradients_are_recorded():
    joined, _ = models("three", "float32")
    x = torch.randn(2, *ROWS["three"][0])
    assert "aten::batch_norm" in kernels(joined, x)
    for mode in (torch.inference_mode, torch.no_grad):
        with mode():
            assert "mkldnn::_convolution_pointwise" in (found := kernels(joined, x))
            assert "aten::batch_norm" not in found
    joined.trainable = False
    assert "aten::batch_norm" in kernels(joined, x.requires_grad_())


def test_weights_trained_and_loaded_between_calls(tmp_path):
    joined, plain = models("three", "float32")
    x, y = torch.randn(8, *ROWS["three"][0]), torch.randn(8, 5, 6, 4)
    joined.compile(keras.optimizers.Adam(0.1), "mse")

    def seen():
        with torch.no_grad():
            return joined(x)

    joined.train_on_batch(x, y)
    start = seen()
    joined.save_weights(tmp_path / "start.weights.h5")
    joined.train_on_batch(x, y)
    plain.set_weights(joined.get_weights())
    torch.testing.assert_close(seen(), plain(x).detach(), rtol=1e-5, atol=1e-5)
    assert not torch.allclose(seen(), start, atol=1e-3)
    joined.load_weights(tmp_path / "start.weights.h5")
    torch.testing.assert_close(seen(), start)


def test_gradients_that_no_grad_does_not_stop():
    """Forward mode's, by which torch's kernels of oneDNN would give none."""
    joined, plain = models("three", "float32")
    x, direction = torch.randn(2, 4, *ROWS["three"][0])
    found = []
    for model in (joined, plain):
        with torch.no_grad(), forward_ad.dual_level():
            found.append(forward_ad.unpack_dual(model(forward_ad.make_dual(x, direction))).tangent)
            name = next(key for key, _ in model.named_parameters() if key.endswith("gamma"))
            gamma = {name: forward_ad.make_dual(torch.ones(4), torch.ones(4))}
            found.append(forward_ad.unpack_dual(torch.func.functional_call(model, gamma, (x,))).tangent)
        with torch.no_grad():
            found.append(torch.func.vmap(model)(x[:, None]))
    torch.testing.assert_close(found[:3], found[3:], rtol=1e-4, atol=1e-4)


def test_a_pruned_kernel():
    layer, x = L.Conv2D(4, 3), torch.randn(2, 6, 6, 3)
    expected = layer(x)
    torch.nn.utils.prune.identity(layer, "kernel")
    with torch.no_grad():
        torch.testing.assert_close(layer(x), expected.detach(), rtol=1e-5, atol=1e-5)


def test_who_looks_sees_every_tensor():
    joined, plain = models("three", "float32")
    x = torch.randn(2, *ROWS["three"][0])
    expected = [plain.layers[1](x)]
    for layer in plain.layers[2:]:
        expected.append(layer(expected[-1]))
    seen = []
    handles = [layer.register_forward_hook(lambda *args: seen.append(args[-1])) for layer in joined.layers[1:]]
    joined(x)
    for handle in handles:
        handle.remove()
    torch.testing.assert_close(seen, expected)
    seen.clear()
    with register_module_forward_hook(lambda *args: seen.append(args[-1])):
        joined(x)
    torch.testing.assert_close(seen[:-1], expected)
    inner = keras.Model(joined.inputs, [layer.output for layer in joined.layers[1:]])
    torch.testing.assert_close(inner(x), expected)


def test_layers_that_change_after_the_model_is_made():
    joined, plain = models("three", "float32")
    x = torch.randn(2, *ROWS["three"][0])
    for model in (joined, plain):
        model.layers[1].activation = keras.activations.tanh
        model.layers[3].negative_slope = 0.5
    torch.testing.assert_close(joined(x), plain(x))
    with torch.inference_mode():
        torch.testing.assert_close(joined(x), plain(x), rtol=1e-5, atol=1e-5)


def test_one_row_learns_as_alone():
    joined, plain = models("rows", "float64")
    x = torch.randn(1, 6, dtype=torch.float64)
    torch.testing.assert_close(joined(x, training=True), plain(x, training=True))


def test_a_residual_sum_is_written_over_only_if_nobody_needs_it():
    x = keras.Input((3,))
    total = L.Add()([x, L.Dense(3)(x)])
    alone = keras.Model(x, L.ReLU()(total))
    assert [type(call).__name__ for call in calls(alone)] == ["Dense", "JoinedMerge"]
    both = keras.Model(x, [L.ReLU()(total), total])
    assert all(call.activation is None for call in calls(both) if isinstance(call, JoinedLayers))
    value = torch.randn(5, 3, requires_grad=True)
    outputs, expected = alone(value), both(value)
    torch.testing.assert_close(outputs, expected[0])
    torch.testing.assert_close(expected[0], expected[1].relu())
    (grad,) = torch.autograd.grad(outputs.square().sum(), value)
    torch.testing.assert_close(grad, torch.autograd.grad(expected[0].square().sum(), value)[0])


@pytest.mark.parametrize("is_product", [False, True])
def test_kernels_of_one_place(monkeypatch, is_product):
    """Small ones are products; with one thread, where oneDNN is the faster library, a dilation sends torch there."""
    monkeypatch.setattr(pointwise, "MOST_PRODUCTS", 160 * 4 * 6 if is_product else 160 * 4 * 6 - 1)
    monkeypatch.setattr(pointwise, "onednn_is_faster_here", lambda: True)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    found = []
    for fast in (False, True):
        before = use_fast_paths(fast)
        keras.utils.set_random_seed(5)
        layer, x = L.Conv2D(6, 1), torch.linspace(-1, 1, 640).reshape(2, 8, 10, 4).requires_grad_()
        outputs = layer(x)
        found.append([outputs, *torch.autograd.grad(outputs.square().sum(), [x, *layer.parameters()])])
        use_fast_paths(before)
    torch.testing.assert_close(*found, rtol=1e-3, atol=1e-3)
    assert pointwise.is_small_product(x, layer.kernel) == is_product
    assert pointwise.pointwise_dilation(x, (1, 1)) == (2, 2)
    assert pointwise.pointwise_dilation(x.double(), (1, 1)) == (1, 1)
    assert pointwise.pointwise_dilation(torch.zeros(16, 4, 4, 5), (1, 1)) == (1, 1)


def test_hooks_and_masks_of_merged_layers():
    """Between the operations of a hard sigmoid, and at a merge that is called alone."""
    x = keras.Input((3, 4))
    masked = L.Masking()(x)
    relu, gate = L.ReLU(6.0), L.Multiply()
    model = keras.Model(x, [gate([masked, masked]), times(1 / 6)(relu(plus(3.0)(x)))])
    value = torch.randn(2, 3, 4) * 4
    value[0, 1] = 0
    outputs, sigmoid = model(value)
    torch.testing.assert_close(sigmoid, torch.nn.functional.hardsigmoid(value))
    torch.testing.assert_close(outputs._keras_mask, (value != 0).any(-1))
    seen = []
    handles = [layer.register_forward_hook(lambda *args: seen.append(args[-1])) for layer in (relu, gate)]
    again = model(value)
    for handle in handles:
        handle.remove()
    torch.testing.assert_close(seen, [again[0], (value + 3).clamp(0, 6)])
    relu.max_value = 4.0
    torch.testing.assert_close(model(value)[1], (value + 3).clamp(0, 4) / 6)
