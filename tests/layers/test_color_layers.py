"""Image layers of colors and mixing: what goes with the images, randomness, workers, graphs, types, errors."""

from __future__ import annotations

import warnings

import keras as real_keras
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

import torchkeras as keras
from tests.interop.color_layer_cases import CASES

MIXING = {"MixUp", "CutMix", "Mosaic"}
cases = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
color_cases = pytest.mark.parametrize("case", [c for c in CASES if c.name not in MIXING], ids=lambda case: case.id)
random_cases = pytest.mark.parametrize(
    "case",
    [c for c in CASES if "Equalization" not in c.name and c.name != "AutoContrast"],
    ids=lambda case: case.id,
)


def layer_of(case, **more):
    return getattr(keras.layers, case.name)(**case.arguments, **more)


def images_of(rng, batch=4, dtype="float32"):
    return rng.integers(0, 256, (batch, 6, 8, 3)).astype(dtype)


@color_cases
def test_labels_boxes_and_masks_stay(case, rng):
    data = {
        "images": images_of(rng),
        "labels": np.arange(4),
        "bounding_boxes": {"boxes": rng.random((4, 2, 4), "float32"), "labels": np.array([[0, 1]] * 4)},
        "segmentation_masks": rng.integers(0, 3, (4, 6, 8, 1)),
    }
    before = data["images"].copy()
    outputs = layer_of(case, bounding_box_format="rel_xyxy")(data, training=True)
    assert list(outputs) == list(data)
    np.testing.assert_array_equal(outputs["labels"], data["labels"])
    np.testing.assert_array_equal(outputs["bounding_boxes"]["boxes"], data["bounding_boxes"]["boxes"])
    np.testing.assert_array_equal(outputs["bounding_boxes"]["labels"], data["bounding_boxes"]["labels"])
    np.testing.assert_array_equal(outputs["segmentation_masks"], data["segmentation_masks"])
    np.testing.assert_array_equal(data["images"], before)
    tensor = torch.from_numpy(before.copy())
    layer_of(case)(tensor, training=True)
    np.testing.assert_array_equal(tensor, before)


@random_cases
def test_each_image_has_its_own_draw(case, rng):
    if case.arguments.get("factor") == (3, 3):
        pytest.skip("one number of bits alone")
    image = images_of(rng, 1)
    batch = torch.from_numpy(np.repeat(image, 16, 0))
    if case.name in MIXING:
        batch[::2] = 255 - batch[::2]
    outputs = layer_of(case, seed=1)(batch, training=True)
    assert len({tuple(output.flatten().tolist()) for output in outputs}) > 1


@pytest.mark.parametrize("case", {case.name: case for case in CASES}.values(), ids=lambda case: case.name)
def test_compiled(case, rng):
    images = torch.from_numpy(images_of(rng))
    seeded = {"seed": 2} if hasattr(layer_of(case), "seed") else {}
    torch._dynamo.reset()  # many layers through one line: torch would stop compiling it
    plain, compiled = layer_of(case, **seeded), layer_of(case, **seeded)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run = torch.compile(lambda x: compiled(x, training=True), fullgraph=True, backend="eager")
        for _ in range(2):
            torch.testing.assert_close(run(images), plain(images, training=True), atol=1e-2, rtol=1e-5)


@cases
@pytest.mark.parametrize("dtype", ["mixed_float16", "bfloat16", "float64"])
def test_policies(case, dtype, rng):
    layer = layer_of(case, dtype=dtype)
    outputs = layer(images_of(rng), training=True)
    expected = {"mixed_float16": torch.float16}.get(dtype) or getattr(torch, dtype)
    assert outputs.dtype == expected and bool(outputs.isfinite().all())


@cases
def test_symbols(case):
    inputs = keras.Input((6, None, 3))
    outputs = layer_of(case)(inputs)
    assert outputs.shape == (None, 6, None, 3) and outputs.dtype == "float32"
    given = {"images": inputs, "labels": keras.Input((5,))}
    both = layer_of(case)(given)
    assert both["images"].shape == (None, 6, None, 3) and both["labels"].shape == (None, 5)


