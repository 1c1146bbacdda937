"""Losses of distributions and rates: Kullback-Leibler, Poisson."""

from __future__ import annotations

import torch

from torchkeras.core import settings
from torchkeras.core.types import ArrayLike
from torchkeras.dtype_policies.policy import PolicyLike
from torchkeras.losses.loss import FunctionLoss
from torchkeras.losses.shapes import as_tensors, check_broadcast


def kl_divergence(y_true: ArrayLike, y_pred: ArrayLike) -> torch.Tensor:
    """Compute `sum(y_true * log(y_true / y_pred))` over the last axis, both clipped to `[epsilon, 1]`.

    Args:
        y_true: probabilities, of a shape that broadcasts against `y_pred`.
        y_pred: predicted probabilities, `(batch, ..., d)`.

    Returns:
        A tensor of the shape of `y_pred` without its last axis.

    Raises:
        ValueError: the shapes do not broadcast.

    Example:
        >>> keras.losses.kl_divergence(np.array([[0.5, 0.5]]), np.array([[0.5, 0.5]]))
        tensor([0.], dtype=torch.float64)
    """
    y_true, y_pred = as_tensors(y_true, y_pred)
    check_broadcast("y_true", y_true, "y_pred", y_pred)
    y_true, y_pred = y_true.clamp(settings.epsilon(), 1.0), y_pred.clamp(settings.epsilon(), 1.0)
    return (y_true * (y_true / y_pred).log()).sum(-1)


def poisson(y_true: ArrayLike, y_pred: ArrayLike) -> torch.Tensor:
    """Compute `mean(y_pred - y_true * log(y_pred + epsilon))` over the last axis.

    Args:
        y_true: counts, of a shape that broadcasts against `y_pred`.
        y_pred: predicted rates, positive, `(batch, ..., d)`.

    Returns:
        A tensor of the shape of `y_pred` without its last axis.

    Raises:
        ValueError: the shapes do not broadcast.

    Example:
        >>> keras.losses.poisson(np.array([[2.0, 3.0]]), np.array([[1.0, 1.0]]))
        tensor([1.0000], dtype=torch.float64)
    """
    y_true, y_pred = as_tensors(y_true, y_pred)
    check_broadcast("y_true", y_true, "y_pred", y_pred)
    return (y_pred - y_true * (y_pred + settings.epsilon()).log()).mean(-1)


class KLDivergence(FunctionLoss):
    """Compute the Kullback-Leibler divergence `sum(y_true * log(y_true / y_pred))` of probabilities.

    Both are clipped to `[epsilon, 1]`.

    Args:
        reduction: how the values per sample become one number: `"sum_over_batch_size"` or `"mean"` (their mean),
            `"sum"`, `"mean_with_sample_weight"` (the weighted sum divided by the sum of the weights), `"none"` or
            `None` (no reduction). Default: `"sum_over_batch_size"`.
        name: name of the loss. Default: `"kl_divergence"`.
        dtype: dtype name or policy in which the loss is computed; `None` means `keras.config.floatx()`. Default:
            `None`.

    Example:
        >>> loss = keras.losses.KLDivergence()
        >>> round(loss(np.array([[0.0, 1.0]]), np.array([[0.5, 0.5]])).item(), 4)  # log(2)
        0.6931
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "kl_divergence",
        dtype: PolicyLike | None = None,
    ) -> None:
        super().__init__(kl_divergence, reduction, name, dtype)


class Poisson(FunctionLoss):
    """Compute the negative log likelihood of counts, up to a constant: `mean(y_pred - y_true * log(y_pred))`.

    Args:
        reduction: how the values per sample become one number: `"sum_over_batch_size"` or `"mean"` (their mean),
            `"sum"`, `"mean_with_sample_weight"` (the weighted sum divided by the sum of the weights), `"none"` or
            `None` (no reduction). Default: `"sum_over_batch_size"`.
        name: name of the loss. Default: `"poisson"`.
        dtype: dtype name or policy in which the loss is computed; `None` means `keras.config.floatx()`. Default:
            `None`.

    Example:
        >>> loss = keras.losses.Poisson()
        >>> round(loss(np.array([[2.0, 3.0]]), np.array([[1.0, 1.0]])).item(), 4)
        1.0
    """

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str = "poisson", dtype: PolicyLike | None = None
    ) -> None:
        super().__init__(poisson, reduction, name, dtype)
