"""Initializers by name, and to configs and back."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from torchkeras.core.config.serialization import make_deserialize, make_get, serialize_keras_object
from torchkeras.initializers.initializer import GivenValues, Initializer
from torchkeras.initializers.torch_init import TorchInitializer, takes_a_tensor

_get = make_get("keras.initializers", "initializer", Initializer)


def get(identifier: Any) -> Callable | None:
    """The initializer of a name, a config, a class, an instance or a callable `(shape, dtype)`; `None` stays `None`.

    An array or tensor gives its values. A function that fills a tensor in place, as those of `torch.nn.init` do, is
    taken too.
    """
    if identifier is None or isinstance(identifier, Initializer):
        return identifier
    if isinstance(identifier, (torch.Tensor, np.ndarray, np.generic)):
        return GivenValues(identifier)
    if callable(identifier) and not inspect.isclass(identifier) and takes_a_tensor(identifier):
        return TorchInitializer(identifier)
    return _get(identifier)


def serialize(initializer: Any) -> Any:
    """A JSON-ready description of the initializer."""
    return serialize_keras_object(initializer)


deserialize = make_deserialize("keras.initializers")
