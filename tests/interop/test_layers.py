"""Layers against Keras on torch: configs, weights, outputs, gradients, shapes, types, masks."""

from __future__ import annotations

import json
from typing import Any

import keras
import numpy as np
import pytest
import torch

import torchkeras.layers as ours
from tests.interop.layer_cases import ALL, case_id, draw_inputs, shapes
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.variables.seeds import set_random_seed

table = pytest.mark.parametrize("case", ALL, ids=case_id)


def pair(case: Any, **extra: Any) -> tuple[Any, Any]:
    name, kwargs, _ = case
    return getattr(ours, name)(**kwargs, **extra), getattr(keras.layers, name)(**kwargs, **extra)


def built_pair(case: Any, rng: Any, **extra: Any) -> tuple[Any, Any]:
    """Both layers with the same random weights."""
    mine, theirs = pair(case, name="layer", **extra)
    for layer in (mine, theirs):
        if not layer.built:
            layer.build(shapes(case[2]))
    values = [np.asarray(0.5 + rng.random(w.shape), "float32") for w in theirs.weights]
    theirs.set_weights(values)
    mine.set_weights(values)
    return mine, theirs


def tensors(inputs: Any) -> Any:
    if isinstance(inputs, list):
        return [tensors(x) for x in inputs]
    tensor = torch.from_numpy(inputs.copy())
    return tensor.requires_grad_() if tensor.is_floating_point() else tensor


def array(tensor: Any) -> np.ndarray:
    tensor = getattr(tensor, "value", tensor)
    return tensor.detach().to(torch.float64).cpu().numpy() if torch.is_tensor(tensor) else np.asarray(tensor)


def normal_form(config: dict) -> Any:
    return json.loads(json.dumps(config))


def run(layer: Any, inputs: Any, training: bool, cotangent: np.ndarray | None) -> tuple[Any, list[np.ndarray]]:
    """Outputs, and the gradients of `sum(outputs * cotangent)` for inputs and trainable weights."""
    x = tensors(inputs)
    weights = [getattr(w, "value", w) for w in layer.trainable_weights]
    outputs = layer(x, training=training)
    leaves = [leaf for leaf in [*(x if isinstance(x, list) else [x]), *weights] if leaf.requires_grad]
    if cotangent is None or not outputs.requires_grad:
        return outputs, []
    grads = torch.autograd.grad((outputs * torch.from_numpy(cotangent).to(outputs)).sum(), leaves, allow_unused=True)
    return outputs, [np.zeros(1) if g is None else array(g) for g in grads]


@table
def test_config_equals_keras_and_makes_an_equal_layer(case):
    mine, theirs = pair(case, name="layer")
    config = mine.get_config()
    assert normal_form(config) == normal_form(theirs.get_config())
    again = type(mine).from_config(config)
    assert normal_form(again.get_config()) == normal_form(config)
    assert normal_form(type(mine).from_config(normal_form(config)).get_config()) == normal_form(config)


@table
def test_weights_have_keras_names_shapes_and_order(case, rng):
    mine, theirs = built_pair(case, rng)
    facts = [[(w.name, w.path, tuple(w.shape), w.trainable) for w in layer.weights] for layer in (mine, theirs)]
    assert facts[0] == facts[1]


@pytest.mark.parametrize("training", [False, True])
@table
def test_numbers_equal_keras(case, training, rng):
    mine, theirs = built_pair(case, rng)
    inputs = draw_inputs(case[2], rng)
    expected, _ = run(theirs, inputs, training, None)
    cotangent = rng.normal(size=tuple(expected.shape)).astype("float32")
    mine, theirs = built_pair(case, rng)
    theirs.set_weights(mine.get_weights())
    expected, expected_grads = run(theirs, inputs, training, cotangent)
    outputs, grads = run(mine, inputs, training, cotangent)
    assert tuple(outputs.shape) == tuple(expected.shape)
    assert outputs.dtype == expected.dtype
    np.testing.assert_allclose(array(outputs), array(expected), rtol=1e-5, atol=2e-5)
    for got, wanted in zip(grads, expected_grads or [0.0] * len(grads), strict=True):
        # Terms that cancel are rounded as the largest ones are.
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4 * max(1.0, np.abs(wanted).max(initial=0) / 10))
    for got, wanted in zip(mine.non_trainable_weights, theirs.non_trainable_weights, strict=True):
        np.testing.assert_allclose(array(got), array(wanted), rtol=1e-5, atol=1e-6)


