"""Projections of weights, applied after each update."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from torchkeras.core import settings
from torchkeras.core.config.configurable import Configurable
from torchkeras.core.config.identifiers import deserialize_object, get_object
from torchkeras.core.config.serialization import serialize_keras_object
from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.core.types import ArrayLike, Axes, Config, Identifier

Axes = Axes


class Constraint(Configurable):
    """Base of the constraints: a callable that maps a weight to an allowed value after each update.

    Subclasses define `__call__(w)`. This class allows every value.

    Example:
        >>> class AtMostOne(keras.constraints.Constraint):
        ...     def __call__(self, w):
        ...         return keras.ops.minimum(w, 1.0)
        >>> AtMostOne()(torch.tensor([0.5, 3.0])).tolist()
        [0.5, 1.0]
    """

    keras_module = "keras.constraints"
    _tk_config_base = True

    def __call__(self, w: Any) -> Any:  # Any: an override may take a narrower type
        return w


def _norms(w: torch.Tensor, axis: Axes) -> torch.Tensor:
    return w.square().sum(dim=axis, keepdim=True).sqrt()


class MaxNorm(Constraint):
    """Scale vectors of weights that are longer than a limit down to it.

    `w * clip(norm, 0, max_value) / (epsilon + norm)`, where `norm` is the L2 norm along `axis` and `epsilon` is
    `keras.config.epsilon()` (Srivastava et al., 2014, "Dropout").

    Args:
        max_value: longest norm allowed. Default: `2`.
        axis: axis, or axes, along which the norms are taken. In a `Dense` kernel `(inputs, units)`, `0` takes the
            weights of each unit; in a `Conv2D` kernel `(height, width, channels, filters)`, `[0, 1, 2]` takes those
            of each filter. Default: `0`.

    Example:
        >>> constraint = keras.constraints.MaxNorm(max_value=1.0)
        >>> constraint(torch.tensor([[3.0, 0.3], [4.0, 0.4]]))
        tensor([[0.6000, 0.3000],
                [0.8000, 0.4000]])
        >>> layer = keras.layers.Dense(8, kernel_constraint="max_norm")
    """

    def __init__(self, max_value: float = 2, axis: Axes = 0) -> None:
        self.max_value, self.axis = max_value, axis

    def __call__(self, w: ArrayLike) -> torch.Tensor:
        w = convert_to_tensor(w)
        norms = _norms(w, self.axis)
        return w * (norms.clamp(0, self.max_value) / (settings.epsilon() + norms))


class NonNeg(Constraint):
    """Replace negative weights by zero.

    Example:
        >>> keras.constraints.NonNeg()(torch.tensor([-1.0, 2.0])).tolist()
        [0.0, 2.0]
        >>> layer = keras.layers.Dense(8, kernel_constraint="non_neg")
    """

    def __call__(self, w: ArrayLike) -> torch.Tensor:
        return convert_to_tensor(w).clamp(min=0)


class UnitNorm(Constraint):
    """Scale vectors of weights to length 1: `w / (epsilon + norm)`, with the L2 norm along `axis`.

    Args:
        axis: axis, or axes, along which the norms are taken. In a `Dense` kernel `(inputs, units)`, `0` takes the
            weights of each unit. Default: `0`.

    Example:
        >>> keras.constraints.UnitNorm()(torch.tensor([[3.0], [4.0]]))
        tensor([[0.6000],
                [0.8000]])
    """

    def __init__(self, axis: Axes = 0) -> None:
        self.axis = axis

    def __call__(self, w: ArrayLike) -> torch.Tensor:
        w = convert_to_tensor(w)
        return w / (settings.epsilon() + _norms(w, self.axis))


class MinMaxNorm(Constraint):
    """Move the lengths of vectors of weights towards an interval.

    `w * target / (epsilon + norm)`, with `target = rate * clip(norm, min_value, max_value) + (1 - rate) * norm` and the
    L2 norm along `axis`.

    Args:
        min_value: shortest norm allowed. Default: `0.0`.
        max_value: longest norm allowed. Default: `1.0`.
        rate: fraction of the distance to the interval that one update covers; `1.0` enforces the interval at once.
            Default: `1.0`.
        axis: axis, or axes, along which the norms are taken. In a `Dense` kernel `(inputs, units)`, `0` takes the
            weights of each unit. Default: `0`.

    Example:
        >>> constraint = keras.constraints.MinMaxNorm(min_value=0.5, max_value=2.0)
        >>> constraint(torch.tensor([[3.0, 0.0], [4.0, 0.1]]))
        tensor([[1.2000, 0.0000],
                [1.6000, 0.5000]])
    """

    def __init__(self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: Axes = 0) -> None:
        self.min_value, self.max_value, self.rate, self.axis = min_value, max_value, rate, axis

    def __call__(self, w: ArrayLike) -> torch.Tensor:
        w = convert_to_tensor(w)
        norms = _norms(w, self.axis)
        wanted = self.rate * norms.clamp(self.min_value, self.max_value) + (1 - self.rate) * norms
        return w * (wanted / (settings.epsilon() + norms))


def get(identifier: Identifier | None) -> Callable[..., Any] | None:
    """Return the constraint that an identifier stands for.

    Args:
        identifier: name such as `"max_norm"` or `"MaxNorm"`, config of `serialize`, class, instance or callable.

    Returns:
        The constraint, or the callable as it is; `None` for `None`.

    Raises:
        ValueError: no constraint has that name.

    Example:
        >>> keras.constraints.get("max_norm").max_value
        2
    """
    return get_object(identifier, "keras.constraints", "constraint", Constraint)


def serialize(constraint: Callable[..., Any]) -> Config:
    """Return a JSON-ready description of a constraint, which `deserialize` reads.

    Args:
        constraint: constraint, or registered callable.

    Returns:
        A dict with `class_name`, `config` and `module`.

    Example:
        >>> keras.constraints.serialize(keras.constraints.NonNeg())["class_name"]
        'NonNeg'
    """
    return serialize_keras_object(constraint)


def deserialize(config: str | Config, custom_objects: dict[str, object] | None = None) -> Callable[..., Any]:
    """Return the constraint that `serialize` described.

    Args:
        config: result of `serialize`, or a name.
        custom_objects: classes and functions by name, beside the registered ones. Default: `None`.

    Returns:
        The constraint.

    Raises:
        ValueError: no constraint has that name.
        TypeError: the description names something that is neither Keras's nor registered.

    Example:
        >>> config = keras.constraints.serialize(keras.constraints.MaxNorm(3.0))
        >>> keras.constraints.deserialize(config).max_value
        3.0
    """
    return deserialize_object(config, "keras.constraints", "constraint", Constraint, custom_objects)