def test_in_a_functional_model(rng):
    inputs = x = keras.Input((6, 8, 3))
    for case in CASES[::2]:
        x = layer_of(case)(x)
    outputs = keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, outputs)
    model.compile("sgd", "mse", jit_compile=False)
    images = images_of(rng) / 255
    history = model.fit(images, np.zeros((4, 2)), epochs=2, batch_size=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    again = keras.Model.from_config(model.get_config())
    again.set_weights(model.get_weights())
    np.testing.assert_allclose(again.predict(images, verbose=0), model.predict(images, verbose=0), rtol=1e-5)


class Augmented(Dataset):
    def __init__(self, layer, count=8):
        self.layer, self.count = layer, count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        sample = {"images": np.full((2, 2, 3), 100, "uint8"), "labels": np.eye(2, dtype="float32")[0]}
        return self.layer(sample)


@pytest.mark.parametrize("seed", [None, 3])
def test_in_workers(seed):
    layer = keras.layers.RandomSharpness(1.0, seed=seed)
    values = []
    for _ in range(2):
        loader = DataLoader(Augmented(layer), batch_size=2, num_workers=2)
        for batch in loader:
            assert batch["images"].shape == (2, 2, 2, 3) and batch["labels"].tolist() == [[1, 0]] * 2
            values += batch["images"][:, 0, 0, 0].tolist()
    assert len(set(values)) == len(values) == 16  # no worker, and no epoch, repeats another's draws


def test_draws_without_a_seed():
    """Moments of the distributions."""
    many = torch.zeros(4000, 1, 1, 3)
    deltas = keras.layers.RandomBrightness((-0.2, 0.4)).get_random_transformation(many)["rgb_delta"]
    assert deltas.shape == (4000, 1, 1, 1)
    assert abs(deltas.mean() - 0.1 * 255) < 4 and deltas.min() >= -51 and deltas.max() <= 102
    weights = keras.layers.MixUp(alpha=0.5).get_random_transformation(many)["mix_weight"]
    assert abs(weights.mean() - 0.5) < 0.05 and abs(weights.var() - 0.125) < 0.02  # 1 / (4 (2 alpha + 1))
    inverted = keras.layers.RandomInvert((0.2, 0.4)).get_random_transformation(many)["apply_inversion"]
    assert abs(inverted.float().mean() - 0.3) < 0.05
    bits = 8 - keras.layers.RandomPosterization(4).get_random_transformation(many)["shift_factor"]
    assert sorted(set(bits.tolist())) == [1, 2, 3]
    gray = keras.layers.RandomGrayscale(0.25).get_random_transformation(many)
    assert gray.shape == (4000, 1, 1, 1) and abs(gray.float().mean() - 0.25) < 0.05
    hue = keras.layers.RandomHue((0.2, 0.4)).get_random_transformation(many)["factor"]
    assert abs(hue.mean()) < 0.02 and hue.abs().min() >= 0.1 and hue.abs().max() <= 0.2


def test_cut_mix_weighs_labels_by_area(rng):
    images = np.broadcast_to(np.arange(4.0, dtype="float32")[:, None, None, None], (4, 40, 50, 3))
    data = {
        "images": images,
        "labels": np.eye(4, dtype="float32"),
        "segmentation_masks": images[..., :1].astype("int64"),
    }
    outputs = keras.layers.CutMix()(data, training=True)
    np.testing.assert_array_equal(outputs["images"][..., :1], outputs["segmentation_masks"])
    assert outputs["segmentation_masks"].dtype == torch.int64
    for own in range(4):
        shares = [(outputs["images"][own] == other).float().mean() for other in range(4)]
        np.testing.assert_allclose(outputs["labels"][own], shares, atol=0.05)


def test_mix_up_mixes_all(rng):
    images, masks = images_of(rng), rng.integers(0, 3, (4, 6, 8, 1))
    boxes = {"boxes": rng.random((4, 2, 4), "float32"), "labels": rng.integers(0, 9, (4, 2))}
    layer = keras.layers.MixUp(alpha=2.0, bounding_box_format="rel_xyxy")
    data = {"images": images, "labels": np.arange(4.0), "bounding_boxes": boxes, "segmentation_masks": masks}
    transformation = layer.get_random_transformation(torch.from_numpy(images))
    layer.get_random_transformation = lambda *args, **kwargs: transformation
    outputs = layer(data, training=True)
    order, weight = transformation["permutation_order"].numpy(), transformation["mix_weight"].double().numpy()
    for key in ("images", "labels", "segmentation_masks"):
        w = weight.reshape(-1, *[1] * (data[key].ndim - 1))
        np.testing.assert_allclose(outputs[key], w * data[key] + (1 - w) * data[key][order], rtol=1e-5, atol=1e-4)
    for key in ("boxes", "labels"):
        expected = np.concatenate([boxes[key], boxes[key][order]], 1)
        np.testing.assert_array_equal(outputs["bounding_boxes"][key], expected)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_mosaic(data_format, rng):
    """Against the definition, pixel by pixel."""
    height, width = 6, 8
    images, masks = images_of(rng), rng.integers(0, 3, (4, height, width, 1))
    boxes = {"boxes": np.array([[[0.0, 0.0, 8.0, 6.0], [2.0, 1.0, 3.0, 2.0]]] * 4), "labels": np.array([[5, 6]] * 4)}
    data = {
        "images": images,
        "labels": np.eye(4, dtype="float32"),
        "bounding_boxes": boxes,
        "segmentation_masks": masks,
    }
    if data_format == "channels_first":
        data |= {key: data[key].transpose(0, 3, 1, 2) for key in ("images", "segmentation_masks")}
    layer = keras.layers.Mosaic(offset=(0.2, 0.7), bounding_box_format="xyxy", data_format=data_format)
    transformation = layer.get_random_transformation(torch.from_numpy(data["images"]))
    layer.get_random_transformation = lambda *args, **kwargs: transformation
    outputs = layer(data, training=True)
    if data_format == "channels_first":
        outputs |= {key: outputs[key].permute(0, 2, 3, 1) for key in ("images", "segmentation_masks")}
    assert outputs["segmentation_masks"].dtype == torch.int64
    for i in range(4):
        order = transformation["permutation_order"][i].tolist()
        cx, cy = (transformation["mosaic_centers"][i] * torch.tensor([width, height])).round().long().tolist()
        assert order[0] == i and 0.2 * width - 1 < cx < 0.7 * width + 1 and 0.2 * height - 1 < cy < 0.7 * height + 1
        for key, source in (("images", images), ("segmentation_masks", masks)):
            tall = [np.concatenate([source[order[q]], source[order[q + 1]]], 1) for q in (0, 2)]
            seen = np.concatenate(tall, 0)[height - cy : 2 * height - cy, width - cx : 2 * width - cx]
            np.testing.assert_array_equal(outputs[key][i], seen)
        areas = np.array([cx * cy, (width - cx) * cy, cx * (height - cy), (width - cx) * (height - cy)])
        np.testing.assert_allclose(
            outputs["labels"][i], areas @ np.eye(4)[order] / (height * width), rtol=1e-5, atol=1e-6
        )
        corners = [[0, 0, cx, cy], [cx, 0, width, cy], [0, cy, cx, height], [cx, cy, width, height]]
        np.testing.assert_allclose(outputs["bounding_boxes"]["boxes"][i][::2], corners, atol=1e-5)
        # Of the small box of the image at the top left, something is seen where its end is in the picture.
        is_seen = 3 + cx - width > 0 and 2 + cy - height > 0
        assert outputs["bounding_boxes"]["labels"][i].tolist()[:2] == [5, 6 if is_seen else -1]
    single = keras.layers.Mosaic(data_format=data_format)(data["images"][0], training=True)
    assert single.shape == data["images"][0].shape


LABELS = {"images": np.zeros((2, 4, 4, 3), "float32"), "labels": np.array([0, 1])}
OUR_ERRORS = [
    (lambda: keras.layers.MixUp()(LABELS, training=True), "must be one-hot encoded"),
    (lambda: keras.layers.Mosaic()(LABELS, training=True), "so `labels` must be one-hot encoded"),
    (lambda: keras.layers.Mosaic(offset=(0.1, 0.2, 0.3)), "it must be of length 2"),
    (lambda: keras.layers.Mosaic(offset=1.5), "in the range"),
    (lambda: keras.layers.Mosaic(offset=(0.6, 0.2)), "must be less than or equal"),
    (lambda: keras.layers.Mosaic(offset="a"), "either a float or a tuple of two floats"),
]


@pytest.mark.parametrize("case", range(len(OUR_ERRORS)))
def test_errors(case):
    call, words = OUR_ERRORS[case]
    with pytest.raises(ValueError, match=words):
        call()


IMAGES = np.zeros((4, 4), "float32")
BOXES = {"images": np.zeros((2, 4, 4, 3)), "bounding_boxes": {"boxes": np.zeros((2, 1, 4)), "labels": np.zeros((2, 1))}}
ERRORS = [
    (lambda k: k.layers.RandomBrightness(2.0), "The `factor` argument should be a number"),
    (lambda k: k.layers.RandomBrightness("a"), "The `factor` argument should be a number"),
    (lambda k: k.layers.RandomBrightness((0.1, 0.2, 0.3)), "The `factor` argument should be a number"),
    (lambda k: k.layers.RandomHue((2, 3)), "The `factor` argument should be a number"),
    (lambda k: k.layers.RandomGrayscale(1.5), "`factor` should be between 0 and 1"),
    (lambda k: k.layers.AutoContrast(factor=1), "does not take a `factor` argument"),
    *(
        (lambda k, n=n, v=v: getattr(k.layers, n)(**v), "The `value_range` argument should be a list of two numbers")
        for n, v in [
            ("RandomBrightness", {"factor": 0.1, "value_range": 5}),
            ("Solarization", {"value_range": (0, 1, 2)}),
            ("AutoContrast", {"value_range": "ab"}),
            ("RandomSaturation", {"factor": 0.1, "value_range": 5}),
            ("RandomPosterization", {"factor": 2, "value_range": 5}),
        ]
    ),
    (lambda k: k.layers.Solarization(threshold_factor=2), "`addition_factor` and `threshold_factor` arguments"),
    (lambda k: k.layers.Solarization(addition_factor="a"), "`addition_factor` and `threshold_factor` arguments"),
    (lambda k: k.layers.RandomBrightness(0.1)(IMAGES), "Expected the input image to be rank 3 or 4"),
    (lambda k: k.layers.AutoContrast()(IMAGES), "Expected image tensor to have rank 3"),
    (lambda k: k.layers.AutoContrast()(dict(BOXES)), "you didn't specify a bounding box format"),
    (
        lambda k: k.layers.RandomColorDegeneration(0.1).compute_output_shape((None, 4, 4, 5)),
        "Input images must have 3 channels",
    ),
]


@pytest.mark.parametrize("case", range(len(ERRORS)))
def test_errors_have_the_words_of_keras(case):
    call, words = ERRORS[case]
    for library in (keras, real_keras):
        with pytest.raises(ValueError, match=words):
            call(library)


def test_boxes_cannot_be_cut():
    for library in (keras, real_keras):
        with pytest.raises(NotImplementedError):
            library.layers.CutMix(bounding_box_format="xyxy")(dict(BOXES), training=True)
