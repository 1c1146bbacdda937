"""Crossentropy of one-hot (or soft) labels."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch.nn import functional as F

from torchkeras.core.fast_paths.batch_means import batch_mean
from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.losses.loss import FunctionLoss
from torchkeras.losses.shapes import as_tensors, check_same_shape
from torchkeras.ops.nn.crossentropy import probabilities


def _prepare(
    y_true: Any, y_pred: Any, label_smoothing: float, axis: Any, name: str
) -> tuple[torch.Tensor, torch.Tensor]:
    if isinstance(axis, bool):
        raise ValueError(f"axis must be an int; received {axis!r}.")
    y_true, y_pred = as_tensors(y_true, y_pred)
    check_same_shape(y_true, y_pred)
    if y_pred.dim() == 0:
        raise ValueError("y_true and y_pred must have a class axis; received scalars (shape ()).")
    if y_pred.shape[-1] == 1:
        warnings.warn(
            f"{name} needs predictions for two or more classes; y_pred has shape {tuple(y_pred.shape)}. For one "
            f"yes-or-no output use binary_crossentropy.",
            SyntaxWarning,
            stacklevel=3,
        )
    if label_smoothing:
        y_true = y_true * (1.0 - label_smoothing) + label_smoothing / y_true.shape[-1]
    return y_true, y_pred


def categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> torch.Tensor:
    """`-sum(y_true * log(y_pred))` along the class axis.

    Args:
        from_logits: whether predictions are logits; else they are made to sum to 1 and clipped by epsilon.
        label_smoothing: how far labels are drawn towards `1 / classes`, from 0 to 1.

    Raises:
        ValueError: the shapes differ.
    """
    y_true, y_pred = _prepare(y_true, y_pred, label_smoothing, axis, "categorical_crossentropy")
    log_prob = F.log_softmax(y_pred, axis) if from_logits else probabilities(y_pred, axis).log()
    return -(y_true * log_prob).sum(axis)


def categorical_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> torch.Tensor:
    """`-sum(alpha * (1 - y_pred)**gamma * y_true * log(y_pred))` along the class axis (arXiv:1708.02002)."""
    y_true, y_pred = _prepare(y_true, y_pred, label_smoothing, axis, "categorical_focal_crossentropy")
    p = probabilities(y_pred.softmax(axis) if from_logits else y_pred, axis)
    return -(alpha * (1.0 - p) ** gamma * y_true * p.log()).sum(axis)


def categorical_generalized_cross_entropy(y_true: Any, y_pred: Any, q: float) -> torch.Tensor:
    """`(1 - p**q) / q` with `p` the probability of the true class, robust to wrong labels (arXiv:1805.07836).

    Args:
        y_true: class numbers.
        q: between 0 (crossentropy) and 1 (absolute error).
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
    """Crossentropy of one-hot labels with probabilities or logits.

    Args:
        from_logits: whether predictions are logits; else they are made to sum to 1 and clipped by epsilon.
        label_smoothing: how far labels are drawn towards `1 / classes`, from 0 to 1.
        axis: the class axis.
    """

    config_keys = ("from_logits", "label_smoothing", "axis")

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        arguments = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(categorical_crossentropy, reduction, name, dtype, **arguments)
        self.__dict__.update(arguments)


class CategoricalFocalCrossentropy(FunctionLoss):
    """Categorical crossentropy times `alpha * (1 - p)**gamma`: labels that are predicted well count little.

    Args:
        from_logits, label_smoothing, axis: as in `CategoricalCrossentropy`.
    """

    config_keys = ("from_logits", "label_smoothing", "axis", "alpha", "gamma")

    def __init__(
        self,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "categorical_focal_crossentropy",
        dtype: Any = None,
    ) -> None:
        arguments = {"alpha": alpha, "gamma": gamma}
        arguments |= {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(categorical_focal_crossentropy, reduction, name, dtype, **arguments)
        self.__dict__.update(arguments)


class CategoricalGeneralizedCrossEntropy(FunctionLoss):
    """`(1 - p**q) / q` with `p` the probability of the true class, given by its number.

    Args:
        q: between 0 (crossentropy) and 1 (absolute error).
    """

    config_keys = ("q",)
    keeps_integers = True

    def __init__(
        self,
        q: float = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str = "categorical_generalized_cross_entropy",
        dtype: Any = None,
    ) -> None:
        if not 0 < q < 1:
            raise ValueError(f"q must lie between 0 and 1; received {q!r}.")
        super().__init__(categorical_generalized_cross_entropy, reduction, name, dtype, q=q)
        self.q = q
