"""Losses of image segmentation: how much two masks overlap."""

from __future__ import annotations

import torch

from torchkeras.core import settings
from torchkeras.core.types import ArrayLike, Axes
from torchkeras.dtype_policies.policy import PolicyLike
from torchkeras.losses.loss import FunctionLoss
from torchkeras.losses.shapes import as_tensors, check_broadcast


def dice(y_true: ArrayLike, y_pred: ArrayLike, axis: Axes | None = None) -> torch.Tensor:
    """Compute `1 - 2 * sum(y_true * y_pred) / (sum(y_true) + sum(y_pred))` over the given axes.

    Args:
        y_true: masks of 0 and 1, of a shape that broadcasts against `y_pred`.
        y_pred: predicted probabilities, of any shape.
        axis: axis or axes over which the overlap is measured; `None` stands for all, which gives one number per batch.
            Default: `None`.

    Returns:
        A tensor of the shape of `y_pred` without these axes.

    Raises:
        ValueError: the shapes do not broadcast.

    Example:
        >>> round(keras.losses.dice(np.array([1.0, 1.0, 0.0]), np.array([1.0, 0.0, 0.0])).item(), 4)
        0.3333
    """
    y_true, y_pred = as_tensors(y_true, y_pred)
    check_broadcast("y_true", y_true, "y_pred", y_pred)
    axis = _axes(axis)
    both = (y_true * y_pred).sum(axis)
    return 1.0 - 2.0 * both / (y_true.sum(axis) + y_pred.sum(axis) + settings.epsilon())


def tversky(
    y_true: ArrayLike, y_pred: ArrayLike, alpha: float = 0.5, beta: float = 0.5, axis: Axes | None = None
) -> torch.Tensor:
    """Compute `1 - both / (both + alpha * missed + beta * wrong)`, summed over the given axes.

    `both` is the sum of `y_true * y_pred`, `missed` of `y_true * (1 - y_pred)`, `wrong` of `(1 - y_true) * y_pred`.
    [Salehi et al., 2017](https://arxiv.org/abs/1706.05721)

    Args:
        y_true: masks of 0 and 1, of a shape that broadcasts against `y_pred`.
        y_pred: predicted probabilities, of any shape.
        alpha: weight of the values that the prediction misses. Default: `0.5`.
        beta: weight of the values that the prediction has too much. Default: `0.5`.
        axis: axis or axes over which the overlap is measured; `None` stands for all, which gives one number per batch.
            Default: `None`.

    Returns:
        A tensor of the shape of `y_pred` without these axes.

    Raises:
        ValueError: the shapes do not broadcast.

    Example:
        >>> round(keras.losses.tversky(np.array([1.0, 1.0, 0.0]), np.array([1.0, 0.0, 0.0]), alpha=1.0).item(), 4)
        0.5
    """
    y_true, y_pred = as_tensors(y_true, y_pred)
    check_broadcast("y_true", y_true, "y_pred", y_pred)
    axis = _axes(axis)
    both = (y_true * y_pred).sum(axis)
    missed = (y_true * (1.0 - y_pred)).sum(axis)
    wrong = ((1.0 - y_true) * y_pred).sum(axis)
    return 1.0 - both / (both + alpha * missed + beta * wrong + settings.epsilon())


def _axes(axis: Axes | None) -> int | tuple[int, ...] | None:
    return axis if axis is None or isinstance(axis, int) else tuple(axis)


class Dice(FunctionLoss):
    """Compute one minus the Dice coefficient of two masks.

    `loss = 1 - 2 * sum(y_true * y_pred) / (sum(y_true) + sum(y_pred))`

    Args:
        axis: axis or axes over which the overlap is measured; `None` stands for all, which gives one number per batch.
            Default: `None`.
        reduction: how the values per sample become one number: `"sum_over_batch_size"` or `"mean"` (their mean),
            `"sum"`, `"mean_with_sample_weight"` (the weighted sum divided by the sum of the weights), `"none"` or
            `None` (no reduction). Default: `"sum_over_batch_size"`.
        name: name of the loss. Default: `"dice"`.
        dtype: dtype name or policy in which the loss is computed; `None` means `keras.config.floatx()`. Default:
            `None`.

    Example:
        >>> loss = keras.losses.Dice()
        >>> round(loss(np.array([1.0, 1.0, 0.0]), np.array([1.0, 0.0, 0.0])).item(), 4)
        0.3333
    """

    _tk_config_keys = ("axis",)

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "dice",
        axis: Axes | None = None,
        dtype: PolicyLike | None = None,
    ) -> None:
        super().__init__(dice, reduction, name, dtype, axis=axis)
        self.axis = axis


class Tversky(FunctionLoss):
    """Compute one minus the Tversky index: `1 - both / (both + alpha * missed + beta * wrong)`.

    `both` is the sum of `y_true * y_pred`, `missed` of `y_true * (1 - y_pred)`, `wrong` of `(1 - y_true) * y_pred`.
    [Salehi et al., 2017](https://arxiv.org/abs/1706.05721)

    Args:
        alpha: weight of the values that the prediction misses. Default: `0.5`.
        beta: weight of the values that the prediction has too much. Default: `0.5`.
        axis: axis or axes over which the overlap is measured; `None` stands for all, which gives one number per batch.
            Default: `None`.
        reduction: how the values per sample become one number: `"sum_over_batch_size"` or `"mean"` (their mean),
            `"sum"`, `"mean_with_sample_weight"` (the weighted sum divided by the sum of the weights), `"none"` or
            `None` (no reduction). Default: `"sum_over_batch_size"`.
        name: name of the loss. Default: `"tversky"`.
        dtype: dtype name or policy in which the loss is computed; `None` means `keras.config.floatx()`. Default:
            `None`.

    Example:
        >>> loss = keras.losses.Tversky(alpha=1.0)
        >>> round(loss(np.array([1.0, 1.0, 0.0]), np.array([1.0, 0.0, 0.0])).item(), 4)
        0.5
    """

    _tk_config_keys = ("alpha", "beta", "axis")

    def __init__(
        self,
        alpha: float = 0.5,
        beta: float = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str = "tversky",
        axis: Axes | None = None,
        dtype: PolicyLike | None = None,
    ) -> None:
        arguments = {"alpha": alpha, "beta": beta, "axis": axis}
        super().__init__(tversky, reduction, name, dtype, **arguments)
        self.__dict__.update(arguments)
