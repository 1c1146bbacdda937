"""EarlyStopping: no more epochs when a metric has stopped improving."""

from __future__ import annotations

from typing import Any

import numpy as np

from torchkeras.callbacks.callback import HookLogs
from torchkeras.callbacks.monitor_callback import MonitorCallback
from torchkeras.reporting.progress import announce


class EarlyStopping(MonitorCallback):
    """Stops `fit` when a metric has not improved for `patience` epochs.

    NaN is never an improvement. An epoch in whose logs the value is missing is not counted.

    Args:
        monitor: name of the value in the logs. Default: `"val_loss"`.
        min_delta: a change of less than this is no improvement. Default: `0`.
        patience: epochs without an improvement after which training stops. Default: `0`.
        verbose: 1: print when it stops and when it restores weights; 0: do not. Default: `0`.
        mode: `"min"`: the value should become less; `"max"`: more; `"auto"`: as the metric of that name says. Default:
            `"auto"`.
        baseline: epochs also count as without an improvement until the value is better than this. Default: `None`.
        restore_best_weights: whether the model ends with the weights of its best epoch, even if the training was not
            stopped early. Default: `False`.
        start_from_epoch: number of epochs at the beginning that are not looked at. Default: `0`.

    Raises:
        ValueError: (in `fit`) in the mode `"auto"`, it is not known whether the metric should become less or more.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> model.compile(keras.optimizers.SGD(0.0), "mse")  # learns nothing
        >>> stopping = keras.callbacks.EarlyStopping(monitor="loss", patience=3)
        >>> history = model.fit(np.ones((4, 2)), np.ones((4, 1)), epochs=10, callbacks=[stopping], verbose=0)
        >>> len(history.history["loss"])  # the first epoch, and three without an improvement
        4
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta=min_delta)
        self.patience = patience
        self.verbose = verbose
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
        self._begin()

    def _begin(self) -> None:
        self.wait = 0
        self.stopped_epoch = 0
        self.best = None
        self.best_weights: list[np.ndarray] | None = None
        self.best_epoch = 0

    def on_train_begin(self, logs: HookLogs | None = None) -> None:
        super().on_train_begin(logs)
        self._begin()

    def on_epoch_end(self, epoch: int, logs: HookLogs | None = None) -> None:
        self._tk_check_direction()
        current = self.get_monitor_value(logs)
        if current is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self._keep_weights(epoch)
        self.wait += 1
        if self._tk_is_improvement(current, self.best):
            self.best = current
            self.best_epoch = epoch
            if self.restore_best_weights:
                self._keep_weights(epoch)
            if self.baseline is None or self._tk_is_improvement(current, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: HookLogs | None = None) -> None:
        if self.stopped_epoch > 0 and self.verbose > 0:
            announce(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.restore_best_weights and self.best_weights is not None:
            if self.verbose > 0:
                announce(f"Restoring model weights from the end of the best epoch: {self.best_epoch + 1}.")
            self.model.set_weights(self.best_weights)

    def _keep_weights(self, epoch: int) -> None:
        self.best_weights = self.model.get_weights()
        self.best_epoch = epoch

    def get_monitor_value(self, logs: HookLogs | None) -> float | None:
        """The monitored value of an epoch.

        Args:
            logs: the epoch's logs.

        Returns:
            The value, or `None` (with a warning, once per training) if the logs lack it.
        """
        value = (logs or {}).get(self.monitor)
        if value is None:
            self._tk_warn_of_missing(
                f"Early stopping conditioned on metric `{self.monitor}` which is not available. "
                f"Available metrics are: {','.join(logs or {})}"
            )
        return value

    def get_state(self) -> dict[str, Any]:
        state = {**super().get_state(), "wait": self.wait, "best_epoch": self.best_epoch}
        return {**state, "best_weights": self.best_weights} if self.best_weights is not None else state
