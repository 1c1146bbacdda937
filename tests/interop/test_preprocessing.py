"""Preprocessing layers of numbers against Keras on torch: outputs, learned statistics, configs, errors."""

from __future__ import annotations

import json
from typing import Any

import keras
import numpy as np
import pytest
import torch

import torchkeras as ours


def both(name: str, /, **kwargs: Any) -> tuple[Any, Any]:
    return getattr(ours.layers, name)(**kwargs), getattr(keras.layers, name)(**kwargs)


def array(tensor: Any) -> np.ndarray:
    return tensor.detach().cpu().numpy()


def assert_same(mine: Any, theirs: Any, inputs: Any, **kwargs: Any) -> None:
    """Equal outputs, and equal shapes and types as the layers foretell them."""
    got, wanted = mine(inputs, **kwargs), theirs(inputs, **kwargs)
    assert got.dtype == wanted.dtype
    np.testing.assert_allclose(array(got), array(wanted), rtol=2e-6, atol=2e-6)
    shape = np.shape(inputs)
    if len(shape) > 1:
        symbolic, kind = keras.KerasTensor(shape, str(np.asarray(inputs).dtype)), np.asarray(inputs).dtype
        spec, theirs_spec = mine(ours.KerasTensor(shape, str(kind))), theirs(symbolic)
        assert (tuple(spec.shape), spec.dtype) == (tuple(theirs_spec.shape), theirs_spec.dtype)


def plain(config: dict) -> Any:
    return json.loads(json.dumps(config))


def data_in_batches(data: np.ndarray, kind: str) -> Any:
    parts = np.array_split(data, 3)
    return {
        "array": data,
        "tensor": torch.from_numpy(data.copy()),
        "list": parts,
        "generator": (part for part in parts),
        "tuples": [(part, np.zeros(len(part))) for part in parts],
    }[kind]


AXES = [(-1, (12, 4)), (None, (12, 4)), (-1, (12, 3, 4)), (1, (12, 3, 4)), ((1, 2), (12, 3, 4)), ((-1, 1), (12, 3, 4))]


@pytest.mark.parametrize(("axis", "shape"), AXES, ids=str)
@pytest.mark.parametrize("invert", [False, True])
@pytest.mark.parametrize("kind", ["array", "tensor", "list", "generator", "tuples"])
def test_normalization_learns_what_keras_learns(axis, shape, invert, kind, rng):
    data = (3 * rng.standard_normal(shape) + 5).astype("float32")
    mine, theirs = both("Normalization", axis=axis, invert=invert, name="n")
    mine.adapt(data_in_batches(data, kind))
    theirs.adapt(data)  # in batches Keras needs TensorFlow
    assert [w.name for w in mine.weights] == [w.name for w in theirs.weights]
    for got, wanted in zip(mine.weights, theirs.weights, strict=True):
        np.testing.assert_allclose(array(got), array(wanted.value), rtol=1e-5)
    mine.set_weights(theirs.get_weights())
    assert_same(mine, theirs, rng.standard_normal(shape).astype("float32"))
    assert plain(mine.get_config()) == plain(theirs.get_config())


@pytest.mark.parametrize(
    ("mean", "variance", "axis"),
    [
        (2.0, 4.0, -1),
        ([1.0, 2.0, 3.0, 4.0], [1.0, 4.0, 9.0, 16.0], -1),
        (0.5, 2.0, None),
        ([1.0, 2.0, 3.0, 4.0], [2.0] * 4, (1, 2)),
    ],
)
@pytest.mark.parametrize("invert", [False, True])
def test_normalization_by_given_statistics(mean, variance, axis, invert, rng):
    mine, theirs = both("Normalization", mean=mean, variance=variance, axis=axis, invert=invert, name="n")
    assert_same(mine, theirs, rng.standard_normal((5, 3, 4)).astype("float32"))
    assert_same(mine, theirs, rng.integers(0, 9, (5, 3, 4)))
    assert plain(mine.get_config()) == plain(theirs.get_config())
    assert not mine.weights


def test_normalization_of_large_values_keeps_its_precision(rng):
    data = (1e6 + rng.standard_normal((1000, 2))).astype("float32")
    layer = ours.layers.Normalization()
    layer.adapt(np.array_split(data, 7))
    np.testing.assert_allclose(array(layer.adapt_mean), data.astype("float64").mean(0), rtol=1e-7)
    np.testing.assert_allclose(array(layer.adapt_variance), data.astype("float64").var(0), rtol=1e-6)


