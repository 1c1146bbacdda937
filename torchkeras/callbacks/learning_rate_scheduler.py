"""LearningRateScheduler: the user's function sets the rate of each epoch."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from torchkeras.callbacks import learning_rates
from torchkeras.callbacks.callback import Callback
from torchkeras.reporting.progress import announce


class LearningRateScheduler(Callback):
    """Sets the learning rate at each epoch's beginning and logs it as `learning_rate`.

    Args:
        schedule: takes the epoch (from 0) and the rate now, or the epoch alone; returns the new rate as a float.
        verbose: 1: say so.
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        super().__init__()
        self.schedule = schedule
        self.verbose = verbose

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        for suffix, optimizer in learning_rates.parts(self.model.optimizer):
            rate = self._next(epoch, learning_rates.read(optimizer))
            learning_rates.write(optimizer, rate)
            if self.verbose > 0:
                whose = f"{suffix[1:]} " if suffix else ""
                announce(f"\nEpoch {epoch + 1}: LearningRateScheduler setting {whose}learning rate to {rate}.")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        learning_rates.add_to_logs(self.model.optimizer, logs)

    def _next(self, epoch: int, rate: float) -> float:
        rate = self.schedule(epoch, rate) if _takes_two(self.schedule) else self.schedule(epoch)
        if isinstance(rate, torch.Tensor) and rate.numel() == 1:
            rate = float(rate)
        if not isinstance(rate, (float, np.floating)):
            raise ValueError(f"The output of the `schedule` function should be a float. Received: {rate!r}")
        return float(rate)


def _takes_two(function: Callable) -> bool:
    try:
        inspect.signature(function).bind(0, 0.0)
    except TypeError:
        return False
    except ValueError:  # a built-in without a signature
        return True
    return True
