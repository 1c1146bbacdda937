"""What an optimizer keeps beside its rule: gradients of the steps before, and averages of the weights.

Counts are integers, or tensors where only a device knows them; then nothing here reads them.
"""

from __future__ import annotations

from typing import Any

import torch

from torchkeras.core.torch_internals import foreach_add_, foreach_copy_, foreach_mul, foreach_mul_, foreach_zero_
from torchkeras.optimizers.foreach import at_least, lerp_
from torchkeras.optimizers.parameter_group import Plan
from torchkeras.optimizers.reversible import Undo


def add_gradients(plan: Plan, grads: list, done: Any, weight: Any, weights: Any) -> Any:
    """Add gradients to the accumulators, which hold their mean so far times the number of steps.

    Args:
        done: the steps since the last update.
        weight: of these gradients; `None`: all weigh alike.
        weights: the sum of those before; `None`: they weighed as these do.

    Returns:
        The sum of the weights, these included; `None` without weights.
    """
    if weight is None:
        foreach_add_(plan.accumulators, grads)
        return None
    before = weight * done if weights is None else weights
    total = before + weight
    share = (done + 1) / at_least(total, 1e-12)
    foreach_mul_(plan.accumulators, before * share / at_least(done, 1))
    foreach_add_(plan.accumulators, foreach_mul(grads, weight * share))
    return total


def clear(plan: Plan, due: Any) -> None:
    """Set the accumulators back to 0, if an update was due."""
    if due is True:
        foreach_zero_(plan.all_accumulators)
    else:
        foreach_mul_(plan.all_accumulators, (~due).to(plan.all_accumulators[0].dtype))


def move_averages(plan: Plan, updates: Any, momentum: float, overwrite_frequency: int | None) -> None:
    """Move the averages of the weights: before the first update they are the weights.

    Args:
        overwrite_frequency: in so many updates the averages take the weights' place once.
    """
    if isinstance(updates, torch.Tensor):
        lerp_(plan.averages, plan.averaged, torch.where(updates == 0, 1.0, 1.0 - momentum))
    elif updates == 0:
        foreach_copy_(plan.averages, plan.averaged)
    else:
        lerp_(plan.averages, plan.averaged, 1.0 - momentum)
    if not overwrite_frequency:
        return
    due = (updates + 1) % overwrite_frequency == 0
    if isinstance(due, torch.Tensor):
        weights = Undo(plan.averaged)
        foreach_copy_(plan.averaged, plan.averages)
        weights.unless(due)
    elif due:
        foreach_copy_(plan.averaged, plan.averages)