def test_normalization_in_a_file(tmp_path, rng):
    inputs = ours.Input((4,))
    layer = ours.layers.Normalization()
    layer.adapt(rng.standard_normal((20, 4)).astype("float32") * 3)
    model = ours.Model(inputs, layer(inputs))
    model.save(tmp_path / "m.keras")
    x = rng.standard_normal((3, 4)).astype("float32")
    np.testing.assert_array_equal(array(ours.saving.load_model(tmp_path / "m.keras")(x)), array(model(x)))
    np.testing.assert_allclose(array(keras.saving.load_model(tmp_path / "m.keras")(x)), array(model(x)), rtol=1e-5)
    keras.saving.load_model(tmp_path / "m.keras").save(tmp_path / "theirs.keras")
    np.testing.assert_array_equal(array(ours.saving.load_model(tmp_path / "theirs.keras")(x)), array(model(x)))


@pytest.mark.parametrize(
    ("kwargs", "data"),
    [
        ({"mean": 1.0}, None),
        ({"mean": [1.0], "variance": 2.0}, None),
        ({"mean": [[1.0]], "variance": [[2.0]]}, None),
        ({"axis": 3}, np.ones((2, 3), "float32")),
    ],
)
def test_normalization_refuses_what_keras_refuses(kwargs, data):
    for library in (ours, keras):
        with pytest.raises(ValueError) as caught:
            layer = library.layers.Normalization(**kwargs)
            layer.adapt(data)
        if library is ours:
            words = str(caught.value)
    assert words.split(".")[0].split(":")[0] in str(caught.value)


def test_normalization_says_which_data_does_not_fit(rng):
    layer = ours.layers.Normalization()
    layer.adapt(rng.standard_normal((5, 4)))
    with pytest.raises(ValueError, match=r"input_shape=\(None, 4\).*data.shape=\(5, 3\)"):
        layer.adapt(rng.standard_normal((5, 3)))
    with pytest.raises(ValueError, match="received an empty iterable"):
        ours.layers.Normalization().adapt([])
    with pytest.raises(ValueError, match=r"2 NaN of 6 values, at \[1, 2\] along the last axis"):
        ours.layers.Normalization().adapt(np.array([[1.0, np.nan, 2.0], [1.0, 2.0, np.nan]]))
    with pytest.raises(ValueError, match="Discretization.adapt.. needs data without NaN"):
        ours.layers.Discretization(num_bins=2).adapt(torch.tensor([1.0, float("nan")]))
    with pytest.raises(TypeError, match="takes numbers"):
        ours.layers.Normalization().adapt(np.array(["a"]))
    with pytest.raises(ValueError, match="were given to the constructor"):
        ours.layers.Normalization(mean=0.0, variance=1.0).adapt(rng.standard_normal((5, 4)))


MODES = ["int", "one_hot", "multi_hot", "count"]


@pytest.mark.parametrize("output_mode", MODES)
@pytest.mark.parametrize("shape", [(3,), (3, 4), (3, 1), (2, 3, 4)])
def test_discretization_by_given_boundaries(output_mode, shape, rng):
    boundaries = [-1.0, 0.0, 0.5]
    mine, theirs = both("Discretization", bin_boundaries=boundaries, output_mode=output_mode, name="d")
    values = rng.choice(np.array([-2.0, -1.0, -0.5, 0.0, 0.2, 0.5, 3.0], "float32"), shape)
    assert_same(mine, theirs, values)
    assert plain(mine.get_config()) == plain(theirs.get_config())


@pytest.mark.parametrize("num_bins", [2, 3, 10])
@pytest.mark.parametrize("epsilon", [0.01, 0.1])
@pytest.mark.parametrize("kind", ["array", "list", "generator"])
def test_discretization_learns_what_keras_learns(num_bins, epsilon, kind, rng):
    data = rng.standard_normal((300,)).astype("float32")
    mine, theirs = both("Discretization", num_bins=num_bins, epsilon=epsilon, name="d")
    mine.adapt(data_in_batches(data, kind))
    for part in [data] if kind == "array" else data_in_batches(data, "list"):
        theirs.update_state(part)  # its adapt() needs TensorFlow
    theirs.finalize_state()
    np.testing.assert_allclose(mine.bin_boundaries, theirs.bin_boundaries, rtol=1e-6)
    assert_same(mine, theirs, rng.standard_normal((7, 2)).astype("float32"))
    again = type(mine).from_config(plain(mine.get_config()))
    assert again.bin_boundaries == mine.bin_boundaries
    assert again.num_bins == num_bins


