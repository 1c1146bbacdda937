"""The networks of `keras.applications` against real Keras's: built on the meta device, where weights cost nothing."""

from __future__ import annotations

import inspect
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import torch
from keras.src.applications import nasnet as keras_nasnet
from keras.src.utils import file_utils

import torchkeras
from tests.saving.stress import stress_count
from torchkeras.applications.building import weight_files


def often(quick, full):
    """The short list in every run, the whole one under `make stress`."""
    return (quick, full)[stress_count(0, 1)]


ALL = sorted(name for name in dir(keras.applications) if name[0].isupper())
SMALLEST = [
    *("ConvNeXtTiny", "DenseNet121", "EfficientNetB0", "EfficientNetV2B3", "InceptionResNetV2", "InceptionV3"),
    *("MobileNet", "MobileNetV2", "MobileNetV3Small", "MobileNetV3Large", "NASNetMobile", "ResNet50", "ResNet50V2"),
    *("VGG16", "VGG19", "Xception"),
]
NO_TOP = {"include_top": False}
SMALL = {"classes": 7, "classifier_activation": None, "input_shape": (96, 101, 1)}
CASES = [
    *((name, {}) for name in often(SMALLEST, ALL)),
    *((name, NO_TOP) for name in ("ConvNeXtTiny", "MobileNet", "NASNetMobile", "VGG16", "Xception")),
    *((name, {**NO_TOP, "pooling": "avg"}) for name in ("ConvNeXtTiny", "MobileNetV2", "MobileNetV3Small", "VGG16")),
    ("ResNet50", {**NO_TOP, "pooling": "max", "input_shape": (96, 97, 3)}),
    *((name, SMALL) for name in ("ConvNeXtTiny", "EfficientNetV2B0", "MobileNetV2", "MobileNetV3Large", "Xception")),
    ("ConvNeXtTiny", {"include_preprocessing": False}),
    ("MobileNet", {"alpha": 0.5, "depth_multiplier": 2, "input_shape": (128, 128, 3)}),
    ("MobileNet", {"alpha": 0.25, "dropout": 0.3, "include_top": False}),
    ("MobileNetV2", {"alpha": 1.4, "input_shape": (96, 96, 3)}),
    ("MobileNetV3Small", {"minimalistic": True}),
    ("MobileNetV3Small", {"alpha": 1.5, "dropout_rate": 0, "include_preprocessing": False}),
    ("EfficientNetB0", {"weights": "imagenet"}),
]


@pytest.fixture(autouse=True)
def nasnet_for_torch(monkeypatch):
    """Keras refuses to build NASNetMobile with torch; its definition is sound."""
    backend = keras_nasnet.backend
    stand_in = SimpleNamespace(
        backend=lambda: "another",
        image_data_format=backend.image_data_format,
        is_keras_tensor=backend.is_keras_tensor,
        name_scope=backend.name_scope,
    )
    monkeypatch.setattr(keras_nasnet, "backend", stand_in)


@pytest.fixture
def fetched(monkeypatch):
    """Nothing is downloaded or loaded; the list has what each package asks `get_file` for."""
    asked = []

    def get_file(fname=None, origin=None, cache_subdir=None, file_hash=None):
        asked.append((fname, origin, cache_subdir, file_hash))
        return "some.h5"

    monkeypatch.setattr(file_utils, "get_file", get_file)
    monkeypatch.setattr(weight_files, "get_file", get_file)
    for package in (keras, torchkeras):
        monkeypatch.setattr(package.Model, "load_weights", lambda *args, **kwargs: None)
    return asked


def build(package, name, **kwargs):
    package.utils.clear_session()
    with package.device("meta"):
        return getattr(package.applications, name)(**{"weights": None, **kwargs})


def plain(config):
    """A config without what says where a class is defined."""
    if isinstance(config, dict):
        left_out = ("module", "registered_name", "build_config", "dtype", "layers", "build_input_shape")
        return {key: plain(value) for key, value in config.items() if key not in left_out}
    return [plain(value) for value in config] if isinstance(config, (list, tuple)) else config


def rows(model):
    """Each operation: name, class, where its inputs come from, shapes, weights and config."""
    found = []
    for operation in model.operations:
        node = operation._inbound_nodes[0]
        sources = [tensor._keras_history.operation.name for tensor in node.input_tensors]
        shapes = [tuple(tensor.shape) for tensor in node.output_tensors]
        weights = [
            (w.path.split("/")[-1], tuple(w.shape), str(w.dtype).removeprefix("torch."), w.trainable)
            for w in getattr(operation, "weights", [])
        ]
        found.append(
            (operation.name, type(operation).__name__, sources, shapes, weights, plain(operation.get_config()))
        )
    return found


