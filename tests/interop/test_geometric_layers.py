"""Image layers that move, cut, blur or cover pixels, against Keras: numbers, draws, boxes, masks, configs."""

from __future__ import annotations

import copy

import keras
import numpy as np
import pytest
import torch

import torchkeras

AFFINE = [{"fill_mode": mode, "interpolation": kind, "fill_value": 2.0} for mode in ("reflect", "wrap", "constant",
    "nearest") for kind in ("nearest", "bilinear")]  # fmt: skip
CASES = [
    ("Resizing", {"height": 5, "width": 7}),
    ("Resizing", {"height": 14, "width": 7, "interpolation": "nearest"}),
    ("Resizing", {"height": 5, "width": 17, "interpolation": "bicubic"}),
    ("Resizing", {"height": 5, "width": 7, "antialias": True}),
    ("Resizing", {"height": 5, "width": 7, "interpolation": "bicubic", "antialias": True}),
    ("Resizing", {"height": 14, "width": 20, "crop_to_aspect_ratio": True}),
    ("Resizing", {"height": 5, "width": 4, "crop_to_aspect_ratio": True, "interpolation": "nearest"}),
    ("Resizing", {"height": 5, "width": 7, "pad_to_aspect_ratio": True, "fill_value": 3.0}),
    ("CenterCrop", {"height": 5, "width": 6}),
    ("CenterCrop", {"height": 12, "width": 6}),
    ("RandomCrop", {"height": 5, "width": 6}),
    ("RandomCrop", {"height": 12, "width": 6}),
    ("RandomFlip", {"mode": "horizontal"}),
    ("RandomFlip", {"mode": "vertical"}),
    ("RandomFlip", {}),
    *(("RandomRotation", {"factor": 0.3, **options}) for options in AFFINE),
    ("RandomTranslation", {"height_factor": 0.3, "width_factor": (-0.2, 0.5)}),
    ("RandomTranslation", {"height_factor": 0.3, "width_factor": 0.0, "fill_mode": "wrap", "interpolation": "nearest"}),
    ("RandomZoom", {"height_factor": 0.3}),
    ("RandomZoom", {"height_factor": (-0.5, 0.3), "width_factor": 0.2, "fill_mode": "constant"}),
    ("RandomShear", {"x_factor": 0.3, "y_factor": (0.1, 0.4)}),
    ("RandomPerspective", {}),
    ("RandomPerspective", {"factor": 0.5, "scale": 0.3, "interpolation": "nearest", "fill_value": 4.0}),
    ("RandomGaussianBlur", {}),
    ("RandomGaussianBlur", {"kernel_size": (7, 7), "sigma": (0.3, 0.9), "factor": 0.7}),
    ("RandomErasing", {}),
    ("RandomErasing", {"factor": 0.5, "fill_value": 9.0}),
    ("RandomErasing", {"scale": 0.5, "fill_value": (1.0, 2.0, 3.0)}),
    ("MaxNumBoundingBoxes", {"max_number": 4}),
    ("MaxNumBoundingBoxes", {"max_number": 1}),
]
cases = pytest.mark.parametrize("name, arguments", CASES, ids=lambda value: str(value).replace(" ", ""))
# Keras turns masks by matrices that it has changed in place, and rounds the corners of perspectives to the mask's type.
MASKS_WRONG_IN_KERAS = ("RandomRotation", "RandomPerspective")
SEEDLESS = ("Resizing", "CenterCrop", "MaxNumBoundingBoxes")


def pair(name, arguments, /, **more):
    """The layer here and in Keras, with one seed where it takes one."""
    arguments = {**arguments, **({} if name in SEEDLESS else {"seed": 5}), **more}
    return getattr(torchkeras.layers, name)(**arguments), getattr(keras.layers, name)(**arguments)


def data_of(rng, dtype="float32", data_format="channels_last", format="xyxy"):
    images, masks = rng.integers(0, 256, (3, 9, 11, 3)).astype(dtype), rng.integers(0, 5, (3, 9, 11, 1))
    boxes = np.sort(rng.random((3, 2, 2, 2)) * 9, axis=2).reshape(3, 2, 4).astype("float32")
    boxes = torchkeras.utils.bounding_boxes.convert_format(boxes, "xyxy", format, height=9, width=11).numpy()
    if data_format == "channels_first":
        images, masks = images.transpose(0, 3, 1, 2), masks.transpose(0, 3, 1, 2)
    return {
        "images": images,
        "labels": np.eye(3, dtype="float32"),
        "segmentation_masks": masks.astype("uint8"),
        "bounding_boxes": {"boxes": boxes, "labels": rng.integers(0, 9, (3, 2))},
    }


