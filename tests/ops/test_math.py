"""Fourier transforms, segments, rankings and linear algebra: shapes with unknown sizes, errors, edge cases."""

import keras
import numpy as np
import pytest
import torch

import torchkeras
from torchkeras import ops
from torchkeras.core import tree
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.tensors.dtypes import standardize_dtype

# An op, the shapes of its inputs (a list: parts of one input), config. The shapes of the outputs must be Keras's.
SHAPES = [
    ("fft", [[(None, 8), (None, 8)]], {}),
    ("fft2", [[(None, None, 4, 8), (None, None, 4, 8)]], {}),
    ("rfft", [(None, None)], {}),
    ("rfft", [(None, None)], {"fft_length": 7}),
    ("irfft", [[(None, None), (None, None)]], {}),
    ("irfft", [[(None, None), (None, None)]], {"fft_length": 9}),
    ("extract_sequences", [(None, None)], {"sequence_length": 300, "sequence_stride": 7}),
    ("stft", [(None, None)], {"sequence_length": 300, "sequence_stride": 100, "fft_length": 512}),
    ("stft", [(None, 40)], {"sequence_length": 8, "sequence_stride": 4, "fft_length": 16, "center": False}),
    ("istft", [[(None, None, 9), (None, None, 9)]], {"sequence_length": 8, "sequence_stride": 4, "fft_length": 16}),
    (
        "istft",
        [[(None, None, 9), (None, None, 9)]],
        {"sequence_length": 8, "sequence_stride": 4, "fft_length": 16, "length": 20},
    ),
    ("segment_sum", [(None, 3), (None,)], {}),
    ("segment_max", [(None, 3), (None,)], {"num_segments": 4}),
    ("top_k", [(None, 5)], {"k": 2}),
    ("cdist", [(None, 4, 3), (None, 2, 3)], {}),
    ("cdist", [(None, 3), (2, 3)], {}),
    ("inv", [(None, None, None)], {}),
    ("det", [(None, 3, 3)], {}),
    ("lu_factor", [(None, 4, 3)], {}),
    ("qr", [(None, 4, 3)], {"mode": "complete"}),
    ("svd", [(None, 4, 3)], {}),
    ("lstsq", [(None, 3), (None,)], {}),
    ("norm", [(None, None, 3)], {"ord": 1, "axis": (1, 2), "keepdims": True}),
    ("matrix_rank", [(None, 4, 3)], {}),
]


def symbols(make, shapes):
    return [[make(part) for part in shape] if isinstance(shape, list) else make(shape) for shape in shapes]


@pytest.mark.parametrize("name, shapes, config", SHAPES)
def test_unknown_sizes_are_keras(name, shapes, config):
    ours = getattr(ops, name)(*symbols(torchkeras.KerasTensor, shapes), **config)
    theirs = getattr(keras.ops, name)(*symbols(keras.KerasTensor, shapes), **config)
    assert [t.shape for t in tree.flatten(ours)] == [t.shape for t in keras.tree.flatten(theirs)]


def test_jvp_of_symbolic_tensors():
    x = torchkeras.KerasTensor((None, 3))
    outputs, tangents, norms = ops.jvp(lambda x: (ops.sin(x), ops.mean(x, axis=-1)), [x], [x], has_aux=True)
    assert (outputs.shape, tangents.shape, norms.shape) == ((None, 3), (None, 3), (None,))


def test_jvp_is_the_directional_derivative(rng):
    x, y, dx, dy = (torch.from_numpy(rng.normal(size=(3, 2))) for _ in range(4))
    outputs, tangents = ops.jvp(lambda x, y: torch.sin(x) * y, (x, y), (dx, dy))
    torch.testing.assert_close(outputs, torch.sin(x) * y)
    torch.testing.assert_close(tangents, torch.cos(x) * y * dx + torch.sin(x) * dy)


def f(*shape):
    return torch.ones(shape)


