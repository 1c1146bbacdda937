"""Right or wrong per sample: the functions behind the accuracies.

The private functions give booleans, which a mean adds up without a cast; the public ones give floats.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from torchkeras.core import settings
from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.core.tensors.dtypes import torch_dtype
from torchkeras.core.types import ArrayLike
from torchkeras.losses.shapes import check_broadcast, match_ranks

_matches: dict[Any, Callable] = {}


def find_matches(fn: Callable[..., Any]) -> Callable[..., Any] | None:
    """The function that returns booleans where `fn` returns floats, if there is one."""
    try:
        return _matches.get(fn)
    except TypeError:  # an unhashable callable of the user's
        return None


def _tensors(y_true: ArrayLike, y_pred: ArrayLike) -> tuple[torch.Tensor, torch.Tensor]:
    y_pred = convert_to_tensor(y_pred)
    return convert_to_tensor(y_true, None, y_pred.device), y_pred


def _as_float(matches: torch.Tensor) -> torch.Tensor:
    return matches.to(torch_dtype(settings.floatx()))


def _check_class_axis(y_true: torch.Tensor, y_pred: torch.Tensor) -> None:
    if y_true.shape != y_pred.shape[:-1]:
        raise ValueError(
            f"y_true must have the shape of y_pred without its class axis; received class numbers of shape "
            f"{tuple(y_true.shape)} and y_pred of shape {tuple(y_pred.shape)}."
        )


def best_classes(scores: torch.Tensor, axis: int = -1) -> torch.Tensor:
    """The index of the highest score along an axis, also of booleans."""
    return (scores.byte() if scores.dtype is torch.bool else scores).argmax(axis)


def _is_best(y_true: torch.Tensor, y_pred: torch.Tensor) -> torch.Tensor:
    best = best_classes(y_pred)
    if y_true.shape != best.shape:
        check_broadcast("y_true (as class numbers)", y_true, "the best classes of y_pred", best)
    return y_true == best


def _accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> torch.Tensor:
    y_pred = convert_to_tensor(y_pred)
    y_true, y_pred = match_ranks(convert_to_tensor(y_true, y_pred.dtype, y_pred.device), y_pred)
    check_broadcast("y_true", y_true, "y_pred", y_pred)
    return y_true == y_pred


def accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> torch.Tensor:
    """Compute 1 where target and prediction are equal, else 0."""
    return _as_float(_accuracy(y_true, y_pred))


def _binary(y_true: ArrayLike, y_pred: ArrayLike, threshold: float = 0.5) -> torch.Tensor:
    y_true, y_pred = match_ranks(*_tensors(y_true, y_pred))
    check_broadcast("y_true", y_true, "y_pred", y_pred)
    return y_true == (y_pred > threshold)


def binary_accuracy(y_true: ArrayLike, y_pred: ArrayLike, threshold: float = 0.5) -> torch.Tensor:
    """Compute 1 where a prediction is on the same side of the threshold as its label, else 0.

    Args:
        y_true: labels 0 or 1.
        y_pred: predictions, of the same shape.
        threshold: predictions above it mean label 1. Default: `0.5`.

    Returns:
        A tensor of 0 and 1, of the shape of `y_pred`.

    Raises:
        ValueError: the shapes do not fit together.

    Example:
        >>> keras.metrics.binary_accuracy([[1], [1], [0]], [[0.9], [0.2], [0.3]]).flatten()
        tensor([1., 0., 1.])
    """
    return _as_float(_binary(y_true, y_pred, threshold))


def _categorical(y_true: ArrayLike, y_pred: ArrayLike) -> torch.Tensor:
    y_true, y_pred = _tensors(y_true, y_pred)
    y_true = best_classes(y_true)
    squeezed = y_true.dim() == y_pred.dim() and y_true.shape[-1] == 1
    if squeezed:
        y_true = y_true.squeeze(-1)
    matches = _is_best(y_true, y_pred)
    return matches.unsqueeze(-1) if squeezed else matches


def categorical_accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> torch.Tensor:
    """Compute 1 where the highest score is that of the true class, else 0; labels are one-hot.

    Args:
        y_true: one-hot labels, of the shape of `y_pred`.
        y_pred: scores, `(batch, ..., classes)`.

    Returns:
        A tensor of 0 and 1, of the shape of `y_pred` without its last axis.

    Raises:
        ValueError: the shapes do not fit together.

    Example:
        >>> y_pred = np.array([[0.1, 0.1, 0.8], [0.5, 0.3, 0.2]])
        >>> keras.metrics.categorical_accuracy(np.array([[0, 0, 1], [0, 1, 0]]), y_pred)
        tensor([1., 0.])
    """
    return _as_float(_categorical(y_true, y_pred))


def _sparse(y_true: ArrayLike, y_pred: ArrayLike) -> torch.Tensor:
    y_true, y_pred = _tensors(y_true, y_pred)
    if y_true.dim() == y_pred.dim() and y_true.shape[-1] == 1:
        y_true = y_true.squeeze(-1)
    matches = _is_best(y_true, y_pred)
    return matches.squeeze(-1) if matches.dim() > 1 and matches.shape[-1] == 1 else matches


def sparse_categorical_accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> torch.Tensor:
    """Compute 1 where the highest score is that of the true class, else 0; labels are class numbers.

    Args:
        y_true: class numbers, of the shape of `y_pred` without its last axis, or with a last axis of 1.
        y_pred: scores, `(batch, ..., classes)`.

    Returns:
        A tensor of 0 and 1, of the shape of `y_pred` without its last axis.

    Raises:
        ValueError: the shapes do not fit together.

    Example:
        >>> keras.metrics.sparse_categorical_accuracy(np.array([2, 1]), np.array([[0.1, 0.1, 0.8], [0.5, 0.3, 0.2]]))
        tensor([1., 0.])
    """
    return _as_float(_sparse(y_true, y_pred))


def _in_top_k(y_true: torch.Tensor, y_pred: torch.Tensor, k: int) -> torch.Tensor:
    """Whether fewer than `k` classes have a higher score than the true one."""
    _check_class_axis(y_true, y_pred)
    score = y_pred.gather(-1, y_true.long().unsqueeze(-1))
    return (y_pred > score).sum(-1) < k


def _top_k(y_true: ArrayLike, y_pred: ArrayLike, k: int = 5) -> torch.Tensor:
    y_true, y_pred = _tensors(y_true, y_pred)
    return _in_top_k(best_classes(y_true), y_pred, k)


def top_k_categorical_accuracy(y_true: ArrayLike, y_pred: ArrayLike, k: int = 5) -> torch.Tensor:
    """Compute 1 where the true class is among the `k` highest scores, else 0; labels are one-hot.

    Args:
        y_true: one-hot labels, of the shape of `y_pred`.
        y_pred: scores, `(batch, ..., classes)`.
        k: number of highest scores that are looked at. Default: `5`.

    Returns:
        A tensor of 0 and 1, of the shape of `y_pred` without its last axis.

    Raises:
        ValueError: the shapes do not fit together.

    Example:
        >>> y_pred = np.array([[0.1, 0.1, 0.8], [0.5, 0.3, 0.2]])
        >>> keras.metrics.top_k_categorical_accuracy(np.array([[0, 0, 1], [0, 1, 0]]), y_pred, k=2)
        tensor([1., 1.])
    """
    return _as_float(_top_k(y_true, y_pred, k))


def _sparse_top_k(y_true: ArrayLike, y_pred: ArrayLike, k: int = 5, from_sorted_ids: bool = False) -> torch.Tensor:
    y_true, y_pred = _tensors(y_true, y_pred)
    shape = y_true.shape
    if y_true.dim() == y_pred.dim() and shape[-1] == 1:
        y_true = y_true.squeeze(-1)
    if from_sorted_ids:
        _check_class_axis(y_true, y_pred)
        return (y_true.unsqueeze(-1) == y_pred[..., :k]).any(-1).reshape(shape)
    return _in_top_k(y_true, y_pred, k).reshape(shape)


def sparse_top_k_categorical_accuracy(
    y_true: ArrayLike, y_pred: ArrayLike, k: int = 5, from_sorted_ids: bool = False
) -> torch.Tensor:
    """Compute 1 where the true class is among the `k` highest scores, else 0; labels are class numbers.

    Args:
        y_true: class numbers, of the shape of `y_pred` without its last axis, or with a last axis of 1.
        y_pred: scores, `(batch, ..., classes)`.
        k: number of highest scores that are looked at. Default: `5`.
        from_sorted_ids: whether `y_pred` holds class numbers, the best first, instead of scores. Default: `False`.

    Returns:
        A tensor of 0 and 1, of the shape of `y_true`.

    Raises:
        ValueError: the shapes do not fit together.

    Example:
        >>> y_pred = np.array([[0.1, 0.1, 0.8], [0.5, 0.3, 0.2]])
        >>> keras.metrics.sparse_top_k_categorical_accuracy(np.array([2, 1]), y_pred, k=2)
        tensor([1., 1.])
    """
    return _as_float(_sparse_top_k(y_true, y_pred, k, from_sorted_ids))


_matches.update(
    {
        accuracy: _accuracy,
        binary_accuracy: _binary,
        categorical_accuracy: _categorical,
        sparse_categorical_accuracy: _sparse,
        top_k_categorical_accuracy: _top_k,
        sparse_top_k_categorical_accuracy: _sparse_top_k,
    }
)
