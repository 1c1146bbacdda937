"""Gradients of several calls of `apply`, added up for one update."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from torchkeras.core.tensors.convert import constant
from torchkeras.core.torch_internals import foreach_add_, foreach_mul, foreach_mul_
from torchkeras.optimizers.foreach import at_least
from torchkeras.optimizers.gradients import Gradients
from torchkeras.optimizers.parameter_group import Plan

UNKNOWN = -1.0
"""The sum of weights, where it is a tensor and nobody knows it."""


def add_gradients(
    plan: Plan,
    grads: Gradients,
    done: int | torch.Tensor,
    weight: float | torch.Tensor | None,
    weights: float | torch.Tensor | None,
) -> float | torch.Tensor | None:
    """Add gradients to the accumulators, which hold their weighted mean so far times the number of calls.

    So the accumulators are the plain sums of Keras's files where all gradients weigh alike.

    Args:
        done: the number of calls since the last update; a tensor where only a device knows it.
        weight: of these gradients; `None`: all weigh alike.
        weights: the sum of those since the last update; `None` or `UNKNOWN`: they weighed as these do.

    Returns:
        The sum of the weights, these included; `None` without weights.
    """
    if weight is None:
        _add(plan, grads)
        return None
    if isinstance(done, torch.Tensor):
        done = done.to(weight_dtype(plan.accumulators))
    before = _before(done, weight, weights)
    if _weigh_alike(done, weight, before):
        _add(plan, grads)
        return before + weight
    total = before + weight
    share = (done + 1) / at_least(total, 1e-12)
    kept, added = before * share / at_least(done, 1), weight * share
    for group in plan.groups:
        foreach_mul_(group.accumulators, kept)
        foreach_add_(group.accumulators, foreach_mul(grads.of(group), added))
    return total


def _add(plan: Plan, grads: Gradients) -> None:
    for group in plan.groups if grads.are_copies else plan.wholes:
        foreach_add_(group.accumulators, grads.of(group))


def weight_dtype(variables: Iterable[torch.Tensor]) -> torch.dtype:
    """The type of weights of gradients, which must be as exact as the gradients: sums of those may cancel."""
    return torch.float64 if any(v.dtype == torch.float64 for v in variables) else torch.float32


def _before(
    done: int | torch.Tensor, weight: float | torch.Tensor, weights: float | torch.Tensor | None
) -> float | torch.Tensor:
    """The sum of the weights of the `done` calls since the last update."""
    if not isinstance(done, torch.Tensor):
        return 0 if done == 0 else weight * done if weights is None else weights
    if weights is None:
        return weight * done
    known = constant(weights, done.dtype, done.device)
    return torch.where(done == 0, 0.0, torch.where(known < 0, weight * done, known))


def _weigh_alike(done: int | torch.Tensor, weight: float | torch.Tensor, before: float | torch.Tensor) -> bool:
    """Whether Python knows that adding the gradients is all there is to do."""
    if isinstance(done, torch.Tensor):
        return False
    if done == 0:
        return True
    if isinstance(weight, torch.Tensor) or isinstance(before, torch.Tensor):
        return False
    return before == weight * done
