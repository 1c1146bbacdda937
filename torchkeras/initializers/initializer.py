"""The base of initializers, those without randomness, and `get`."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Self

import torch

from torchkeras.core import registry
from torchkeras.core.configurable import Configurable
from torchkeras.core.devices import current_device
from torchkeras.core.dtypes import torch_dtype
from torchkeras.core.serialization import make_deserialize, make_get, serialize_keras_object
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
    """A number, or an array of the weight's shape (or one that broadcasts to it)."""

    def __init__(self, value: Any = 0.0) -> None:
        self.value = value

    def __call__(self, shape: Any, dtype: Any = None) -> torch.Tensor:
        where = place(dtype)
        value = convert_to_tensor(self.value, where["dtype"], where["device"])
        return value.expand(tuple(shape)).clone()


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

_get = make_get("keras.initializers", "initializer", Initializer)


def get(identifier: Any) -> Callable | None:
    """The initializer of a name, a config, a class, an instance or a callable; `None` stays `None`.

    A tensor-filling function of `torch.nn.init` (`kaiming_normal_`) is taken too.
    """
    if isinstance(identifier, Initializer):
        return identifier
    if getattr(identifier, "__module__", "") == "torch.nn.init":
        return TorchInitializer(identifier)
    if isinstance(identifier, torch.Tensor):
        return Constant(identifier)
    found = _get(identifier)
    return copy.copy(found) if isinstance(found, Initializer) else found


class TorchInitializer(Initializer):
    """A function of `torch.nn.init`, which fills a tensor in place, as an initializer."""

    keras_module = None

    def __init__(self, function: Callable) -> None:
        self.function = function

    def __call__(self, shape: Any, dtype: Any = None) -> torch.Tensor:
        value = torch.empty(tuple(shape), **place(dtype))
        with torch.no_grad():
            self.function(value)
        return value

    def get_config(self) -> dict[str, Any]:
        raise ValueError(
            f"torch.nn.init.{self.function.__name__} can't be written into a config; use the Keras initializer of the "
            f"same name, or wrap the function in an Initializer class of your own."
        )


def serialize(initializer: Any) -> Any:
    """A JSON-ready description of the initializer."""
    return serialize_keras_object(initializer)


deserialize = make_deserialize("keras.initializers")

for _cls, _aliases in {Zeros: ("zero",), Ones: ("one",), Identity: ("IdentityInitializer",)}.items():
    registry.register_public(_cls, "keras.initializers", aliases=_aliases)
