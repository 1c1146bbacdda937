"""A fast path computes what the plain path does, and one switch takes the plain paths everywhere."""

from __future__ import annotations

import ctypes
import os

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import torchkeras as keras
from tests import fresh_process
from torchkeras.core.fast_paths import (
    batch_means,
    fused_convolution,
    kernel_layout,
    linear,
    overwriting,
    padded_convolution,
    planar_pooling,
)
from torchkeras.core.fast_paths.even_border import find_even_border
from torchkeras.core.fast_paths.switch import fast_paths_enabled, use_fast_paths
from torchkeras.ops.nn.convolution import convolve_within


@pytest.fixture
def plain():
    """The plain paths, for what is made in the test."""
    before = use_fast_paths(False)
    yield
    use_fast_paths(before)


def test_the_switch_says_what_it_was():
    assert fast_paths_enabled()
    assert use_fast_paths(False) is True and not fast_paths_enabled()
    assert use_fast_paths(True) is False and fast_paths_enabled()


# Bytes that the C library asks the system for, by themselves, for one tensor of 28 MiB.
_MAPPED_BYTES = """
import ctypes
import torch
from torchkeras.core.fast_paths.freed_memory import keep_freed_memory
from torchkeras.core.fast_paths.switch import fast_paths_enabled

class Memory(ctypes.Structure):
    _fields_ = [(f"field_{i}", ctypes.c_size_t) for i in range(10)]

def mapped():
    info = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if info is None:
        return 0
    info.restype = Memory
    return info().field_4

keep_freed_memory()
before = mapped()
tensor = torch.empty(28 << 20, dtype=torch.uint8)
print(fast_paths_enabled(), mapped() - before)
"""


@pytest.mark.parametrize("value, expected", [("0", "False"), ("1", "True")])
def test_the_switch_in_the_environment(value, expected):
    done = fresh_process.run(_MAPPED_BYTES, TORCHKERAS_FAST_PATHS=value)
    assert done.returncode == 0, done.stderr
    enabled, mapped = done.stdout.split()
    assert enabled == expected
    is_known = hasattr(ctypes.CDLL(None), "mallinfo2") and not any(name.startswith("MALLOC_") for name in os.environ)
    assert (int(mapped) > 0) == (is_known and value == "0")


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("shape", [(600, 50), (30, 20, 50)])
def test_products_in_inference_mode(monkeypatch, use_bias, shape):
    calls = []

    def counted(*args):
        calls.append(args)
        return torch.ops.mkldnn._linear_pointwise(*args)

    monkeypatch.setattr(linear, "onednn_is_faster_here", lambda: True)
    monkeypatch.setattr(linear, "onednn_linear", counted)
    layer = keras.layers.Dense(60, use_bias=use_bias, bias_initializer="normal")
    x = torch.randn(shape)
    layer.build(x.shape)
    with torch.inference_mode():
        fast = layer(x)
        assert len(calls) == torch.backends.mkldnn.is_available()
        before = use_fast_paths(False)
        slow = layer(x)
        use_fast_paths(before)
        layer(x.to_sparse() if x.ndim == 2 else x[:1, :1])
    assert len(calls) == torch.backends.mkldnn.is_available()
    expected = x @ layer.kernel.detach() + (layer.bias.detach() if use_bias else 0)
    torch.testing.assert_close(fast, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(slow, expected, rtol=1e-4, atol=1e-5)
    assert len(calls) <= 1
    layer(x)  # with gradients
    assert len(calls) <= 1


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN")
@pytest.mark.parametrize("use_bias", [True, False])
def test_products_with_gradients(monkeypatch, use_bias):
    monkeypatch.setattr(linear, "onednn_is_faster_here", lambda: True)
    monkeypatch.setattr(linear, "LEAST_PRODUCTS", 1)
    monkeypatch.setattr(linear, "LEAST_PRODUCTS_WITH_GRADIENTS", 1)
    layer = keras.layers.Dense(6, use_bias=use_bias, activation="tanh", bias_initializer="normal")
    values, direction = torch.randn(4, 5, 7), torch.randn(4, 5, 7)
    layer.build(values.shape)
    results = []
    for fast in (True, False):
        before = use_fast_paths(fast)
        x = values.clone().requires_grad_()
        outputs = layer(x)
        assert ("_Linear" in _names_of_nodes(outputs)) == fast
        inputs = [x, *layer.parameters()]
        grads = torch.autograd.grad(outputs.square().sum(), inputs, retain_graph=True)
        (first,) = torch.autograd.grad(outputs.square().sum(), x, create_graph=True)
        seconds = torch.autograd.grad((first * direction).sum(), inputs)
        layer.kernel.requires_grad_(False)
        (alone,) = torch.autograd.grad(layer(x).sum(), x)
        layer.kernel.requires_grad_(True)
        results.append([outputs, *grads, *seconds, alone])
        use_fast_paths(before)
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-5)


