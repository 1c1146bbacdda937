"""FAQ 9: weights by the layers' names, into a model of another architecture."""

import warnings

import numpy as np
import pytest

import torchkeras as keras


def original():
    model = keras.Sequential()
    model.add(keras.layers.Dense(2, input_dim=3, name="dense_1"))  # will be loaded
    model.add(keras.layers.Dense(3, name="dense_2"))
    return model


def hold_the_example(fname, saved):
    """Load the file as the FAQ does: layers that have a namesake in it get its weights, others keep theirs."""
    model = keras.Sequential()
    model.add(keras.layers.Dense(2, input_dim=3, name="dense_1"))  # will be loaded
    model.add(keras.layers.Dense(10, name="new_dense"))  # will not be loaded
    fresh = model.get_layer("new_dense").get_weights()
    model.load_weights(fname, by_name=True)
    for mine, theirs in zip(
        model.get_layer("dense_1").get_weights(), saved.get_layer("dense_1").get_weights(), strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)
    for mine, theirs in zip(model.get_layer("new_dense").get_weights(), fresh, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_the_faqs_example(tmp_path):
    fname = tmp_path / "m.weights.h5"
    saved = original()
    saved.save_weights(fname)
    hold_the_example(fname, saved)


def test_skip_mismatch(tmp_path):
    fname = tmp_path / "m.weights.h5"
    original().save_weights(fname)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(7, name="dense_1")])
    with pytest.raises(ValueError, match="dense_1"):
        model.load_weights(fname, by_name=True)
    with pytest.warns(UserWarning, match="dense_1"):
        model.load_weights(fname, by_name=True, skip_mismatch=True)


def test_from_a_legacy_file(tmp_path):
    fname = tmp_path / "m.h5"
    saved = original()
    with pytest.warns(UserWarning, match="considered legacy"):
        saved.save(fname)
    hold_the_example(fname, saved)


@pytest.mark.parametrize("name", ["m.h5", "m.keras", "m.weights.h5"])
def test_skip_mismatch_from_each_format(tmp_path, name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        saved = original()
        saved.save_weights(tmp_path / name) if name.endswith(".weights.h5") else saved.save(tmp_path / name)
    layers = [keras.layers.Dense(2, name="dense_1"), keras.layers.Dense(7, name="dense_2")]
    model = keras.Sequential([keras.Input((3,)), *layers])
    with pytest.raises(ValueError, match="dense_2"):
        model.load_weights(tmp_path / name, by_name=True)
    with pytest.warns(UserWarning, match="dense_2"):
        model.load_weights(tmp_path / name, by_name=True, skip_mismatch=True)
    np.testing.assert_array_equal(model.layers[0].get_weights()[0], saved.layers[0].get_weights()[0])
