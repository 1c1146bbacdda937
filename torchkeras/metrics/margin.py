"""Means of the margin losses."""

from __future__ import annotations

from typing import Any

from torchkeras.losses import margin as losses
from torchkeras.metrics.mean import FunctionMetric


class Hinge(FunctionMetric):
    """The mean of `max(1 - y_true * y_pred, 0)`."""

    _direction = "down"

    def __init__(self, name: str = "hinge", dtype: Any = None) -> None:
        super().__init__(losses.hinge, name, dtype)


class SquaredHinge(FunctionMetric):
    """The mean of `max(1 - y_true * y_pred, 0)**2`."""

    _direction = "down"

    def __init__(self, name: str = "squared_hinge", dtype: Any = None) -> None:
        super().__init__(losses.squared_hinge, name, dtype)


class CategoricalHinge(FunctionMetric):
    """The mean of `max(neg - pos + 1, 0)`, with one-hot labels."""

    _direction = "down"

    def __init__(self, name: str = "categorical_hinge", dtype: Any = None) -> None:
        super().__init__(losses.categorical_hinge, name, dtype)
