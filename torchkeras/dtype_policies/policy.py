"""In which types weights are kept and values computed."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch

from torchkeras.core import settings
from torchkeras.core.configurable import Configurable
from torchkeras.core.dtypes import standardize_dtype
from torchkeras.core.registry import register_public
from torchkeras.core.serialization import deserialize_keras_object, serialize_keras_object


class DTypePolicy(Configurable):
    """A pair of types by name: `"float32"`, `"mixed_bfloat16"`, `"mixed_float16"`, any float or integer type.

    Args:
        name: of the policy. A mixed one computes in the half type and keeps weights in float32.
    """

    keras_module = "keras"
    quantization_mode = None

    def __init__(self, name: str | None = None) -> None:
        name = settings.floatx() if name is None else name
        if not isinstance(name, str):
            raise TypeError(f"A dtype policy is made from a name; received {name!r}.")
        self._name = name
        self._compute_dtype, self._variable_dtype = _parse(name)

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

    def convert_input(self, x: Any, autocast: bool, dtype: Any) -> Any:
        """A float tensor in `dtype`, where `autocast` says so; all else as it is."""
        wanted = torch.empty(0).to(getattr(torch, standardize_dtype(dtype))).dtype
        if isinstance(x, torch.Tensor) and autocast and x.is_floating_point() and x.dtype != wanted:
            return x.to(wanted)
        return x

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DTypePolicy) and self._name == other._name

    def __hash__(self) -> int:
        return hash(self._name)

    def __repr__(self) -> str:
        return f'<DTypePolicy "{self._name}">'


def _parse(name: str) -> tuple[str, str]:
    mixed = {"mixed_float16": "float16", "mixed_bfloat16": "bfloat16"}
    if name in mixed:
        return mixed[name], "float32"
    try:
        dtype = standardize_dtype(name)
    except ValueError:
        raise ValueError(
            f"A dtype policy is 'mixed_float16', 'mixed_bfloat16', or the name of a type such as 'float32'; "
            f"received {name!r}."
        ) from None
    return dtype, dtype


FloatDTypePolicy = DTypePolicy
for _name in ("Policy", "FloatDTypePolicy"):
    register_public(DTypePolicy, "keras", "DTypePolicy", aliases=(_name,))

_global: list[DTypePolicy | None] = [None]


@lru_cache(None)
def _cached(name: str) -> DTypePolicy:
    return DTypePolicy(name)


def dtype_policy() -> DTypePolicy:
    """The policy of layers that are told none: `floatx()`'s until another is set."""
    return _global[0] or _cached(settings.floatx())


def set_dtype_policy(policy: Any) -> None:
    """Set the policy of layers made from now on (a name or a policy)."""
    _global[0] = None if policy is None else get(policy)


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


def serialize(policy: DTypePolicy) -> dict[str, Any]:
    """A JSON-ready description of the policy."""
    return serialize_keras_object(policy)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> DTypePolicy:
    """The policy that `serialize` described."""
    config = config if config.get("module") else {"module": "keras", **config}
    return deserialize_keras_object(config, custom_objects)
