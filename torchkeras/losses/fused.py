"""Short cuts: for some loss functions torch computes the mean over a whole batch in one kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

_batch_means: dict[Any, Callable] = {}


def batch_mean(fn: Callable) -> Callable[[Callable], Callable]:
    """Decorator: the function gives the mean of `fn` over a batch.

    It gets what `fn` gets, as tensors that are not empty, or returns `None` where it does not apply.
    """

    def register(short_cut: Callable) -> Callable:
        _batch_means[fn] = short_cut
        return short_cut

    return register


def find_batch_mean(fn: Any) -> Callable[..., torch.Tensor | None] | None:
    """The short cut of a loss function, if there is one."""
    try:
        return _batch_means.get(fn)
    except TypeError:  # an unhashable callable of the user's
        return None
