"""Crossentropy of one-hot (or soft) labels."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from torchkeras.core.fast_paths.batch_means import batch_mean
from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.core.types import ArrayLike
from torchkeras.core.user_warnings import warn_user
from torchkeras.dtype_policies.policy import PolicyLike
from torchkeras.losses.loss import FunctionLoss
from torchkeras.losses.shapes import as_tensors, check_same_shape
from torchkeras.ops.nn.crossentropy import probabilities


def _prepare(
    y_true: ArrayLike, y_pred: ArrayLike, label_smoothing: float, axis: int, name: str
) -> tuple[torch.Tensor, torch.Tensor]:
    if isinstance(axis, bool):
        raise ValueError(f"axis must be an int; received {axis!r}.")
    y_true, y_pred = as_tensors(y_true, y_pred)
    check_same_shape(y_true, y_pred)
    if y_pred.dim() == 0:
        raise ValueError("y_true and y_pred must have a class axis; received scalars (shape ()).")
    if y_pred.shape[-1] == 1:
        warn_user(
            f"{name} needs predictions for two or more classes; y_pred has shape {tuple(y_pred.shape)}. For one "
            f"yes-or-no output use binary_crossentropy.",
            SyntaxWarning,
        )
    if label_smoothing:
        y_true = y_true * (1.0 - label_smoothing) + label_smoothing / y_true.shape[-1]
    return y_true, y_pred


def categorical_crossentropy(
    y_true: ArrayLike, y_pred: ArrayLike, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> torch.Tensor:
    """Compute `-sum(y_true * log(y_pred))` along the axis of the classes.

    Args:
        y_true: one-hot labels (or probabilities), of the shape of `y_pred`.
        y_pred: probabilities or logits, `(batch, ..., classes)`.
        from_logits: whether predictions are logits; if not, they are probabilities: they are divided by their sum and
            clipped by epsilon. Default: `False`.
        label_smoothing: labels are moved towards `1 / classes` by this part of the distance, from 0 to 1. Default:
            `0.0`.
        axis: axis of the classes. Default: `-1`.

    Returns:
        A tensor of the shape of `y_pred` without that axis.

    Raises:
        ValueError: the shapes of `y_true` and `y_pred` differ.

    Example:
        >>> y_true, y_pred = np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([[0.5, 0.5], [0.25, 0.75]])
        >>> keras.losses.categorical_crossentropy(y_true, y_pred)  # log(2), log(4)
        tensor([0.6931, 1.3863], dtype=torch.float64)
    """
    y_true, y_pred = _prepare(y_true, y_pred, label_smoothing, axis, "categorical_crossentropy")
    log_prob = F.log_softmax(y_pred, axis) if from_logits else probabilities(y_pred, axis).log()
    return -(y_true * log_prob).sum(axis)


def categorical_focal_crossentropy(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> torch.Tensor:
    """Compute `-sum(alpha * (1 - y_pred)**gamma * y_true * log(y_pred))` along the axis of the classes.

    [Lin et al., 2017](https://arxiv.org/abs/1708.02002)

    Args:
        y_true: one-hot labels (or probabilities), of the shape of `y_pred`.
        y_pred: probabilities or logits, `(batch, ..., classes)`.
        alpha: weight of the loss: one number, or one for each class. Default: `0.25`.
        gamma: exponent of the focal factor; 0 gives categorical crossentropy times `alpha`. Default: `2.0`.
        from_logits: whether predictions are logits; if not, they are probabilities: they are divided by their sum and
            clipped by epsilon. Default: `False`.
        label_smoothing: labels are moved towards `1 / classes` by this part of the distance, from 0 to 1. Default:
            `0.0`.
        axis: axis of the classes. Default: `-1`.

    Returns:
        A tensor of the shape of `y_pred` without that axis.

    Raises:
        ValueError: the shapes of `y_true` and `y_pred` differ.

    Example:
        >>> y_true, y_pred = np.array([[0.0, 1.0]]), np.array([[0.5, 0.5]])
        >>> keras.losses.categorical_focal_crossentropy(y_true, y_pred)  # log(2) / 16
        tensor([0.0433], dtype=torch.float64)
    """
    y_true, y_pred = _prepare(y_true, y_pred, label_smoothing, axis, "categorical_focal_crossentropy")
    p = probabilities(y_pred.softmax(axis) if from_logits else y_pred, axis)
    return -(alpha * (1.0 - p) ** gamma * y_true * p.log()).sum(axis)


def categorical_generalized_cross_entropy(y_true: ArrayLike, y_pred: ArrayLike, q: float) -> torch.Tensor:
    """Compute `(1 - p**q) / q`, with `p` the probability of the true class.

    The loss is robust to wrong labels. [Zhang & Sabuncu, 2018](https://arxiv.org/abs/1805.07836)

    Args:
        y_true: class numbers, of the shape of `y_pred` without its last axis.
        y_pred: probabilities, `(batch, ..., classes)`.
        q: number between 0 (crossentropy) and 1 (absolute error).

    Returns:
        A tensor of the shape of `y_true`.

    Raises:
        ValueError: the shapes do not fit together.

    Example:
        >>> y_pred = np.array([[0.75, 0.25], [1.0, 0.0]])
        >>> keras.losses.categorical_generalized_cross_entropy(np.array([1, 0]), y_pred, q=0.5)
        tensor([1., 0.], dtype=torch.float64)
    """
    y_pred = convert_to_tensor(y_pred)
    y_true = convert_to_tensor(y_true, torch.int64, y_pred.device)
    if y_true.shape != y_pred.shape[:-1]:
        raise ValueError(
            f"y_true must have the shape of y_pred without its last axis; received y_true of shape "
            f"{tuple(y_true.shape)} and y_pred of shape {tuple(y_pred.shape)}."
        )
    p = y_pred.gather(-1, y_true.unsqueeze(-1)).squeeze(-1)
    return (1.0 - p**q) / q


@batch_mean(categorical_crossentropy)
def _batch_categorical_crossentropy(
    y_true: torch.Tensor, y_pred: torch.Tensor, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> torch.Tensor | None:
    if not from_logits or axis != -1 or y_pred.dim() < 2 or y_true.shape != y_pred.shape or y_pred.shape[-1] == 1:
        return None
    classes = y_pred.shape[-1]
    return F.cross_entropy(
        y_pred.reshape(-1, classes), y_true.reshape(-1, classes), label_smoothing=float(label_smoothing)
    )


class CategoricalCrossentropy(FunctionLoss):
    """Compute the crossentropy of one-hot labels with probabilities or logits.

    `loss = -sum(y_true * log(y_pred))`. For class numbers use `SparseCategoricalCrossentropy`.

    Args:
        from_logits: whether predictions are logits; if not, they are probabilities: they are divided by their sum and
            clipped by epsilon. Default: `False`.
        label_smoothing: labels are moved towards `1 / classes` by this part of the distance, from 0 to 1. Default:
            `0.0`.
        axis: axis of the classes. Default: `-1`.
        reduction: how the values per sample become one number: `"sum_over_batch_size"` or `"mean"` (their mean),
            `"sum"`, `"mean_with_sample_weight"` (the weighted sum divided by the sum of the weights), `"none"` or
            `None` (no reduction). Default: `"sum_over_batch_size"`.
        name: name of the loss. Default: `"categorical_crossentropy"`.
        dtype: dtype name or policy in which the loss is computed; `None` means `keras.config.floatx()`. Default:
            `None`.

    Raises:
        ValueError: (in a call) the shapes of `y_true` and `y_pred` differ.

    Example:
        >>> loss = keras.losses.CategoricalCrossentropy()
        >>> round(loss(np.array([[0.0, 1.0]]), np.array([[0.5, 0.5]])).item(), 4)  # log(2)
        0.6931
        >>> loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
        >>> round(loss(np.array([[0.0, 1.0]]), np.array([[0.0, 0.0]])).item(), 4)
        0.6931
    """

    _tk_config_keys = ("from_logits", "label_smoothing", "axis")

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "categorical_crossentropy",
        dtype: PolicyLike | None = None,
    ) -> None:
        arguments = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(categorical_crossentropy, reduction, name, dtype, **arguments)
        self.__dict__.update(arguments)


class CategoricalFocalCrossentropy(FunctionLoss):
    """Compute `alpha * (1 - p)**gamma` times categorical crossentropy: well predicted labels count little.

    `p` is the predicted probability. [Lin et al., 2017](https://arxiv.org/abs/1708.02002)

    Args:
        alpha: weight of the loss: one number, or one for each class. Default: `0.25`.
        gamma: exponent of the focal factor; 0 gives categorical crossentropy times `alpha`. Default: `2.0`.
        from_logits: whether predictions are logits; if not, they are probabilities: they are divided by their sum and
            clipped by epsilon. Default: `False`.
        label_smoothing: labels are moved towards `1 / classes` by this part of the distance, from 0 to 1. Default:
            `0.0`.
        axis: axis of the classes. Default: `-1`.
        reduction: how the values per sample become one number: `"sum_over_batch_size"` or `"mean"` (their mean),
            `"sum"`, `"mean_with_sample_weight"` (the weighted sum divided by the sum of the weights), `"none"` or
            `None` (no reduction). Default: `"sum_over_batch_size"`.
        name: name of the loss. Default: `"categorical_focal_crossentropy"`.
        dtype: dtype name or policy in which the loss is computed; `None` means `keras.config.floatx()`. Default:
            `None`.

    Example:
        >>> loss = keras.losses.CategoricalFocalCrossentropy(alpha=1.0)
        >>> round(loss(np.array([[0.0, 1.0]]), np.array([[0.5, 0.5]])).item(), 4)  # log(2) / 4
        0.1733
    """

    _tk_config_keys = ("from_logits", "label_smoothing", "axis", "alpha", "gamma")

    def __init__(
        self,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "categorical_focal_crossentropy",
        dtype: PolicyLike | None = None,
    ) -> None:
        arguments = {"alpha": alpha, "gamma": gamma}
        arguments |= {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(categorical_focal_crossentropy, reduction, name, dtype, **arguments)
        self.__dict__.update(arguments)


class CategoricalGeneralizedCrossEntropy(FunctionLoss):
    """Compute `(1 - p**q) / q`, with `p` the probability of the true class.

    Labels are class numbers. The loss is robust to wrong labels. [Zhang & Sabuncu,
    2018](https://arxiv.org/abs/1805.07836)

    Args:
        q: number between 0 (crossentropy) and 1 (absolute error). Default: `0.5`.
        reduction: how the values per sample become one number: `"sum_over_batch_size"` or `"mean"` (their mean),
            `"sum"`, `"mean_with_sample_weight"` (the weighted sum divided by the sum of the weights), `"none"` or
            `None` (no reduction). Default: `"sum_over_batch_size"`.
        name: name of the loss. Default: `"categorical_generalized_cross_entropy"`.
        dtype: dtype name or policy in which the loss is computed; `None` means `keras.config.floatx()`. Default:
            `None`.

    Raises:
        ValueError: `q` does not lie between 0 and 1.

    Example:
        >>> loss = keras.losses.CategoricalGeneralizedCrossEntropy(q=0.5)
        >>> loss(np.array([1, 0]), np.array([[0.75, 0.25], [1.0, 0.0]])).item()
        0.5
    """

    _tk_config_keys = ("q",)
    _tk_keeps_integers = True

    def __init__(
        self,
        q: float = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str = "categorical_generalized_cross_entropy",
        dtype: PolicyLike | None = None,
    ) -> None:
        if not 0 < q < 1:
            raise ValueError(f"q must lie between 0 and 1; received {q!r}.")
        super().__init__(categorical_generalized_cross_entropy, reduction, name, dtype, q=q)
        self.q = q
