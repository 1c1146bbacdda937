"""Policies that say in which dtypes layers compute and keep their weights."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeAlias

import torch

from torchkeras.core import registry, settings
from torchkeras.core.config.configurable import Configurable
from torchkeras.core.nearest_names import did_you_mean
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.core.tensors.dtypes import ALLOWED, is_float, standardize_dtype, torch_dtype
from torchkeras.core.types import Config, DTypeLike
from torchkeras.core.variables.session import at_clear

# Whatever `get` takes for a policy.
PolicyLike: TypeAlias = "DTypeLike | Config | DTypePolicy"

_MIXED = {"mixed_float16": "float16", "mixed_bfloat16": "bfloat16"}


class DTypePolicy(Configurable):
    """Say in which dtype a layer computes, and in which it keeps its weights.

    A layer takes a policy as `dtype=`, an object or its name. Also called `keras.dtype_policies.DTypePolicy` and
    `keras.mixed_precision.Policy`.

    Args:
        name: dtype such as `"float32"`, which serves for both, or `"mixed_bfloat16"` or `"mixed_float16"`: compute in
            the half type, keep weights in float32. `None` takes the global policy's name. Default: `None`.

    Raises:
        TypeError: `name` is no string.
        ValueError: `name` is neither a dtype nor a mixed policy.

    Example:
        >>> policy = keras.DTypePolicy("mixed_bfloat16")
        >>> policy.compute_dtype, policy.variable_dtype
        ('bfloat16', 'float32')
        >>> layer = keras.layers.Dense(4, dtype=policy)
    """

    keras_module = "keras"
    _quantization_mode: str | None = None

    def __init__(self, name: str | None = None) -> None:
        self._name = dtype_policy().name if name is None else name
        self._compute_dtype, self._variable_dtype = parse_name(self._name)

    @property
    def name(self) -> str:
        """The name that the policy was made with."""
        return self._name

    @property
    def compute_dtype(self) -> str:
        """The name of the dtype in which layers compute."""
        return self._compute_dtype

    @property
    def variable_dtype(self) -> str:
        """The name of the dtype in which layers keep weights."""
        return self._variable_dtype

    @property
    def quantization_mode(self) -> str | None:
        """The quantization of the weights; `None` for a policy without one."""
        return self._quantization_mode

    def convert_input(self, x: Any, autocast: bool, dtype: DTypeLike) -> Any:
        """Return an input in the dtype in which a layer computes.

        Args:
            x: tensor, array or KerasTensor; anything else is returned as it is.
            autocast: whether floats are cast at all.
            dtype: dtype to cast to.
        """
        if isinstance(x, KerasTensor):
            cast = _must_cast(x, autocast, dtype)
            return registry.lookup("keras.ops", "cast")(x, standardize_dtype(dtype)) if cast else x
        if not isinstance(x, torch.Tensor):
            if not hasattr(x, "__array__"):
                return x
            x = convert_to_tensor(x)
        return x.to(torch_dtype(dtype)) if _must_cast(x, autocast, dtype) else x

    def get_config(self) -> Config:
        """Return the constructor's arguments."""
        return {"name": self.name}

    def __eq__(self, other: object) -> bool:
        return type(other) in (DTypePolicy, FloatDTypePolicy) and self._name == other._name  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash(self._name)

    def __repr__(self) -> str:
        return f'<DTypePolicy "{self._name}">'


class FloatDTypePolicy(DTypePolicy):
    """Older name of `DTypePolicy`; policies of the two classes are equal if their names are.

    Args:
        name: as for `DTypePolicy`. Default: `None`.

    Example:
        >>> keras.dtype_policies.FloatDTypePolicy("float16") == keras.DTypePolicy("float16")
        True
    """


def _must_cast(x: torch.Tensor | KerasTensor, autocast: bool, dtype: DTypeLike) -> bool:
    return bool(autocast) and is_float(x.dtype) and standardize_dtype(x.dtype) != standardize_dtype(dtype)


def parse_name(name: object) -> tuple[str, str]:
    """The dtypes of computation and of weights that the name of a policy stands for."""
    if not isinstance(name, str):
        raise TypeError(
            f"'name' must be a string, such as 'mixed_float16'. Received: name={name} (of type {type(name)})"
        )
    if name in _MIXED:
        return _MIXED[name], "float32"
    try:
        dtype = standardize_dtype(name)
    except ValueError:
        raise ValueError(
            f"Cannot convert '{name}' to a mixed precision DTypePolicy. Valid policies include 'mixed_float16', "
            f"'mixed_bfloat16', and the name of any float dtype such as 'float32'."
            f"{did_you_mean(name, (*_MIXED, *ALLOWED))}"
        ) from None
    return dtype, dtype


registry.register_public(DTypePolicy, "keras", aliases=("Policy",))

# ---------------------------------------------------------------------------- the global one


class GlobalPolicy:
    """The policy that was set for layers made without one."""

    value: DTypePolicy | None = None


@lru_cache(None)
def policy_named(name: str) -> DTypePolicy:
    """The one policy object of that name."""
    return DTypePolicy(name)


def dtype_policy() -> DTypePolicy:
    """Return the global policy: the one of layers made without `dtype`.

    It follows `keras.config.floatx()` until `set_dtype_policy` sets another one.

    Example:
        >>> keras.config.dtype_policy().name
        'float32'
    """
    return policy_named(settings.floatx()) if GlobalPolicy.value is None else GlobalPolicy.value


def reset_dtype_policy() -> None:
    """Make the global policy follow `keras.config.floatx()` again.

    Example:
        >>> keras.config.set_dtype_policy("mixed_bfloat16")
        >>> keras.dtype_policies.reset_dtype_policy()
        >>> keras.config.dtype_policy().name
        'float32'
    """
    GlobalPolicy.value = None
    policy_named.cache_clear()


at_clear(reset_dtype_policy)
