"""Dtype policies: in which types layers compute and keep weights."""

from torchkeras.dtype_policies.policy import DTypePolicy as DTypePolicy
from torchkeras.dtype_policies.policy import FloatDTypePolicy as FloatDTypePolicy
from torchkeras.dtype_policies.policy import deserialize as deserialize
from torchkeras.dtype_policies.policy import dtype_policy as dtype_policy
from torchkeras.dtype_policies.policy import get as get
from torchkeras.dtype_policies.policy import reset_dtype_policy as reset_dtype_policy
from torchkeras.dtype_policies.policy import serialize as serialize
from torchkeras.dtype_policies.policy import set_dtype_policy as set_dtype_policy
from torchkeras.dtype_policies.policy_map import DTypePolicyMap as DTypePolicyMap