def unknown(shape: Any, axes: Any) -> Any:
    if isinstance(shape, list):
        return [unknown(one, axes) for one in shape]
    return tuple(None if axis in axes else size for axis, size in enumerate(shape))


@pytest.mark.parametrize("axes", [(), (0,), (0, 1), (0, 1, 2), (2,)], ids=str)
@table
def test_output_shape_equals_keras(case, axes):
    mine, theirs = pair(case)
    shape = unknown(shapes(case[2]), axes)
    try:
        expected = theirs.compute_output_shape(shape)
    except (ValueError, TypeError, IndexError) as error:
        with pytest.raises(ValueError):
            print(mine.compute_output_shape(shape), "where Keras says", error)
        return
    assert tuple(mine.compute_output_shape(shape)) == tuple(expected)


@table
def test_symbolic_call_equals_keras(case):
    name, kwargs, shape = case
    dtype = "int32" if shape[0] == "int" else "float32"
    shape = unknown(shapes(shape), (0,))

    def symbols(make: Any) -> Any:
        return [make(one) for one in shape] if isinstance(shape, list) else make(shape)

    mine, theirs = pair(case)
    expected = theirs(symbols(lambda s: keras.KerasTensor(s, dtype)))
    got = mine(symbols(lambda s: KerasTensor(s, dtype)))
    assert (got.shape, got.dtype) == (tuple(expected.shape), expected.dtype)


# Keras's promotion on torch makes float32 of two float64 here; the layer's dtype is what is asked for.
NARROWED_BY_KERAS = {(name, "float64") for name in ("Minimum", "Maximum", "Dot", "STFTSpectrogram")}
REFUSED_BY_KERAS = {("STFTSpectrogram", dtype) for dtype in ("bfloat16", "mixed_bfloat16")}
TYPED = [case for i, case in enumerate(ALL) if i % 2 == 0 or "Normalization" in case[0]]


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16", "mixed_bfloat16"])
@pytest.mark.parametrize("case", TYPED, ids=case_id)
def test_types_equal_keras(case, dtype, rng):
    mine, theirs = built_pair(case, rng, dtype=dtype)
    inputs = draw_inputs(case[2], rng)
    inputs = tensors(inputs)
    if (case[0], dtype) in REFUSED_BY_KERAS:
        with pytest.raises(TypeError):
            theirs(inputs)
        assert mine(inputs).dtype == torch.bfloat16
        return
    try:
        expected = theirs(inputs)
    except NotImplementedError as error:
        pytest.skip(f"torch has no such kernel: {error}")
    outputs = mine(inputs)
    if (case[0], dtype) not in NARROWED_BY_KERAS:
        assert outputs.dtype == expected.dtype
    assert [str(w.dtype).removeprefix("torch.") for w in mine.weights] == [w.dtype for w in theirs.weights]
    tolerance = {"float64": 1e-5, "float16": 1e-2}.get(dtype, 6e-2)
    np.testing.assert_allclose(array(outputs), array(expected), rtol=tolerance, atol=tolerance)


MASKED = [
    ("Dense", {"units": 2}, (3, 4, 5)),
    ("Activation", {"activation": "tanh"}, (3, 4, 5)),
    ("BatchNormalization", {"momentum": 0.7}, (3, 4, 5)),
    ("BatchNormalization", {"momentum": 0.7, "renorm": True, "axis": 2}, (3, 4, 5)),
    ("LayerNormalization", {}, (3, 4, 5)),
    ("Dropout", {"rate": 0.0}, (3, 4, 5)),
    ("GlobalAveragePooling1D", {}, (3, 4, 5)),
    ("GlobalAveragePooling1D", {"keepdims": True}, (3, 4, 5)),
    *((name, {}, [(3, 4, 5), (3, 4, 5)]) for name in ("Add", "Multiply", "Maximum", "Minimum", "Concatenate")),
    ("Concatenate", {"axis": 1}, [(3, 4, 5), (3, 2, 5)]),
]


