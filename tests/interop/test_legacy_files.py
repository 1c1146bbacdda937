"""Legacy HDF5 files against Keras on torch: what one writes the other reads."""

from __future__ import annotations

import json
import warnings

import h5py
import keras
import numpy as np
import pytest

import torchkeras
from tests.interop import file_cases, layer_cases, model_cases
from tests.interop.test_files import LAYERS, PACKAGES, assert_same_outputs, custom, make, one_layer, train

pytestmark = pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
both_ways = pytest.mark.parametrize("writer, reader", [("keras", "torchkeras"), ("torchkeras", "keras")])


@both_ways
@pytest.mark.parametrize("case", LAYERS, ids=layer_cases.case_id)
def test_each_layer(tmp_path, case, writer, reader, rng):
    model = one_layer(PACKAGES[writer], case)
    model.set_weights([0.5 + rng.random(w.shape) for w in model.get_weights()])
    model.save(tmp_path / "m.h5")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded = PACKAGES[reader].saving.load_model(tmp_path / "m.h5")
    inputs = layer_cases.draw_inputs(case[2], rng)
    assert_same_outputs(model, loaded, inputs if isinstance(inputs, list) else [inputs], 1e-4)


each_case = pytest.mark.parametrize("case", file_cases.ALL, ids=lambda case: case.__name__)


@each_case
def test_whole_models_of_keras(tmp_path, case, seed):
    """A model that Keras trained goes on here just as it does at home: weights, loss, metrics and optimizer's state."""
    model, x, y = make(case, keras, seed)
    train(model, x, y)
    model.save(tmp_path / "m.h5")
    if case is file_cases.subclassed:  # its config can't make its layers before they see data
        loaded, _, _ = make(case, torchkeras, seed)
        loaded.load_weights(tmp_path / "m.h5")
        assert_same_outputs(model, loaded, x)
        return
    loaded = torchkeras.saving.load_model(tmp_path / "m.h5", custom_objects=custom(torchkeras))
    assert_same_outputs(model, loaded, x)
    np.testing.assert_allclose(train(loaded, x, y), train(model, x, y), rtol=2e-3, atol=1e-4)


@each_case
def test_whole_models_of_ours(tmp_path, case, seed):
    model, x, y = make(case, torchkeras, seed)
    train(model, x, y)
    model.save(tmp_path / "m.h5")
    if case is file_cases.subclassed:
        loaded, _, _ = make(case, keras, seed)
        loaded.load_weights(tmp_path / "m.h5")
    else:
        loaded = keras.saving.load_model(tmp_path / "m.h5", custom_objects=custom(keras))
    assert_same_outputs(model, loaded, x)
    if case is not file_cases.subclassed:
        again = torchkeras.saving.load_model(tmp_path / "m.h5", custom_objects=custom(torchkeras))
        np.testing.assert_allclose(train(again, x, y), train(model, x, y), rtol=1e-5, atol=1e-6)


@both_ways
@pytest.mark.parametrize("by_name", [False, True])
@each_case
def test_weights_alone(tmp_path, case, writer, reader, by_name, seed):
    keras.utils.clear_session(free_memory=False)  # so that both number their layers from the start
    model, x, y = make(case, PACKAGES[writer], seed)
    train(model, x, y)
    model.save(tmp_path / "m.h5")
    other, _, _ = make(case, PACKAGES[reader], seed + 1)
    other.load_weights(tmp_path / "m.h5", by_name=by_name)
    assert_same_outputs(model, other, x)


@both_ways
@pytest.mark.parametrize("case", model_cases.ALL, ids=lambda case: case.__name__)
def test_each_form_of_model(tmp_path, case, writer, reader):
    if reader == "keras" and case is model_cases.slices:
        case = model_cases.chain  # Keras can't read `...` in an index out of these files
    model = case(PACKAGES[writer])
    model.save(tmp_path / "m.h5")
    loaded = PACKAGES[reader].saving.load_model(tmp_path / "m.h5")
    for mine, theirs in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(np.asarray(mine, "float32"), np.asarray(theirs, "float32"))


@each_case
def test_the_same_file(tmp_path, case, seed):
    """The same names, shapes and attributes as Keras writes."""
    found = []
    for name, package in PACKAGES.items():
        keras.utils.clear_session(free_memory=False)
        model, x, y = make(case, package, seed)
        train(model, x, y)
        model.save(tmp_path / f"{name}.h5")
        found.append(_described(tmp_path / f"{name}.h5"))
    ours, theirs = found
    assert ours.keys() == theirs.keys()
    for key in ours:
        assert ours[key] == theirs[key], key


def _described(path) -> dict:
    """Datasets by shape and type; attributes by their text; of configs the keys."""
    found: dict = {}
    with h5py.File(path) as file:

        def note(name, item):
            found[name] = (item.shape, str(item.dtype)) if isinstance(item, h5py.Dataset) else None
            for key, value in item.attrs.items():
                found[f"{name}@{key}"] = [v.decode() if isinstance(v, bytes) else str(v) for v in np.ravel(value)]

        file.visititems(note)
        for key in ("model_config", "training_config"):
            found[key] = sorted(json.loads(file.attrs[key])) if key in file.attrs else None
    return found
