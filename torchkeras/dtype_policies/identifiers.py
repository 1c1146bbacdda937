"""Dtype policies by name, from configs and to configs, and the choice of the global one."""

from __future__ import annotations

import torch

from torchkeras.core.config.identifiers import with_module
from torchkeras.core.config.serialization import deserialize_keras_object, serialize_keras_object
from torchkeras.core.tensors.dtypes import standardize_dtype
from torchkeras.core.types import Config
from torchkeras.dtype_policies.policy import DTypePolicy, GlobalPolicy, dtype_policy, policy_named
from torchkeras.dtype_policies.quantized import is_quantized_name, quantized_policy


def set_dtype_policy(policy: str | DTypePolicy) -> None:
    """Set the global policy: the one of layers made from now on without `dtype`.

    Args:
        policy: policy, or its name such as `"mixed_bfloat16"`.

    Raises:
        ValueError: `policy` is neither a policy nor the name of one.

    Example:
        >>> keras.config.set_dtype_policy("mixed_bfloat16")
        >>> keras.layers.Dense(4).compute_dtype
        'bfloat16'
        >>> keras.config.set_dtype_policy("float32")
    """
    if not isinstance(policy, (str, DTypePolicy)):
        raise ValueError(
            f"Invalid `policy` argument. Expected the string name of a policy (such as 'mixed_float16') or a "
            f"`DTypePolicy` instance. Received: policy={policy} (of type {type(policy)})"
        )
    GlobalPolicy.value = get(policy)


def get(identifier: str | torch.dtype | Config | DTypePolicy | None) -> DTypePolicy:
    """Return the policy that an identifier stands for.

    Args:
        identifier: policy, name of a policy, dtype of torch, or config of `serialize`; `None` stands for the global
            policy.

    Raises:
        ValueError: `identifier` is none of these.

    Example:
        >>> keras.dtype_policies.get(torch.float64).name
        'float64'
    """
    if identifier is None:
        return dtype_policy()
    if isinstance(identifier, DTypePolicy):
        return identifier
    if isinstance(identifier, str):
        if is_quantized_name(identifier):
            return quantized_policy(identifier)
        return policy_named(identifier.removeprefix("torch."))
    if isinstance(identifier, dict):
        return deserialize(identifier)
    try:
        return policy_named(standardize_dtype(identifier))
    except (ValueError, TypeError):
        raise ValueError(
            f"Cannot interpret `dtype` argument. Expected a string or an instance of DTypePolicy. "
            f"Received: dtype={identifier}"
        ) from None


def serialize(dtype_policy: DTypePolicy) -> Config:
    """Return a JSON-ready description of a policy, which `deserialize` reads.

    Args:
        dtype_policy: the policy.

    Example:
        >>> keras.dtype_policies.serialize(keras.DTypePolicy("float32"))["config"]
        {'name': 'float32'}
    """
    return serialize_keras_object(dtype_policy)


def deserialize(config: Config, custom_objects: dict[str, object] | None = None) -> DTypePolicy:
    """Return the policy that `serialize` described.

    Args:
        config: result of `serialize`.
        custom_objects: classes by name, beside the registered ones. Default: `None`.

    Raises:
        ValueError: `config` is a dict of something else.

    Example:
        >>> config = keras.dtype_policies.serialize(keras.DTypePolicy("float32"))
        >>> keras.dtype_policies.deserialize(config).name
        'float32'
    """
    return deserialize_keras_object(with_module(config, "keras.dtype_policies"), custom_objects)
