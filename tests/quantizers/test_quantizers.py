"""Quantizers against Keras on torch: numbers, dtypes, gradients, configs, words of errors."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
import torch

import torchkeras
from torchkeras import quantizers as ours

theirs = keras.quantizers
FLOATS = [torch.float32, torch.bfloat16, torch.float16, torch.float64]


def same(call):
    """Whether both libraries give equal tensors (bit for bit, with their dtypes) or equal other values."""
    expected, got = call(theirs), call(ours)
    for want, have in zip(*(x if isinstance(x, tuple) else (x,) for x in (expected, got)), strict=True):
        if isinstance(want, torch.Tensor):
            assert have.dtype == want.dtype
            # Keras adds epsilon to float64 as a number of float32.
            rtol = 1e-7 if want.dtype == torch.float64 else 0
            torch.testing.assert_close(have, want, rtol=rtol, atol=0, equal_nan=True)
        else:
            assert have == want and type(have) is type(want)


def same_error(call):
    with pytest.raises(Exception) as expected:
        call(theirs)
    with pytest.raises(type(expected.value)) as got:
        call(ours)
    assert str(got.value) == str(expected.value)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_abs_max(dtype):
    x = (torch.randn(5, 4, 3) * 3).to(dtype)
    for axis in (0, -1, 1, (0, 1), [0, 2]):
        for to_numpy in (False, True):
            same(lambda q: q.abs_max_quantize(x, axis, to_numpy=to_numpy))
    same(lambda q: q.abs_max_quantize(x, 0, value_range=(-8, 7), epsilon=1e-3))
    same(lambda q: q.abs_max_quantize(x, 0, value_range=(0, 255), dtype="uint8"))
    same(lambda q: q.abs_max_quantize(x * 0, 0))
    same(lambda q: q.AbsMaxQuantizer()(x))
    same(lambda q: q.AbsMaxQuantizer(axis=(0, 1), value_range=(-100, 20))(x))
    same(lambda q: q.AbsMaxQuantizer(axis=1)(x, axis=0, to_numpy=True))


@pytest.mark.filterwarnings("ignore:.*divide:RuntimeWarning")  # NumPy's, in Keras
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_grouped(dtype):
    x = (torch.randn(7, 5) + 0.5).to(dtype)
    x[:, 1] = 2.0
    for block in (1, 2, 3, 7, 16):
        for to_numpy in (False, True):
            same(lambda q: q.abs_max_quantize_grouped_with_zero_point(x, block, to_numpy=to_numpy))
    same(lambda q: q.abs_max_quantize_grouped_with_zero_point(x, 4, value_range=(-128, 127)))
    same(lambda q: q.abs_max_quantize_grouped_with_zero_point(x, 4, value_range=(-7, 7), epsilon=0.0))


@pytest.mark.parametrize("dtype, low, high", [("int8", -8, 8), ("uint8", 0, 16)])
def test_int4_is_packed_as_in_keras(rng, dtype, low, high):
    for shape in ((5, 4), (4, 3), (2, 3, 5), (7,)):
        x = rng.integers(low, high, shape).astype(dtype)
        for axis in range(-x.ndim, x.ndim):
            same(lambda q: q.pack_int4(x, axis, dtype))
            packed, _, size = ours.pack_int4(torch.from_numpy(x), axis, dtype)
            np.testing.assert_array_equal(ours.unpack_int4(packed, size, axis, dtype).numpy(), x)
            for other in (packed, packed.view(torch.uint8), packed.view(torch.int8)):
                same(lambda q: q.unpack_int4(other, size, axis, dtype))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_float8(dtype):
    amax, scale = torch.rand(4).to(dtype), torch.rand(4).to(dtype) + 0.5
    for value in (amax, amax * 0, amax / 0, -amax):
        for margin in (0, 3):
            same(lambda q: q.compute_float8_scale(value, scale, 448.0, margin))
    history = torch.rand(5)
    same(lambda q: q.compute_float8_amax_history(torch.randn(3, 4).fill_(-0.3).to(dtype), history))
    assert (history < 1).all()
    name = str(dtype).removeprefix("torch.")
    x = (torch.randn(200) * torch.logspace(-4, 5, 200)).to(dtype)
    for quantized in ("float8_e4m3fn", "float8_e5m2"):
        same(lambda q: q.quantize_and_dequantize(x, torch.tensor(0.7), quantized, name))


def fake_quantized(library, x, low, high, upstream, **kwargs):
    x, low, high = (v.clone().requires_grad_() for v in (x, low, high))
    y = library.fake_quant_with_min_max_vars(x, low, high, **kwargs)
    return (y.detach(), *torch.autograd.grad(y, (x, low, high), upstream))


@pytest.mark.parametrize("narrow_range", [False, True])
def test_fake_quantization_and_its_gradients(narrow_range):
    x, upstream = torch.randn(6, 3) * 4, torch.randn(6, 3)
    cases = [
        (torch.tensor(-3.3), torch.tensor(2.1), None),
        (torch.tensor([-0.1]), torch.tensor([5.0]), None),
        (torch.tensor([0.5]), torch.tensor([5.0]), None),
        (torch.tensor([-3.0, 0.2, -4.0]), torch.tensor([2.0, 3.3, -0.5]), 1),
        (torch.tensor([-3.0, 0.2, -4.0]), torch.tensor([2.0, 3.3, -0.5]), -1),
    ]
    for low, high, axis in cases:
        for bits in (8, 4, 2):
            kwargs = {"num_bits": bits, "narrow_range": narrow_range and bits > 2, "axis": axis}
            same(lambda q: fake_quantized(q, x, low, high, upstream, **kwargs))
    edges = torch.tensor([-4.0, -2.0, 0.0, 5.5, 6.0])  # the limits themselves belong to both sides
    same(lambda q: fake_quantized(q, edges, torch.tensor(-2.0), torch.tensor(5.5), edges + 1, num_bits=4))
    for dtype in (torch.bfloat16, torch.float64):
        low, high = torch.tensor(-3.3).to(dtype), torch.tensor(2.1).to(dtype)
        same(lambda q: fake_quantized(q, x.to(dtype), low, high, upstream.to(dtype)))


def test_limits_of_any_axis_belong_to_its_entries():
    x, low, high = torch.randn(3, 5, 2), torch.tensor([-1.0, -2.0, -0.5]), torch.tensor([1.0, 0.3, 2.0])
    upstream = torch.randn(3, 5, 2)
    moved = [v.movedim(0, -1) for v in (x, upstream)]
    got = fake_quantized(ours, x, low, high, upstream, axis=0)
    want = fake_quantized(theirs, moved[0], low, high, moved[1], axis=-1)
    want = (want[0].movedim(-1, 0), want[1].movedim(-1, 0), *want[2:])
    torch.testing.assert_close(got, want)


def test_fake_quantization_in_a_graph_and_under_transforms():
    inputs = torchkeras.Input((3,))
    model = torchkeras.Model(inputs, ours.fake_quant_with_min_max_vars(inputs, -1.0, 2.0, num_bits=3, axis=-1))
    x = torch.randn(4, 3) * 2
    torch.testing.assert_close(model(x), ours.fake_quant_with_min_max_vars(x, -1.0, 2.0, num_bits=3))
    again = torchkeras.Model.from_config(json.loads(json.dumps(model.get_config())))
    torch.testing.assert_close(again(x), model(x))

    def total(row):
        return ours.fake_quant_with_min_max_vars(row, -1.0, 2.0).sum()

    each = torch.func.vmap(torch.func.grad(total))(x)
    torch.testing.assert_close(each, ((x > -1) & (x < 2)).float())


def test_symbolic_tensors_keep_their_shapes():
    x = torchkeras.KerasTensor((2, 3, 4))
    assert [y.shape for y in ours.abs_max_quantize(x, -1)] == [(2, 3, 4), (2, 3, 1)]
    assert ours.unpack_int4(torchkeras.KerasTensor((2, 3), "int8"), 5, 1).shape == (2, 5)
    assert ours.quantize_and_dequantize(x, 1.0, "float8_e5m2", "float32").shape == (2, 3, 4)


CONFIGS = [
    ("AbsMaxQuantizer", {}),
    ("AbsMaxQuantizer", {"axis": 1, "value_range": (-8, 7), "epsilon": 0.1, "output_dtype": "int32"}),
    ("Int8QuantizationConfig", {}),
    ("Int8QuantizationConfig", {"activation_quantizer": None}),
    ("Int4QuantizationConfig", {}),
    ("Int4QuantizationConfig", {"block_size": None}),
    ("Float8QuantizationConfig", {}),
    ("GPTQConfig", {"dataset": ["a"], "tokenizer": str, "weight_bits": 3, "symmetric": True, "group_size": -1}),
    ("AWQConfig", {"dataset": None, "tokenizer": None, "num_grid_points": 3}),
]


@pytest.mark.parametrize("name, kwargs", CONFIGS)
def test_configs_are_those_of_keras(name, kwargs):
    want, got = (getattr(q, name)(**kwargs) for q in (theirs, ours))
    assert got.get_config() == want.get_config()
    described = ours.serialize(got)
    assert json.loads(json.dumps(described)) == json.loads(json.dumps(theirs.serialize(want)))
    for again in (ours.deserialize(json.loads(json.dumps(described))), ours.deserialize(theirs.serialize(want))):
        assert json.dumps(ours.serialize(again)) == json.dumps(described)
    if name != "GPTQConfig":  # Keras's deserialize leaves its name out and returns the class
        assert json.dumps(theirs.serialize(theirs.deserialize(described))) == json.dumps(described)
    if hasattr(want, "mode"):
        assert got.mode == want.mode
    if hasattr(want, "dtype_policy_string"):
        assert got.dtype_policy_string() == want.dtype_policy_string()


def test_a_config_with_quantizers_comes_back_from_json():
    quantizer = ours.AbsMaxQuantizer(axis=0, value_range=(-8, 7))
    config = ours.Int4QuantizationConfig(quantizer, ours.AbsMaxQuantizer(), block_size=-1)
    again = ours.deserialize(json.loads(json.dumps(ours.serialize(config))))
    assert tuple(again.weight_quantizer.value_range) == (-8, 7) and again.block_size == -1
    assert again.weight_quantizer.axis == (0,) and again.activation_quantizer.axis is None
    older = {key: value for key, value in config.get_config().items() if key != "block_size"}
    assert ours.Int4QuantizationConfig.from_config(older).block_size is None
    base = ours.QuantizationConfig
    default = ours.AbsMaxQuantizer()
    assert base.weight_quantizer_or_default(config, default) is quantizer
    assert base.weight_quantizer_or_default(base(), default) is default
    assert base.activation_quantizer_or_default(base(), default) is None
    assert base.activation_quantizer_or_default(None, default) is default


ERRORS = {
    "range": lambda q: q.AbsMaxQuantizer(value_range=(-200, 5)),
    "mode": lambda q: q.QuantizationConfig().mode,
    "int8 dtype": lambda q: q.Int8QuantizationConfig(q.AbsMaxQuantizer(output_dtype="int32")),
    "int4 dtype": lambda q: q.Int4QuantizationConfig(
        q.AbsMaxQuantizer(value_range=(-8, 7), output_dtype="int32"), block_size=None
    ),
    "int4 range": lambda q: q.Int4QuantizationConfig(q.AbsMaxQuantizer(), block_size=None),
    "int4 block": lambda q: q.Int4QuantizationConfig(block_size=0),
    "int4 both": lambda q: q.Int4QuantizationConfig(q.AbsMaxQuantizer()),
    "pack dtype": lambda q: q.pack_int4(np.ones((2, 2), "int8"), dtype="int4"),
    "pack array": lambda q: q.pack_int4(np.ones((2, 2), "float32")),
    "unpack dtype": lambda q: q.unpack_int4(np.ones((2, 2), "int8"), 2, dtype="int32"),
    "axis": lambda q: q.fake_quant_with_min_max_vars(torch.ones(2, 2), 0.0, 1.0, axis=2),
    **{
        f"gptq {key}={value}": lambda q, key=key, value=value: q.GPTQConfig(None, None, **{key: value})
        for key, value in [
            ("weight_bits", 5), ("num_samples", 0), ("sequence_length", -1), ("hessian_damping", 1.5), ("group_size", 0)
        ]
    },
    **{
        f"awq {key}={value}": lambda q, key=key, value=value: q.AWQConfig(None, None, **{key: value})
        for key, value in [
            ("weight_bits", 8), ("num_samples", 0), ("sequence_length", 0), ("group_size", -2), ("num_grid_points", 0)
        ]
    },
}  # fmt: skip


@pytest.mark.parametrize("call", ERRORS.values(), ids=ERRORS)
def test_errors_have_the_words_of_keras(call):
    same_error(call)


def test_get():
    assert ours.get(None) is None
    for identifier in ("abs_max_quantizer", "AbsMaxQuantizer", ours.AbsMaxQuantizer):
        assert type(ours.get(identifier)) is ours.AbsMaxQuantizer
        assert ours.get(identifier, axis=-1).axis == (-1,)
    for same_object in (ours.AbsMaxQuantizer(), len, ours.Int8QuantizationConfig()):
        assert ours.get(same_object) is same_object
    assert ours.get({"class_name": "AbsMaxQuantizer", "config": {}}).value_range == (-127, 127)
    assert ours.get("int8_quantization_config").mode == "int8"
    assert torchkeras.Quantizer is ours.Quantizer
    for unknown in ("nothing", 3, "nothing"):
        with pytest.raises(ValueError, match="Could not interpret quantizer identifier"):
            ours.get(unknown)
    with pytest.raises(ValueError, match="Could not interpret quantizer identifier"):
        ours.get("nothing", axis=-1)
