"""Image layers that change colors or mix images, against Keras: numbers, draws, types, configs."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import torch

import torchkeras
from tests.interop.color_layer_cases import CASES

cases = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)


def pair(case, seed=5, **more):
    """The layer here and in Keras, with a seed where it takes one."""
    seeded = {"seed": seed} if "seed" in keras_parameters(case.name) else {}
    arguments = {**case.arguments, **seeded, **more}
    return getattr(torchkeras.layers, case.name)(**arguments), getattr(keras.layers, case.name)(**arguments)


def keras_parameters(name):
    return getattr(keras.layers, name).__init__.__code__.co_varnames


def images_of(rng, dtype="float32"):
    images = rng.integers(0, 256, (4, 7, 8, 3))
    images[1, ..., 0] = 17  # a channel of one value
    return images.astype(dtype)


def same(mine, theirs, atol):
    theirs = theirs.detach().cpu()
    assert mine.dtype == theirs.dtype and mine.shape == theirs.shape
    np.testing.assert_allclose(mine.double(), theirs.double(), rtol=1e-5, atol=atol)


@cases
@pytest.mark.parametrize("dtype", ["float32", "uint8", "int32"])
def test_draws_and_numbers(case, dtype, rng):
    images = images_of(rng, dtype)
    mine, theirs = pair(case)
    atol = case.atol if dtype == "float32" or case.name != "ContrastLimitedAdaptiveHistogramEqualization" else 1
    for _ in range(2):  # seeds move on alike
        if case.name == "RandomSaturation" and dtype != "float32":  # refused by Keras
            same(mine(images), theirs(images.astype("float32")), atol)
        elif case.name == "RandomBrightness" and dtype == "uint8":  # wraps around in Keras
            same(mine(images), theirs(images.astype("int32")).to(torch.uint8), atol)
        else:
            same(mine(images), theirs(images.copy()), atol)
    same(mine(images, training=False), theirs(images, training=False), atol)


@cases
def test_one_transformation(case, rng):
    images = images_of(rng)
    labels = np.eye(4, dtype="float32")
    mine, theirs = pair(case)
    transformation = theirs.get_random_transformation(torch.from_numpy(images))
    if transformation is not None:
        same(
            mine.transform_images(images, transformation),
            theirs.transform_images(torch.tensor(images), transformation),
            case.atol,
        )
        same(
            mine.transform_labels(labels, transformation),
            theirs.transform_labels(torch.tensor(labels), transformation),
            1e-6,
        )
    drawn = mine.get_random_transformation(torch.from_numpy(images), seed=3)
    expected = theirs.get_random_transformation(torch.from_numpy(images), seed=3)
    if case.name == "RandomColorJitter":  # its parts draw
        return
    assert type(drawn) is type(expected)
    if isinstance(drawn, dict):
        assert list(drawn) == list(expected)
        for name in drawn:
            same(drawn[name].to(expected[name].dtype), expected[name], 1e-6)
    elif drawn is not None:
        same(drawn, expected, 0)


@cases
def test_channels_first(case, rng):
    images = images_of(rng)
    mine, _ = pair(case, data_format="channels_first")
    last, theirs = pair(case)
    outputs = mine(images.transpose(0, 3, 1, 2)).permute(0, 2, 3, 1)
    same(outputs, last(images), case.atol)
    same(outputs, theirs(images.copy()), case.atol)


@cases
def test_values_from_0_to_1(case, rng):
    if case.unit is None:
        pytest.skip("has no range of values")
    images = images_of(rng) / np.float32(255)
    mine, theirs = pair(case, **case.unit)
    steps = 1 / 255 if "Equalization" in case.name or case.name == "RandomPosterization" else 0
    same(mine(images), theirs(images.copy()), 1e-5 + steps)


def test_saturation_is_clipped_to_the_range_of_values(rng):
    """Keras's, so that a range above 0 gives colors to gray pixels."""
    images = images_of(rng)
    images[0] = images[0, ..., :1]
    arguments = {"factor": (0.1, 0.9), "value_range": (20, 200), "seed": 1}
    mine, theirs = (k.layers.RandomSaturation(**arguments)(images.copy()) for k in (torchkeras, keras))
    same(mine, theirs, 1.0)  # of values up to 5000


@cases
def test_single_images(case, rng):
    image = images_of(rng)[0]
    mine, theirs = pair(case)
    same(mine(image), theirs(image.copy()), case.atol)


@cases
def test_configs_both_ways(case):
    mine, theirs = pair(case, name="layer")
    ours, expected = mine.get_config(), theirs.get_config()
    for config in (ours, {"seed": 5, **expected} if "seed" in ours else expected):  # Keras's RandomGrayscale loses it
        assert type(mine).from_config(config).get_config() == ours
        assert type(theirs).from_config(config).get_config() == expected
    assert list(ours) == list(ours | expected)  # nothing of Keras's is missing
    assert {key: _listed(ours[key]) for key in expected if key != "dtype"} == {
        key: _listed(value) for key, value in expected.items() if key != "dtype"
    }


def test_models_in_files(tmp_path, rng):
    """Of all layers, both ways. A functional model with Equalization is refused by Keras itself."""
    images = images_of(rng)
    for library, other in ((torchkeras, keras), (keras, torchkeras)):
        inputs = x = library.Input((7, 8, 3))
        for case in CASES:
            if case.name != "Equalization":
                x = getattr(library.layers, case.name)(**case.arguments)(x)
        model = library.Model(inputs, library.layers.Dense(2)(library.layers.Flatten()(x)))
        model.save(tmp_path / "model.keras")
        loaded = other.models.load_model(tmp_path / "model.keras")
        expected = model(images, training=False).detach()
        np.testing.assert_allclose(loaded(images, training=False).detach(), expected, rtol=1e-3, atol=0.05)


def _listed(value):
    if isinstance(value, dict):
        return {key: _listed(item) for key, item in value.items()}
    return [_listed(item) for item in value] if isinstance(value, (list, tuple)) else value