@pytest.mark.filterwarnings("ignore:This model usually expects", "ignore:`input_shape` is undefined")
@pytest.mark.parametrize(("name", "kwargs"), CASES, ids=lambda value: value if isinstance(value, str) else str(value))
def test_layers_weights_and_graph_are_keras_s(fetched, name, kwargs):
    theirs, ours = (build(package, name, **kwargs) for package in (keras, torchkeras))
    assert ours.name == theirs.name
    assert tuple(ours.input_shape) == tuple(theirs.input_shape)
    for mine, wanted in zip(rows(ours), rows(theirs), strict=True):
        assert mine == wanted
    for attribute in ("weights", "trainable_weights"):
        mine, wanted = ([w.path for w in getattr(model, attribute)] for model in (ours, theirs))
        assert mine == wanted
    assert ours.count_params() == theirs.count_params()


@pytest.mark.filterwarnings("ignore:`input_shape` is undefined")
@pytest.mark.parametrize("include_top", [True, False])
@pytest.mark.parametrize("name", often(["MobileNetV2", "MobileNetV3Small", "ResNet50"], ALL))
def test_weight_files_are_keras_s(fetched, name, include_top):
    for package in (keras, torchkeras):
        build(package, name, weights="imagenet", include_top=include_top)
    theirs, ours = fetched
    assert ours == theirs


@pytest.mark.parametrize("name", ALL)
def test_signatures_are_keras_s(name):
    theirs, ours = (inspect.signature(getattr(package.applications, name)) for package in (keras, torchkeras))
    assert [(p.name, p.default) for p in ours.parameters.values()] == [
        (p.name, p.default) for p in theirs.parameters.values()
    ]


OUTPUTS = often(["MobileNet", "MobileNetV2", "MobileNetV3Small"], SMALLEST)


@pytest.mark.parametrize("name", OUTPUTS)
def test_outputs_are_keras_s(name, rng):
    """The same weights give the same features."""
    size = 75 if "ception" in name else 32
    kwargs = {"weights": None, "include_top": False, "input_shape": (size, size, 3)}
    theirs, ours = (getattr(package.applications, name)(**kwargs) for package in (keras, torchkeras))
    weights = [
        value if "variance" in weight.path or value.dtype.kind == "i" else value + rng.normal(0, 0.05, value.shape)
        for value, weight in zip(theirs.get_weights(), theirs.weights, strict=True)
    ]
    for model in (theirs, ours):
        model.set_weights(weights)
    images = rng.uniform(0, 255, (2, size, size, 3)).astype("float32")
    wanted, found = theirs.predict(images, verbose=0), ours.predict(images, verbose=0)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())


WRONG = [
    {"classes": 10},
    {"weights": "no such file"},
    {"input_shape": (100, 120, 3)},
    {"classifier_activation": "relu"},
    {"input_shape": (None, None, 3), "weights": None},
    {"input_shape": (20, 20, 3), "weights": None},
    {"input_shape": (80, 80, 5), "include_top": False},
    {"input_shape": (80, 80), "include_top": False},
]


@pytest.mark.parametrize("kwargs", WRONG, ids=str)
def test_errors_begin_as_keras_s(fetched, kwargs):
    messages = []
    for package in (keras, torchkeras):
        with pytest.raises(ValueError) as error:
            package.applications.VGG16(**kwargs)
        messages.append(str(error.value).replace("'", "`").replace('"', "`").split("eceived")[0].rstrip(" R."))
    theirs, ours = messages
    assert ours[:60] == theirs[:60]


@pytest.mark.parametrize("mode", ["caffe", "tf", "torch"])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_pixels_are_scaled_as_keras_does(rng, mode, data_format):
    images = rng.uniform(0, 255, (2, 3, 3, 3))
    theirs = keras.applications.imagenet_utils.preprocess_input(images.copy(), data_format, mode)
    scale = torchkeras.applications.imagenet_utils.preprocess_input
    np.testing.assert_allclose(scale(images.copy(), data_format, mode), theirs, rtol=1e-6)
    torch.testing.assert_close(
        scale(torch.tensor(images), data_format, mode), torch.tensor(np.ascontiguousarray(theirs))
    )
    whole = images.astype("uint8")
    theirs = keras.applications.imagenet_utils.preprocess_input(whole, data_format, mode)
    np.testing.assert_allclose(scale(whole, data_format, mode), theirs, rtol=1e-6)
    np.testing.assert_allclose(scale(torch.tensor(whole), data_format, mode), theirs, rtol=1e-5, atol=1e-5)


MODULES = [name for name in dir(keras.applications) if name.islower() and name != "imagenet_utils" and name[0] != "_"]


@pytest.mark.parametrize("module", MODULES)
def test_each_family_scales_pixels_as_keras_does(rng, module):
    images = rng.uniform(0, 255, (1, 2, 2, 3)).astype("float32")
    theirs, ours = (getattr(p.applications, module).preprocess_input(images.copy()) for p in (keras, torchkeras))
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)
