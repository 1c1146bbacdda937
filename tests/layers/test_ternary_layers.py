"""Weights of -1, 0 and 1: packing, the rounding by its formula in float64, gradients, files, reports.

Keras 3.15.1 has none of them. Files of 3.16 were read both ways by hand, with equal outputs.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

import torchkeras as keras
from torchkeras.quantizers import pack_int2, pack_int4, pack_ternary, unpack_int2, unpack_int4, unpack_ternary


@pytest.mark.parametrize(
    ("pack", "unpack", "low", "high", "in_a_byte", "dtype"),
    [
        (pack_int2, unpack_int2, -2, 1, 4, "int8"),
        (pack_int2, unpack_int2, 0, 3, 4, "uint8"),
        (pack_int4, unpack_int4, -8, 7, 2, "int8"),
        (pack_ternary, unpack_ternary, -1, 1, 5, "int8"),
    ],
)
def test_small_integers_share_bytes(pack, unpack, low, high, in_a_byte, dtype, rng):
    more = {} if pack is pack_ternary else {"dtype": dtype}
    for axis, size in ((0, 7), (1, 10), (-1, 3), (1, 1)):
        values = rng.integers(low, high + 1, size=(size, size)).astype(dtype)
        packed, shape, length = pack(values, axis=axis, **more)
        assert shape == tuple(packed.shape) and shape[axis] == -(-size // in_a_byte) and length == size
        np.testing.assert_array_equal(unpack(packed, size, axis=axis, **more).numpy(), values)
    bits = {4: 2, 2: 4}.get(in_a_byte)
    first = rng.integers(low, high + 1, size=in_a_byte)
    expected = sum(
        (int(v) + 1) * 3**i if bits is None else (int(v) % 2**bits) << (bits * i) for i, v in enumerate(first)
    )
    assert int(pack(first.astype(dtype), **more)[0].view(torch.uint8)) == expected


def test_values_out_of_range_are_clipped():
    assert unpack_ternary(pack_ternary([1.6, -0.4, -7.0, 3.0, 0.6, 2.0])[0], 6).tolist() == [1, 0, -1, 1, 1, 1]
    with pytest.raises(TypeError, match="uint8"):
        unpack_ternary(np.zeros(3, "int8"), 3)


def rounded(kernel, threshold):
    """The formula of arXiv:2402.17764, in float64."""
    scale = np.abs(kernel).mean()
    values = np.sign(kernel) * (np.abs(kernel) > (0.5 * scale if threshold is None else threshold))
    return values, scale if threshold is None else 1.0


@pytest.mark.parametrize("threshold", [None, 0.0, 0.3])
@pytest.mark.parametrize("use_bias", [True, False])
def test_the_layer_is_its_formula_and_its_gradient_passes_the_rounding(threshold, use_bias, rng, tmp_path):
    layer = keras.layers.TernaryDense(13, threshold, "tanh", use_bias)
    model = keras.Sequential([keras.Input((9,)), layer])
    layer.kernel.assign(rng.normal(size=(9, 13)))
    x = torch.tensor(rng.normal(size=(4, 9)).astype("float32"))
    kernel = layer.kernel.detach().double().numpy()
    values, scale = rounded(kernel, threshold)
    if use_bias:
        layer.bias.assign(rng.normal(size=13))
    bias = layer.bias.detach().double().numpy() if use_bias else 0.0
    outputs = layer(x)
    sums = scale * (x.double().numpy() @ values) + bias
    # Sums of n terms in float32, in any order, differ by n * eps of the sum of absolute values, and tanh is not steep.
    rounding = 12 * np.finfo("float32").eps * (scale * np.abs(x).sum(-1).max() + np.abs(bias).max())
    np.testing.assert_allclose(outputs.detach(), np.tanh(sums), atol=rounding)
    (outputs.sum()).backward()
    upstream = 1 - np.tanh(sums) ** 2
    expected = scale * x.double().numpy().T @ upstream
    if threshold is None:  # the scale depends on the kernel as well
        expected += np.sign(kernel) / kernel.size * ((x.double().numpy() @ values) * upstream).sum()
    np.testing.assert_allclose(layer.kernel.grad, expected, rtol=1e-3, atol=1e-5)
    assert keras.layers.TernaryDense.from_config(layer.get_config()).threshold == threshold
    layer.quantize("ternary")
    np.testing.assert_array_equal(layer.kernel, values)
    np.testing.assert_allclose(layer(x).detach(), outputs.detach(), atol=rounding)
    names = ["bias", "kernel", "kernel_scale"]
    assert [(w.name, str(w.dtype).split(".")[1]) for w in layer.weights if w.name in names][-2:] == [
        ("kernel", "uint8"),
        ("kernel_scale", "float32"),
    ]
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.layers[0].dtype_policy.name == "ternary_from_float32"
    np.testing.assert_array_equal(loaded(x), model(x).detach())


def test_a_dense_layer_is_quantized_after_training(rng, tmp_path):
    model = keras.Sequential([keras.Input((3, 8)), keras.layers.Dense(6, "relu"), keras.layers.Dense(11)])
    values, scale = rounded(model.layers[1].kernel.detach().double().numpy(), None)
    x = torch.tensor(rng.normal(size=(2, 3, 8)).astype("float32"), requires_grad=True)
    model.quantize("ternary", filters=lambda layer: layer is model.layers[1])
    hidden = torch.relu(x @ model.layers[0].kernel)
    expected = hidden @ torch.tensor(values * scale).float()
    outputs = model(x)
    torch.testing.assert_close(outputs, expected)
    (of_model,), (of_formula,) = torch.autograd.grad(outputs.sum(), x), torch.autograd.grad(expected.sum(), x)
    torch.testing.assert_close(of_model, of_formula)
    model.save(tmp_path / "model.keras")
    torch.testing.assert_close(keras.models.load_model(tmp_path / "model.keras")(x), outputs)
    from_policy = keras.layers.Dense(7, dtype="ternary_from_mixed_bfloat16")
    assert not from_policy(torch.ones(2, 4)).any() and not from_policy.kernel.any()  # no value yet: zeros


def refused(make, mode="ternary"):
    layer = make()
    layer.build((None, 4))
    layer.quantize(mode)


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        (lambda: keras.layers.TernaryDense(3, threshold=-0.1), "non-negative float or None"),
        (lambda: keras.layers.TernaryDense(3, threshold="small"), "non-negative float or None"),
        (lambda: keras.layers.TernaryDense(0), "expected a positive integer"),
        (lambda: keras.layers.TernaryDense(3).enable_lora(2), "Train the kernel itself, or use Dense"),
        (lambda: refused(lambda: keras.layers.TernaryDense(3), "int8"), "Invalid quantization mode"),
        (lambda: refused(lambda: keras.layers.EinsumDense("ab,bc->ac", 3)), "Invalid quantization mode"),
        (lambda: refused(lambda: keras.layers.Embedding(3, 4)), "Invalid quantization mode"),
        (lambda: refused(lambda: keras.layers.Dense(3, lora_rank=2)), "lora is not currently supported with TERNARY"),
        (lambda: keras.layers.Dense(3, lora_rank=2, dtype="ternary_from_float32").build((None, 4)), "with TERNARY"),
    ],
)
def test_mistakes(mistake, words):
    with pytest.raises((ValueError, NotImplementedError), match=words):
        mistake()


def test_a_report_says_what_was_quantized_and_what_was_left_and_why(capsys):
    layers = [keras.layers.Dense(4, name="hidden"), keras.layers.ReLU(name="bent"), keras.layers.Dense(2, name="head")]
    model = keras.Sequential([keras.Input((8,)), *layers], name="network")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report = model.quantize("ternary", filters=["hid", "bent"], verbose=True)
    assert report.quantized == [(layers[0].path, "ternary", "ternary_from_float32")]
    assert report.skipped == [(layers[1].path, report.SKIP_NO_SUPPORT), (layers[2].path, report.SKIP_FILTERED)]
    assert (report.num_quantized, report.num_skipped) == (1, 2) and report.mode == "ternary"
    assert report.skipped_by_reason(report.SKIP_FILTERED) == [layers[2].path]
    assert repr(layers[1].path) in report.summary_warning()
    assert report.render() in capsys.readouterr().out
    summary = model.quantization_summary()
    # 8 rows of a byte, and a scale of 4 bytes
    assert "uint8 (12 bytes)" in summary and "12 bytes quantized vs 128 bytes float32" in summary
    assert summary in capsys.readouterr().out
