"""Images: shapes with unknown sizes, errors, what integers and seeds do."""

import keras
import numpy as np
import pytest
import torch

import torchkeras
from torchkeras import ops
from torchkeras.ops.image.warp import _homography, homography

FIRST = {"data_format": "channels_first"}
SIZES = {"top_padding": 2, "left_padding": 3}
# An op, the shapes of its inputs, config. The shape of the output must be Keras's.
SHAPES = [
    ("rgb_to_grayscale", [(None, None, None, 3)], {}),
    ("rgb_to_hsv", [(3, None, None)], FIRST),
    ("resize", [(None, None, None, 3)], {"size": (15, 10)}),
    ("resize", [(None, None, 3)], {"size": (15, 10), "crop_to_aspect_ratio": True}),
    ("resize", [(3, None, None)], {"size": (15, 10), "pad_to_aspect_ratio": True, **FIRST}),
    ("affine_transform", [(None, None, 20, 3), (None, 8)], {}),
    ("perspective_transform", [(None, 3, None, 20), (None, 4, 2), (None, 4, 2)], FIRST),
    ("gaussian_blur", [(None, None, None, 3)], {}),
    ("elastic_transform", [(None, None, None, 3)], {}),
    ("sobel_edges", [(None, None, 5, 3)], {}),
    ("ssim", [(None, None, None, 3), (None, None, None, 3)], {}),
    ("extract_patches", [(None, 20, 20, 3)], {"size": 5, "strides": (2, 3)}),
    ("extract_patches", [(None, 20, 21, 3)], {"size": 5, "padding": "same"}),
    ("extract_patches_3d", [(None, 8, 9, 10, 3)], {"size": 5, "strides": 2}),
    ("map_coordinates", [(20, 20, None), (3, 15, 15, None)], {"order": 0}),
    ("pad_images", [(None, None, 3)], SIZES | {"target_height": 20, "target_width": 30}),
    ("pad_images", [(None, None, 3)], SIZES | {"bottom_padding": 2, "right_padding": 3}),
    ("pad_images", [(None, 3, 15, 25)], SIZES | {"target_height": 20, "target_width": 30} | FIRST),
    ("crop_images", [(None, None, 3)], {"top_cropping": 2, "left_cropping": 3, "target_height": 5, "target_width": 6}),
]


@pytest.mark.parametrize("name, shapes, config", SHAPES)
def test_unknown_sizes_are_keras(name, shapes, config):
    ours = getattr(ops.image, name)(*map(torchkeras.KerasTensor, shapes), **config)
    theirs = getattr(keras.ops.image, name)(*map(keras.KerasTensor, shapes), **config)
    assert ours.shape == theirs.shape


def f(*shape):
    return torch.ones(shape)


IMAGE = f(5, 6, 3)
# An op, its arguments, config, words of the message. The type must be that of Keras's error.
ERRORS = [
    *((name, (f(5, 6),), {}, "rank 3") for name in ("rgb_to_grayscale", "rgb_to_hsv", "hsv_to_rgb", "gaussian_blur")),
    ("rgb_to_grayscale", (f(5, 6, 4),), {}, "channel size"),
    ("rgb_to_hsv", (IMAGE.byte(),), {}, "float dtype"),
    ("resize", (f(5, 6), (2, 2)), {}, "rank 3"),
    ("resize", (IMAGE, (2,)), {}, "2 integers"),
    ("resize", (IMAGE, (0, 2)), {}, "positive"),
    ("resize", (IMAGE, (2, 2), "area"), {}, "interpolation"),
    ("resize", (IMAGE, (2, 2)), {"crop_to_aspect_ratio": True, "pad_to_aspect_ratio": True}, "Only one"),
    ("resize", (IMAGE, (2, 2)), {"pad_to_aspect_ratio": True, "fill_mode": "nearest"}, "fill_mode"),
    ("resize", (IMAGE, (2, 2)), {"data_format": "middle"}, "data_format"),
    ("affine_transform", (f(6, 3), f(8)), {}, "rank 3"),
    ("affine_transform", (IMAGE, f(1, 1, 8)), {}, "transform rank"),
    ("affine_transform", (IMAGE, f(8), "bicubic"), {}, "interpolation"),
    ("affine_transform", (IMAGE, f(8)), {"fill_mode": "edge"}, "fill_mode"),
    ("perspective_transform", (IMAGE, f(3, 2), f(4, 2)), {}, "start_points"),
    ("perspective_transform", (f(2, 5, 6, 3), f(2, 4, 2), f(4, 2)), {}, "same shape"),
    ("elastic_transform", (IMAGE,), {"interpolation": "bicubic"}, "interpolation"),
    ("map_coordinates", (f(4, 5), f(3, 2)), {"order": 1}, "rank of `inputs`"),
    ("map_coordinates", (f(4, 5), f(2)), {"order": 1}, "at least rank 2"),
    ("map_coordinates", (f(4, 5), f(2, 2)), {"order": 2}, "order"),
    ("map_coordinates", (f(4, 5), f(2, 2)), {"order": 1, "fill_mode": "edge"}, "fill_mode"),
    ("extract_patches", (IMAGE, "5"), {}, "Expected an int or a tuple"),
    ("extract_patches", (IMAGE, (2, 2, 2, 2)), {}, "length 2 or 3"),
    ("extract_patches_3d", (f(5, 6, 7, 3), (2, 2)), {}, "length 3"),
    ("pad_images", (IMAGE, 1, 1), {}, "exactly two"),
    ("pad_images", (IMAGE, 1, 1), {"target_height": 2, "target_width": 9}, "bottom_padding must be >= 0"),
    ("crop_images", (IMAGE, None, 0, 1), {"target_height": 9, "target_width": 3}, "top_cropping must be >= 0"),
    ("crop_images", (IMAGE, 0, 0), {"target_height": -1, "target_width": 3}, "target_height must be >= 0"),
    ("ssim", (f(12, 12), f(12, 12)), {}, "image1 rank"),
    (
        "scale_and_translate",
        (IMAGE, (2, 2, 3), f(2), f(2)),
        {"spatial_dims": (0, 1), "method": "nearest"},
        "`method`",
    ),
]


