"""The three ways in which pixels are scaled for the networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import torch

from torchkeras import ops
from torchkeras.core import settings
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.tensors.dtypes import standardize_dtype

# Images as arrays or tensors, symbolic ones too.
Images: TypeAlias = np.ndarray | torch.Tensor | KerasTensor
Preprocessing: TypeAlias = Callable[..., Any]

# Means of the channels of ImageNet: blue, green, red as pixels; red, green, blue of 1, with their deviations.
CAFFE_MEAN = (103.939, 116.779, 123.68)
TORCH_MEAN = (0.485, 0.456, 0.406)
TORCH_DEVIATION = (0.229, 0.224, 0.225)


def scale_pixels(x: Any, data_format: str | None, mode: str) -> Any:
    """Scale red, green and blue values of 0 to 255 as `imagenet_utils.preprocess_input` says."""
    if mode not in ("caffe", "tf", "torch"):
        raise ValueError(f"Expected mode to be one of `caffe`, `tf` or `torch`. Received: mode={mode}")
    if data_format is None:
        data_format = settings.image_data_format()
    elif data_format not in ("channels_first", "channels_last"):
        raise ValueError(
            "Expected data_format to be one of `channels_first` or `channels_last`. Received: "
            f"data_format={data_format}"
        )
    if isinstance(x, np.ndarray):
        return _scale_array(x, data_format, mode)
    return _scale_tensor(x, data_format, mode)


def _scale_array(x: np.ndarray, data_format: str, mode: str) -> np.ndarray:
    if not np.issubdtype(x.dtype, np.floating):
        x = x.astype(settings.floatx(), copy=False)
    if mode == "tf":
        x /= 127.5
        x -= 1.0
        return x
    axis = -1 if data_format == "channels_last" else -3
    shift, scale = _numbers(mode, axis)
    if mode == "caffe":
        x = np.flip(x, axis)
    else:
        x /= 255.0
    x -= shift.astype(x.dtype)
    if scale is not None:
        x /= scale.astype(x.dtype)
    return x


def _scale_tensor(x: Any, data_format: str, mode: str) -> Any:
    """Of a tensor, or of a symbolic one: `ops` and operators take both."""
    if "float" not in standardize_dtype(x.dtype):
        x = ops.cast(x, settings.floatx())
    if mode == "tf":
        return x / 127.5 - 1.0
    axis = -1 if data_format == "channels_last" else -3
    shift, scale = _numbers(mode, axis)
    x = ops.flip(x, axis=axis) if mode == "caffe" else x / 255.0
    x = x - ops.convert_to_tensor(shift, dtype=x.dtype)
    return x if scale is None else x / ops.convert_to_tensor(scale, dtype=x.dtype)


def _numbers(mode: str, axis: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Number to subtract from each channel and number to divide it by, along `axis`."""
    shape = (3,) if axis == -1 else (3, 1, 1)
    if mode == "caffe":
        return np.reshape(CAFFE_MEAN, shape), None
    return np.reshape(TORCH_MEAN, shape), np.reshape(TORCH_DEVIATION, shape)


DOCSTRING = """Scale the pixels of images as the networks of `{module}` expect them.

{scaling}

Args:
    x: images with red, green and blue values of 0 to 255: an array or tensor of three or four axes, or a symbolic
        tensor. An array of floats is written over; give `numpy.copy(x)` to keep it. Integers become
        `keras.config.floatx()`.
    data_format: `"channels_last"` or `"channels_first"`; `None` means `keras.config.image_data_format()`.
        Default: `None`.

Returns:
    The scaled images, of the kind and shape of `x`.
{raises}
Example:
    >>> images = np.full((1, 2, 2, 3), 255.0)
    >>> keras.applications.{module}.preprocess_input(images).shape
    (1, 2, 2, 3)
"""
RAISES = """
Raises:
    ValueError: `data_format` is another one.
"""
SCALINGS = {
    "caffe": "The channels change from red, green, blue to blue, green, red, and the mean of ImageNet is subtracted.",
    "tf": "Values become `x / 127.5 - 1`, between -1 and 1.",
    "torch": "Values become `(x / 255 - mean) / deviation`, with mean and deviation of each channel of ImageNet.",
    "none": (
        "Nothing is done: the network has a layer that scales its input. The function is there so that all families\n"
        "are used in one way."
    ),
}


def _preprocessing(module: str, mode: str) -> Preprocessing:
    def preprocess_input(x: Any, data_format: str | None = None) -> Any:
        return x if mode == "none" else scale_pixels(x, data_format, mode)

    raises = "" if mode == "none" else RAISES
    preprocess_input.__doc__ = DOCSTRING.format(module=module, scaling=SCALINGS[mode], raises=raises)
    return preprocess_input


def caffe_preprocessing(module: str) -> Preprocessing:
    return _preprocessing(module, "caffe")


def tf_preprocessing(module: str) -> Preprocessing:
    return _preprocessing(module, "tf")


def torch_preprocessing(module: str) -> Preprocessing:
    return _preprocessing(module, "torch")


def no_preprocessing(module: str) -> Preprocessing:
    return _preprocessing(module, "none")
