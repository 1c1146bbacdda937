"""`TORCHKERAS_AS_KERAS=1`: importing torchkeras makes it `keras`, too."""

from __future__ import annotations

import importlib
import os

VARIABLE = "TORCHKERAS_AS_KERAS"


def serve_if_asked() -> None:
    """Serve this package as `keras` where the environment asks for it: `1`, or `tensorflow` for that name as well.

    Raises:
        ValueError: the variable has another value.
        ImportError: another `keras` is imported already.
    """
    value = os.environ.get(VARIABLE, "0")
    if value == "1":
        importlib.import_module("torchkeras.compat.finder").serve()
    elif value == "tensorflow":
        importlib.import_module("torchkeras.compat.tensorflow_keras").serve_tensorflow_keras()
    elif value not in ("", "0"):
        raise ValueError(f"{VARIABLE} must be '1', 'tensorflow' or '0'; received {value!r}.")


serve_if_asked()
