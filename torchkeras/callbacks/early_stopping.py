"""EarlyStopping: no more epochs when a metric has stopped improving."""

from __future__ import annotations

import warnings
from typing import Any

from torchkeras.callbacks.monitor_callback import MonitorCallback
from torchkeras.reporting.progress import announce


class EarlyStopping(MonitorCallback):
    """Stops `fit` when a metric has not improved for `patience` epochs.

    Args:
        monitor: the name of the value in the logs.
        min_delta: smaller changes are no improvement.
        patience: epochs without improvement to wait for.
        verbose: 1: say so.
        mode: `"min"`, `"max"` or `"auto"`.
        baseline: waiting goes on until this value, too, is beaten.
        restore_best_weights: whether to end with the weights of the best epoch.
        start_from_epoch: epochs to let pass before looking.
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
        self.best_weights: Any = None
        self.best_epoch = 0

    def on_train_begin(self, logs: Any = None) -> None:
        self._begin()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.check_direction()
        current = self.get_monitor_value(logs)
        if current is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self._keep_weights(epoch)
        self.wait += 1
        if self.is_improvement(current, self.best):
            self.best = current
            self.best_epoch = epoch
            if self.restore_best_weights:
                self._keep_weights(epoch)
            if self.baseline is None or self.is_improvement(current, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Any = None) -> None:
        if self.stopped_epoch > 0 and self.verbose > 0:
            announce(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.restore_best_weights and self.best_weights is not None:
            if self.verbose > 0:
                announce(f"Restoring model weights from the end of the best epoch: {self.best_epoch + 1}.")
            self.model.set_weights(self.best_weights)

    def _keep_weights(self, epoch: int) -> None:
        self.best_weights = self.model.get_weights()
        self.best_epoch = epoch

    def get_monitor_value(self, logs: Any) -> Any:
        """The watched value, `None` (and a warning) where the logs lack it."""
        value = (logs or {}).get(self.monitor)
        if value is None:
            warnings.warn(
                f"Early stopping conditioned on metric `{self.monitor}` which is not available. "
                f"Available metrics are: {','.join(logs or {})}",
                stacklevel=2,
            )
        return value

    def get_state(self) -> dict[str, Any]:
        state = {**super().get_state(), "wait": self.wait, "best_epoch": self.best_epoch}
        return {**state, "best_weights": self.best_weights} if self.best_weights is not None else state
