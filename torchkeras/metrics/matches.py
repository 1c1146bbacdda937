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
from torchkeras.losses.shapes import check_broadcast, match_ranks

_matches: dict[Any, Callable] = {}


def find_matches(fn: Any) -> Callable | None:
    """The function that gives booleans where `fn` gives floats, if there is one."""
    try:
        return _matches.get(fn)
    except TypeError:  # an unhashable callable of the user's
        return None


def _tensors(y_true: Any, y_pred: Any) -> tuple[torch.Tensor, torch.Tensor]:
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


def _is_best(y_true: torch.Tensor, y_pred: torch.Tensor) -> torch.Tensor:
    best = y_pred.argmax(-1)
    if y_true.shape != best.shape:
        check_broadcast("y_true (as class numbers)", y_true, "the best classes of y_pred", best)
    return y_true == best


def _accuracy(y_true: Any, y_pred: Any) -> torch.Tensor:
    y_pred = convert_to_tensor(y_pred)
    y_true, y_pred = match_ranks(convert_to_tensor(y_true, y_pred.dtype, y_pred.device), y_pred)
    check_broadcast("y_true", y_true, "y_pred", y_pred)
    return y_true == y_pred


def accuracy(y_true: Any, y_pred: Any) -> torch.Tensor:
    """1 where target and prediction are equal, else 0."""
    return _as_float(_accuracy(y_true, y_pred))


def _binary(y_true: Any, y_pred: Any, threshold: float = 0.5) -> torch.Tensor:
    y_true, y_pred = match_ranks(*_tensors(y_true, y_pred))
    check_broadcast("y_true", y_true, "y_pred", y_pred)
    return y_true == (y_pred > threshold)


def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> torch.Tensor:
    """1 where a prediction above the threshold meets label 1, or another one label 0; else 0."""
    return _as_float(_binary(y_true, y_pred, threshold))


def _categorical(y_true: Any, y_pred: Any) -> torch.Tensor:
    y_true, y_pred = _tensors(y_true, y_pred)
    y_true = y_true.argmax(-1)
    squeezed = y_true.dim() == y_pred.dim() and y_true.shape[-1] == 1
    if squeezed:
        y_true = y_true.squeeze(-1)
    matches = _is_best(y_true, y_pred)
    return matches.unsqueeze(-1) if squeezed else matches


def categorical_accuracy(y_true: Any, y_pred: Any) -> torch.Tensor:
    """1 where the highest score is that of the class of the one-hot label, else 0."""
    return _as_float(_categorical(y_true, y_pred))


def _sparse(y_true: Any, y_pred: Any) -> torch.Tensor:
    y_true, y_pred = _tensors(y_true, y_pred)
    if y_true.dim() == y_pred.dim() and y_true.shape[-1] == 1:
        y_true = y_true.squeeze(-1)
    matches = _is_best(y_true, y_pred)
    return matches.squeeze(-1) if matches.dim() > 1 and matches.shape[-1] == 1 else matches


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> torch.Tensor:
    """1 where the highest score is that of the class of that number, else 0."""
    return _as_float(_sparse(y_true, y_pred))


def _in_top_k(y_true: torch.Tensor, y_pred: torch.Tensor, k: int) -> torch.Tensor:
    """Whether fewer than `k` classes have a higher score than the true one."""
    _check_class_axis(y_true, y_pred)
    score = y_pred.gather(-1, y_true.long().unsqueeze(-1))
    return (y_pred > score).sum(-1) < k


def _top_k(y_true: Any, y_pred: Any, k: int = 5) -> torch.Tensor:
    y_true, y_pred = _tensors(y_true, y_pred)
    return _in_top_k(y_true.argmax(-1), y_pred, k)


def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> torch.Tensor:
    """1 where the class of the one-hot label is among the `k` with the highest scores, else 0."""
    return _as_float(_top_k(y_true, y_pred, k))


def _sparse_top_k(y_true: Any, y_pred: Any, k: int = 5, from_sorted_ids: bool = False) -> torch.Tensor:
    y_true, y_pred = _tensors(y_true, y_pred)
    shape = y_true.shape
    if y_true.dim() == y_pred.dim() and shape[-1] == 1:
        y_true = y_true.squeeze(-1)
    if from_sorted_ids:
        _check_class_axis(y_true, y_pred)
        return (y_true.unsqueeze(-1) == y_pred[..., :k]).any(-1).reshape(shape)
    return _in_top_k(y_true, y_pred, k).reshape(shape)


def sparse_top_k_categorical_accuracy(
    y_true: Any, y_pred: Any, k: int = 5, from_sorted_ids: bool = False
) -> torch.Tensor:
    """1 where the class of that number is among the `k` with the highest scores, else 0.

    Args:
        from_sorted_ids: `y_pred` holds class numbers, best first, instead of scores.
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
