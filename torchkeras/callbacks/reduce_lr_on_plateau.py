"""ReduceLROnPlateau: a smaller learning rate when a metric has stopped improving."""

from __future__ import annotations

from typing import Any

import numpy as np

from torchkeras.callbacks import learning_rates
from torchkeras.callbacks.callback import HookLogs
from torchkeras.callbacks.monitor_callback import MonitorCallback
from torchkeras.core.config.keywords import accepted_keywords
from torchkeras.core.nearest_names import candidates
from torchkeras.core.user_warnings import warn_user
from torchkeras.reporting.progress import announce


class ReduceLROnPlateau(MonitorCallback):
    """Multiplies the learning rate by `factor` when a metric has not improved for `patience` epochs.

    NaN is never an improvement. An epoch in whose logs the value is missing is not counted. The learning rate is added
    to the logs as `learning_rate`.

    Args:
        monitor: name of the value in the logs. Default: `"val_loss"`.
        factor: the new learning rate is the old one times `factor`, which is below 1. Default: `0.1`.
        patience: epochs without an improvement after which the rate is reduced. Default: `10`.
        verbose: 1: print each reduction; 0: do not. Default: `0`.
        mode: `"min"`: the value should become less; `"max"`: more; `"auto"`: as the metric of that name says. Default:
            `"auto"`.
        min_delta: a change of less than this is no improvement. Default: `1e-4`.
        cooldown: number of epochs after a reduction that are not counted. Default: `0`.
        min_lr: the learning rate is never reduced below this. Default: `0.0`.
        **kwargs: other arguments, as Keras takes them: they are ignored, with a warning.

    Raises:
        ValueError: `factor` is 1 or more; or (in `fit`) in the mode `"auto"`, it is not known whether the metric should
            become less or more.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> model.compile(keras.optimizers.SGD(0.5), "mse")
        >>> reduce = keras.callbacks.ReduceLROnPlateau(monitor="loss", factor=0.5, patience=1, min_delta=1e9)
        >>> history = model.fit(np.ones((4, 2)), np.ones((4, 1)), epochs=3, callbacks=[reduce], verbose=0)
        >>> history.history["learning_rate"]  # of each epoch; a reduction holds for the next one
        [0.5, 0.5, 0.25]
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
        **kwargs: object,
    ) -> None:
        super().__init__(monitor, mode, min_delta=min_delta)
        if kwargs:
            hint = candidates(kwargs, accepted_keywords(type(self))[0])
            warn_user(f"ReduceLROnPlateau ignores unknown arguments: {sorted(kwargs)}. {hint}")
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

    def on_train_begin(self, logs: HookLogs | None = None) -> None:
        super().on_train_begin(logs)
        self._begin()

    def on_epoch_end(self, epoch: int, logs: HookLogs | None = None) -> None:
        self._tk_check_direction()
        logs = {} if logs is None else logs
        learning_rates.add_to_logs(self.model.optimizer, logs)
        current = logs.get(self.monitor)
        if current is None:
            self._tk_warn_of_missing(
                f"Learning rate reduction is conditioned on metric `{self.monitor}` which is not available. "
                f"Available metrics are: {','.join(logs)}."
            )
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self._tk_is_improvement(current, self.best):
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