def test_discretization_stops_after_steps(rng):
    parts = rng.standard_normal((3, 50)).astype("float32")
    some, first = (ours.layers.Discretization(num_bins=4) for _ in range(2))
    some.adapt(iter(parts), steps=1)
    first.adapt(parts[0])
    assert some.bin_boundaries == first.bin_boundaries


def test_discretization_refuses():
    make = ours.layers.Discretization
    for kwargs, words in [
        ({}, "need to set either"),
        ({"num_bins": 2, "bin_boundaries": [1.0]}, "should not be set"),
        ({"num_bins": -1}, "greater than or equal to 0"),
        ({"num_bins": 2, "output_mode": "two_hot"}, "Unknown value for `output_mode`"),
        ({"num_bins": 2, "sparse": True}, "cannot be used"),
    ]:
        with pytest.raises(ValueError, match=words):
            make(**kwargs)
    with pytest.raises(ValueError, match=r"call `adapt\(dataset\)` before"):
        make(num_bins=2)(np.ones((2, 2), "float32"))
    with pytest.raises(ValueError, match="Cannot adapt"):
        make(bin_boundaries=[1.0]).adapt(np.ones(3))
    with pytest.raises(ValueError, match="saw no value"):
        make(num_bins=2).adapt(np.ones(0))


@pytest.mark.parametrize("output_mode", MODES[1:])
@pytest.mark.parametrize("shape", [(3,), (3, 4), (3, 1), ()])
def test_category_encoding(output_mode, shape, rng):
    mine, theirs = both("CategoryEncoding", num_tokens=6, output_mode=output_mode, name="c")
    assert_same(mine, theirs, rng.integers(0, 6, shape))
    assert plain(mine.get_config()) == plain(theirs.get_config())


def test_category_encoding_weighs_counts(rng):
    mine, theirs = both("CategoryEncoding", num_tokens=6, output_mode="count")
    numbers, weights = rng.integers(0, 6, (3, 4)), rng.random((3, 4)).astype("float32")
    np.testing.assert_allclose(
        array(mine(numbers, count_weights=weights)), array(theirs(numbers, count_weights=weights)), rtol=1e-6
    )
    with pytest.raises(ValueError, match="`count_weights` is not used"):
        ours.layers.CategoryEncoding(6)(numbers, count_weights=weights)


@pytest.mark.parametrize("number", [-1, 6])
def test_category_encoding_refuses_numbers_out_of_range(number):
    with pytest.raises(ValueError, match=r"0 <= values < num_tokens with num_tokens=6"):
        ours.layers.CategoryEncoding(6)(np.array([[0, number]]))


@pytest.mark.parametrize("name", ["CategoryEncoding", "Discretization", "Normalization"])
def test_layers_take_lists_and_compile(name, rng):
    layer = {
        "CategoryEncoding": lambda: ours.layers.CategoryEncoding(4),
        "Discretization": lambda: ours.layers.Discretization([0.5, 1.5]),
        "Normalization": lambda: ours.layers.Normalization(mean=1.0, variance=4.0),
    }[name]()
    values = [[1, 2], [0, 3]]
    by_list, by_array = layer(values), layer(np.array(values))
    assert torch.equal(by_list, by_array)
    compiled = torch.compile(layer, backend="eager", fullgraph=True)
    assert torch.equal(compiled(torch.tensor(values)), by_array)


# ---------------------------------------------------------------------------- beside the table of layers


@pytest.mark.parametrize("tie_weights", [True, False])
@pytest.mark.parametrize("kwargs", [{}, {"logit_soft_cap": 1.5}, {"reverse_dtype": "bfloat16"}], ids=str)
def test_reversible_embedding_scores(tie_weights, kwargs, rng):
    mine, theirs = both("ReversibleEmbedding", input_dim=6, output_dim=4, tie_weights=tie_weights, **kwargs)
    mine.build()
    theirs.build()
    theirs.set_weights(mine.get_weights())
    assert_same_scores(mine, theirs, rng.standard_normal((2, 3, 4)).astype("float32"))
    symbolic = mine(ours.KerasTensor((None, 3, 4)), reverse=True)
    assert (symbolic.shape, symbolic.dtype) == ((None, 3, 6), "float32")


