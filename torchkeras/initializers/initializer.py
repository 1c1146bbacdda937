"""The base of initializers, those without randomness, and `get`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Self

import numpy as np
import torch

from torchkeras.core import registry
from torchkeras.core.configurable import Configurable
from torchkeras.core.devices import current_device
from torchkeras.core.dtypes import torch_dtype
from torchkeras.core.serialization import (
    deserialize_keras_object,
    make_deserialize,
    make_get,
    serialize_keras_object,
)
from torchkeras.core.tensors import convert_to_tensor


class Initializer(Configurable):
    """Makes a weight's first value: `initializer(shape, dtype)`. Subclasses define `__call__`."""

    keras_module = "keras.initializers"
    _config_base = True

    def __call__(self, shape: Any, dtype: Any = None) -> torch.Tensor:
        raise NotImplementedError(f"{type(self).__name__} must define __call__(shape, dtype).")

    def clone(self) -> Self:
        """Another initializer of the same config."""
        return type(self).from_config(self.get_config())

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in self.get_config().items())
        return f"{type(self).__name__}({settings})"


def place(dtype: Any) -> dict[str, Any]:
    """The type and device of a new value."""
    return {"dtype": torch_dtype(dtype), "device": current_device()}


class Zeros(Initializer):
    """All zeros."""

    def __call__(self, shape: Any, dtype: Any = None) -> torch.Tensor:
        return torch.zeros(tuple(shape), **place(dtype))


class Ones(Initializer):
    """All ones."""

    def __call__(self, shape: Any, dtype: Any = None) -> torch.Tensor:
        return torch.ones(tuple(shape), **place(dtype))


class Constant(Initializer):
    """A number, or an array that broadcasts to the weight's shape."""

    def __init__(self, value: Any = 0.0) -> None:
        self.value = value

    def __call__(self, shape: Any, dtype: Any = None) -> torch.Tensor:
        where = place(dtype)
        value = convert_to_tensor(self.value, where["dtype"], where["device"]).detach()
        return value.expand(tuple(shape)).clone(memory_format=torch.contiguous_format)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**{name: deserialize_keras_object(value) for name, value in config.items()})


class GivenValues(Constant):
    """The values of an array or tensor of the weight's very shape; in files a `Constant`.

    Raises:
        ValueError: the shapes differ.
    """

    keras_module = None
    _serialized_class = Constant

    def __call__(self, shape: Any, dtype: Any = None) -> torch.Tensor:
        if tuple(shape) != tuple(self.value.shape):
            raise ValueError(
                f"Expected `shape` to be {tuple(self.value.shape)}, that of the array given as initializer. Received: "
                f"shape={tuple(shape)}. Use initializers.Constant to broadcast an array."
            )
        return super().__call__(shape, dtype)


class Identity(Initializer):
    """`gain` times the identity matrix.

    Raises:
        ValueError: the shape is not of two axes.
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def __call__(self, shape: Any, dtype: Any = None) -> torch.Tensor:
        if len(shape) != 2:
            raise ValueError(f"Identity makes matrices: the shape must have 2 axes; received {tuple(shape)}.")
        return self.gain * torch.eye(*shape, **place(dtype))


IdentityInitializer = Identity


class TorchInitializer(Initializer):
    """A function of `torch.nn.init` (or like it), which fills a tensor in place, as an initializer."""

    keras_module = None

    def __init__(self, function: Callable) -> None:
        self.function = function

    def __call__(self, shape: Any, dtype: Any = None) -> torch.Tensor:
        value = torch.empty(tuple(shape), **place(dtype))
        with torch.no_grad():
            returned = self.function(value)
        return value if returned is None else returned

    def get_config(self) -> dict[str, Any]:
        raise ValueError(
            f"{getattr(self.function, '__name__', self.function)!r} fills a torch tensor and can't be written into a "
            f"config; use the Keras initializer of the same kind, or an Initializer class of your own."
        )


# ---------------------------------------------------------------------------- get, serialize, deserialize

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
    if callable(identifier) and not inspect.isclass(identifier) and _takes_a_tensor(identifier):
        return TorchInitializer(identifier)
    return _get(identifier)


def _takes_a_tensor(function: Callable) -> bool:
    """Whether a function is of `torch.nn.init`'s kind, not Keras's: those are always called with a `dtype`."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False
    kinds = {p.kind for p in parameters.values()}
    if inspect.Parameter.VAR_KEYWORD in kinds or not parameters:
        return False
    return "dtype" not in parameters and "shape" not in parameters


def serialize(initializer: Any) -> Any:
    """A JSON-ready description of the initializer."""
    return serialize_keras_object(initializer)


deserialize = make_deserialize("keras.initializers")

for _cls, _aliases in {Zeros: ("zero",), Ones: ("one",), Identity: ("IdentityInitializer",)}.items():
    registry.register_public(_cls, "keras.initializers", aliases=_aliases)
