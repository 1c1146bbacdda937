"""The base of callbacks that send logs to a service which keeps experiments."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from torchkeras.callbacks import learning_rates
from torchkeras.callbacks.callback import Callback, HookLogs
from torchkeras.callbacks.run import Run
from torchkeras.distributed import is_main_process
from torchkeras.layers.base.layer import Layer

Values = dict[str, float]


class ExperimentLogger(Callback):
    """Sends the settings of a training, and its logs by epoch and by batch; a subclass says how.

    With several processes the main one sends. The number of a step is that of the batches so far.

    Args:
        log_batch_frequency: batches from one point to the next; each waits for the device. `None`: no points by batch.
    """

    def __init__(self, log_batch_frequency: int | None = None) -> None:
        super().__init__()
        if log_batch_frequency is not None and log_batch_frequency < 1:
            raise ValueError(f"`log_batch_frequency` must be a positive number; received {log_batch_frequency}.")
        self.log_batch_frequency = log_batch_frequency
        self._step = self._first = 0
        self._is_open = False

    def _tk_set_run(self, run: Run) -> None:
        """Take the call of `fit`.

        Args:
            run: the call.
        """
        run.exits.callback(self._at_exit)

    # ------------------------------------------------------------------ for subclasses

    def open(self, settings: Mapping[str, Any]) -> None:
        """Begin.

        Args:
            settings: settings of the training by name, plain values.
        """
        raise NotImplementedError

    def log(self, values: Values, step: int, epoch: int | None) -> None:
        """Send values.

        Args:
            values: by name.
            step: number of batches so far.
            epoch: number of the epoch, counted from 0; `None` for a point by batch.
        """
        raise NotImplementedError

    def close(self, failed: bool) -> None:
        """End.

        Args:
            failed: whether training ends by an error.
        """
        raise NotImplementedError

    # ------------------------------------------------------------------ hooks

    def on_train_begin(self, logs: HookLogs | None = None) -> None:
        if not is_main_process():
            self.idle_hooks = tuple(getattr(ExperimentLogger, name) for name in ("on_train_batch_end", "on_epoch_end"))
            return
        self._step = 0
        self.open(settings_of(self.model, self.params or {}))
        self._is_open = True

    def on_epoch_begin(self, epoch: int, logs: HookLogs | None = None) -> None:
        self._first = self._step

    def on_train_batch_end(self, batch: int, logs: HookLogs | None = None) -> None:
        before, self._step = self._step, self._first + batch + 1
        every = self.log_batch_frequency
        if every is not None and self._step // every > before // every:
            self.log({f"batch/{name}": float(value) for name, value in (logs or {}).items()}, self._step, None)

    def on_epoch_end(self, epoch: int, logs: HookLogs | None = None) -> None:
        values = {f"epoch/{name}": float(value) for name, value in (logs or {}).items()}
        if self.model.optimizer is not None and "epoch/learning_rate" not in values:
            rates: HookLogs = {}
            learning_rates.add_to_logs(self.model.optimizer, rates)
            values.update({f"epoch/{name}": float(rate) for name, rate in rates.items()})
        self.log(values, self._step, epoch)

    def _at_exit(self) -> None:
        if self._is_open:
            self._is_open = False
            self.close(sys.exception() is not None)


def settings_of(model: Layer, params: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a training as plain values: the optimizer's config, the number of weights, epochs and batches."""
    optimizer = model.optimizer
    found: dict[str, Any] = {
        "model": model.name,
        "parameters": model.count_params(),
        "epochs": params.get("epochs"),
        "steps": params.get("steps"),
        "optimizer": type(optimizer).__name__,
    }
    config = optimizer.get_config() if hasattr(optimizer, "get_config") else {}
    for name, value in config.items():
        if isinstance(value, (bool, int, float, str)):
            found[f"optimizer/{name}"] = value
    return {name: value for name, value in found.items() if value is not None}
