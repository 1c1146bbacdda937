"""For some loss functions torch computes the mean over a whole batch in one kernel."""

from __future__ import annotations

from collections.abc import Callable

import torch

from torchkeras.core.fast_paths.switch import fast_paths_enabled
from torchkeras.core.torch_internals import binary_cross_entropy, l1_loss, mse_loss

_MEAN = 1  # torch's number for reduction="mean"
BatchMean = Callable[..., torch.Tensor | None]
_batch_means: dict[Callable, BatchMean] = {}


def batch_mean(fn: Callable) -> Callable[[BatchMean], BatchMean]:
    """Decorate a function that gives the mean of the loss function `fn` over a batch.

    The decorated function gets the arguments of `fn`, the tensors not empty, or returns `None` where it does not apply.
    """

    def register(function: BatchMean) -> BatchMean:
        _batch_means[fn] = function
        return function

    return register


def find_batch_mean(fn: Callable) -> BatchMean | None:
    """The function for the mean of a loss function over a batch, if there is one and fast paths are on."""
    try:
        return _batch_means.get(fn) if fast_paths_enabled() else None
    except TypeError:  # an unhashable callable of the user's
        return None


# torch.nn.functional calls these after checks and broadcasts that cost four times the kernels on a small batch. The
# shapes are equal already where they are called.


def mse(y_true: torch.Tensor, y_pred: torch.Tensor) -> torch.Tensor:
    """The mean squared error of tensors of one shape and type."""
    return mse_loss(y_pred, y_true, _MEAN)


def mae(y_true: torch.Tensor, y_pred: torch.Tensor) -> torch.Tensor:
    """The mean absolute error of tensors of one shape and type."""
    return l1_loss(y_pred, y_true, _MEAN)


def bce(y_true: torch.Tensor, y_pred: torch.Tensor) -> torch.Tensor:
    """The mean binary crossentropy of labels and probabilities of one shape and type."""
    return binary_cross_entropy(y_pred, y_true, None, _MEAN)