def same(mine, theirs, atol=2e-3):
    if isinstance(mine, dict):
        assert mine.keys() == theirs.keys()
        for key in mine:
            same(mine[key], theirs[key], atol)
        return
    theirs = theirs.detach().cpu() if isinstance(theirs, torch.Tensor) else torch.as_tensor(theirs)
    assert (mine.dtype, mine.shape) == (theirs.dtype, theirs.shape)
    np.testing.assert_allclose(mine.double(), theirs.double(), rtol=1e-5, atol=atol)


@cases
@pytest.mark.parametrize("data_format, dtype, single", [
    ("channels_last", "uint8", False), ("channels_first", "float32", False), ("channels_last", "int32", True),
])  # fmt: skip
def test_images_labels_boxes_and_masks(name, arguments, data_format, dtype, single, rng):
    if data_format == "channels_first" and isinstance(arguments.get("fill_value"), tuple):
        data_format = "channels_last"  # Keras puts the three numbers along the columns
    data = data_of(rng, dtype, data_format)
    if single:
        data = {key: value[0] for key, value in data.items() if key != "bounding_boxes"} | {
            "bounding_boxes": {key: value[0] for key, value in data["bounding_boxes"].items()}
        }
    mine, theirs = pair(name, arguments, data_format=data_format, bounding_box_format="xyxy")
    for training in (True, True, False):
        untouched = copy.deepcopy(data)
        ours = mine(data, training=training)
        for key in data:
            np.testing.assert_equal(data[key], untouched[key])
        expected = theirs(untouched, training=training)
        if training and name in MASKS_WRONG_IN_KERAS:
            del ours["segmentation_masks"], expected["segmentation_masks"]
        if not training and name == "RandomCrop":  # Keras cuts the mask and leaves the image whole
            del ours["segmentation_masks"], expected["segmentation_masks"]
        if name == "RandomCrop":  # Keras takes rows from x and columns from y; held to the images below
            del ours["bounding_boxes"], expected["bounding_boxes"]
        same(ours, expected)
        if training:
            same(mine(data["images"]), theirs(copy.deepcopy(data["images"])))


@cases
def test_one_transformation(name, arguments, rng):
    images = torch.from_numpy(data_of(rng)["images"])
    mine, theirs = pair(name, arguments)
    transformation = theirs.get_random_transformation(images, training=True, seed=7)
    drawn = mine.get_random_transformation(images, training=True, seed=7)
    assert type(drawn) is type(transformation)
    if isinstance(drawn, dict):
        assert drawn.keys() == transformation.keys()
    same(
        mine.transform_images(images, copy.deepcopy(transformation)),
        theirs.transform_images(images, copy.deepcopy(transformation)),
    )
    same(mine.transform_images(images, drawn), theirs.transform_images(images, transformation))


@pytest.mark.parametrize("format", ["yxyx", "xywh", "rel_xyxy", "rel_center_xywh"])
@pytest.mark.parametrize("name, arguments", [
    ("Resizing", {"height": 5, "width": 7, "pad_to_aspect_ratio": True}), ("CenterCrop", {"height": 12, "width": 6}),
    ("RandomCrop", {"height": 5, "width": 6}), ("RandomCrop", {"height": 12, "width": 6}), ("RandomFlip", {}),
    ("RandomRotation", {"factor": 0.3}), ("RandomTranslation", {"height_factor": 0.3, "width_factor": 0.1}),
    ("RandomZoom", {"height_factor": 0.3}), ("RandomShear", {"x_factor": 0.3}), ("RandomPerspective", {"scale": 0.4}),
])  # fmt: skip
def test_boxes_move_alike_in_every_format(name, arguments, format, rng):
    data = data_of(rng)
    corners, _ = pair(name, arguments, bounding_box_format="xyxy")
    other, _ = pair(name, arguments, bounding_box_format=format)
    convert = torchkeras.utils.bounding_boxes.convert_format
    boxes = convert(data["bounding_boxes"], "xyxy", format, height=9, width=11)
    expected, found = corners(data), other({**data, "bounding_boxes": boxes})
    height, width = found["images"].shape[1:3]
    back = convert(found["bounding_boxes"], format, "xyxy", height=height, width=width)
    same(back["boxes"], expected["bounding_boxes"]["boxes"])


