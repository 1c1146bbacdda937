"""Crossentropy of yes-or-no labels."""

from __future__ import annotations

import torch

from torchkeras.core import settings
from torchkeras.core.fast_paths import batch_means
from torchkeras.core.fast_paths.batch_means import batch_mean
from torchkeras.core.types import ArrayLike
from torchkeras.dtype_policies.policy import PolicyLike
from torchkeras.losses.loss import FunctionLoss
from torchkeras.losses.shapes import as_tensors, check_same_shape
from torchkeras.ops.nn.crossentropy import binary_values


def _smooth(y_true: torch.Tensor, label_smoothing: float) -> torch.Tensor:
    return y_true * (1.0 - label_smoothing) + 0.5 * label_smoothing if label_smoothing else y_true


def _crossentropy(y_true: torch.Tensor, y_pred: torch.Tensor, from_logits: bool, reduction: str) -> torch.Tensor:
    check_same_shape(y_true, y_pred)
    return binary_values(y_true, y_pred, from_logits, reduction)


def binary_crossentropy(
    y_true: ArrayLike, y_pred: ArrayLike, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> torch.Tensor:
    """Compute `mean(-y_true * log(y_pred) - (1 - y_true) * log(1 - y_pred))` along an axis.

    Args:
        y_true: labels 0 or 1 (or probabilities), of the shape of `y_pred`.
        y_pred: probabilities or logits, `(batch, ..., d)`.
        from_logits: whether predictions are logits; if not, they are probabilities and are clipped to `[epsilon, 1 -
            epsilon]`. Default: `False`.
        label_smoothing: labels are moved towards 0.5 by this part of the distance, from 0 to 1. Default: `0.0`.
        axis: axis over which the mean is taken. Default: `-1`.

    Returns:
        A tensor of the shape of `y_pred` without that axis.

    Raises:
        ValueError: the shapes of `y_true` and `y_pred` differ.

    Example:
        >>> y_true, y_pred = np.array([[0.0, 1.0]]), np.array([[0.5, 0.5]])
        >>> keras.losses.binary_crossentropy(y_true, y_pred)  # log(2)
        tensor([0.6931], dtype=torch.float64)
    """
    y_true, y_pred = as_tensors(y_true, y_pred)
    return _crossentropy(_smooth(y_true, label_smoothing), y_pred, from_logits, "none").mean(axis)


def binary_focal_crossentropy(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> torch.Tensor:
    """Compute the mean of `(1 - p)**gamma` times binary crossentropy along an axis.

    `p` is the probability that the prediction gives to the true label. [Lin et al.,
    2017](https://arxiv.org/abs/1708.02002)

    Args:
        y_true: labels 0 or 1 (or probabilities), of the shape of `y_pred`.
        y_pred: probabilities or logits, `(batch, ..., d)`.
        apply_class_balancing: whether label 1 is weighted by `alpha` and label 0 by `1 - alpha`. Default: `False`.
        alpha: weight of label 1, if `apply_class_balancing`. Default: `0.25`.
        gamma: exponent of the focal factor; 0 gives binary crossentropy. Default: `2.0`.
        from_logits: whether predictions are logits; if not, they are probabilities and are clipped to `[epsilon, 1 -
            epsilon]`. Default: `False`.
        label_smoothing: labels are moved towards 0.5 by this part of the distance, from 0 to 1. Default: `0.0`.
        axis: axis over which the mean is taken. Default: `-1`.

    Returns:
        A tensor of the shape of `y_pred` without that axis.

    Raises:
        ValueError: the shapes of `y_true` and `y_pred` differ.

    Example:
        >>> y_true, y_pred = np.array([[0.0, 1.0]]), np.array([[0.5, 0.5]])
        >>> keras.losses.binary_focal_crossentropy(y_true, y_pred)  # log(2) / 4
        tensor([0.1733], dtype=torch.float64)
    """
    y_true, y_pred = as_tensors(y_true, y_pred)
    y_true = _smooth(y_true, label_smoothing)
    y_pred = y_pred.sigmoid() if from_logits else y_pred
    crossentropy = _crossentropy(y_true, y_pred, False, "none")
    p = y_true * y_pred + (1.0 - y_true) * (1.0 - y_pred)
    loss = (1.0 - p) ** gamma * crossentropy
    if apply_class_balancing:
        loss = loss * (y_true * alpha + (1.0 - y_true) * (1.0 - alpha))
    return loss.mean(axis)


@batch_mean(binary_crossentropy)
def _batch_binary_crossentropy(
    y_true: torch.Tensor, y_pred: torch.Tensor, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> torch.Tensor:
    y_true = _smooth(y_true, label_smoothing)
    if from_logits:
        return _crossentropy(y_true, y_pred, True, "mean")
    check_same_shape(y_true, y_pred)
    epsilon = settings.epsilon()
    return batch_means.bce(y_true, y_pred.clamp(epsilon, 1.0 - epsilon))


class BinaryCrossentropy(FunctionLoss):
    """Compute the crossentropy of labels 0 and 1 with probabilities or logits.

    `loss = mean(-y_true * log(y_pred) - (1 - y_true) * log(1 - y_pred))`

    Args:
        from_logits: whether predictions are logits; if not, they are probabilities and are clipped to `[epsilon, 1 -
            epsilon]`. Default: `False`.
        label_smoothing: labels are moved towards 0.5 by this part of the distance, from 0 to 1. Default: `0.0`.
        axis: axis over which the mean is taken. Default: `-1`.
        reduction: how the values per sample become one number: `"sum_over_batch_size"` or `"mean"` (their mean),
            `"sum"`, `"mean_with_sample_weight"` (the weighted sum divided by the sum of the weights), `"none"` or
            `None` (no reduction). Default: `"sum_over_batch_size"`.
        name: name of the loss. Default: `"binary_crossentropy"`.
        dtype: dtype name or policy in which the loss is computed; `None` means `keras.config.floatx()`. Default:
            `None`.

    Example:
        >>> loss = keras.losses.BinaryCrossentropy()
        >>> round(loss(np.array([[0.0, 1.0]]), np.array([[0.5, 0.5]])).item(), 4)  # log(2)
        0.6931
        >>> loss = keras.losses.BinaryCrossentropy(from_logits=True, reduction="none")
        >>> loss(np.array([[1.0], [0.0]]), np.array([[0.0], [0.0]]))
        tensor([0.6931, 0.6931])
    """

    _tk_config_keys = ("from_logits", "label_smoothing", "axis")

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "binary_crossentropy",
        dtype: PolicyLike | None = None,
    ) -> None:
        arguments = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(binary_crossentropy, reduction, name, dtype, **arguments)
        self.__dict__.update(arguments)


class BinaryFocalCrossentropy(FunctionLoss):
    """Compute `(1 - p)**gamma` times binary crossentropy: well predicted labels count little.

    `p` is the probability that the prediction gives to the true label. [Lin et al.,
    2017](https://arxiv.org/abs/1708.02002)

    Args:
        apply_class_balancing: whether label 1 is weighted by `alpha` and label 0 by `1 - alpha`. Default: `False`.
        alpha: weight of label 1, if `apply_class_balancing`. Default: `0.25`.
        gamma: exponent of the focal factor; 0 gives binary crossentropy. Default: `2.0`.
        from_logits: whether predictions are logits; if not, they are probabilities and are clipped to `[epsilon, 1 -
            epsilon]`. Default: `False`.
        label_smoothing: labels are moved towards 0.5 by this part of the distance, from 0 to 1. Default: `0.0`.
        axis: axis over which the mean is taken. Default: `-1`.
        reduction: how the values per sample become one number: `"sum_over_batch_size"` or `"mean"` (their mean),
            `"sum"`, `"mean_with_sample_weight"` (the weighted sum divided by the sum of the weights), `"none"` or
            `None` (no reduction). Default: `"sum_over_batch_size"`.
        name: name of the loss. Default: `"binary_focal_crossentropy"`.
        dtype: dtype name or policy in which the loss is computed; `None` means `keras.config.floatx()`. Default:
            `None`.

    Example:
        >>> loss = keras.losses.BinaryFocalCrossentropy(gamma=2.0)
        >>> round(loss(np.array([[0.0, 1.0]]), np.array([[0.5, 0.5]])).item(), 4)  # log(2) / 4
        0.1733
    """

    _tk_config_keys = ("from_logits", "label_smoothing", "axis", "apply_class_balancing", "alpha", "gamma")

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "binary_focal_crossentropy",
        dtype: PolicyLike | None = None,
    ) -> None:
        arguments = {"apply_class_balancing": apply_class_balancing, "alpha": alpha, "gamma": gamma}
        arguments |= {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(binary_focal_crossentropy, reduction, name, dtype, **arguments)
        self.__dict__.update(arguments)