FRAMES = {"sequence_length": 8, "sequence_stride": 4, "fft_length": 16}
# An op, its arguments, config, words of the message. The type must be that of Keras's error.
ERRORS = [
    ("fft", ((f(2, 3),),), {}, "tuple of two tensors"),
    ("fft", ((f(2, 3), f(2, 4)),), {}, "same shape"),
    ("fft", ((f(2, 3).int(), f(2, 3).int()),), {}, "not of type float"),
    ("stft", (f(40).int(),), FRAMES, "float32"),
    ("stft", (f(40),), FRAMES | {"fft_length": 4}, "fft_length"),
    ("stft", (f(40),), FRAMES | {"window": "triangle"}, "hamming"),
    ("stft", (f(40),), FRAMES | {"window": np.ones(7)}, "sequence_length"),
    ("istft", ((f(3, 9), f(3, 9)),), FRAMES | {"sequence_stride": 0}, "positive integer"),
    ("view_as_complex", (f(3),), {}, "size 2"),
    ("segment_sum", (f(3, 2), torch.zeros(2, dtype=torch.int32)), {}, "leading dimension"),
    ("segment_max", (f(3, 2), torch.zeros(3, 2, dtype=torch.int32)), {}, "1-D"),
    ("cdist", (f(2, 3), f(2, 4)), {}, "must match"),
    ("cdist", (f(3), f(2, 3)), {}, "rank >= 2"),
    ("cdist", (np.ones((2, 3)), np.ones((2, 4))), {}, "must match"),
    ("cholesky", (-torch.eye(3),), {}, "positive"),
    ("cholesky", (f(3, 4),), {}, "square"),
    ("det", (f(3),), {}, "rank >= 2"),
    ("inv", (f(3, 3),), {}, "singular"),
    ("qr", (f(3, 3),), {"mode": "raw"}, "reduced"),
    ("solve", (torch.eye(3), f(4, 2)), {}, "Incompatible"),
    ("solve_triangular", (f(3, 4), f(3)), {}, "square"),
    ("norm", (f(3, 4),), {"ord": "nuc", "axis": 1}, "dim"),
    ("norm", (f(3, 4),), {"axis": 2}, "range"),
]


@pytest.mark.parametrize("name, arguments, config, words", ERRORS)
def test_errors_are_of_keras_type(name, arguments, config, words):
    with pytest.raises(Exception) as theirs:
        getattr(keras.ops, name)(*arguments, **config)
    with pytest.raises(theirs.type, match=words):
        getattr(ops, name)(*arguments, **config)


SYMBOLIC_ERRORS = [
    ("fft", ([(2, None), (2, None)],), {}, "fully-defined"),
    ("fft2", ([(3,), (3,)],), {}, "rank >= 2"),
    ("extract_sequences", ((),), {"sequence_length": 3, "sequence_stride": 1}, "rank >= 1"),
    ("cholesky", ((2, 3),), {}, "square"),
    ("qr", ((None, None, 3),), {}, "fully-defined"),
    ("qr", ((3,),), {}, "rank >= 2"),
    ("solve", ((None, 3, 3), (None, 4, 2)), {}, "Incompatible"),
]


@pytest.mark.parametrize("name, shapes, config, words", SYMBOLIC_ERRORS)
def test_errors_come_with_the_graph(name, shapes, config, words):
    with pytest.raises(ValueError, match=words):
        getattr(ops, name)(*symbols(torchkeras.KerasTensor, shapes), **config)


@pytest.mark.parametrize("name, empty", [("sum", 0.0), ("prod", 1.0), ("max", -np.inf), ("min", np.inf)])
def test_rows_of_no_segment_are_left_out(name, empty, rng):
    data = torch.from_numpy(rng.normal(size=(3, 2)))
    result = getattr(ops, f"segment_{name}")(data, torch.tensor([1, -1, 5]), 3)
    torch.testing.assert_close(result[1], data[0])
    assert (result[[0, 2]] == empty).all()


def test_distances_of_a_point_to_itself_have_a_gradient(rng):
    x = torch.from_numpy(rng.normal(size=(4, 3))).requires_grad_()
    ops.cdist(x, x).sum().backward()
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize("center", [True, False])
def test_istft_undoes_stft(center, rng):
    x = torch.from_numpy(rng.normal(size=(2, 64)))
    config = FRAMES | {"fft_length": 8, "center": center}
    again = ops.istft(ops.stft(x, **config), **config)
    inside = slice(8, 56)  # where the windows overlap in full
    torch.testing.assert_close(again[:, inside], x[:, inside])