def masked(x: np.ndarray, mask: np.ndarray) -> torch.Tensor:
    tensor = torch.from_numpy(x)
    tensor._keras_mask = torch.from_numpy(mask)
    return tensor


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("case", MASKED, ids=case_id)
def test_masks_equal_keras(case, training, rng):
    mine, theirs = built_pair(case, rng)
    inputs = draw_inputs(case[2], rng)
    single = not isinstance(inputs, list)
    inputs = [inputs] if single else inputs
    masks = [rng.random(x.shape[:2]) > 0.4 for x in inputs]
    for mask in masks:
        mask[:, 0] = True
    results = []
    for layer in (mine, theirs):
        given = [masked(x, m) for x, m in zip(inputs, masks, strict=True)]
        outputs = layer(given[0] if single else given, training=training)
        results.append((outputs, getattr(outputs, "_keras_mask", None), layer.non_trainable_weights))
    (got, got_mask, got_state), (wanted, wanted_mask, wanted_state) = results
    np.testing.assert_allclose(array(got), array(wanted), rtol=1e-5, atol=1e-5)
    assert (got_mask is None) == (wanted_mask is None)
    if got_mask is not None:
        np.testing.assert_array_equal(array(got_mask), array(wanted_mask))
    for one, other in zip(got_state, wanted_state, strict=True):
        np.testing.assert_allclose(array(one), array(other), rtol=1e-5, atol=1e-6)


MASK_MAKERS = [
    ("Embedding", {"input_dim": 5, "output_dim": 2, "mask_zero": True}, ("int", 5, (3, 4))),
    ("Masking", {}, (3, 4, 2)),
]


@pytest.mark.parametrize("case", MASK_MAKERS, ids=case_id)
def test_made_masks_equal_keras(case, rng):
    mine, theirs = built_pair(case, rng)
    inputs = draw_inputs(case[2], rng)
    inputs[1, 2:] = 0
    got, wanted = mine(torch.from_numpy(inputs)), theirs(torch.from_numpy(inputs))
    np.testing.assert_array_equal(array(got._keras_mask), array(wanted._keras_mask))


def test_softmax_with_a_mask_equals_keras(rng):
    x, mask = rng.normal(size=(3, 4)).astype("float32"), rng.random((3, 4)) > 0.5
    got = ours.Softmax()(torch.from_numpy(x), mask=torch.from_numpy(mask))
    wanted = keras.layers.Softmax()(torch.from_numpy(x), mask=torch.from_numpy(mask))
    np.testing.assert_allclose(array(got), array(wanted), rtol=1e-6, atol=1e-7)


WRONG = [
    ("Dense", {"units": 2}, (3, 5), (3, 4)),
    ("Dense", {"units": 2}, (3, 5), (3,)),
    ("Conv2D", {"filters": 2, "kernel_size": 3}, (2, 6, 6, 3), (2, 6, 6, 4)),
    ("Conv1D", {"filters": 2, "kernel_size": 3}, (2, 6, 3), (2, 3)),
    ("BatchNormalization", {}, (4, 3), (4, 5)),
    ("MaxPooling2D", {}, (2, 6, 6, 3), (2, 6, 6)),
    ("GlobalMaxPooling1D", {}, (2, 6, 3), (2, 6)),
    ("SpatialDropout1D", {"rate": 0.5}, (2, 6, 3), (2, 6)),
    ("Permute", {"dims": (2, 1)}, (2, 3, 4), (2, 3)),
    ("RepeatVector", {"n": 2}, (2, 3), (2, 3, 4)),
    ("GroupNormalization", {"groups": 1}, (2, 3), (2, 4)),
]


