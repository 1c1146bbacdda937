"""Crossentropy of class numbers."""

from __future__ import annotations

import torch

from torchkeras.core.fast_paths.batch_means import batch_mean
from torchkeras.core.tensors.convert import constant, convert_to_tensor
from torchkeras.core.tensors.masks import set_mask
from torchkeras.core.types import ArrayLike
from torchkeras.dtype_policies.policy import PolicyLike
from torchkeras.losses.loss import FunctionLoss
from torchkeras.ops.nn.crossentropy import class_values, probabilities, rows_of_classes, smoothed_class_values

_NAMES = ("y_true", "y_pred")


def sparse_categorical_crossentropy(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    from_logits: bool = False,
    ignore_class: int | None = None,
    axis: int = -1,
    label_smoothing: float = 0.0,
) -> torch.Tensor:
    """Compute `-log(p)`, with `p` the probability of the true class.

    Args:
        y_true: class numbers, of the shape of `y_pred` without the axis of the classes, or with 1 in its place.
        y_pred: probabilities or logits, `(batch, ..., classes)`.
        from_logits: whether predictions are logits; if not, they are probabilities: they are divided by their sum and
            clipped by epsilon. Default: `False`.
        ignore_class: class whose entries give 0 and are masked in the result, such as -1 for "no label". Default:
            `None`.
        axis: axis of the classes. Default: `-1`.
        label_smoothing: fraction of each label, from 0 to 1, that is spread over all classes alike. Default: `0.0`.

    Returns:
        A tensor of the shape of `y_pred` without that axis.

    Raises:
        ValueError: the shapes do not fit together.

    Example:
        >>> keras.losses.sparse_categorical_crossentropy(np.array([1, 0]), np.array([[0.5, 0.5], [0.25, 0.75]]))
        tensor([0.6931, 1.3863], dtype=torch.float64)
    """
    y_pred = convert_to_tensor(y_pred)
    y_true = convert_to_tensor(y_true, None, y_pred.device)
    target, pred, shape = rows_of_classes(y_true, y_pred, axis, _NAMES)
    if ignore_class is None:
        return _values(target, pred, from_logits, label_smoothing).reshape(shape)
    valid = target != ignore_class
    values = _values(target.where(valid, 0), pred.where(valid.unsqueeze(-1), 0.0), from_logits, label_smoothing)
    values = values.where(valid, 0.0).reshape(shape)
    set_mask(values, valid.reshape(shape))
    return values


def _values(target: torch.Tensor, pred: torch.Tensor, from_logits: bool, smoothing: float) -> torch.Tensor:
    if smoothing > 0:
        return smoothed_class_values(target, pred, from_logits, smoothing)
    return class_values(target, pred, from_logits)


@batch_mean(sparse_categorical_crossentropy)
def _batch_sparse_categorical_crossentropy(
    y_true: torch.Tensor,
    y_pred: torch.Tensor,
    from_logits: bool = False,
    ignore_class: int | None = None,
    axis: int = -1,
    label_smoothing: float = 0.0,
) -> torch.Tensor | None:
    if ignore_class is not None or label_smoothing > 0:
        return None
    target, pred, shape = rows_of_classes(y_true, y_pred, axis, _NAMES)
    # Not "mean": torch leaves entries of class -100 out of the count, Keras does not.
    return class_values(target, pred, from_logits, "sum") / shape.numel()


class SparseCategoricalCrossentropy(FunctionLoss):
    """Compute the crossentropy of class numbers with probabilities or logits.

    `loss = -log(p)`, with `p` the probability of the true class. For one-hot labels use `CategoricalCrossentropy`.

    Args:
        from_logits: whether predictions are logits; if not, they are probabilities: they are divided by their sum and
            clipped by epsilon. Default: `False`.
        ignore_class: class whose entries count for nothing, such as -1 for "no label". Default: `None`.
        axis: axis of the classes. Default: `-1`.
        reduction: how the values per sample become one number: `"sum_over_batch_size"` or `"mean"` (their mean),
            `"sum"`, `"mean_with_sample_weight"` (the weighted sum divided by the sum of the weights), `"none"` or
            `None` (no reduction). Default: `"sum_over_batch_size"`.
        name: name of the loss. Default: `"sparse_categorical_crossentropy"`.
        dtype: dtype name or policy in which the loss is computed; `None` means `keras.config.floatx()`. Default:
            `None`.
        label_smoothing: fraction of each label, from 0 to 1, that is spread over all classes alike. Default: `0.0`.
            (In Keras 3.16 it stands before `name`.)

    Raises:
        ValueError: (in a call) the shapes do not fit together.

    Example:
        >>> loss = keras.losses.SparseCategoricalCrossentropy()
        >>> round(loss(np.array([1, 1]), np.array([[0.5, 0.5], [0.5, 0.5]])).item(), 4)  # log(2)
        0.6931
        >>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1)
        >>> round(loss(np.array([1, -1]), np.array([[0.0, 0.0], [9.0, 9.0]])).item(), 4)
        0.6931
    """

    _tk_config_keys = ("from_logits", "ignore_class")
    _tk_optional_config_keys = (("axis", -1), ("label_smoothing", 0.0))
    _tk_keeps_integers = True

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        axis: int = -1,
        name: str = "sparse_categorical_crossentropy",
        dtype: PolicyLike | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        arguments: dict[str, float | None] = {"from_logits": from_logits, "ignore_class": ignore_class, "axis": axis}
        arguments["label_smoothing"] = label_smoothing
        super().__init__(sparse_categorical_crossentropy, reduction, name, dtype, **arguments)
        self.__dict__.update(arguments)


