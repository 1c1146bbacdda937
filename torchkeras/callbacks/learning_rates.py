"""Reading and setting the learning rate of any optimizer that `compile` takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch


def parts(optimizer: Any) -> Iterator[tuple[str, Any]]:
    """The optimizers inside (with a suffix for their names), or the optimizer itself (without)."""
    if hasattr(optimizer, "optimizers"):
        for part in optimizer.optimizers:
            yield f"_{part.name}", part
    else:
        yield "", optimizer


def read(optimizer: Any) -> float:
    """The rate now.

    Raises:
        ValueError: the optimizer has none.
    """
    if hasattr(optimizer, "learning_rate"):
        rate = optimizer.learning_rate
    elif hasattr(optimizer, "param_groups"):
        rate = optimizer.param_groups[0]["lr"]
    else:
        raise ValueError(f'The optimizer must have a "learning_rate" attribute; {type(optimizer).__name__} has none.')
    return float(rate.detach()) if isinstance(rate, torch.Tensor) else float(rate)


def write(optimizer: Any, rate: float) -> None:
    """Set the rate."""
    if hasattr(optimizer, "learning_rate"):
        optimizer.learning_rate = rate
    else:
        for group in optimizer.param_groups:
            group["lr"] = rate


def add_to_logs(optimizer: Any, logs: Any) -> None:
    """Put the rate under `learning_rate` (one entry an inner optimizer) where logs are kept."""
    if logs is not None:
        for suffix, part in parts(optimizer):
            logs[f"learning_rate{suffix}"] = read(part)
