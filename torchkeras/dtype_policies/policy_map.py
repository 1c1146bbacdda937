"""Dtype policies by the paths of layers."""

from __future__ import annotations

import re
from collections.abc import Iterator, MutableMapping

from torchkeras.core.config.serialization import deserialize_keras_object, serialize_keras_object
from torchkeras.core.types import Config
from torchkeras.dtype_policies.identifiers import get
from torchkeras.dtype_policies.policy import DTypePolicy


class DTypePolicyMap(DTypePolicy, MutableMapping):
    """Map the paths of layers to dtype policies.

    A key is a path, or a regular expression that matches a whole path. Paths without an entry get the default policy.

    Args:
        default_policy: policy of the other paths; `None` stands for the global policy. Default: `None`.
        policy_map: dict of paths to policies. Default: `None`.

    Raises:
        ValueError: `default_policy` is a map, a key is set twice, or a path matches several patterns.
        TypeError: `policy_map` is no dict.

    Example:
        >>> policies = keras.dtype_policies.DTypePolicyMap("float32")
        >>> policies["encoder/.*"] = keras.DTypePolicy("mixed_bfloat16")
        >>> policies["encoder/dense"].compute_dtype, policies["head"].compute_dtype
        ('bfloat16', 'float32')
    """

    keras_module = "keras.dtype_policies"

    def __init__(
        self, default_policy: str | DTypePolicy | None = None, policy_map: dict[str, DTypePolicy] | None = None
    ) -> None:
        if isinstance(default_policy, DTypePolicyMap):
            raise ValueError("`default_policy` cannot be a `DTypePolicyMap`.")
        if policy_map is not None and not isinstance(policy_map, dict):
            raise TypeError(
                f"If specified, `policy_map` must be a dict. "
                f"Received: policy_map={policy_map} of type {type(policy_map)}"
            )
        self._given_default = default_policy
        self._default_policy = get(default_policy)
        self._policy_map = policy_map or {}

    @property
    def name(self) -> str:
        return f"map_{self.default_policy.name}"

    @property
    def default_policy(self) -> DTypePolicy:
        """The policy of paths that the map does not hold."""
        return self._default_policy

    @property
    def compute_dtype(self) -> str:
        return self.default_policy.compute_dtype

    @property
    def variable_dtype(self) -> str:
        return self.default_policy.variable_dtype

    @property
    def quantization_mode(self) -> str | None:
        return self.default_policy.quantization_mode

    def __getitem__(self, path: str) -> DTypePolicy:
        if path in self._policy_map:
            return self._policy_map[path]
        matching = [pattern for pattern in self._policy_map if re.fullmatch(pattern, path)]
        if len(matching) > 1:
            raise ValueError(
                f"Path '{path}' matches multiple dtype policy specification keys: {matching}. A path may match one key "
                f"of a DTypePolicyMap."
            )
        return self._policy_map[matching[0]] if matching else self.default_policy

    def __setitem__(self, path: str, policy: str | DTypePolicy) -> None:
        if path in self._policy_map:
            raise ValueError(
                f"{path} already exist in the DTypePolicyMap with value {self._policy_map[path]}. "
                f"Delete it first to give it another policy."
            )
        try:
            self._policy_map[path] = get(policy)
        except Exception as error:
            raise ValueError(
                f"Cannot interpret the assigned value by `keras.dtype_policies.get`. "
                f"Received: {policy} of type {type(policy)}"
            ) from error

    def __delitem__(self, path: str) -> None:
        del self._policy_map[path]

    def __contains__(self, path: object) -> bool:
        return path in self._policy_map

    def __len__(self) -> int:
        return len(self._policy_map)

    def __iter__(self) -> Iterator[str]:
        return iter(self._policy_map)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DTypePolicyMap):
            return False
        return self.default_policy == other.default_policy and self._policy_map == other._policy_map

    __hash__ = object.__hash__

    def get_config(self) -> Config:
        policies = serialize_keras_object(self._policy_map)
        if self._given_default is None:
            # As in Keras, files then name no dtypes: a loaded map follows the global policy of that time.
            for described in policies.values():
                config = described["config"]
                config["source_name" if "source_name" in config else "name"] = None
        return {"default_policy": serialize_keras_object(self._given_default), "policy_map": policies}

    @classmethod
    def from_config(cls, config: Config, custom_objects: dict[str, object] | None = None) -> DTypePolicyMap:
        """Make a map from its config.

        Args:
            config: result of `get_config`.
            custom_objects: classes by name, beside the registered ones. Default: `None`.

        Returns:
            The map.
        """
        policies = deserialize_keras_object(config["policy_map"], custom_objects)
        return cls(**{**config, "policy_map": policies})

    def __repr__(self) -> str:
        mapping = [(path, policy.name) for path, policy in self._policy_map.items()]
        return f"<DTypePolicyMap at {hex(id(self))} default_policy={self.default_policy.name}, mapping={mapping}>"