def sparse_categorical_focal_crossentropy(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    ignore_class: int | None = None,
    axis: int = -1,
) -> torch.Tensor:
    """Compute `-alpha * (1 - p)**gamma * log(p)`, with `p` the probability of the true class.

    Keras has it from 3.16 on. [Lin et al., 2017](https://arxiv.org/abs/1708.02002)

    Args:
        y_true: class numbers, of the shape of `y_pred` without the axis of the classes, or with 1 in its place.
        y_pred: probabilities or logits, `(batch, ..., classes)`.
        alpha: weight of the loss: one number, or one for each class. Default: `0.25`.
        gamma: exponent of the focal factor; 0 gives sparse categorical crossentropy times `alpha`. Default: `2.0`.
        from_logits: whether predictions are logits; if not, they are probabilities: they are divided by their sum and
            clipped by epsilon. Default: `False`.
        ignore_class: class whose entries give 0 and are masked in the result, such as -1 for "no label". Default:
            `None`.
        axis: axis of the classes. Default: `-1`.

    Returns:
        A tensor of the shape of `y_pred` without that axis.

    Raises:
        ValueError: the shapes do not fit together.

    Example:
        >>> keras.losses.sparse_categorical_focal_crossentropy(np.array([1]), np.array([[0.5, 0.5]]))  # log(2) / 16
        tensor([0.0433], dtype=torch.float64)
    """
    y_pred = convert_to_tensor(y_pred)
    y_true = convert_to_tensor(y_true, None, y_pred.device)
    target, pred, shape = rows_of_classes(y_true, y_pred, axis, _NAMES)
    valid = None if ignore_class is None else target != ignore_class
    if valid is not None:
        target, pred = target.where(valid, 0), pred.where(valid.unsqueeze(-1), 0.0)
    weight = constant(alpha, pred.dtype, pred.device).expand(pred.shape[-1])[target]
    p = probabilities(pred.softmax(-1) if from_logits else pred, -1).gather(-1, target.unsqueeze(-1)).squeeze(-1)
    values = -weight * (1.0 - p) ** gamma * p.log()
    if valid is None:
        return values.reshape(shape)
    values = values.where(valid, 0.0).reshape(shape)
    set_mask(values, valid.reshape(shape))
    return values


class SparseCategoricalFocalCrossentropy(FunctionLoss):
    """Compute `alpha * (1 - p)**gamma` times sparse categorical crossentropy: well predicted labels count little.

    `p` is the probability of the true class; labels are class numbers. Keras has it from 3.16 on. [Lin et al.,
    2017](https://arxiv.org/abs/1708.02002)

    Args:
        alpha: weight of the loss: one number, or one for each class. Default: `0.25`.
        gamma: exponent of the focal factor; 0 gives sparse categorical crossentropy times `alpha`. Default: `2.0`.
        from_logits: whether predictions are logits; if not, they are probabilities: they are divided by their sum and
            clipped by epsilon. Default: `False`.
        ignore_class: class whose entries count for nothing, such as -1 for "no label". Default: `None`.
        axis: axis of the classes. Default: `-1`.
        reduction: how the values per sample become one number: `"sum_over_batch_size"` or `"mean"` (their mean),
            `"sum"`, `"mean_with_sample_weight"` (the weighted sum divided by the sum of the weights), `"none"` or
            `None` (no reduction). Default: `"sum_over_batch_size"`.
        name: name of the loss. Default: `"sparse_categorical_focal_crossentropy"`.
        dtype: dtype name or policy in which the loss is computed; `None` means `keras.config.floatx()`. Default:
            `None`.

    Raises:
        ValueError: (in a call) the shapes do not fit together.

    Example:
        >>> loss = keras.losses.SparseCategoricalFocalCrossentropy(alpha=1.0)
        >>> round(loss(np.array([1, 1]), np.array([[0.5, 0.5], [0.5, 0.5]])).item(), 4)  # log(2) / 4
        0.1733
    """

    _tk_config_keys = ("alpha", "gamma", "from_logits", "ignore_class", "axis")
    _tk_keeps_integers = True

    def __init__(
        self,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "sparse_categorical_focal_crossentropy",
        dtype: PolicyLike | None = None,
    ) -> None:
        arguments = {"alpha": alpha, "gamma": gamma, "from_logits": from_logits}
        arguments |= {"ignore_class": ignore_class, "axis": axis}
        super().__init__(sparse_categorical_focal_crossentropy, reduction, name, dtype, **arguments)
        self.__dict__.update(arguments)
