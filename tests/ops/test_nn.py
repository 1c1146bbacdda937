"""Ops of neural networks: errors, warnings, unknown sizes, and what is not a question of numbers."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import torch
import torch.nn.functional as F

import torchkeras
from torchkeras import ops
from torchkeras.core.symbolic.keras_tensor import KerasTensor

T, S = torch.zeros, KerasTensor
IMAGES, KERNEL = T(2, 5, 5, 3), T(3, 3, 3, 4)
QUERY = T(2, 3, 4, 8)

REFUSED = [
    ("conv", (T(5, 3), T(3, 4)), {}, "3, 4 or 5 dimensions"),
    ("conv", (IMAGES, T(3, 3, 4)), {}, "as many dimensions"),
    ("conv", (IMAGES, T(3, 3, 2, 4)), {}, "input channels"),
    ("conv", (IMAGES, KERNEL), {"strides": (1, 2, 3)}, "tuple of 2 integers"),
    ("conv", (IMAGES, KERNEL), {"strides": 0}, "value > 0"),
    ("conv", (IMAGES, KERNEL), {"data_format": "last"}, "channels_first"),
    ("depthwise_conv", (IMAGES, T(3, 3, 1, 2)), {}, "input channels"),
    ("separable_conv", (IMAGES, T(3, 3, 3, 2), T(1, 1, 5, 4)), {}, "input channels"),
    ("conv_transpose", (IMAGES, T(3, 3, 4, 2)), {}, "input channels"),
    ("conv_transpose", (IMAGES, T(3, 3, 4, 3)), {"output_padding": (1,)}, "tuple of 2 integers"),
    ("max_pool", (T(5, 3), 2), {}, "3, 4 or 5 dimensions"),
    ("max_pool", (IMAGES, 0), {}, "value > 0"),
    ("average_pool", (IMAGES, (2,)), {}, "tuple of 2 integers"),
    ("adaptive_max_pool", (IMAGES, None), {}, "tuple of 2 integers"),
    ("unfold", (T(3, 5, 5), 2), {}, "4D"),
    ("fold", (T(12, 4), (4, 4), 2), {}, "3D"),
    ("space_to_depth", (T(5, 4, 3), 2), {}, "4D"),
    ("space_to_depth", (T(2, 4, 5, 3), 2), {}, "divisible"),
    ("depth_to_space", (T(2, 4, 4, 6), 2), {}, "divisible"),
    ("depth_to_space", (T(2, 4, 4, 4), 1), {}, "at least 2"),
    ("binary_crossentropy", (T(2, 3), T(2, 4)), {}, "same shape"),
    ("categorical_crossentropy", (T(2, 3), T(3)), {}, "same shape"),
    ("categorical_crossentropy", (T(()), T(())), {}, "axis of classes"),
    ("sparse_categorical_crossentropy", (T(3), T(2, 3)), {}, "without the axis of classes"),
    ("sparse_categorical_crossentropy", (T(3), T(())), {}, "axis of classes"),
    ("normalize", (T(2, 3),), {"order": 0}, "int >= 1"),
    ("normalize", (T(2, 3),), {"order": 1.5}, "int >= 1"),
    ("one_hot", (T(3), 4), {"sparse": True}, "sparse"),
    ("multi_hot", (T(3),), {}, "num_classes"),
    ("psnr", (T(2, 3), T(3), 1.0), {}, "shapes"),
    ("dot_product_attention", (T(3, 4, 8),) * 3, {}, "4D"),
    ("dot_product_attention", (QUERY,) * 3, {"mask": T(3, 3), "bias": T(3, 3)}, "one of"),
    ("dot_product_attention", (QUERY,) * 3, {"attn_logits_soft_cap": 1.0}, "soft_cap"),
    ("ctc_decode", (T(2, 4, 3), T(2)), {"strategy": "best"}, "Invalid strategy"),
]


# Keras on torch takes any other word for "valid", but not in its graphs.
REFUSED_IN_GRAPHS = [
    ("conv", (S(IMAGES.shape), KERNEL), {"padding": "full"}, "'valid' or 'same'"),
    ("average_pool", (S(IMAGES.shape), 2), {"padding": "causal"}, "'valid' or 'same'"),
]
ALL_REFUSED = REFUSED + REFUSED_IN_GRAPHS


@pytest.mark.parametrize("name, args, config, words", ALL_REFUSED, ids=[f"{r[0]}-{r[3]}" for r in ALL_REFUSED])
def test_what_does_not_fit_is_refused(name, args, config, words):
    with pytest.raises(ValueError, match=words):
        getattr(ops, name)(*args, **config)


@pytest.mark.parametrize("name, args, config, words", ALL_REFUSED, ids=[f"{r[0]}-{r[3]}" for r in ALL_REFUSED])
def test_keras_refuses_it_too(name, args, config, words):
    args = [keras.KerasTensor(x.shape) if isinstance(x, S) else x for x in args]
    # Torch's own error or one of indexing, where Keras looks at nothing before it.
    with pytest.raises((ValueError, RuntimeError, IndexError)):
        getattr(keras.ops, name)(*args, **config)


OF_OTHER_TYPES = [
    ("moments", (T(2, 3), [0]), {"synchronized": True}, NotImplementedError),
    ("ctc_loss", (T(3, 2), T(2, 4, 3), T(2), T(2)), {}, RuntimeError),
    ("one_hot", (torch.tensor([4]), 3), {}, RuntimeError),
    ("batch_normalization", (T(2, 3), T(2), T(2), -1), {}, RuntimeError),
    ("layer_normalization", (T(2, 3), T(2)), {}, RuntimeError),
    ("softmax", (T(2, 3),), {"axis": 2}, IndexError),
]


@pytest.mark.parametrize("name, args, config, error", OF_OTHER_TYPES, ids=[r[0] for r in OF_OTHER_TYPES])
def test_errors_of_other_types_are_keras(name, args, config, error):
    for module in (ops, keras.ops):
        with pytest.raises(error):
            getattr(module, name)(*args, **config)


WINDOWS = torch.zeros(3, 3, 3, 4)
SYMBOLIC = [
    (ops.conv(S((None, None, 8, 3)), WINDOWS), (None, None, 6, 4)),
    (ops.conv(S((None, None, 8, 3)), WINDOWS, 2, "same"), (None, None, 4, 4)),
    (ops.conv(S((2, 8, 8, None)), WINDOWS), (2, 6, 6, 4)),
    (ops.depthwise_conv(S((None, 8, None, 3)), WINDOWS, padding="same"), (None, 8, None, 12)),
    (ops.conv_transpose(S((None, 4, None, 4)), WINDOWS, 2), (None, 9, None, 3)),
    (ops.max_pool(S((None, None, 8, 3)), 2), (None, None, 4, 3)),
    (ops.average_pool(S((2, None, None)), 3, 2, "same"), (2, None, None)),
    (ops.adaptive_max_pool(S((None, None, None, 3)), 4), (None, 4, 4, 3)),
    (ops.batch_normalization(S((None, 3, 4)), S((4,)), S((None,)), -1), (None, 3, 4)),
    (ops.layer_normalization(S((None, None, 4)), S((4,))), (None, None, 4)),
    (ops.moments(S((None, 3, 4)), [0, 1])[1], (4,)),
    (ops.dot_product_attention(S((None, None, 4, 8)), S((2, None, 2, 8)), S((2, None, 2, 6))), (None, None, 4, 6)),
    (ops.one_hot(S((None, 3), "int32"), 5, axis=1), (None, 5, 3)),
    (ops.multi_hot(S((None, None), "int32"), 5), (None, 5)),
    (ops.psnr(S((None, 3)), S((2, 3)), 1.0), ()),
    (ops.space_to_depth(S((None, None, 4, 3)), 2), (None, None, 2, 12)),
    (ops.ctc_decode(S((None, None, 5)), S((None,), "int32"), "beam_search", top_paths=3)[0], (3, None, None)),
    (ops.ctc_decode(S((None, 7, 5)), S((None,), "int32"))[1], (None, 1)),
]


@pytest.mark.parametrize("described, shape", SYMBOLIC, ids=lambda x: str(x) if isinstance(x, tuple) else "")
def test_sizes_may_be_unknown(described, shape):
    assert described.shape == shape


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: ops.softmax(T(2, 1)), "softmax over axis -1"),
        (lambda: ops.layer_normalization(T(2, 3), rms_scaling=True), "rms_scaling"),
    ],
)
def test_warnings(call, words):
    with pytest.warns(UserWarning, match=words):
        call()


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "normalize"])
def test_an_axis_that_is_none_is_found_in_a_graph(name):
    with pytest.raises(ValueError, match="axis 10 is out of bounds"):
        getattr(ops, name)(S((3, 4)), axis=10)


def test_a_graph_keeps_the_data_format_under_which_it_was_made(rng):
    inputs = torchkeras.Input((3, 6, 6))
    torchkeras.config.set_image_data_format("channels_first")
    try:
        model = torchkeras.Model(inputs, ops.max_pool(inputs, 2))
    finally:
        torchkeras.config.set_image_data_format("channels_last")
    x = torch.from_numpy(rng.normal(size=(2, 3, 6, 6)).astype("float32"))
    torch.testing.assert_close(model(x), F.max_pool2d(x, 2))


@pytest.mark.parametrize("name", ["conv", "depthwise_conv"])
def test_images_with_channels_last_are_not_copied(name):
    """The result lies in memory as the input does: torch saw a channels_last view."""
    x = torch.zeros(2, 6, 6, 8)
    assert getattr(ops, name)(x, torch.zeros(3, 3, 8, 1)).is_contiguous()


def test_moments_and_batch_normalization_hand_gradients_on(rng):
    x = torch.from_numpy(rng.normal(size=(6, 3)).astype("float32")).requires_grad_()
    scale = torch.from_numpy(rng.normal(size=3).astype("float32")).requires_grad_()
    mean, variance = ops.moments(x, [0])
    ours = ops.batch_normalization(x, mean, variance, -1, scale=scale)
    weights = torch.from_numpy(rng.normal(size=(6, 3)).astype("float32"))
    gradients = torch.autograd.grad((ours * weights).sum(), (x, scale))
    theirs = F.batch_norm(x, None, None, scale, torch.zeros(3), True, 0.0, 1e-3)
    for a, b in zip(gradients, torch.autograd.grad((theirs * weights).sum(), (x, scale)), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "shape, axes", [((6, 3), [0]), ((150, 100), [0]), ((150, 100), [1]), ((2, 60, 60, 3), [0, 1, 2])]
)
def test_moments_have_second_derivatives(shape, axes, rng):
    x, v = torch.from_numpy(rng.normal(size=(2, *shape)))
    ours = torch.autograd.functional.vhp(lambda x: (ops.moments(x, axes)[1] ** 3).sum(), x, v)[1]
    theirs = torch.autograd.functional.vhp(lambda x: (torch.var(x, axes, correction=0) ** 3).sum(), x, v)[1]
    torch.testing.assert_close(ours, theirs)


def labelling(path, blank):
    """What a path of classes says: repeats as one, then without blanks."""
    return tuple(c for i, c in enumerate(path) if c != blank and (i == 0 or path[i - 1] != c))


def test_a_wide_beam_finds_the_likeliest_labelling_of_all(rng):
    steps, classes, blank = 5, 3, 2
    logits = rng.normal(size=(1, steps, classes)).astype("float32")
    log_prob = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    total: dict[tuple, float] = {}
    for path in np.ndindex(*(classes,) * steps):
        key = labelling(path, blank)
        total[key] = total.get(key, 0.0) + np.exp(sum(log_prob[0, i, c] for i, c in enumerate(path)))
    best = sorted(total, key=total.__getitem__, reverse=True)[:3]
    paths, scores = ops.ctc_decode(logits, [steps], "beam_search", beam_width=200, top_paths=3, mask_index=blank)
    assert [tuple(c for c in path.tolist() if c >= 0) for path in paths[:, 0]] == best
    np.testing.assert_allclose(scores[0], np.log([total[key] for key in best]), rtol=1e-4)


def test_more_paths_than_the_beam_holds_are_refused():
    with pytest.raises(ValueError, match="beam_width"):
        ops.ctc_decode(T(2, 4, 3), T(2), "beam_search", beam_width=2, top_paths=3)
