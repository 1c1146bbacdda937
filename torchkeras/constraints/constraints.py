"""Projections of weights, applied after each update."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from torchkeras.core import settings
from torchkeras.core.config.configurable import Configurable
from torchkeras.core.config.serialization import make_deserialize, make_get, serialize_keras_object
from torchkeras.core.tensors.convert import convert_to_tensor


class Constraint(Configurable):
    """Base: `constraint(w)` gives the nearest allowed value, here `w`. Subclasses define `__call__`."""

    keras_module = "keras.constraints"
    _tk_config_base = True

    def __call__(self, w: Any) -> Any:
        return w


def _norms(w: torch.Tensor, axis: Any) -> torch.Tensor:
    return w.square().sum(dim=axis, keepdim=True).sqrt()


class MaxNorm(Constraint):
    """Norms along `axis` of at most `max_value` (Srivastava et al., 2014)."""

    def __init__(self, max_value: float = 2, axis: Any = 0) -> None:
        self.max_value, self.axis = max_value, axis

    def __call__(self, w: Any) -> torch.Tensor:
        w = convert_to_tensor(w)
        norms = _norms(w, self.axis)
        return w * (norms.clamp(0, self.max_value) / (settings.epsilon() + norms))


class NonNeg(Constraint):
    """No negative values."""

    def __call__(self, w: Any) -> torch.Tensor:
        return convert_to_tensor(w).clamp(min=0)


class UnitNorm(Constraint):
    """Norms of 1 along `axis`."""

    def __init__(self, axis: Any = 0) -> None:
        self.axis = axis

    def __call__(self, w: Any) -> torch.Tensor:
        w = convert_to_tensor(w)
        return w / (settings.epsilon() + _norms(w, self.axis))


class MinMaxNorm(Constraint):
    """Norms along `axis` moved into `[min_value, max_value]`, by the share `rate` of the way."""

    def __init__(self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: Any = 0) -> None:
        self.min_value, self.max_value, self.rate, self.axis = min_value, max_value, rate, axis

    def __call__(self, w: Any) -> torch.Tensor:
        w = convert_to_tensor(w)
        norms = _norms(w, self.axis)
        wanted = self.rate * norms.clamp(self.min_value, self.max_value) + (1 - self.rate) * norms
        return w * (wanted / (settings.epsilon() + norms))


_get = make_get("keras.constraints", "constraint", Constraint)


def get(identifier: Any) -> Callable | None:
    """The constraint of a name, a config, a class, an instance or a callable; `None` stays `None`."""
    return _get(identifier)


def serialize(constraint: Any) -> Any:
    """A JSON-ready description of the constraint."""
    return serialize_keras_object(constraint)


deserialize = make_deserialize("keras.constraints")