def test_gradients_of_a_function(rng):
    """`grad` of 3.16."""
    x, y = torch.tensor(rng.random(3)), torch.tensor(rng.random(3))
    f = lambda x, y, scale=1.0: scale * (x * y**2).sum()
    torch.testing.assert_close(torchkeras.ops.grad(f)(x, y, scale=2.0), 2 * y**2)
    torch.testing.assert_close(torchkeras.ops.grad(f, (1, 0))(x.numpy(), y.numpy()), (2 * x * y, y**2))


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("format", ["channels_last", "channels_first"])
def test_windows_put_together(padding, format, rng):
    for size, shape in [(3, (9, 8)), ((2, 3), (7, 7)), ((2, 3, 2), (5, 6, 7))]:
        images = torch.tensor(rng.random((2, 3, *shape) if format == "channels_first" else (2, *shape, 3)))
        patches = torchkeras.ops.image.extract_patches(images, size, padding=padding, data_format=format)
        found = torchkeras.ops.image.reconstruct_patches(patches, size, shape, padding=padding, data_format=format)
        covered = images
        if padding == "valid":
            steps = (size,) * len(shape) if isinstance(size, int) else size
            ends = [slice(whole // step * step) for whole, step in zip(shape, steps, strict=True)]
            place = (..., *ends) if format == "channels_first" else (..., *ends, slice(None))
            covered = torch.zeros_like(images)
            covered[place] = images[place]
        torch.testing.assert_close(found, covered, rtol=0, atol=0)
    with pytest.raises(NotImplementedError, match="side by side"):
        torchkeras.ops.image.reconstruct_patches(patches, size, shape, strides=1)
    with pytest.raises(ValueError, match="have .* windows"):
        torchkeras.ops.image.reconstruct_patches(patches, size, (99, 99, 99), data_format=format)


def test_equal_elements_keep_their_order_in_a_stable_top_k(rng):
    x = torch.tensor(rng.integers(0, 4, size=(3, 200)))
    values, indices = ops.top_k(x, 50, is_stable=True)
    expected = np.argsort(-x.numpy(), axis=-1, kind="stable")[:, :50]
    np.testing.assert_array_equal(indices, expected)
    np.testing.assert_array_equal(values, np.take_along_axis(x.numpy(), expected, -1))


def test_amax_and_amin_take_an_initial_value():
    assert ops.amax([[1, 5], [3, 2]], axis=1, initial=4).tolist() == [5, 4]
    assert ops.amin([[1, 5], [3, 2]], axis=1, initial=2).tolist() == [1, 2]


PLAIN = [
    ("append", lambda s: (s((4,), "bfloat16"), [1, 2]), [((6,), "bfloat16")]),
    ("cross", lambda s: (s((2, 3)), [1, 2, 3]), [((2, 3), "float32")]),
    ("matmul", lambda s: (s((2, 3), "float16"), [1.0, 2.0, 3.0]), [((2,), "float32")]),
    ("vdot", lambda s: ([1, 2, 3], s((3,))), [((), "float32")]),
    ("dot", lambda s: ([1.0, 2.0, 3.0], s((3, 2))), [((2,), "float32")]),
    ("dot", lambda s: (s((2, 3), "float16"), 2), [((2, 3), "float16")]),
    ("average", lambda s: (2, None, s(())), [((), "float32")]),
    ("qr", lambda s: (s((3, 2), "int32"),), [((3, 2), "float32"), ((2, 2), "float32")]),
]


@pytest.mark.parametrize("name, given, expected", PLAIN)
def test_symbols_beside_lists_and_numbers(name, given, expected):
    symbols = tree.flatten(getattr(ops, name)(*given(KerasTensor)))
    assert [(t.shape, t.dtype) for t in symbols] == expected
    values = tree.flatten(getattr(ops, name)(*given(lambda shape, dtype="float32": ops.ones(shape, dtype))))
    assert [(tuple(t.shape), standardize_dtype(t.dtype)) for t in values] == expected


WITHOUT_SENSE = [
    ("cross", (2,), "vectors of 2 or 3 numbers"),
    ("moveaxis", ([0, 1], -1), "same number of elements"),
    ("correlate", (2,), "vectors"),
]


@pytest.mark.parametrize("name, more, words", WITHOUT_SENSE)
def test_what_has_no_sense_is_refused_in_words(name, more, words):
    for x in (KerasTensor((2, 3)), ops.ones((2, 3))):
        with pytest.raises(ValueError, match=words):
            getattr(ops, name)(x, *more)
    for x in (KerasTensor((0,)), ops.ones((0,))):
        with pytest.raises(ValueError, match="at least one value"):
            ops.median(x)
    with pytest.raises(ValueError, match="axis=0 is out of bounds"):
        ops.percentile(2.0, 50, axis=0)


@pytest.mark.parametrize("x", [KerasTensor((2, 3)), torch.ones(2, 3)], ids=["symbol", "tensor"])
def test_einsum_refuses_subscripts_of_other_operands(x):
    with pytest.raises(ValueError, match=r"takes 3 operands; received 2"):
        ops.einsum("ij,jk,kl->il", x, x)
    with pytest.raises(ValueError, match=r"takes 2 operands; received 1"):
        ops.einsum("ij,jk->ik", x)
    with pytest.raises(ValueError, match=r"the output names \['l'\]"):
        ops.einsum("ij,kj->il", x, x)


def test_values_outside_of_their_range_are_refused_in_words():
    with pytest.raises(ValueError, match=r"range \[0, 1\]; received 2.0"):
        ops.quantile([1.0, 2.0], 2.0)
    with pytest.raises(ValueError, match=r"range \[0, 100\]"):
        ops.percentile([1.0, 2.0], [50.0, 200.0])
    with pytest.raises(ValueError, match="must not be negative"):
        ops.one_hot([1], -1)
