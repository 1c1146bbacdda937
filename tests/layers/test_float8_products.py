"""Products of 8-bit floats by torch's scaled product, on the CPU's kernel of it, against those of rounded floats."""

from __future__ import annotations

import pytest
import torch

import torchkeras as keras
from torchkeras import layers
from torchkeras.core import accelerators
from torchkeras.core.torch_internals import scaled_mm
from torchkeras.layers.weight_forms import float8, float8_product

pytestmark = pytest.mark.skipif(scaled_mm is None, reason="this torch has no scaled product")


@pytest.fixture
def calls(monkeypatch):
    """Every device takes the scaled product; the dtypes of the matrices of each call."""
    found = []

    def counted(a, b, **arguments):
        found.append((str(a.dtype)[-4:], str(b.dtype)[-4:]))
        for matrix, rows_in_one_piece in ((a, True), (b, False)):  # as cuBLAS wants them
            assert matrix.stride()[int(rows_in_one_piece)] == 1 and matrix.shape[1] % 16 == 0
        return scaled_mm(a, b, **arguments)

    monkeypatch.setattr(float8_product, "scaled_mm", counted)
    return found


def use_scaled_product(monkeypatch, use):
    monkeypatch.setattr(float8, "multiplies_float8", lambda device: use)


# A function that makes the layer, and the shape of its inputs. Numbers of rows are no multiples of 16, but for one.
LAYERS = {
    "dense": (lambda **k: layers.Dense(32, **k), (32, 16)),
    "dense of three axes": (lambda **k: layers.Dense(16, use_bias=False, **k), (2, 3, 48)),
    "heads": (lambda **k: layers.EinsumDense("abc,cde->abde", (None, 2, 8), bias_axes="de", **k), (2, 5, 16)),
    "heads back": (lambda **k: layers.EinsumDense("abde,dec->abc", (None, 16), **k), (1, 5, 2, 8)),
}


def trained(make, shape, dtype, training, seed):
    """Outputs and gradients of a float8 layer after three steps that moved its scales."""
    torch.manual_seed(seed)
    layer = make(dtype=dtype)
    layer.build(shape)
    for weight in layer.weights:
        weight.assign(torch.randn(weight.shape))
    layer.quantize("float8")
    for _ in range(3):
        layer.zero_grad()
        x = (3 * torch.randn(shape)).to(getattr(torch, layer.compute_dtype)).requires_grad_()
        outputs = layer(x, training=training)
        (outputs * torch.randn(outputs.shape).to(outputs.dtype)).sum().backward()
        for weight in layer.weights:
            if weight.overwrite_with_gradient and training:
                weight.assign(weight.grad)
    return {"outputs": outputs, "inputs": x.grad, **{weight.name: weight.grad for weight in layer.weights}}


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("name", LAYERS)
def test_the_numbers_are_those_of_rounded_floats(name, dtype, monkeypatch, calls, seed):
    make, shape = LAYERS[name]
    for training in (True, False):
        results = []
        for use in (False, True):
            calls.clear()
            use_scaled_product(monkeypatch, use)
            results.append(trained(make, shape, dtype, training, seed))
        assert calls == 3 * [("m3fn", "m3fn"), ("e5m2", "m3fn"), ("m3fn", "e5m2")]
        near = {"float32": 1e-5, "mixed_bfloat16": 2e-2, "mixed_float16": 3e-3}[dtype]
        for key, expected in results[0].items():
            found = results[1][key]
            if expected is None:
                assert found is None and not training
                continue
            assert found.dtype is expected.dtype
            scale = "scale" in key or "amax" in key
            torch.testing.assert_close(
                found, expected, rtol=near, atol=0 if scale else near * float(expected.detach().abs().max()), msg=key
            )


@pytest.mark.parametrize(
    ("units", "features", "dtype"), [(16, 24, "float32"), (17, 16, "float32"), (16, 16, "float64")]
)
def test_sizes_that_the_kernel_does_not_take_are_products_of_floats(units, features, dtype, monkeypatch, calls):
    use_scaled_product(monkeypatch, True)
    layer = layers.Dense(units, dtype=dtype)
    layer.build((None, features))
    layer.quantize("float8")
    layer(torch.randn(3, features)).sum().backward()
    turned = layers.EinsumDense("ab,cb->ac", 16)
    turned.build((None, 16))
    turned.quantize("float8")
    turned(torch.randn(3, 16)).sum().backward()
    assert not calls and turned.kernel.grad.any()


def test_only_products_that_are_needed_are_computed(monkeypatch, calls):
    use_scaled_product(monkeypatch, True)
    layer = layers.Dense(16)
    layer.build((None, 16))
    layer.quantize("float8")
    layer(torch.randn(3, 16), training=True).sum().backward()  # inputs without a gradient
    assert calls == [("m3fn", "m3fn"), ("m3fn", "e5m2")]
    calls.clear()
    layer.kernel.trainable = False
    layer(torch.randn(3, 16, requires_grad=True), training=True).sum().backward()
    assert calls == [("m3fn", "m3fn"), ("e5m2", "m3fn")]


def test_training_is_the_same_compiled_and_not(monkeypatch, tmp_path, seed):
    """No break of the graph, the same losses, and a file that a device without the kernel reads."""
    x, y = torch.randn(40, 16), torch.randn(40, 16)
    losses = []
    for use, compiled in ((False, False), (True, False), (True, True)):
        use_scaled_product(monkeypatch, use)
        keras.utils.set_random_seed(seed % 1000)
        model = keras.Sequential([keras.Input((16,)), layers.Dense(16)])
        model.quantize("float8")
        call = torch.compile(model, backend="aot_eager", fullgraph=True) if compiled else model
        optimizer, weights = keras.optimizers.SGD(0.05), model.trainable_weights
        losses.append([])
        for rows in (slice(0, 16), slice(16, 32)) if compiled else (slice(0, 16), slice(16, 32), slice(32, 40)):
            model.zero_grad()
            loss = (call(x[rows], training=True) - y[rows]).square().mean()
            loss.backward()
            optimizer.apply([weight.grad for weight in weights], weights)
            losses[-1].append(loss.item())
    torch.testing.assert_close(losses[1], losses[0], rtol=1e-3, atol=0)
    torch.testing.assert_close(losses[2], losses[1][:2], rtol=1e-3, atol=0)
    model.save(tmp_path / "model.keras")
    expected = model(x)
    use_scaled_product(monkeypatch, False)
    torch.testing.assert_close(keras.models.load_model(tmp_path / "model.keras")(x), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("capability", "hip", "expected"), [((8, 9), None, True), ((8, 6), None, False), ((9, 4), "6", False)]
)
def test_the_device_decides(capability, hip, expected, monkeypatch):
    accelerators.nvidia_capability.cache_clear()
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: capability)
    monkeypatch.setattr(torch.version, "hip", hip)
    assert float8_product.multiplies_float8(torch.device("cuda", 0)) is expected
    assert not float8_product.multiplies_float8(torch.device("cpu"))
    accelerators.nvidia_capability.cache_clear()
