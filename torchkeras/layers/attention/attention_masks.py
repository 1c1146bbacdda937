"""Masks of the attention layers: booleans that are True where a query step may attend to a source step."""

from __future__ import annotations

import torch
from torch import Tensor


def causal_mask(steps: int, sources: int, device: torch.device) -> Tensor:
    """`(1, steps, sources)`: a step attends to sources up to its own number."""
    return torch.ones((1, steps, sources), dtype=torch.bool, device=device).tril()


def window_mask(steps: int, sources: int, window: int, device: torch.device) -> Tensor:
    """`(1, steps, sources)`: a step attends to sources less than `window` away, before and behind."""
    numbers = torch.arange(steps, device=device)[:, None] - torch.arange(sources, device=device)
    return (numbers.abs() < window)[None]


def combined(*masks: Tensor | None) -> Tensor | None:
    """Logical and of the masks; `None` stands for a mask that is True everywhere."""
    merged = None
    for mask in masks:
        if mask is not None:
            mask = mask.to(torch.bool)
            merged = mask if merged is None else merged & mask
    return merged