def _names_of_nodes(x):
    """The names of all nodes of the graph of a tensor, in one string."""
    names, nodes = [], [x.grad_fn]
    while nodes:
        node = nodes.pop()
        names.append(node.name())
        nodes += [following for following, _ in node.next_functions if following is not None]
    return " ".join(names)


@pytest.mark.parametrize("name", ["mse", "mae", "bce"])
def test_means_over_a_batch(name):
    y_true, y_pred = torch.rand(5, 3), torch.rand(5, 3)
    expected = {
        "mse": (y_true - y_pred).square(),
        "mae": (y_true - y_pred).abs(),
        "bce": -(y_true * y_pred.log() + (1 - y_true) * (1 - y_pred).log()),
    }[name].mean()
    torch.testing.assert_close(getattr(batch_means, name)(y_true, y_pred), expected)


@pytest.mark.parametrize("fn", list(batch_means._batch_means), ids=lambda fn: fn.__name__)
def test_losses_are_the_same_on_plain_paths(plain, fn):
    sparse = fn.__name__.startswith("sparse")
    y_pred = torch.rand(6, 4).softmax(-1)
    y_true = torch.randint(4, (6, 1)) if sparse else torch.rand(6, 4).softmax(-1)
    assert batch_means.find_batch_mean(fn) is None
    slow = fn(y_true, y_pred).mean()
    use_fast_paths(True)
    fast = batch_means.find_batch_mean(fn)(y_true, y_pred)
    if fast is not None:
        torch.testing.assert_close(fast, slow)


def test_a_loss_that_can_not_be_looked_up_has_no_mean():
    class Unhashable:
        __hash__ = None

        def __call__(self, y_true, y_pred):
            return y_pred

    assert batch_means.find_batch_mean(Unhashable()) is None


def _padded_model():
    keras.utils.set_random_seed(1)
    inputs = keras.Input((6, 6, 2))
    return keras.Model(inputs, keras.layers.Conv2D(3, 3)(keras.layers.ZeroPadding2D(1)(inputs)))


def test_padding_goes_into_the_convolution(plain, monkeypatch):
    x = torch.randn(2, 6, 6, 2)
    expected = _padded_model()(x)
    use_fast_paths(True)
    model = _padded_model()
    seen = []
    model.layers[1].register_forward_hook(lambda *args: seen.append(1))
    torch.testing.assert_close(model(x), expected)  # with the hook, by the two layers
    assert seen == [1]
    model = _padded_model()
    padded = []
    model.layers[1].call = None  # not reached: the convolution pads
    monkeypatch.setattr(padded_convolution, "runs_plainly", lambda layer: padded.append(layer) or True)
    torch.testing.assert_close(model(x), expected)
    assert padded == model.layers[1:]


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("kind", [keras.layers.Conv2D, keras.layers.DepthwiseConv2D])
def test_padding_goes_into_convolutions_that_cast_their_inputs(plain, kind, policy):
    x = torch.randn(2, 6, 6, 2)
    outputs, padded = [], []
    for fast in (False, True):
        use_fast_paths(fast)
        keras.utils.set_random_seed(1)
        inputs = keras.Input((6, 6, 2))
        padding = keras.layers.ZeroPadding2D(1, dtype=policy)
        arguments = {"filters": 3} if kind is keras.layers.Conv2D else {}
        model = keras.Model(inputs, kind(kernel_size=3, strides=2, dtype=policy, **arguments)(padding(inputs)))
        call = padding.call
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(padding), "call", lambda self, x, call=call: padded.append(1) or call(x))
            outputs.append(model(x))
    torch.testing.assert_close(*outputs)
    assert padded == [1]


