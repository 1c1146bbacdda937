"""Penalties on weights and outputs."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Real
from typing import Any

import torch

from torchkeras.core import registry, settings
from torchkeras.core.config.configurable import Configurable
from torchkeras.core.config.identifiers import deserialize_object, get_object
from torchkeras.core.config.serialization import serialize_keras_object
from torchkeras.core.types import Config, Identifier
from torchkeras.ops.nn.normalization import unit_length


class Regularizer(Configurable):
    """Base of the regularizers: a callable that maps a weight, or a layer's output, to a scalar penalty.

    Layers add the penalties of their `*_regularizer` arguments to the loss. Subclasses define `__call__(x)`; this
    class penalizes nothing.

    Example:
        >>> class SumOfAbs(keras.regularizers.Regularizer):
        ...     def __call__(self, x):
        ...         return 0.1 * keras.ops.sum(keras.ops.abs(x))
        >>> float(SumOfAbs()(torch.tensor([1.0, -4.0])))
        0.5
    """

    keras_module = "keras.regularizers"
    _tk_config_base = True

    def __call__(self, x: torch.Tensor) -> torch.Tensor | float:
        return 0.0


def _strength(name: str, value: object) -> float:
    if not isinstance(value, Real) or not math.isfinite(value) or value < 0:
        raise ValueError(f"{name} must be a finite number of at least 0; received {value!r}.")
    return float(value)


class L1L2(Regularizer):
    """Penalize absolute values and squares: `l1 * sum(|x|) + l2 * sum(x**2)`.

    Args:
        l1: factor of the absolute values, a finite number of at least 0. Default: `0.0`.
        l2: factor of the squares, a finite number of at least 0. Default: `0.0`.

    Raises:
        ValueError: a factor is negative or not finite.

    Example:
        >>> penalty = keras.regularizers.L1L2(l1=0.1, l2=0.01)
        >>> round(float(penalty(torch.tensor([1.0, -3.0]))), 4)
        0.5
        >>> layer = keras.layers.Dense(8, kernel_regularizer=penalty)
    """

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
    """Penalize absolute values: `l1 * sum(|x|)`, which drives weights to exactly zero.

    Args:
        l1: factor, a finite number of at least 0. Default: `0.01`.

    Raises:
        ValueError: the factor is negative or not finite.

    Example:
        >>> float(keras.regularizers.L1(0.5)(torch.tensor([1.0, -3.0])))
        2.0
        >>> layer = keras.layers.Dense(8, kernel_regularizer="l1")
    """

    def __init__(self, l1: float = 0.01) -> None:
        self.l1 = _strength("l1", 0.01 if l1 is None else l1)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return self.l1 * x.abs().sum()


class L2(Regularizer):
    """Penalize squares: `l2 * sum(x**2)`, which keeps weights small.

    Args:
        l2: factor, a finite number of at least 0. Default: `0.01`.

    Raises:
        ValueError: the factor is negative or not finite.

    Example:
        >>> float(keras.regularizers.L2(0.5)(torch.tensor([1.0, -3.0])))
        5.0
        >>> layer = keras.layers.Dense(8, kernel_regularizer="l2")
    """

    def __init__(self, l2: float = 0.01) -> None:
        self.l2 = _strength("l2", 0.01 if l2 is None else l2)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return self.l2 * x.square().sum()


class OrthogonalRegularizer(Regularizer):
    """Penalize rows, or columns, of a matrix that point in similar directions.

    The penalty is `factor` times the mean absolute cosine between different rows (or columns): 0 where they are
    orthogonal.

    Args:
        factor: a finite number of at least 0. Default: `0.01`.
        mode: `"rows"` or `"columns"`. Default: `"rows"`.

    Raises:
        ValueError: `mode` is neither of the two, `factor` is negative or not finite, or the weight is no matrix.

    Example:
        >>> penalty = keras.regularizers.OrthogonalRegularizer(factor=1.0)
        >>> float(penalty(torch.eye(3)))
        0.0
        >>> round(float(penalty(torch.ones(3, 2))), 4)
        1.0
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


def get(identifier: Identifier | None) -> Callable[..., Any] | None:
    """Return the regularizer that an identifier stands for.

    Args:
        identifier: name such as `"l2"` or `"L1L2"`, config of `serialize`, class, instance or callable.

    Returns:
        The regularizer, or the callable as it is; `None` for `None`.

    Raises:
        ValueError: no regularizer has that name.

    Example:
        >>> keras.regularizers.get("l2").l2
        0.01
    """
    return get_object(identifier, "keras.regularizers", "regularizer", Regularizer)


def serialize(regularizer: Callable[..., Any]) -> Config:
    """Return a JSON-ready description of a regularizer, which `deserialize` reads.

    Args:
        regularizer: regularizer, or registered callable.

    Returns:
        A dict with `class_name`, `config` and `module`.

    Example:
        >>> keras.regularizers.serialize(keras.regularizers.L1(0.5))["config"]
        {'l1': 0.5}
    """
    return serialize_keras_object(regularizer)


def deserialize(config: str | Config, custom_objects: dict[str, object] | None = None) -> Callable[..., Any]:
    """Return the regularizer that `serialize` described.

    Args:
        config: result of `serialize`, or a name.
        custom_objects: classes and functions by name, beside the registered ones. Default: `None`.

    Returns:
        The regularizer.

    Raises:
        ValueError: no regularizer has that name.
        TypeError: the description names something that is neither Keras's nor registered.

    Example:
        >>> config = keras.regularizers.serialize(keras.regularizers.L2(0.5))
        >>> keras.regularizers.deserialize(config).l2
        0.5
    """
    return deserialize_object(config, "keras.regularizers", "regularizer", Regularizer, custom_objects)


for _cls, _aliases in {L1L2: ("l1_l2",), L1: (), L2: (), OrthogonalRegularizer: ()}.items():
    registry.register_public(_cls, "keras.regularizers", aliases=_aliases)