@pytest.mark.parametrize("name, kwargs, shape, wrong", WRONG)
def test_wrong_shapes_are_refused_as_by_keras_and_named(name, kwargs, shape, wrong):
    mine, theirs = pair((name, kwargs, shape), name="the_layer")
    for layer in (mine, theirs):
        layer(torch.ones(shape))
    with pytest.raises(ValueError):
        theirs(torch.ones(wrong))
    with pytest.raises(ValueError, match="the_layer") as error:
        mine(torch.ones(wrong))
    assert str(wrong) in str(error.value)


BAD_ARGUMENTS = [
    ("Dense", {"units": 0}),
    ("Dense", {"units": 2.5}),
    ("Dense", {"units": 2, "name": 0}),
    ("Embedding", {"input_dim": 0, "output_dim": 2}),
    ("Conv2D", {"filters": 0, "kernel_size": 3}),
    ("Conv2D", {"filters": 3, "kernel_size": 3, "groups": 2}),
    ("Conv2D", {"filters": 3, "kernel_size": 3, "groups": 0}),
    ("BatchNormalization", {"renorm": True, "renorm_clipping": {"max": 1.0}}),
    ("BatchNormalization", {"renorm": True, "renorm_clipping": {"rmax": 0.5, "rmin": 1.0}}),
    ("BatchNormalization", {"renorm": True, "renorm_clipping": {"dmax": -1.0}}),
    ("Conv2D", {"filters": 2, "kernel_size": (3, 3, 3)}),
    ("Conv2D", {"filters": 2, "kernel_size": 0}),
    ("Conv2D", {"filters": 2, "kernel_size": 3, "padding": "causal"}),
    ("Conv2D", {"filters": 2, "kernel_size": 3, "strides": 2, "dilation_rate": 2}),
    ("Conv2D", {"filters": 2, "kernel_size": 3, "data_format": "nhwc"}),
    ("Conv2DTranspose", {"filters": 2, "kernel_size": 3, "output_padding": 1}),
    ("DepthwiseConv2D", {"kernel_size": 3, "depth_multiplier": 0}),
    ("MaxPooling2D", {"pool_size": (2, 2, 2)}),
    ("Dropout", {"rate": 1.5}),
    ("Dropout", {"rate": 0.5, "noise_shape": (2, 0)}),
    ("Dropout", {"rate": 0.5, "noise_shape": "ab"}),
    ("GaussianNoise", {"stddev": -1.0}),
    ("GroupNormalization", {"groups": 0}),
    ("ReLU", {"max_value": -1.0}),
    ("LeakyReLU", {"negative_slope": -1.0}),
    ("Permute", {"dims": (1, 3)}),
    ("RepeatVector", {"n": 0}),
    ("Reshape", {"target_shape": (-1, -1)}),
    ("Cropping2D", {"cropping": (1, 2, 3)}),
    ("UpSampling1D", {"size": 0}),
    ("Dot", {"axes": (1, 2, 3)}),
]


@pytest.mark.parametrize("name, kwargs", BAD_ARGUMENTS)
def test_bad_arguments_are_refused_as_by_keras(name, kwargs):
    with pytest.raises(ValueError):
        getattr(keras.layers, name)(**kwargs)
    with pytest.raises(ValueError):
        getattr(ours, name)(**kwargs)


BAD_INPUTS = [
    ("Add", {}, [(2, 3), (2, 4)]),
    ("Add", {}, [(2, 3), (3, 3)]),
    ("Subtract", {}, [(2, 3)] * 3),
    ("Concatenate", {}, [(2, 3), (3, 3)]),
    ("Concatenate", {}, [(2, 3), (2, 3, 1)]),
    ("Dot", {"axes": 1}, [(2, 3), (2, 4)]),
    ("Cropping1D", {"cropping": 3}, (2, 5, 1)),
    ("Reshape", {"target_shape": (4,)}, (2, 5)),
    ("Conv2D", {"filters": 2, "kernel_size": 9}, (2, 5, 5, 1)),
    ("Conv2D", {"filters": 2, "kernel_size": 3, "groups": 2}, (2, 5, 5, 3)),
    ("GroupNormalization", {"groups": 2}, (2, 3)),
]