def assert_same_scores(mine: Any, theirs: Any, vectors: np.ndarray) -> None:
    got, wanted = mine(vectors, reverse=True), theirs(vectors, reverse=True)
    assert got.dtype == wanted.dtype
    np.testing.assert_allclose(array(got.float()), array(wanted.float()), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("iterations", [1, 3])
@pytest.mark.parametrize("inner", ["Dense", "Conv2D", "Embedding"])
def test_spectral_normalization(inner, iterations, rng):
    kwargs = {
        "Dense": {"units": 3},
        "Conv2D": {"filters": 3, "kernel_size": 2},
        "Embedding": {"input_dim": 5, "output_dim": 3},
    }[inner]
    shape = {"Dense": (4, 6), "Conv2D": (2, 5, 5, 3), "Embedding": (4, 5)}[inner]
    inputs = rng.integers(0, 5, shape) if inner == "Embedding" else rng.standard_normal(shape).astype("float32")
    layers = []
    for library in (ours, keras):
        wrapped = getattr(library.layers, inner)(**kwargs, name="inner")
        layers.append(library.layers.SpectralNormalization(wrapped, power_iterations=iterations, name="outer"))
        layers[-1].build(shape)
    mine, theirs = layers
    assert [w.path for w in mine.weights] == [w.path for w in theirs.weights]
    theirs.set_weights(mine.get_weights())
    config, wanted = plain(mine.get_config()), plain(theirs.get_config())
    assert config.keys() == wanted.keys()
    for training in (True, False, True):
        got, expected = mine(inputs, training=training), theirs(inputs, training=training)
        np.testing.assert_allclose(array(got), array(expected), rtol=1e-5, atol=1e-5)
    for got, expected in zip(mine.weights, theirs.weights, strict=True):
        np.testing.assert_allclose(array(got), array(expected.value), rtol=1e-5, atol=1e-6)


def test_spectral_normalization_of_zeros_and_of_nothing():
    layer = ours.layers.SpectralNormalization(ours.layers.Dense(2, kernel_initializer="zeros"))
    assert not layer(np.ones((2, 3), "float32"), training=True).any()
    with pytest.raises(ValueError, match="no attribute 'kernel' nor 'embeddings'"):
        ours.layers.SpectralNormalization(ours.layers.Dropout(0.5))(np.ones((2, 3)))
    with pytest.raises(ValueError, match="greater than zero"):
        ours.layers.SpectralNormalization(ours.layers.Dense(2), power_iterations=0)


def test_pipeline(tmp_path):
    def make(library):
        parts = [library.layers.Rescaling(2.0, name="a"), library.layers.Dropout(0.5, name="b")]
        return library.layers.Pipeline(parts, name="p")

    mine, theirs = make(ours), make(keras)
    assert [part["class_name"] for part in mine.get_config()["layers"]] == ["Rescaling", "Dropout"]
    x = np.ones((50, 4), "float32")
    assert (array(mine(x)) == 0).any()  # training is the default
    assert (array(mine(x, training=False)) == array(theirs(x, training=False))).all()
    again = ours.layers.Pipeline.from_config(plain(mine.get_config()))
    assert [layer.name for layer in again.layers] == ["a", "b"]
    with pytest.raises(ValueError, match="must contain a `layers` key"):
        ours.layers.Pipeline.from_config({"name": "x"})


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"frame_step": 300}, "`frame_step` should be a positive integer"),
        ({"fft_length": 100}, "`fft_length` should be not less"),
        ({"mode": "loud"}, "Output mode is invalid"),
        ({"scaling": "none"}, "Scaling is invalid"),
        ({"padding": "causal"}, "Padding is invalid"),
    ],
)
def test_spectrograms_refuse(kwargs, words):
    for library in (ours, keras):
        with pytest.raises(ValueError, match=words):
            library.layers.STFTSpectrogram(**kwargs)
        with pytest.raises(ValueError, match="`fft_length` must be greater"):
            library.layers.MelSpectrogram(fft_length=4, sequence_length=8)
    with pytest.raises(TypeError, match="Invalid input type"):
        ours.layers.STFTSpectrogram(frame_length=4)(np.ones((1, 9, 1), "int32"))
