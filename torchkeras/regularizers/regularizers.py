"""Penalties on weights and outputs."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Real
from typing import Any

import torch

from torchkeras.core import registry, settings
from torchkeras.core.config.configurable import Configurable
from torchkeras.core.config.serialization import make_deserialize, make_get, serialize_keras_object
from torchkeras.ops.nn.normalization import unit_length


class Regularizer(Configurable):
    """Base: `regularizer(x)` gives a scalar penalty, here none. Subclasses define `__call__`."""

    keras_module = "keras.regularizers"
    _tk_config_base = True

    def __call__(self, x: torch.Tensor) -> Any:
        return 0.0


def _strength(name: str, value: Any) -> float:
    if not isinstance(value, Real) or not math.isfinite(value) or value < 0:
        raise ValueError(f"{name} must be a finite number of at least 0; received {value!r}.")
    return float(value)


class L1L2(Regularizer):
    """`l1 * sum(|x|) + l2 * sum(x**2)`."""

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1 = _strength("l1", 0.0 if l1 is None else l1)
        self.l2 = _strength("l2", 0.0 if l2 is None else l2)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        penalty = torch.zeros((), dtype=x.dtype, device=x.device)
        if self.l1:
            penalty = penalty + self.l1 * x.abs().sum()
        if self.l2:
            penalty = penalty + self.l2 * x.square().sum()
        return penalty


class L1(Regularizer):
    """`l1 * sum(|x|)`."""

    def __init__(self, l1: float = 0.01) -> None:
        self.l1 = _strength("l1", 0.01 if l1 is None else l1)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return self.l1 * x.abs().sum()


class L2(Regularizer):
    """`l2 * sum(x**2)`."""

    def __init__(self, l2: float = 0.01) -> None:
        self.l2 = _strength("l2", 0.01 if l2 is None else l2)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return self.l2 * x.square().sum()


class OrthogonalRegularizer(Regularizer):
    """`factor` times the mean absolute cosine between different rows (or columns) of a matrix.

    Raises:
        ValueError: `mode` is neither `"rows"` nor `"columns"`, or the weight is no matrix.
    """

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        if mode not in ("rows", "columns"):
            raise ValueError(
                f'Invalid value for argument `mode`. Expected one of {{"rows", "columns"}}. Received: mode={mode}'
            )
        self.factor, self.mode = _strength("factor", factor), mode

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        if x.dim() != 2:
            raise ValueError(
                f"Inputs to OrthogonalRegularizer must have rank 2. Received: inputs.shape={tuple(x.shape)}"
            )
        vectors = x if self.mode == "rows" else x.t()
        vectors = unit_length(vectors, 1, settings.epsilon())
        size = vectors.shape[0]
        cosines = (vectors @ vectors.t()) * (1.0 - torch.eye(size, dtype=x.dtype, device=x.device))
        pairs = size * (size - 1.0) / 2.0
        return self.factor * 0.5 * cosines.abs().sum() / pairs


_get = make_get("keras.regularizers", "regularizer", Regularizer)


def get(identifier: Any) -> Callable | None:
    """The regularizer of a name, a config, a class, an instance or a callable; `None` stays `None`."""
    return _get(identifier)


def serialize(regularizer: Any) -> Any:
    """A JSON-ready description of the regularizer."""
    return serialize_keras_object(regularizer)


deserialize = make_deserialize("keras.regularizers")

for _cls, _aliases in {L1L2: ("l1_l2",), L1: (), L2: (), OrthogonalRegularizer: ()}.items():
    registry.register_public(_cls, "keras.regularizers", aliases=_aliases)
