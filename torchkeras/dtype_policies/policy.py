"""In which types weights are kept and values computed."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch

from torchkeras.core import registry, settings
from torchkeras.core.config.configurable import Configurable
from torchkeras.core.config.serialization import deserialize_keras_object, serialize_keras_object
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.core.tensors.dtypes import is_float, standardize_dtype, torch_dtype
from torchkeras.core.variables.session import at_clear

_MIXED = {"mixed_float16": "float16", "mixed_bfloat16": "bfloat16"}


class DTypePolicy(Configurable):
    """A pair of types by name: `"mixed_bfloat16"`, `"mixed_float16"`, or one type for both, such as `"float32"`.

    Args:
        name: of the policy; default: the global policy's. A mixed one computes in the half type and keeps weights
            in float32.

    Raises:
        TypeError: `name` is no string.
        ValueError: it names no policy.
    """

    keras_module = "keras"

    def __init__(self, name: str | None = None) -> None:
        self._name = dtype_policy().name if name is None else name
        self._compute_dtype, self._variable_dtype = _parse(self._name)

    @property
    def name(self) -> str:
        return self._name

    @property
    def compute_dtype(self) -> str:
        """The type in which layers compute."""
        return self._compute_dtype

    @property
    def variable_dtype(self) -> str:
        """The type in which layers keep weights."""
        return self._variable_dtype

    @property
    def quantization_mode(self) -> str | None:
        """How weights are quantized: not at all."""
        return None

    def convert_input(self, x: Any, autocast: bool, dtype: Any) -> Any:
        """A float tensor (array, KerasTensor) in `dtype` where `autocast` says so; what is no array, as it is."""
        if isinstance(x, KerasTensor):
            cast = _must_cast(x, autocast, dtype)
            return registry.lookup("keras.ops", "cast")(x, standardize_dtype(dtype)) if cast else x
        if not isinstance(x, torch.Tensor):
            if not hasattr(x, "__array__"):
                return x
            x = convert_to_tensor(x)
        return x.to(torch_dtype(dtype)) if _must_cast(x, autocast, dtype) else x

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}

    def __eq__(self, other: object) -> bool:
        return type(other) in (DTypePolicy, FloatDTypePolicy) and self._name == other._name  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash(self._name)

    def __repr__(self) -> str:
        return f'<DTypePolicy "{self._name}">'


class FloatDTypePolicy(DTypePolicy):
    """The older name of `DTypePolicy`; the two are equal where their names are."""


def _must_cast(x: Any, autocast: bool, dtype: Any) -> bool:
    return bool(autocast) and is_float(x.dtype) and standardize_dtype(x.dtype) != standardize_dtype(dtype)


def _parse(name: Any) -> tuple[str, str]:
    if not isinstance(name, str):
        raise TypeError(f"name must be a string such as 'mixed_bfloat16'; received {name!r} (a {type(name).__name__}).")
    if name in _MIXED:
        return _MIXED[name], "float32"
    try:
        dtype = standardize_dtype(name)
    except ValueError:
        raise ValueError(
            f"A dtype policy is 'mixed_float16', 'mixed_bfloat16', or the name of a type such as 'float32'; "
            f"received {name!r}."
        ) from None
    return dtype, dtype


registry.register_public(DTypePolicy, "keras", aliases=("Policy",))

# ---------------------------------------------------------------------------- the global one, and get


class _Global:
    policy: DTypePolicy | None = None


@lru_cache(None)
def _cached(name: str) -> DTypePolicy:
    return DTypePolicy(name)


def dtype_policy() -> DTypePolicy:
    """The policy of layers that are told none: `floatx()`'s until another is set."""
    return _cached(settings.floatx()) if _Global.policy is None else _Global.policy


def set_dtype_policy(policy: str | DTypePolicy) -> None:
    """Set the policy of layers made from now on.

    Raises:
        ValueError: `policy` is neither a policy nor the name of one.
    """
    if not isinstance(policy, (str, DTypePolicy)):
        raise ValueError(f"policy must be a DTypePolicy or a name such as 'mixed_bfloat16'; received {policy!r}.")
    _Global.policy = get(policy)


def reset_dtype_policy() -> None:
    """Let the global policy follow `floatx()` again."""
    _Global.policy = None


at_clear(reset_dtype_policy)


def get(identifier: Any) -> DTypePolicy:
    """The policy of a name, a type, a config or a policy; `None` gives the global one.

    Raises:
        ValueError: it is none of these.
    """
    if identifier is None:
        return dtype_policy()
    if isinstance(identifier, DTypePolicy):
        return identifier
    if isinstance(identifier, str):
        return _cached(identifier.removeprefix("torch."))
    if isinstance(identifier, dict):
        return deserialize(identifier)
    try:
        return _cached(standardize_dtype(identifier))
    except (ValueError, TypeError):
        raise ValueError(f"dtype must be a name, a type or a dtype policy; received {identifier!r}.") from None


def serialize(dtype_policy: DTypePolicy) -> dict[str, Any]:
    """A JSON-ready description of the policy."""
    return serialize_keras_object(dtype_policy)


def deserialize(config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> DTypePolicy:
    """The policy that `serialize` described."""
    return deserialize_keras_object({"module": "keras.dtype_policies"} | config, custom_objects)
