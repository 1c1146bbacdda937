"""The base of initializers, and those without randomness."""

from __future__ import annotations

from typing import Any, Self

import torch

from torchkeras.core import registry
from torchkeras.core.config.configurable import Configurable
from torchkeras.core.config.serialization import deserialize_keras_object
from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.core.tensors.devices import current_device
from torchkeras.core.tensors.dtypes import torch_dtype


class Initializer(Configurable):
    """Makes a weight's first value: `initializer(shape, dtype)`. Subclasses define `__call__`."""

    keras_module = "keras.initializers"
    _tk_config_base = True

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

for _cls, _aliases in {Zeros: ("zero",), Ones: ("one",), Identity: ("IdentityInitializer",)}.items():
    registry.register_public(_cls, "keras.initializers", aliases=_aliases)
