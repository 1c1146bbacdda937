"""Pixels into the networks of ImageNet, and names of classes out of them."""

from __future__ import annotations

import functools
import json

import numpy as np

from torchkeras.applications.building import preprocessing
from torchkeras.applications.building.input_shapes import obtain_input_shape as obtain_input_shape
from torchkeras.core.tensors.convert import convert_to_numpy
from torchkeras.core.types import ArrayLike
from torchkeras.downloads.get_file import get_file

__all__ = ["decode_predictions", "preprocess_input"]

CLASS_INDEX = "https://storage.googleapis.com/download.tensorflow.org/data/imagenet_class_index.json"
CLASS_INDEX_HASH = "c2c37ea517e94d9795004a39431a14cb"


def preprocess_input(
    x: preprocessing.Images, data_format: str | None = None, mode: str = "caffe"
) -> preprocessing.Images:
    """Scale the pixels of images in one of the three ways in which networks of ImageNet expect them.

    Args:
        x: images with red, green and blue values of 0 to 255: an array or tensor of three or four axes, or a symbolic
            tensor. An array of floats is written over; give `numpy.copy(x)` to keep it. Integers become
            `keras.config.floatx()`.
        data_format: `"channels_last"` or `"channels_first"`; `None` means `keras.config.image_data_format()`.
            Default: `None`.
        mode: `"caffe"` changes the channels to blue, green, red and subtracts the mean of ImageNet; `"tf"` scales to
            values between -1 and 1; `"torch"` scales to 0 to 1, subtracts each channel's mean and divides by its
            deviation. Default: `"caffe"`.

    Returns:
        The scaled images, of the kind and shape of `x`.

    Raises:
        ValueError: `mode` or `data_format` is another one.

    Example:
        >>> pixels = np.array([[[[0.0, 127.5, 255.0]]]])
        >>> keras.applications.imagenet_utils.preprocess_input(pixels, mode="tf").tolist()
        [[[[-1.0, 0.0, 1.0]]]]
    """
    return preprocessing.scale_pixels(x, data_format, mode)


def decode_predictions(preds: ArrayLike, top: int = 5) -> list[list[tuple[str, str, float]]]:
    """Name the likeliest classes of ImageNet for each image.

    The names come from the file `imagenet_class_index.json` in `$KERAS_HOME/models`, which is downloaded once.

    Args:
        preds: probabilities of the 1000 classes, `(images, 1000)`: the outputs of a network with its classifier.
        top: how many classes to return for each image. Default: `5`.

    Returns:
        A list for each image of `(id of WordNet, name, probability)`, the likeliest first.

    Raises:
        ValueError: `preds` has another shape.
        OSError: the file of names is not in the cache and can't be downloaded; the error says where to put it.

    Example:
        >>> keras.applications.imagenet_utils.decode_predictions(np.zeros((1, 10)))
        Traceback (most recent call last):
        ...
        ValueError: `decode_predictions` expects a batch of predictions ... Received array with shape: (1, 10)
    """
    values = np.asarray(convert_to_numpy(preds))
    if values.ndim != 2 or values.shape[1] != 1000:
        raise ValueError(
            "`decode_predictions` expects a batch of predictions (i.e. a 2D array of shape (samples, 1000)). "
            f"Received array with shape: {values.shape}"
        )
    names = _class_names(
        get_file("imagenet_class_index.json", CLASS_INDEX, cache_subdir="models", file_hash=CLASS_INDEX_HASH)
    )
    best = [row.argsort()[::-1][:top] for row in values]
    return [[(*names[i], row[i]) for i in indices] for row, indices in zip(values, best)]


@functools.lru_cache(maxsize=4)
def _class_names(path: str) -> list[tuple[str, str]]:
    with open(path, encoding="utf-8") as file:
        index = json.load(file)
    return [tuple(index[str(i)]) for i in range(1000)]
