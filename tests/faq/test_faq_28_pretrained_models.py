"""FAQ 28: pretrained models: files of weights in the cache load without a network; else an error says what to do."""

from __future__ import annotations

import os

os.environ["KERAS_BACKEND"] = "torch"

import hashlib
import json
import socket

import h5py
import keras as real_keras
import numpy as np
import pytest
from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

import torchkeras as keras
from torchkeras.applications import imagenet_utils, mobilenet

SMALL = {"alpha": 0.25, "input_shape": (128, 128, 3)}
NAME = "mobilenet_2_5_128_tf_no_top.h5"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, and no network."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))

    def no_network(*args, **kwargs):
        raise OSError("Network is unreachable")

    monkeypatch.setattr(socket, "create_connection", no_network)
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


def published(path):
    """A file in the layout of those that Keras publishes, by real Keras's writer; returns its weights."""
    model = real_keras.applications.MobileNet(weights=None, include_top=False, **SMALL)
    with h5py.File(path, "w") as file:
        save_weights_to_hdf5_group(file, model)
    return model.get_weights()


@pytest.mark.filterwarnings("ignore:`input_shape` is undefined")
def test_a_file_in_the_cache_loads_without_a_network(cache):
    wanted = published(cache / NAME)
    model = keras.applications.MobileNet(weights="imagenet", include_top=False, **SMALL)
    for found, weight in zip(model.get_weights(), wanted, strict=True):
        np.testing.assert_array_equal(found, weight)


@pytest.mark.filterwarnings("ignore:`input_shape` is undefined")
def test_without_a_file_the_error_names_address_file_and_folder(cache):
    with pytest.raises(OSError) as error:
        keras.applications.MobileNet(weights="imagenet", include_top=False, **SMALL)
    message = str(error.value)
    for part in (f"https://storage.googleapis.com/tensorflow/keras-applications/mobilenet/{NAME}", str(cache)):
        assert part in message
    with pytest.raises(OSError, match="resnet50_weights_tf_dim_ordering_tf_kernels.h5"), keras.device("meta"):
        keras.applications.ResNet50()


def test_a_broken_file_in_the_cache_is_not_loaded(cache):
    (cache / "resnet50_weights_tf_dim_ordering_tf_kernels.h5").write_bytes(b"half of a file")
    with pytest.raises(OSError, match="resnet50_weights_tf_dim_ordering_tf_kernels.h5"), keras.device("meta"):
        keras.applications.ResNet50()


@pytest.mark.parametrize("ending", [".h5", ".weights.h5"])
def test_a_file_of_the_user_s(tmp_path, ending):
    path = tmp_path / f"mine{ending}"
    if ending == ".h5":
        wanted = published(path)
    else:
        model = keras.applications.MobileNet(weights=None, include_top=False, **SMALL)
        model.save_weights(path)
        wanted = model.get_weights()
    model = keras.applications.MobileNet(weights=path, include_top=False, **SMALL)
    for found, weight in zip(model.get_weights(), wanted, strict=True):
        np.testing.assert_array_equal(found, weight)


def test_predictions_are_named_by_the_file_in_the_cache(cache, monkeypatch):
    with pytest.raises(OSError, match="imagenet_class_index.json"):
        mobilenet.decode_predictions(np.zeros((1, 1000)))
    index = {str(i): [f"n{i:08d}", f"class_{i}"] for i in range(1000)}
    text = json.dumps(index)
    (cache / "imagenet_class_index.json").write_text(text)
    monkeypatch.setattr(imagenet_utils, "CLASS_INDEX_HASH", hashlib.md5(text.encode()).hexdigest())
    probabilities = np.zeros((2, 1000), "float32")
    probabilities[0, [5, 7]], probabilities[1, 999] = [0.25, 0.75], 1.0
    first, second = mobilenet.decode_predictions(probabilities, top=2)
    assert first == [("n00000007", "class_7", 0.75), ("n00000005", "class_5", 0.25)]
    assert second[0] == ("n00000999", "class_999", 1.0)
