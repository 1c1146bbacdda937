"""Errors of numbers."""

from __future__ import annotations

from typing import Any

import torch

from torchkeras.core.fast_paths import batch_means
from torchkeras.losses import regression as losses
from torchkeras.losses.shapes import check_broadcast, match_ranks
from torchkeras.metrics.mean import FunctionMetric, Mean


class MeanSquaredError(FunctionMetric):
    """The mean of the squared errors."""

    _direction = "down"

    def __init__(self, name: str = "mean_squared_error", dtype: Any = None) -> None:
        super().__init__(losses.mean_squared_error, name, dtype)


class MeanAbsoluteError(FunctionMetric):
    """The mean of the absolute errors."""

    _direction = "down"

    def __init__(self, name: str = "mean_absolute_error", dtype: Any = None) -> None:
        super().__init__(losses.mean_absolute_error, name, dtype)


class MeanAbsolutePercentageError(FunctionMetric):
    """The mean of the errors in percent of the targets."""

    _direction = "down"

    def __init__(self, name: str = "mean_absolute_percentage_error", dtype: Any = None) -> None:
        super().__init__(losses.mean_absolute_percentage_error, name, dtype)


class MeanSquaredLogarithmicError(FunctionMetric):
    """The mean of the squared errors of the logarithms."""

    _direction = "down"

    def __init__(self, name: str = "mean_squared_logarithmic_error", dtype: Any = None) -> None:
        super().__init__(losses.mean_squared_logarithmic_error, name, dtype)


class RootMeanSquaredError(Mean):
    """The root of the mean of the squared errors."""

    _direction = "down"

    def __init__(self, name: str = "root_mean_squared_error", dtype: Any = None) -> None:
        super().__init__(name, dtype)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch.

        Raises:
            ValueError: the shapes do not go together.
        """
        y_pred = self._as_batch(y_pred, self._torch_dtype)
        y_true = self._as_batch(y_true, self._torch_dtype)
        y_true, y_pred = match_ranks(y_true, y_pred)
        check_broadcast("y_true", y_true, "y_pred", y_pred)
        plain = sample_weight is None and y_true.shape == y_pred.shape and y_pred.dim() > 0 and y_pred.numel() > 0
        if plain and self._follow(y_pred):
            self._add_mean(batch_means.mse(y_true, y_pred), y_pred.shape[0])
        else:
            super().update_state((y_pred - y_true).square(), sample_weight)

    def result(self) -> torch.Tensor:
        return super().result().sqrt()


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> torch.Tensor:
    """`sum(l2_norm(y_true) * l2_norm(y_pred))` along the axis: 1 where both point the same way."""
    return losses.cosine(y_true, y_pred, axis)


class CosineSimilarity(FunctionMetric):
    """The mean cosine of the angle between targets and predictions.

    Args:
        axis: along which the vectors lie.
    """

    _direction = "up"
    optional_config_keys = (("axis", -1),)

    def __init__(self, name: str = "cosine_similarity", dtype: Any = None, axis: int = -1) -> None:
        super().__init__(cosine_similarity, name, dtype, axis=axis)
        self.axis = axis


class LogCoshError(FunctionMetric):
    """The mean of `log(cosh(error))`."""

    _direction = "down"

    def __init__(self, name: str = "logcosh", dtype: Any = None) -> None:
        super().__init__(losses.log_cosh, name, dtype)
