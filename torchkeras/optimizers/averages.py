"""Exponential moving averages of the weights (EMA)."""

from __future__ import annotations

import torch

from torchkeras.core.torch_internals import foreach_copy_
from torchkeras.optimizers.foreach import lerp_
from torchkeras.optimizers.parameter_group import ParameterGroup
from torchkeras.optimizers.reversible import SavedValues


def move(group: ParameterGroup, updates: int | torch.Tensor, momentum: float, overwrite_frequency: int | None) -> None:
    """Move the averages of weights after an update; after the first one they are the weights.

    Args:
        group: the weights with their averages.
        updates: the number of updates before; a tensor where only a device knows it.
        momentum: the share of the old average in the new one.
        overwrite_frequency: the averages replace the weights once in so many updates.
    """
    if isinstance(updates, torch.Tensor):
        lerp_(group.averages, group.averaged, torch.where(updates == 0, 1.0, 1.0 - momentum))
    elif updates == 0:
        foreach_copy_(group.averages, group.averaged)
    else:
        lerp_(group.averages, group.averaged, 1.0 - momentum)
    if not overwrite_frequency:
        return
    due = (updates + 1) % overwrite_frequency == 0
    if isinstance(due, torch.Tensor):
        weights = SavedValues(group.averaged)
        foreach_copy_(group.averaged, group.averages)
        weights.restore_unless(due)
    elif due:
        foreach_copy_(group.averaged, group.averages)