@pytest.mark.parametrize("name, kwargs, shape", BAD_INPUTS)
def test_inputs_that_do_not_fit_are_refused_as_by_keras(name, kwargs, shape):
    inputs = [torch.ones(one) for one in shape] if isinstance(shape, list) else torch.ones(shape)
    with pytest.raises(ValueError):
        getattr(keras.layers, name)(**kwargs)(inputs)
    with pytest.raises(ValueError):
        getattr(ours, name)(**kwargs)(inputs)


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_whole_numbers_are_enlarged_as_whole_numbers(interpolation, rng):
    x = rng.integers(0, 100, (2, 3, 4, 2))
    layer, theirs = (module.UpSampling2D((2, 3), interpolation=interpolation) for module in (ours, keras.layers))
    result, expected = layer(torch.from_numpy(x)), theirs(torch.from_numpy(x))
    assert result.dtype == expected.dtype
    np.testing.assert_array_equal(result, expected)


SEQUENCE = (2, 3, 4)
WITH_WEIGHTS = [
    *{case[0]: case for case in ALL}.values(),
    *((name, {"units": 2}, SEQUENCE) for name in ("LSTM", "GRU", "SimpleRNN")),
    ("Bidirectional", {"layer": ("SimpleRNN", {"units": 2})}, SEQUENCE),
    ("ConvLSTM1D", {"filters": 2, "kernel_size": 2}, (2, 3, 4, 2)),
    ("EinsumDense", {"equation": "ab,bc->ac", "output_shape": 3}, (2, 3)),
]


def test_one_seed_gives_keras_weights_and_states(seed):
    different = []
    for name, kwargs, shape in WITH_WEIGHTS:
        found = []
        for library in (ours, keras.layers):
            (set_random_seed if library is ours else keras.utils.set_random_seed)(seed)
            arguments = {k: getattr(library, v[0])(**v[1]) if k == "layer" else v for k, v in kwargs.items()}
            layer = getattr(library, name)(**arguments)
            if not layer.built:
                layer.build(shapes(shape))
            found.append([array(w) for w in layer.variables])
        if not all(np.allclose(a, b, 1e-5, 1e-6) for a, b in zip(*found, strict=True)):
            different.append((name, kwargs))
    assert not different


@pytest.mark.parametrize("inputs", ["float32", "int32"])
def test_symbols_have_the_types_of_keras_under_a_policy_of_the_layer(inputs):
    different = []
    for name, kwargs, shape in {case[0]: case for case in ALL}.values():
        if shape[0] == "int" and inputs != "int32":
            continue
        found = []
        for library, symbol in ((ours, KerasTensor), (keras.layers, keras.KerasTensor)):
            layer = getattr(library, name)(**kwargs, dtype="mixed_bfloat16")
            symbols = [symbol(one, inputs) for one in (shape if isinstance(shape, list) else [shapes(shape)])]
            found.append(
                [t.dtype for t in keras.tree.flatten(layer(symbols if isinstance(shape, list) else symbols[0]))]
            )
        if found[0] != found[1]:
            different.append((name, found))
    assert not different


def test_an_own_rule_for_the_outputs_gets_the_inputs_in_the_layers_type():
    found = []
    for library, symbol in ((ours, KerasTensor), (keras.layers, keras.KerasTensor)):

        class Own(library.Layer):
            def compute_output_spec(self, inputs):
                return [inputs[0], type(inputs[0])(inputs[1].shape, inputs[1].dtype)]

        found.append([t.dtype for t in Own(dtype="mixed_float16")([symbol((2, 3)), symbol((2, 3), "int32")])])
    assert found == [["float16", "int32"]] * 2


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_the_mean_of_whole_numbers_is_a_float(rank, rng):
    x = rng.integers(-9, 9, (2, *range(3, 3 + rank), 2)).astype("int32")
    mine, theirs = (getattr(library, f"GlobalAveragePooling{rank}D")()(x) for library in (ours, keras.layers))
    assert mine.dtype == theirs.dtype == torch.float32
    np.testing.assert_allclose(array(mine), array(theirs), 1e-6)