@pytest.mark.parametrize(
    "padding, convolution",
    [
        (keras.layers.ZeroPadding2D(1), keras.layers.Conv2D(3, 3, padding="same", strides=2)),  # depends on the size
        (keras.layers.ZeroPadding1D(1), keras.layers.Conv2D(3, 3)),  # other dimensions
        (keras.layers.ZeroPadding2D(1), keras.layers.Conv2D(3, 3, data_format="channels_first")),
        (keras.layers.Cropping2D(1), keras.layers.Conv2D(3, 3)),
    ],
)
def test_what_can_not_be_joined(padding, convolution):
    assert convolution._tk_joined_behind(padding) is None


KERNELS = {
    "of sequences": (lambda: keras.layers.Conv1D(128, 3), (2, 5, 256)),
    "of images": (lambda: keras.layers.Conv2D(64, (2, 3), padding="same", strides=2), (2, 5, 4, 256)),
    "of volumes": (lambda: keras.layers.Conv3D(128, 2), (1, 3, 2, 2, 64)),
    "in groups": (lambda: keras.layers.Conv2D(128, 3, groups=2), (1, 3, 3, 128)),
}


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_are_laid_out_for_the_cpu(name, plain, monkeypatch):
    make, shape = KERNELS[name]
    layer, x = make(), torch.randn(shape)
    layer.build(shape)
    taken, real = [], kernel_layout.lay_out_kernel
    found = []

    def watched(kernel):
        result = real(kernel)
        taken.append(result is not None)
        return result

    monkeypatch.setattr("torchkeras.layers.convolutional.base_conv.lay_out_kernel", watched)
    for fast in (False, True):
        use_fast_paths(fast)
        outputs = layer(x)
        (first,) = torch.autograd.grad(outputs.square().sum(), [layer.kernel], create_graph=True)
        (second,) = torch.autograd.grad(first.square().sum(), [layer.kernel])
        with torch.no_grad():
            still = layer(x)
        with torch.autograd.forward_ad.dual_level():
            weight = torch.autograd.forward_ad.make_dual(layer.kernel.detach(), torch.ones_like(layer.kernel))
            values = torch.func.functional_call(layer, {"kernel": weight}, (x,))
            tangent = torch.autograd.forward_ad.unpack_dual(values).tangent
        by_func = torch.func.grad(lambda w: torch.func.functional_call(layer, {"kernel": w}, (x,)).square().sum())
        found.append((outputs, first, second, still, tangent, by_func(layer.kernel.detach())))
    # Without gradients the kernel goes to oneDNN in another way, but for volumes.
    once_more = [] if name != "of volumes" and fused_convolution._is_here() else [True]
    assert taken == [False] * 4 + [True, *once_more, True, False]
    for plain_value, fast_value in zip(*found, strict=True):
        torch.testing.assert_close(plain_value, fast_value)


# Sizes, window, strides, zeros before and after, dilation: each of one dimension and of another.
UNEVEN = {
    "same": ((8, 10), (3, 5), (2, 2), ((0, 1), (1, 2)), (1, 1)),
    "more before": ((9, 8), (3, 3), (2, 2), ((1, 0), (2, 0)), (1, 1)),
    "one dimension": ((9, 8), (3, 3), (2, 2), ((1, 1), (0, 1)), (1, 1)),
    "far": ((20, 8), (5, 5), (2, 3), ((0, 3), (1, 2)), (1, 1)),
    "dilated": ((12, 8), (3, 3), (2, 2), ((0, 3), (0, 1)), (2, 1)),
    "volume": ((6, 8, 8), (3, 3, 4), (2, 2, 2), ((0, 1), (0, 1), (1, 1)), (1, 1, 1)),
}


@pytest.mark.parametrize("name", UNEVEN)
def test_uneven_borders_without_a_padded_copy(name):
    lengths, window, strides, sides, dilation = UNEVEN[name]
    results = []
    for fast in (False, True):
        before = use_fast_paths(fast)
        torch.manual_seed(2)
        x = torch.randn(2, 4, *lengths, dtype=torch.float64).requires_grad_()
        kernel = torch.randn(4, 1, *window, dtype=torch.float64).requires_grad_()
        found = find_even_border(x, window, 4, strides, sides, dilation)
        assert (found is not None) == fast
        y = convolve_within(x, kernel, None, strides, sides, dilation, 4)
        assert y.is_contiguous()
        results.append([y, *torch.autograd.grad(y.square().sum(), [x, kernel])])
        use_fast_paths(before)
    torch.testing.assert_close(*results)