@pytest.mark.parametrize("name, arguments, config, words", ERRORS)
def test_errors_are_of_keras_type(name, arguments, config, words):
    with pytest.raises(Exception) as theirs:
        getattr(keras.ops.image, name)(*arguments, **config)
    with pytest.raises(theirs.type, match=words):
        getattr(ops.image, name)(*arguments, **config)


@pytest.mark.parametrize("side, shape", [("height", (None, 6, 3)), ("width", (5, None, 3))])
def test_a_crop_of_unknown_size_needs_a_target(side, shape):
    with pytest.raises(ValueError, match=f"`target_{side}` must be specified"):
        ops.image.crop_images(torchkeras.KerasTensor(shape), 1, 1, 1, 1)


def test_the_setting_says_where_channels_are(rng):
    images = torch.from_numpy(rng.uniform(size=(2, 3, 5, 6)))
    torchkeras.config.set_image_data_format("channels_first")
    assert ops.image.rgb_to_grayscale(images).shape == (2, 1, 5, 6)
    torchkeras.config.set_image_data_format("channels_last")
    with pytest.raises(ValueError, match="channel size"):
        ops.image.rgb_to_grayscale(images)


def test_seeds_repeat_the_distortion(rng):
    images = torch.from_numpy(rng.uniform(size=(2, 8, 9, 3)))
    first, again, other, free = (ops.image.elastic_transform(images, sigma=1.0, seed=seed) for seed in (1, 1, 2, None))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first, free)


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
@pytest.mark.parametrize("channels", [{}, FIRST])
def test_one_transform_serves_a_batch(interpolation, channels, rng):
    images = torch.from_numpy(rng.uniform(size=(3, 6, 7, 5)))
    transform = torch.tensor([1.1, 0.2, -0.5, 0.1, 0.9, 0.7, 0, 0])
    batch = ops.image.affine_transform(images, transform, interpolation, **channels)
    singles = [ops.image.affine_transform(image, transform, interpolation, **channels) for image in images]
    torch.testing.assert_close(batch, torch.stack(singles))


def test_affine_transform_leaves_its_arguments(rng):
    images, transform = torch.from_numpy(rng.uniform(size=(1, 6, 7, 3))), torch.from_numpy(rng.uniform(size=(1, 8)))
    before = transform.clone()
    ops.image.affine_transform(images, transform)
    assert torch.equal(transform, before)


def test_perspective_moves_the_points(rng):
    """A pixel at a start point is found at its end point."""
    start = np.array([[1, 1], [7, 2], [2, 6], [8, 7]])
    end = np.array([[2, 1], [6, 1], [1, 7], [7, 6]])
    image = rng.uniform(size=(9, 10, 1)).astype("float32")
    moved = ops.image.perspective_transform(image, start.astype("float32"), end.astype("float32"))
    for (x1, y1), (x2, y2) in zip(start, end, strict=True):
        np.testing.assert_allclose(moved[y2, x2], image[y1, x1], atol=1e-3)


@pytest.mark.parametrize("interpolation", ["bicubic", "lanczos3", "lanczos5"])
def test_integers_that_overshoot_are_cut_to_their_range(interpolation, rng):
    images = (rng.integers(0, 2, (2, 6, 5, 3)) * 255).astype("uint8")
    exact = ops.image.resize(images.astype("float64"), (13, 12), interpolation)
    assert exact.min() < 0 and exact.max() > 255
    whole = ops.image.resize(images, (13, 12), interpolation)
    assert (whole - exact.clamp(0, 255)).abs().max() < 0.51


def test_perspectives_in_closed_form_equal_the_solution_of_the_equations():
    """Devices other than the CPU use the closed form."""
    corners = torch.tensor([[0.0, 0.0], [29.0, 0.0], [0.0, 19.0], [29.0, 19.0]], dtype=torch.float64)
    points, targets = (corners + 6 * torch.rand(20, 4, 2, dtype=torch.float64) for _ in range(2))
    torch.testing.assert_close(_homography(points, targets), homography(points, targets), rtol=1e-9, atol=1e-9)
