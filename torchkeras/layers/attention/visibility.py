"""Masks of what may be seen: what the attention layers share."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def causal_mask(steps: int, sources: int, device: Any) -> Tensor:
    """`(1, steps, sources)`: a step sees sources up to its own number."""
    return torch.ones((1, steps, sources), dtype=torch.bool, device=device).tril()


def window_mask(steps: int, sources: int, window: int, device: Any) -> Tensor:
    """`(1, steps, sources)`: a step sees sources less than `window` away, before and behind."""
    numbers = torch.arange(steps, device=device)[:, None] - torch.arange(sources, device=device)
    return (numbers.abs() < window)[None]


def all_of(*masks: Tensor | None) -> Tensor | None:
    """The masks' conjunction; `None` stands for a mask that hides nothing."""
    merged = None
    for mask in masks:
        if mask is not None:
            mask = mask.to(torch.bool)
            merged = mask if merged is None else merged & mask
    return merged