def test_uneven_borders_that_are_padded():
    images, more = torch.zeros(1, 3, 8, 8), ((0, 1), (0, 1))
    assert find_even_border(images, (3, 3), 3, (2, 2), more, (1, 1)) is not None
    assert find_even_border(images, (3, 3), 16, (2, 2), more, (1, 1)) is None  # the outputs are the larger copy
    assert find_even_border(images, (3, 3), 3, (1, 1), more, (1, 1)) is None
    assert find_even_border(images, (2, 2), 3, (2, 2), more, (1, 1)) is None  # the first output sees no image
    assert find_even_border(images.to("meta"), (3, 3), 3, (2, 2), more, (1, 1)) is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_images_in_planes_are_pooled_alike(monkeypatch, dtype):
    monkeypatch.setattr(planar_pooling, "_FEWEST", 1)
    monkeypatch.setattr(planar_pooling, "_AT_ONCE", 600)  # the images in several pieces
    x = torch.randint(-3, 3, (5, 7, 9, 10)).to(dtype)  # many values are equal
    x[0, 0, 0, :3], x[1, 1], x[2, 2] = float("nan"), -float("inf"), float("nan")
    x.requires_grad_()
    for window, strides, padding in [
        (2, 2, "valid"),
        ((3, 2), (2, 1), "same"),
        ((1, 3), (1, 2), "same"),
        (2, 1, "same"),
    ]:
        layer = keras.layers.MaxPooling2D(window, strides, padding, data_format="channels_first")
        assert planar_pooling.has_quick_planes(x)
        fast = layer(x)
        with torch.no_grad():
            alone = layer(x)
        before = use_fast_paths(False)
        plain = layer(x)
        use_fast_paths(before)
        grad = torch.randn_like(plain)
        torch.testing.assert_close([fast, alone], [plain, plain], rtol=0, atol=0, equal_nan=True)
        expected, found = (torch.autograd.grad(y, x, grad)[0] for y in (plain, fast))
        assert torch.equal(found, expected) and fast.stride() == plain.stride()


def test_second_gradients_of_images_in_planes(monkeypatch):
    monkeypatch.setattr(planar_pooling, "_FEWEST", 1)
    x = torch.randn(2, 4, 5, 4, dtype=torch.float64, requires_grad=True)
    layer = keras.layers.MaxPooling2D(data_format="channels_first", dtype="float64")
    assert planar_pooling.has_quick_planes(x)
    torch.autograd.gradcheck(layer, x)
    torch.autograd.gradgradcheck(layer, x)
    torch.autograd.gradcheck(layer, x, check_forward_ad=True)


def test_activations_that_keep_no_copy_of_their_inputs():
    forms = [form for form in vars(overwriting).values() if isinstance(form, overwriting.Overwriting)]
    assert len(forms) > 5
    for form in forms:
        x = torch.randn(3, requires_grad=True) * 1
        calls = []

        class Names(TorchDispatchMode):
            def __torch_dispatch__(self, func, types, args=(), kwargs=None):
                calls.append(func)
                return func(*args, **(kwargs or {}))

        with Names():
            form.function(x)
        assert form.by_result == (torch.ops.aten.clone.default not in calls)


def test_a_compiled_convolution_pads_by_itself_unless_somebody_looks():
    names = []

    def backend(graph, example_inputs):
        names.append([str(node.target) for node in graph.graph.nodes])
        return graph

    inputs = keras.Input((8, 8, 3))
    padding = keras.layers.ZeroPadding2D(1)
    model = keras.Model(inputs, keras.layers.Conv2D(4, 3)(padding(inputs)))
    x, seen = torch.randn(2, 8, 8, 3), []
    torch.testing.assert_close(torch.compile(model, backend=backend, fullgraph=True)(x), model(x))
    padding.register_forward_hook(lambda *call: seen.append(call[2].shape))
    torch.compiler.reset()  # torch looks for hooks when it compiles
    torch.testing.assert_close(torch.compile(model, backend=backend, fullgraph=True)(x), model(x))
    assert [any("pad" in name for name in graph) for graph in names] == [False, True]
    assert seen == [(2, 10, 10, 3)] * 2
