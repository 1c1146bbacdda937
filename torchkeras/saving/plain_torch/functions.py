"""Activations and other functions in the source of a torch module."""

from __future__ import annotations

from typing import Any

from torchkeras import activations
from torchkeras.core import registry
from torchkeras.saving.plain_torch.source import NoCounterpartError, Value

# Elementwise functions, by Keras's name.
ELEMENTWISE = {
    "linear": "{x}",
    "relu": "F.relu({x})",
    "relu6": "F.relu6({x})",
    "elu": "F.elu({x})",
    "selu": "F.selu({x})",
    "celu": "F.celu({x})",
    "gelu": "F.gelu({x})",
    "silu": "F.silu({x})",
    "mish": "F.mish({x})",
    "sigmoid": "torch.sigmoid({x})",
    "hard_sigmoid": "F.hardsigmoid({x})",
    "hard_silu": "F.hardswish({x})",
    "log_sigmoid": "F.logsigmoid({x})",
    "tanh": "torch.tanh({x})",
    "hard_tanh": "F.hardtanh({x})",
    "tanh_shrink": "F.tanhshrink({x})",
    "soft_shrink": "F.softshrink({x})",
    "hard_shrink": "F.hardshrink({x})",
    "softplus": "F.softplus({x})",
    "softsign": "F.softsign({x})",
    "leaky_relu": "F.leaky_relu({x}, 0.2)",
    "exponential": "torch.exp({x})",
    "exp": "torch.exp({x})",
    "square": "torch.square({x})",
}
_ALONG_AN_AXIS = {"softmax": "torch.softmax({x}, {axis})", "log_softmax": "torch.log_softmax({x}, {axis})"}


def activated(function: Any, value: Value) -> Value:
    """The value behind an activation.

    Raises:
        NoCounterpartError: torch has no function of the kind, or it is the user's.
    """
    if function is None or function is activations.linear:
        return value
    name = (registry.public_name(function) or ("", ""))[1]
    if name in ELEMENTWISE:
        return value.of(ELEMENTWISE[name].format(x=value.code))
    if name in _ALONG_AN_AXIS:
        return value.of(_ALONG_AN_AXIS[name].format(x=value.code, axis=value.axis(-1) if value.swapped else -1))
    shown = name or getattr(function, "__name__", repr(function))
    raise NoCounterpartError(f"its activation {shown!r} is not known to torch.nn")
