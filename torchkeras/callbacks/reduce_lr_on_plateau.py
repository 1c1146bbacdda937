"""ReduceLROnPlateau: a smaller learning rate when a metric has stopped improving."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from torchkeras.callbacks import learning_rates
from torchkeras.callbacks.monitor_callback import MonitorCallback
from torchkeras.reporting.progress import announce


class ReduceLROnPlateau(MonitorCallback):
    """Multiplies the learning rate by `factor` when a metric has not improved for `patience` epochs.

    Args:
        monitor: the name of the value in the logs.
        factor: below 1.
        patience: epochs without improvement to wait for.
        verbose: 1: say so.
        mode: `"min"`, `"max"` or `"auto"`.
        min_delta: smaller changes are no improvement.
        cooldown: epochs after a reduction in which nothing is counted.
        min_lr: the rate stays above.

    Raises:
        ValueError: `factor` is 1 or more.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(monitor, mode, min_delta=min_delta)
        if factor >= 1.0:
            raise ValueError(f"ReduceLROnPlateau does not support a factor >= 1.0. Received factor={factor}")
        self.factor = factor
        self.patience = patience
        self.verbose = verbose
        self.cooldown = cooldown
        self.min_lr = min_lr
        self._begin()

    def _begin(self) -> None:
        self.best = None
        self.cooldown_counter = 0
        self.wait = 0

    def on_train_begin(self, logs: Any = None) -> None:
        self._begin()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.check_direction()
        logs = {} if logs is None else logs
        learning_rates.add_to_logs(self.model.optimizer, logs)
        current = logs.get(self.monitor)
        if current is None:
            warnings.warn(
                f"Learning rate reduction is conditioned on metric `{self.monitor}` which is not available. "
                f"Available metrics are: {','.join(logs)}.",
                stacklevel=2,
            )
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self.is_improvement(current, self.best):
            self.best = current
            self.wait = 0
        elif not self.in_cooldown():
            self.wait += 1
            if self.wait >= self.patience and self._reduce(epoch):
                self.cooldown_counter = self.cooldown
                self.wait = 0

    def in_cooldown(self) -> bool:
        """Whether a reduction is too recent to count epochs."""
        return self.cooldown_counter > 0

    def _reduce(self, epoch: int) -> bool:
        reduced = False
        for suffix, optimizer in learning_rates.parts(self.model.optimizer):
            rate = learning_rates.read(optimizer)
            if rate <= np.float32(self.min_lr):
                continue
            rate = max(rate * self.factor, self.min_lr)
            learning_rates.write(optimizer, rate)
            reduced = True
            if self.verbose > 0:
                whose = f" {suffix[1:]}" if suffix else ""
                announce(f"\nEpoch {epoch + 1}: ReduceLROnPlateau reducing{whose} learning rate to {rate}.")
        return reduced

    def get_state(self) -> dict[str, Any]:
        return {**super().get_state(), "wait": self.wait, "cooldown_counter": self.cooldown_counter}
