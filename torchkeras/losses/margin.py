"""Margin losses: labels of -1 and 1 (0 and 1 are taken for them)."""

from __future__ import annotations

import torch

from torchkeras.core.types import ArrayLike
from torchkeras.dtype_policies.policy import PolicyLike
from torchkeras.losses.loss import FunctionLoss
from torchkeras.losses.shapes import as_tensors, check_broadcast


def _signed_labels(y_true: torch.Tensor) -> torch.Tensor:
    """Labels that are all 0 or 1 as -1 and 1; others as they are."""
    binary = ((y_true == 0) | (y_true == 1)).all()
    return torch.where(binary, 2.0 * y_true - 1.0, y_true)


def _slack(y_true: ArrayLike, y_pred: ArrayLike) -> torch.Tensor:
    y_true, y_pred = as_tensors(y_true, y_pred)
    check_broadcast("y_true", y_true, "y_pred", y_pred)
    return (1.0 - _signed_labels(y_true) * y_pred).clamp(min=0.0)


def hinge(y_true: ArrayLike, y_pred: ArrayLike) -> torch.Tensor:
    """Compute `mean(max(1 - y_true * y_pred, 0))` over the last axis.

    Args:
        y_true: labels -1 or 1 (labels that are all 0 or 1 become -1 and 1), of a shape that broadcasts against
            `y_pred`.
        y_pred: predictions, `(batch, ..., d)`.

    Returns:
        A tensor of the shape of `y_pred` without its last axis.

    Raises:
        ValueError: the shapes do not broadcast.

    Example:
        >>> keras.losses.hinge(np.array([[-1.0, 1.0]]), np.array([[0.5, 0.5]]))
        tensor([1.], dtype=torch.float64)
    """
    return _slack(y_true, y_pred).mean(-1)


def squared_hinge(y_true: ArrayLike, y_pred: ArrayLike) -> torch.Tensor:
    """Compute `mean(max(1 - y_true * y_pred, 0)**2)` over the last axis.

    Args:
        y_true: labels -1 or 1 (labels that are all 0 or 1 become -1 and 1), of a shape that broadcasts against
            `y_pred`.
        y_pred: predictions, `(batch, ..., d)`.

    Returns:
        A tensor of the shape of `y_pred` without its last axis.

    Raises:
        ValueError: the shapes do not broadcast.

    Example:
        >>> keras.losses.squared_hinge(np.array([[-1.0, 1.0]]), np.array([[0.5, 0.5]]))
        tensor([1.2500], dtype=torch.float64)
    """
    return _slack(y_true, y_pred).square().mean(-1)


def categorical_hinge(y_true: ArrayLike, y_pred: ArrayLike) -> torch.Tensor:
    """Compute `max(neg - pos + 1, 0)`, with `pos` the score of the true class and `neg` the best other score.

    Args:
        y_true: one-hot labels, of a shape that broadcasts against `y_pred`.
        y_pred: scores, `(batch, ..., classes)`.

    Returns:
        A tensor of the shape of `y_pred` without its last axis.

    Raises:
        ValueError: the shapes do not broadcast.

    Example:
        >>> keras.losses.categorical_hinge(np.array([[0.0, 1.0]]), np.array([[0.5, 0.25]]))
        tensor([1.2500], dtype=torch.float64)
    """
    y_true, y_pred = as_tensors(y_true, y_pred)
    check_broadcast("y_true", y_true, "y_pred", y_pred)
    pos = (y_true * y_pred).sum(-1)
    neg = ((1.0 - y_true) * y_pred).amax(-1)
    return (neg - pos + 1.0).clamp(min=0.0)


class Hinge(FunctionLoss):
    """Compute `mean(max(1 - y_true * y_pred, 0))` for labels -1 and 1.

    Labels that are all 0 or 1 become -1 and 1.

    Args:
        reduction: how the values per sample become one number: `"sum_over_batch_size"` or `"mean"` (their mean),
            `"sum"`, `"mean_with_sample_weight"` (the weighted sum divided by the sum of the weights), `"none"` or
            `None` (no reduction). Default: `"sum_over_batch_size"`.
        name: name of the loss. Default: `"hinge"`.
        dtype: dtype name or policy in which the loss is computed; `None` means `keras.config.floatx()`. Default:
            `None`.

    Example:
        >>> loss = keras.losses.Hinge()
        >>> loss(np.array([[-1.0, 1.0]]), np.array([[0.5, 0.5]])).item()
        1.0
    """

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str = "hinge", dtype: PolicyLike | None = None
    ) -> None:
        super().__init__(hinge, reduction, name, dtype)


class SquaredHinge(FunctionLoss):
    """Compute `mean(max(1 - y_true * y_pred, 0)**2)` for labels -1 and 1.

    Labels that are all 0 or 1 become -1 and 1.

    Args:
        reduction: how the values per sample become one number: `"sum_over_batch_size"` or `"mean"` (their mean),
            `"sum"`, `"mean_with_sample_weight"` (the weighted sum divided by the sum of the weights), `"none"` or
            `None` (no reduction). Default: `"sum_over_batch_size"`.
        name: name of the loss. Default: `"squared_hinge"`.
        dtype: dtype name or policy in which the loss is computed; `None` means `keras.config.floatx()`. Default:
            `None`.

    Example:
        >>> loss = keras.losses.SquaredHinge()
        >>> loss(np.array([[-1.0, 1.0]]), np.array([[0.5, 0.5]])).item()
        1.25
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "squared_hinge",
        dtype: PolicyLike | None = None,
    ) -> None:
        super().__init__(squared_hinge, reduction, name, dtype)


class CategoricalHinge(FunctionLoss):
    """Compute `max(neg - pos + 1, 0)`, with `pos` the score of the true class and `neg` the best other score.

    Labels are one-hot.

    Args:
        reduction: how the values per sample become one number: `"sum_over_batch_size"` or `"mean"` (their mean),
            `"sum"`, `"mean_with_sample_weight"` (the weighted sum divided by the sum of the weights), `"none"` or
            `None` (no reduction). Default: `"sum_over_batch_size"`.
        name: name of the loss. Default: `"categorical_hinge"`.
        dtype: dtype name or policy in which the loss is computed; `None` means `keras.config.floatx()`. Default:
            `None`.

    Example:
        >>> loss = keras.losses.CategoricalHinge()
        >>> loss(np.array([[0.0, 1.0]]), np.array([[0.5, 0.25]])).item()
        1.25
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "categorical_hinge",
        dtype: PolicyLike | None = None,
    ) -> None:
        super().__init__(categorical_hinge, reduction, name, dtype)
