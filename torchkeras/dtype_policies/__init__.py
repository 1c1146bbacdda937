"""Dtype policies: in which types layers compute and keep weights."""

from torchkeras.dtype_policies.identifiers import deserialize as deserialize
from torchkeras.dtype_policies.identifiers import get as get
from torchkeras.dtype_policies.identifiers import serialize as serialize
from torchkeras.dtype_policies.identifiers import set_dtype_policy as set_dtype_policy
from torchkeras.dtype_policies.policy import DTypePolicy as DTypePolicy
from torchkeras.dtype_policies.policy import FloatDTypePolicy as FloatDTypePolicy
from torchkeras.dtype_policies.policy import dtype_policy as dtype_policy
from torchkeras.dtype_policies.policy import reset_dtype_policy as reset_dtype_policy
from torchkeras.dtype_policies.policy_map import DTypePolicyMap as DTypePolicyMap
from torchkeras.dtype_policies.quantized import AWQDTypePolicy as AWQDTypePolicy
from torchkeras.dtype_policies.quantized import GPTQDTypePolicy as GPTQDTypePolicy
from torchkeras.dtype_policies.quantized import Int4DTypePolicy as Int4DTypePolicy
from torchkeras.dtype_policies.quantized import QuantizedDTypePolicy as QuantizedDTypePolicy
from torchkeras.dtype_policies.quantized import QuantizedFloat8DTypePolicy as QuantizedFloat8DTypePolicy
