"""Library settings: float type, epsilon, image layout; read once from `keras.json`, which is written if missing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torchkeras.core import settings_file
from torchkeras.core.settings_file import keras_home as keras_home

_FLOATX = ("bfloat16", "float16", "float32", "float64")
DATA_FORMATS = ("channels_last", "channels_first")

_settings: dict[str, Any] = {"floatx": "float32", "epsilon": 1e-7, "image_data_format": "channels_last"}


def load_settings(path: str | os.PathLike[str] | None = None) -> None:
    """Take the settings of a `keras.json`; keys without a meaning here, such as another backend, are passed over.

    The user's own file is written with the default settings if it does not exist yet.

    Args:
        path: the file. Default: `None`, for `keras.json` in `keras_home()`.

    Raises:
        ValueError: a known key has a value that it cannot take.
    """
    file = keras_home() / "keras.json" if path is None else Path(path)
    found = settings_file.read(file)
    if found is None:
        if path is None:
            settings_file.write_if_missing(file, {**_settings, "backend": "torch"})
        return
    for key, set_value in _SETTERS.items():
        if key in found:
            try:
                set_value(found[key])
            except (TypeError, ValueError) as error:
                raise ValueError(
                    f"Invalid `{key}` configuration in the settings file {file}. {error} "
                    f"Received: {key}={found[key]!r}. Correct the file, or delete it to get the defaults."
                ) from error


def floatx() -> str:
    """Return the default float type.

    Returns:
        `"bfloat16"`, `"float16"`, `"float32"` or `"float64"`.

    Example:
        >>> keras.config.floatx()
        'float32'
    """
    return _settings["floatx"]


def set_floatx(value: str) -> None:
    """Set the default float type, which weights and inputs without a type of their own get.

    For training with 16 bits, `keras.config.set_dtype_policy("mixed_bfloat16")` is better: it keeps weights in 32 bits.

    Args:
        value: `"bfloat16"`, `"float16"`, `"float32"` or `"float64"`.

    Raises:
        ValueError: another value.

    Example:
        >>> keras.config.set_floatx("float64")
        >>> keras.ops.zeros((2,)).dtype
        torch.float64
        >>> keras.config.set_floatx("float32")
    """
    if value not in _FLOATX:
        raise ValueError(f"floatx must be one of {_FLOATX}; received {value!r}.")
    _settings["floatx"] = str(value)


def epsilon() -> float:
    """Return the small number that keeps logarithms and divisions finite.

    Returns:
        A float.

    Example:
        >>> keras.config.epsilon()
        1e-07
    """
    return _settings["epsilon"]


def set_epsilon(value: float) -> None:
    """Set the small number that keeps logarithms and divisions finite.

    Args:
        value: a number.

    Raises:
        ValueError: no number.

    Example:
        >>> keras.config.set_epsilon(1e-5)
        >>> keras.config.epsilon()
        1e-05
        >>> keras.config.set_epsilon(1e-7)
    """
    if isinstance(value, (bool, str)):
        raise ValueError(f"epsilon must be a number; received {value!r}.")
    _settings["epsilon"] = float(value)


def image_data_format() -> str:
    """Return the default layout of images.

    Returns:
        `"channels_last"` for `(batch, height, width, channels)`, `"channels_first"` for `(batch, channels, height,
        width)`.

    Example:
        >>> keras.config.image_data_format()
        'channels_last'
    """
    return _settings["image_data_format"]


def set_image_data_format(data_format: str) -> None:
    """Set the default layout of images, for layers and ops that get none.

    Args:
        data_format: `"channels_last"` or `"channels_first"`.

    Raises:
        ValueError: another value.

    Example:
        >>> keras.config.set_image_data_format("channels_first")
        >>> keras.layers.MaxPooling2D()(np.zeros((1, 3, 8, 8))).shape
        torch.Size([1, 3, 4, 4])
        >>> keras.config.set_image_data_format("channels_last")
    """
    _settings["image_data_format"] = standardize_data_format(str(data_format))


def standardize_data_format(data_format: str | None) -> str:
    """The data format's name in small letters; `None` means the setting. Raises `ValueError` on another."""
    if data_format is None:
        return _settings["image_data_format"]
    if data_format in DATA_FORMATS:
        return data_format
    name = str(data_format).lower()
    if name not in DATA_FORMATS:
        raise ValueError(
            "The `data_format` argument must be one of ('channels_first', 'channels_last'). "
            f"Received: data_format={data_format}"
        )
    return name


def backend() -> str:
    """Return the name of the library that computes.

    Returns:
        Always `"torch"`.

    Example:
        >>> keras.config.backend()
        'torch'
    """
    return "torch"


def set_backend(backend: str) -> None:
    """Accept `"torch"`, the only backend; the function is here for scripts that call Keras's.

    Args:
        backend: `"torch"`.

    Raises:
        ValueError: another backend is asked for.

    Example:
        >>> keras.config.set_backend("torch")
    """
    if backend != "torch":
        raise ValueError(f"The backend is always 'torch' here; received {backend!r}.")


_SETTERS: dict[str, Callable[[Any], None]] = {
    "floatx": set_floatx,
    "epsilon": set_epsilon,
    "image_data_format": set_image_data_format,
}
load_settings()
