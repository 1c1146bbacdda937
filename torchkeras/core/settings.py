"""Library settings: float type, fuzz factor, image layout; read once from `keras.json`, as Keras does."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

_FLOATX = ("bfloat16", "float16", "float32", "float64")
DATA_FORMATS = ("channels_last", "channels_first")

_settings: dict[str, Any] = {"floatx": "float32", "epsilon": 1e-7, "image_data_format": "channels_last"}


def keras_home() -> Path:
    """The folder of `keras.json`, data sets and models: `$KERAS_HOME`, else `~/.keras`, else a temporary one."""
    if "KERAS_HOME" in os.environ:
        return Path(os.environ["KERAS_HOME"])
    home = Path(os.path.expanduser("~"))
    base = home if os.access(home, os.W_OK) else Path(tempfile.gettempdir())
    return base / ".keras"


def load_settings(path: str | os.PathLike | None = None) -> None:
    """Read settings from a `keras.json`. Unknown keys and other backends' names are passed over.

    Raises:
        ValueError: a known key has a value that it cannot take.
    """
    path = Path(path) if path is not None else keras_home() / "keras.json"
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return
    if not isinstance(found, dict):
        return
    if "floatx" in found:
        set_floatx(found["floatx"])
    if "epsilon" in found:
        set_epsilon(found["epsilon"])
    if "image_data_format" in found:
        set_image_data_format(found["image_data_format"])


def floatx() -> str:
    """The default float type, as a name."""
    return _settings["floatx"]


def set_floatx(value: str) -> None:
    """Set the default float type: one of `"bfloat16"`, `"float16"`, `"float32"`, `"float64"`."""
    if value not in _FLOATX:
        raise ValueError(f"floatx must be one of {_FLOATX}; received {value!r}.")
    _settings["floatx"] = str(value)


def epsilon() -> float:
    """The small number that keeps logarithms and divisions finite."""
    return _settings["epsilon"]


def set_epsilon(value: float) -> None:
    """Set the fuzz factor returned by `epsilon()`."""
    _settings["epsilon"] = float(value)


def image_data_format() -> str:
    """`"channels_last"` or `"channels_first"`."""
    return _settings["image_data_format"]


def set_image_data_format(data_format: str) -> None:
    """Set the default image layout: `"channels_last"` or `"channels_first"`."""
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
    """The name of the computing library: always `"torch"`."""
    return "torch"


def set_backend(backend: str) -> None:
    """Kept for Keras's name; only `"torch"` can be set.

    Raises:
        ValueError: another backend is asked for.
    """
    if backend != "torch":
        raise ValueError(f"The backend is always 'torch' here; received {backend!r}.")


load_settings()
