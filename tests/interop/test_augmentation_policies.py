"""RandAugment and AugMix against Keras: draws, numbers, boxes and masks, types, graphs, configs."""

from __future__ import annotations

import copy
import random
import warnings

import keras
import numpy as np
import pytest
import torch

import torchkeras

CASES = [
    ("RandAugment", {}),
    ("RandAugment", {"factor": (0.1, 0.4), "num_ops": 3, "interpolation": "nearest"}),
    ("AugMix", {}),
    ("AugMix", {"all_ops": False, "num_chains": 2, "factor": 0.5, "alpha": 0.5}),
]
cases = pytest.mark.parametrize("name, arguments", CASES, ids=lambda value: str(value))


def pair(kind, arguments, **more):
    return [getattr(library.layers, kind)(**arguments, **more) for library in (torchkeras, keras)]


@pytest.fixture(autouse=True)
def without_leaks(monkeypatch):
    """Keras's RandomBrightness adds to its input in place, also where RandAugment does not choose it."""
    original = keras.layers.RandomBrightness.transform_images

    def on_a_copy(self, images, *args, **kwargs):
        return original(self, images.clone(), *args, **kwargs)

    monkeypatch.setattr(keras.layers.RandomBrightness, "transform_images", on_a_copy)


def drawn_alike(layers, seed, call):
    """What `call` makes of each layer, from the same state of Python's generator."""
    results = []
    for layer in layers:
        random.seed(seed)
        results.append(call(layer))
    return results


def images_of(rng, dtype="float32"):
    return rng.integers(0, 256, (3, 9, 10, 3)).astype(dtype)


def agreement(mine, theirs, atol=0.1):
    """The part of the values that agree."""
    assert mine.dtype == theirs.dtype and mine.shape == theirs.shape
    return np.isclose(mine.double(), theirs.double(), rtol=1e-4, atol=atol).mean()


def same(found):
    """Most draws agree in nearly all values, and each in most.

    Posterization, solarization and equalization have jumps: a value that one library rounds 1e-5 lower lands on the
    other side, and one such value in the histogram of an equalization moves many, in about one of 500 draws. Another
    transformation, or other numbers drawn for it, would change nearly all values.
    """
    assert np.median(found) > 0.98 and min(found) > 0.5, f"these parts of the values agree: {found}"


@cases
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_draws_and_numbers(name, arguments, dtype, rng, seed):
    layers, found = pair(name, arguments, seed=7), []
    for step in range(4):
        images = images_of(rng, dtype)[0 if step == 3 else slice(None)]
        found.append(agreement(*drawn_alike(layers, seed + step, lambda layer: layer(images.copy(), training=True))))
    same(found)
    assert agreement(*(layer(images, training=False) for layer in layers)) == 1


@cases
def test_keras_transformation(name, arguments, rng, seed):
    (mine, theirs), found = pair(name, arguments, seed=7), []
    random.seed(seed)
    for _ in range(3):
        images, masks = torch.from_numpy(images_of(rng)), torch.from_numpy(rng.integers(0, 3, (3, 9, 10, 1)))
        transformation = theirs.get_random_transformation(images)
        copied = copy.deepcopy(transformation)  # Keras changes matrices in place
        found.append(agreement(mine.transform_images(images, transformation), theirs.transform_images(images, copied)))
        copied = copy.deepcopy(transformation)
        moved = [
            layer.transform_segmentation_masks(masks.float(), one)
            for layer, one in ((mine, transformation), (theirs, copied))
        ]
        assert agreement(*moved) > 0.95
    same(found)
    assert mine.transform_segmentation_masks(masks, transformation).shape == masks.shape


@cases
def test_channels_first(name, arguments, rng, seed):
    images = images_of(rng)
    layers = [
        getattr(torchkeras.layers, name)(**arguments, seed=3, data_format=data_format)
        for data_format in ("channels_first", "channels_last")
    ]

    def call(layer):
        first = layer.data_format == "channels_first"
        outputs = layer(images.transpose(0, 3, 1, 2) if first else images, training=True)
        return outputs.permute(0, 2, 3, 1) if first else outputs

    same([agreement(*drawn_alike(layers, seed, call))])


def test_boxes_follow_images(rng):
    """Each layer that is chosen moves boxes as it moves images, one after another."""
    layer = torchkeras.layers.RandAugment(num_ops=3, factor=0.2, bounding_box_format="xyxy")
    images = torch.from_numpy(images_of(rng))
    boxes = {"boxes": torch.tensor([[[1.0, 1.0, 6.0, 7.0]]] * 3), "labels": torch.zeros(3, 1, dtype=torch.int64)}
    transformation = layer.get_random_transformation(images)
    names = list(transformation["transforms"])
    for chosen in (["random_translation"] * 3, ["random_rotation", "auto_contrast", "random_translation"]):
        transformation["layer_idxes"] = torch.tensor([names.index(name) for name in chosen])
        expected = boxes
        for name in chosen:
            expected = getattr(layer, name).transform_bounding_boxes(expected, transformation["transforms"][name])
        outputs = layer.transform_bounding_boxes(boxes, transformation)
        torch.testing.assert_close(outputs["boxes"], expected["boxes"])
        assert torch.equal(outputs["labels"], expected["labels"])
    data = {"images": images, "bounding_boxes": boxes, "labels": torch.arange(3)}
    augmented = layer(data, training=True)
    assert augmented["bounding_boxes"]["boxes"].shape == (3, 1, 4) and augmented["labels"].tolist() == [0, 1, 2]
    kept = torchkeras.layers.AugMix(bounding_box_format="xyxy")(data, training=True)["bounding_boxes"]["boxes"]
    assert torch.equal(kept, boxes["boxes"])


@cases
def test_types_and_symbols(name, arguments, rng):
    layer = getattr(torchkeras.layers, name)(**arguments, dtype="mixed_float16")
    assert layer(images_of(rng), training=True).dtype == torch.float16
    symbol = getattr(torchkeras.layers, name)(**arguments)(torchkeras.Input((9, None, 3)))
    assert symbol.shape == (None, 9, None, 3) and symbol.dtype == "float32"


def test_rand_augment_compiled(rng):
    """The graph computes all layers and picks; the host picks first."""
    images = torch.from_numpy(images_of(rng))
    plain, compiled = (torchkeras.layers.RandAugment(seed=5, num_ops=1) for _ in range(2))
    torch._dynamo.reset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run = torch.compile(lambda x: compiled(x, training=True), fullgraph=True, backend="eager")
        for _ in range(3):
            torch.testing.assert_close(run(images), plain(images, training=True), atol=1e-2, rtol=1e-4)


@cases
def test_configs_both_ways(name, arguments):
    mine, theirs = pair(name, arguments, seed=2, name="layer")
    ours, expected = mine.get_config(), theirs.get_config()
    for config in (ours, expected):
        assert type(mine).from_config(config).get_config() == ours
        assert type(theirs).from_config(config).get_config() == expected
    assert {key: value for key, value in ours.items() if key != "dtype"} == {
        key: value for key, value in expected.items() if key != "dtype"
    }
