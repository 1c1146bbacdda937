"""Errors and warnings of losses and metrics, with the names of what they are about."""

from __future__ import annotations

from typing import Any, NoReturn

import torch

from torchkeras import losses
from torchkeras.core.user_warnings import warn_user
from torchkeras.losses.shapes import match_ranks

_ELEMENTWISE = frozenset(
    (
        losses.mean_squared_error,
        losses.mean_absolute_error,
        losses.mean_absolute_percentage_error,
        losses.mean_squared_logarithmic_error,
        losses.huber,
        losses.log_cosh,
        losses.poisson,
        losses.hinge,
        losses.squared_hinge,
        losses.binary_crossentropy,
        losses.binary_focal_crossentropy,
    )
)


def raise_with_names(error: Exception, what: str, part: Any, output: str, y_true: Any, y_pred: Any) -> NoReturn:
    """Say which loss or metric of which output an error is about.

    Errors about shapes, and about class numbers that the output has not, become a `ValueError`. Others go on as they
    are, with a note.

    Args:
        error: the error.
        what: `"loss"` or `"metric"`.
        part: the loss or the metric.
        output: the output's name.
        y_true: the targets.
        y_pred: the outputs.
    """
    name = getattr(part, "name", part)
    out_of_range = isinstance(error, IndexError) and "out of bounds" in str(error)
    problem = _class_problem(y_true, y_pred) if out_of_range else None
    if problem is not None:
        raise ValueError(f"The {what} {name!r} of the output {output!r} {problem} {error}") from error
    if isinstance(error, ValueError) or (isinstance(error, RuntimeError) and "size" in str(error)):
        raise ValueError(
            f"The {what} {name!r} can't compare the output {output!r} (y_pred) with the target of that name (y_true). "
            f"{error}{_other_kind(name, y_true, y_pred)}"
        ) from error
    error.add_note(f"This happened in the {what} {name!r} of the output {output!r}.")
    raise error


# Losses and metrics of one-hot targets, each with the one of class numbers.
_OF_CLASS_NUMBERS = {
    "categorical_crossentropy": "sparse_categorical_crossentropy",
    "categorical_focal_crossentropy": "sparse_categorical_focal_crossentropy",
    "categorical_accuracy": "sparse_categorical_accuracy",
    "top_k_categorical_accuracy": "sparse_top_k_categorical_accuracy",
}
_OF_ONE_HOT = {numbers: one_hot for one_hot, numbers in _OF_CLASS_NUMBERS.items()}


def _other_kind(name: object, y_true: Any, y_pred: Any) -> str:
    """Advice where the targets are class numbers for a loss of one-hot targets, or the other way; else nothing."""
    found, outputs = tuple(getattr(y_true, "shape", ())), tuple(getattr(y_pred, "shape", ()))
    if name in _OF_CLASS_NUMBERS and found in (outputs[:-1], (*outputs[:-1], 1)):
        return f" If the targets are class numbers, use '{_OF_CLASS_NUMBERS[str(name)]}'."
    if name in _OF_ONE_HOT and found == outputs:
        return f" If the targets are one-hot, use '{_OF_ONE_HOT[str(name)]}'."
    return ""


def _class_problem(y_true: Any, y_pred: Any) -> str | None:
    """The class numbers that a target may hold and those it holds, if some are out of range."""
    try:
        classes = y_pred.shape[-1]
        flat = torch.as_tensor(y_true).detach().reshape(-1).cpu()
        wrong = flat[~((flat >= 0) & (flat < classes))]
    except (RuntimeError, AttributeError):  # on CUDA nothing can be read after such an error
        return None
    if not wrong.numel():
        return None
    shown = ", ".join(str(value) for value in wrong[:5].tolist())
    return (
        f"needs class numbers from 0 to {classes - 1}, for the output has {classes} classes (its shape is "
        f"{tuple(y_pred.shape)}); {wrong.numel()} of {flat.numel()} targets are others: {shown}"
        f"{', ...' if wrong.numel() > 5 else ''}."
    )


def warn_of_broadcast(loss: Any, output: str, y_true: Any, y_pred: Any) -> None:
    """Warn if an elementwise loss compares each number of one of the two with several of the other."""
    if getattr(loss, "fn", None) not in _ELEMENTWISE:
        return
    if not isinstance(y_true, torch.Tensor) or not isinstance(y_pred, torch.Tensor):
        return
    target, pred = match_ranks(y_true, y_pred)
    pairs = list(zip(reversed(target.shape), reversed(pred.shape)))
    if target.shape != pred.shape and all(a == b or 1 in (a, b) for a, b in pairs):
        warn_user(
            f"The loss {loss.name!r} broadcasts a target of shape {tuple(y_true.shape)} against the output {output!r} "
            f"of shape {tuple(y_pred.shape)}, so that numbers are compared that may not belong together. Give both the "
            "same shape."
        )