@pytest.mark.parametrize("name, arguments", [
    ("RandomCrop", {"height": 6, "width": 5}), ("RandomCrop", {"height": 20, "width": 30}),
    ("CenterCrop", {"height": 6, "width": 5}), ("RandomRotation", {"factor": (0.25, 0.25)}),
    ("RandomTranslation", {"height_factor": 0.2, "width_factor": 0.2, "fill_mode": "constant"}),
    ("RandomPerspective", {"scale": 0.2}), ("RandomElasticTransform", {"scale": 0.3}),
])  # fmt: skip
def test_masks_and_boxes_follow_their_images(name, arguments):
    images = torch.zeros(4, 16, 16, 1)
    images[:, 6:11, 5:11] = 200.0
    data = {"images": images, "segmentation_masks": (images > 100).to(torch.uint8)}
    if name != "RandomElasticTransform":
        data["bounding_boxes"] = {"boxes": torch.tensor([[5.0, 6.0, 11.0, 11.0]]).repeat(4, 1, 1), "labels":
            torch.ones(4, 1)}  # fmt: skip
    outputs = pair(name, arguments, bounding_box_format="xyxy")[0](data, training=True)
    bright = outputs["images"][..., 0] > 100
    mask = outputs["segmentation_masks"][..., 0] > 0.5
    assert bright.any() and (bright != mask).float().mean() < 0.04
    if "bounding_boxes" in data:
        for seen, box in zip(bright, outputs["bounding_boxes"]["boxes"][:, 0], strict=True):
            if seen.any():
                rows, columns = seen.nonzero().unbind(1)
                around = torch.stack([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
                assert (box - around).abs().max() <= 2.5


def test_elastic_fields_are_kerass(rng):
    """Keras draws them from torch's own generator, whatever the seed; given one noise, the images are equal."""
    images = torch.from_numpy(data_of(rng)["images"])
    for fill_mode, interpolation in [("reflect", "bilinear"), ("constant", "nearest"), ("mirror", "bilinear")]:
        options = {"scale": (0.3, 0.9), "fill_mode": fill_mode, "interpolation": interpolation}
        mine, theirs = pair("RandomElasticTransform", options)
        transformation = theirs.get_random_transformation(images, training=True)
        seed = int(rng.integers(1000))
        torch.manual_seed(seed)
        expected = theirs.transform_images(images, transformation)
        torch.manual_seed(seed)
        noise = torch.stack([torch.normal(0.0, 1.0, images.shape[:3]) for _ in range(2)])
        same(mine.transform_images(images, {**transformation, "noise": noise}), expected)
        again = pair("RandomElasticTransform", options)[0]
        assert torch.equal(mine(images, training=True), again(images, training=True))


@cases
def test_configs_both_ways(name, arguments):
    mine, theirs = pair(name, arguments, name="layer", bounding_box_format="xyxy")
    ours, expected = mine.get_config(), theirs.get_config()
    assert type(mine).from_config(ours).get_config() == ours
    assert type(mine).from_config(expected).get_config() == ours
    revived = type(theirs).from_config(ours)
    for key in expected.keys() - {"dtype"}:
        assert getattr(revived, key) == getattr(theirs, key) == getattr(mine, key)


WRONG = [
    ("Resizing", {"height": 2, "width": 2, "interpolation": "cube"}, ValueError, "interpolation=cube"),
    ("Resizing", {"height": 2, "width": 2, "fill_mode": "wrap"}, ValueError, "Only `'constant'` is supported"),
    ("Resizing", {"height": 2, "width": 2, "crop_to_aspect_ratio": True, "pad_to_aspect_ratio": True}, ValueError,
        "Only one of `pad_to_aspect_ratio` & `crop_to_aspect_ratio`"),
    ("Resizing", {"height": 2, "width": 2, "factor": 1.0}, ValueError, "does not take a `factor`"),
    ("CenterCrop", {"height": 2, "width": 2, "data_format": "last"}, ValueError, "data_format"),
    ("RandomFlip", {"mode": "diagonal"}, ValueError, "mode=diagonal"),
    ("RandomRotation", {"factor": 2.0}, ValueError, r"in the range \[-1, 1\]"),
    ("RandomRotation", {"factor": "much"}, ValueError, "should be a number"),
    ("RandomRotation", {"factor": 0.1, "fill_mode": "edge"}, NotImplementedError, "Unknown `fill_mode` edge"),
    ("RandomZoom", {"height_factor": 0.1, "interpolation": "bicubic"}, NotImplementedError, "Unknown `interpolation`"),
    ("RandomZoom", {"height_factor": -1.0}, ValueError, r"in the range \(-1.0, 1.0\]"),
    ("RandomTranslation", {"height_factor": (0, 1, 2), "width_factor": 0}, ValueError, "height_factor="),
    ("RandomTranslation", {"height_factor": 0, "width_factor": 1.5}, ValueError, "input_number=1.5"),
    ("RandomShear", {"x_factor": (-0.5, 0.2)}, ValueError, r"in the range \[0, 1.0\]"),
    ("RandomPerspective", {"scale": 1.5}, ValueError, r"in the range \[0,1\]. Received: scale=1.5"),
    ("RandomElasticTransform", {"scale": 2.0}, ValueError, "The `scale` argument"),
    ("RandomGaussianBlur", {"kernel_size": 4}, ValueError, "must be an odd number"),
    ("RandomErasing", {"fill_value": (1.0, 2.0)}, ValueError, "list of three numbers"),
]  # fmt: skip


@pytest.mark.parametrize("name, arguments, error, words", WRONG)
def test_wrong_arguments(name, arguments, error, words):
    with pytest.raises(error, match=words):
        getattr(torchkeras.layers, name)(**arguments)


def test_wrong_inputs(rng):
    layer = torchkeras.layers.RandomFlip()
    with pytest.raises(ValueError, match="rank 3"):
        layer(np.ones((2, 3)))
    with pytest.raises(ValueError, match="didn't specify a bounding box format"):
        layer(data_of(rng))
    with pytest.raises(ValueError, match="non-nested tuple"):
        torchkeras.layers.CenterCrop(2, 2).compute_output_shape((1, 2))


def test_draws_differ_from_sample_to_sample_and_from_worker_to_worker():
    image = torch.arange(8.0).reshape(1, 8, 1)

    class Flipped(torch.utils.data.Dataset):
        layer = torchkeras.layers.RandomTranslation(0.0, 0.9, seed=3)

        def __len__(self):
            return 16

        def __getitem__(self, index):
            return self.layer(image, training=True)

    batch = Flipped.layer(image.repeat(16, 1, 1, 1), training=True)
    assert len({tuple(sample.flatten().tolist()) for sample in batch}) > 12
    loader = torch.utils.data.DataLoader(Flipped(), batch_size=8, num_workers=2)
    first, second = (tuple(map(tuple, batch.flatten(1).tolist())) for batch in loader)
    assert not set(first) & set(second)


def test_augmentation_inside_a_compiled_model(rng):
    layers = torchkeras.layers
    inputs = torchkeras.Input((8, 10, 3))
    x = layers.RandomFlip(seed=1)(inputs)
    x = layers.RandomRotation(0.1, seed=2)(x)
    x = layers.RandomZoom(0.2, seed=3)(x)
    x = layers.RandomCrop(6, 7, seed=4)(x)
    x = layers.RandomErasing(seed=5)(x)
    x = layers.Resizing(4, 4)(x)
    outputs = layers.Dense(1)(layers.Flatten()(x))
    model = torchkeras.Model(inputs, outputs)
    images = rng.random((6, 8, 10, 3)).astype("float32")
    twin = torchkeras.Model.from_config(model.get_config())
    twin.set_weights(model.get_weights())
    compiled = torch.compile(twin, backend="aot_eager", fullgraph=True)
    expected, found = (f(torch.from_numpy(images), training=True) for f in (model, compiled))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    model.compile("sgd", "mse")
    history = model.fit(images, np.ones((6, 1)), epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    assert model.predict(images, verbose=0).shape == (6, 1)


@pytest.mark.parametrize("shape", [(4, 4), (1, 2, 4, 4, 3)])
@pytest.mark.parametrize("name, arguments", [("Resizing", (4, 4)), ("CenterCrop", (2, 2)), ("RandomCrop", (2, 2))])
def test_the_rank_of_images(name, arguments, shape):
    with pytest.raises(ValueError, match=r"rank 3 \(single image\) or 4"):
        getattr(torchkeras.layers, name)(*arguments)(torch.zeros(shape), training=True)
