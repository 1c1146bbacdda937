"""Initializers by name, and to configs and back."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from torchkeras.core.config.identifiers import deserialize_object, get_object
from torchkeras.core.config.serialization import serialize_keras_object
from torchkeras.core.types import ArrayLike, Config, Identifier
from torchkeras.initializers.initializer import GivenValues, Initializer
from torchkeras.initializers.torch_init import TorchInitializer, takes_a_tensor


def get(identifier: Identifier | ArrayLike | None) -> Callable[..., Any] | None:
    """Return the initializer that an identifier stands for.

    Args:
        identifier: name such as `"glorot_uniform"` or `"HeNormal"`, config of `serialize`, class, instance, or
            callable `(shape, dtype)`. An array or tensor stands for its own values. A function that fills a tensor in
            place, such as `torch.nn.init.xavier_uniform_`, is taken too.

    Returns:
        The initializer, or the callable as it is; `None` for `None`.

    Raises:
        ValueError: no initializer has that name.

    Example:
        >>> keras.initializers.get("zeros")((2,)).tolist()
        [0.0, 0.0]
        >>> keras.initializers.get(torch.nn.init.ones_)((2,)).tolist()
        [1.0, 1.0]
    """
    if identifier is None or isinstance(identifier, Initializer):
        return identifier
    if isinstance(identifier, (torch.Tensor, np.ndarray, np.generic)):
        return GivenValues(identifier)
    if callable(identifier) and not inspect.isclass(identifier) and takes_a_tensor(identifier):
        return TorchInitializer(identifier)
    return get_object(identifier, "keras.initializers", "initializer", Initializer)


def serialize(initializer: Callable[..., Any]) -> Config:
    """Return a JSON-ready description of an initializer, which `deserialize` reads.

    Args:
        initializer: initializer, or registered callable.

    Returns:
        A dict with `class_name`, `config` and `module`.

    Example:
        >>> keras.initializers.serialize(keras.initializers.Constant(3.0))["config"]
        {'value': 3.0}
    """
    return serialize_keras_object(initializer)


def deserialize(config: str | Config, custom_objects: dict[str, object] | None = None) -> Callable[..., Any]:
    """Return the initializer that `serialize` described.

    Args:
        config: result of `serialize`, or a name.
        custom_objects: classes and functions by name, beside the registered ones. Default: `None`.

    Returns:
        The initializer.

    Raises:
        ValueError: no initializer has that name.
        TypeError: the description names something that is neither Keras's nor registered.

    Example:
        >>> config = keras.initializers.serialize(keras.initializers.Constant(3.0))
        >>> keras.initializers.deserialize(config)((2,)).tolist()
        [3.0, 3.0]
    """
    return deserialize_object(config, "keras.initializers", "initializer", Initializer, custom_objects)
