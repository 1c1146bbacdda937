"""The base of initializers, and those without randomness."""

from __future__ import annotations

from typing import Any, Self, TypedDict

import numpy as np
import torch

from torchkeras.core import registry
from torchkeras.core.config.configurable import Configurable
from torchkeras.core.config.serialization import deserialize_keras_object
from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.core.tensors.devices import current_device
from torchkeras.core.tensors.dtypes import torch_dtype
from torchkeras.core.types import ArrayLike, Config, DTypeLike, Shape


class Initializer(Configurable):
    """Base of the initializers: a callable `(shape, dtype)` that returns the first value of a weight.

    Subclasses define `__call__`. Their constructor's arguments, stored under their own names, are their config.

    Example:
        >>> class Half(keras.initializers.Initializer):
        ...     def __call__(self, shape, dtype=None):
        ...         return keras.ops.full(shape, 0.5, dtype=dtype)
        >>> layer = keras.layers.Dense(2, kernel_initializer=Half())
        >>> layer.build((None, 1))
        >>> layer.kernel.tolist()
        [[0.5, 0.5]]
    """

    keras_module = "keras.initializers"
    _tk_config_base = True

    def __call__(self, shape: Any, dtype: Any = None) -> torch.Tensor:  # Any: an override may take a narrower type
        raise NotImplementedError(f"{type(self).__name__} must define __call__(shape, dtype).")

    def clone(self) -> Self:
        """Return another initializer with the same config."""
        return type(self).from_config(self.get_config())

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in self.get_config().items())
        return f"{type(self).__name__}({settings})"


class Place(TypedDict):
    """Keyword arguments of torch's functions that make tensors."""

    dtype: torch.dtype
    device: torch.device


def place(dtype: DTypeLike | None) -> Place:
    """Return the dtype and the device of a new value."""
    return {"dtype": torch_dtype(dtype), "device": current_device()}


class Zeros(Initializer):
    """Fill a weight with zeros.

    Example:
        >>> keras.initializers.Zeros()((2,)).tolist()
        [0.0, 0.0]
        >>> layer = keras.layers.Dense(8, kernel_initializer="zeros")
    """

    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> torch.Tensor:
        return torch.zeros(tuple(shape), **place(dtype))


class Ones(Initializer):
    """Fill a weight with ones.

    Example:
        >>> keras.initializers.Ones()((2,)).tolist()
        [1.0, 1.0]
        >>> layer = keras.layers.Dense(8, kernel_initializer="ones")
    """

    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> torch.Tensor:
        return torch.ones(tuple(shape), **place(dtype))


class Constant(Initializer):
    """Fill a weight with a number, or with an array that broadcasts to the weight's shape.

    Args:
        value: number, array or tensor. Default: `0.0`.

    Example:
        >>> keras.initializers.Constant(3.0)((2,)).tolist()
        [3.0, 3.0]
        >>> keras.initializers.Constant([1.0, 2.0])((2, 2)).tolist()
        [[1.0, 2.0], [1.0, 2.0]]
    """

    def __init__(self, value: ArrayLike = 0.0) -> None:
        self.value = value

    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> torch.Tensor:
        where = place(dtype)
        value = convert_to_tensor(self.value, where["dtype"], where["device"]).detach()
        return value.expand(tuple(shape)).clone(memory_format=torch.contiguous_format)

    @classmethod
    def from_config(cls, config: Config) -> Self:
        return cls(**{name: deserialize_keras_object(value) for name, value in config.items()})


class GivenValues(Constant):
    """Take the values of an array or tensor of exactly the weight's shape; in files a `Constant`.

    Raises:
        ValueError: the shapes differ.
    """

    keras_module = None
    _serialized_class = Constant

    def __init__(self, value: torch.Tensor | np.ndarray) -> None:
        super().__init__(value)
        self.shape = tuple(value.shape)

    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> torch.Tensor:
        if tuple(shape) != self.shape:
            raise ValueError(
                f"Expected `shape` to be {self.shape}, that of the array given as initializer. Received: "
                f"shape={tuple(shape)}. Use initializers.Constant to broadcast an array."
            )
        return super().__call__(shape, dtype)


class Identity(Initializer):
    """Make `gain` times the identity matrix. Also called `IdentityInitializer`.

    Args:
        gain: factor of the matrix. Default: `1.0`.

    Raises:
        ValueError: the weight's shape does not have two axes.

    Example:
        >>> keras.initializers.Identity(gain=2.0)((2, 3)).tolist()
        [[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]]
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> torch.Tensor:
        if len(shape) != 2:
            raise ValueError(f"Identity makes matrices: the shape must have 2 axes; received {tuple(shape)}.")
        return self.gain * torch.eye(*shape, **place(dtype))


IdentityInitializer = Identity

for _cls, _aliases in {Zeros: ("zero",), Ones: ("one",), Identity: ("IdentityInitializer",)}.items():
    registry.register_public(_cls, "keras.initializers", aliases=_aliases)

# Keras's second names.
constant = Constant
identity = Identity
ones = Ones
zeros = Zeros
