"""Reading and setting the learning rate of any optimizer that `compile` takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from torchkeras.callbacks.callback import HookLogs


def parts(optimizer: Any) -> Iterator[tuple[str, Any]]:
    """The optimizers that one is made of, each with a suffix for the name of its rate; else itself, with `""`."""
    if hasattr(optimizer, "optimizers"):
        for part in optimizer.optimizers:
            yield f"_{part.name}", part
    else:
        yield "", optimizer


def read(optimizer: Any) -> float:
    """The present learning rate.

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
    """Set the learning rate."""
    if hasattr(optimizer, "learning_rate"):
        optimizer.learning_rate = rate
    else:
        for group in optimizer.param_groups:
            group["lr"] = rate


def add_to_logs(optimizer: Any, logs: HookLogs | None) -> None:
    """Add the learning rate to the logs as `learning_rate`; one entry for each optimizer that this one is made of."""
    if logs is not None:
        for suffix, part in parts(optimizer):
            logs[f"learning_rate{suffix}"] = read(part)
