"""ModelCheckpoint: the model, or its weights, in a file after each epoch or so many batches."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from torchkeras.callbacks.monitor_callback import MonitorCallback
from torchkeras.reporting.progress import announce


class ModelCheckpoint(MonitorCallback):
    """Saves the model when an epoch ends, always or when a metric is the best so far. The main process writes.

    Args:
        filepath: ends in `.keras` or `.h5`, or for weights in `.weights.h5`. May hold fields as
            `{epoch:02d}-{val_loss:.2f}`: `epoch` and `batch` (from 1) and what is in the logs.
        monitor: the name of the value in the logs.
        verbose: 1: say so.
        save_best_only: save only when the value improves. NaN is no improvement.
        save_weights_only: `model.save_weights` instead of `model.save`.
        mode: `"min"`, `"max"` or `"auto"`.
        save_freq: `"epoch"`, or a number of batches.
        initial_value_threshold: the value to beat at first.

    Raises:
        ValueError: an unknown `save_freq`, or a file name that doesn't end as it must.
    """

    def __init__(
        self,
        filepath: str | os.PathLike,
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode, initial_value_threshold)
        self.filepath = os.fspath(filepath)
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self.save_freq = save_freq
        self._epoch = 0
        self._count = BatchCount(save_freq)
        endings = (".weights.h5",) if save_weights_only else (".keras", ".h5")
        if not self.filepath.endswith(endings):
            raise ValueError(
                f"The filepath must end in {' or '.join(endings)} with save_weights_only={save_weights_only}. "
                f"Received: filepath={self.filepath}"
            )
        if save_freq == "epoch":
            self.idle_hooks = (ModelCheckpoint.on_train_batch_end,)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self._count.is_due(batch):
            self._save(self._epoch, batch, logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self.save_freq == "epoch":
            self._save(epoch, None, logs)

    def _save(self, epoch: int, batch: int | None, logs: Any) -> None:
        logs = logs or {}
        path = self.file_path(epoch, batch, logs)
        if not self._is_wanted(epoch, logs, path):
            return
        if os.path.isdir(path):
            raise OSError(f"Please specify a non-directory filepath for ModelCheckpoint. Received a directory: {path}")
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        if self.save_weights_only:
            self.model.save_weights(path, overwrite=True)
        else:
            self.model.save(path, overwrite=True)
        if self.verbose > 0:
            announce(f"\nEpoch {epoch + 1}: finished saving model to {path}")

    def file_path(self, epoch: int, batch: int | None, logs: Any) -> str:
        """The name of the file to write.

        Raises:
            KeyError: the template names what the logs lack.
        """
        fields = {"epoch": epoch + 1, **logs}
        if batch is not None:
            fields.setdefault("batch", batch + 1)
        try:
            return self.filepath.format(**fields)
        except KeyError as error:
            raise KeyError(
                f'Failed to format this callback filepath: "{self.filepath}". Reason: {error}. '
                f"It may name {', '.join(sorted(fields))}."
            ) from error

    def _is_wanted(self, epoch: int, logs: Any, path: str) -> bool:
        if not self.save_best_only:
            if self.verbose > 0:
                announce(f"\nEpoch {epoch + 1}: saving model to {path}")
            return True
        current = logs.get(self.monitor)
        if current is None:
            warnings.warn(f"Can save best model only with {self.monitor} available.", stacklevel=4)
            return True
        if isinstance(current, (np.ndarray, torch.Tensor)) and current.ndim > 0:
            warnings.warn(
                f"Can save best model only when `monitor` is a scalar value. Received: {current}. "
                "Falling back to `save_best_only=False`.",
                stacklevel=4,
            )
            return True
        return self._is_best(epoch, float(current), path)

    def _is_best(self, epoch: int, current: float, path: str) -> bool:
        before = "None" if self.best is None else f"{self.best:.5f}"
        better = self.is_improvement(current, self.best)
        if better:
            self.best = current
        if self.verbose > 0:
            change = f"improved from {before} to {current:.5f}, saving model to {path}"
            announce(f"\nEpoch {epoch + 1}: {self.monitor} {change if better else f'did not improve from {before}'}")
        return better


class BatchCount:
    """Says every so many batches that something is due, also where only every Nth batch is heard of.

    Raises:
        ValueError: the frequency is neither "epoch" nor an integer.
    """

    def __init__(self, frequency: str | int) -> None:
        counts = isinstance(frequency, int) and not isinstance(frequency, bool) and frequency > 0
        if frequency != "epoch" and not counts:
            raise ValueError(
                f"Unrecognized save_freq: {frequency!r}. Invalid value for argument `save_freq`; "
                "expected 'epoch' or a positive integer."
            )
        self.frequency = frequency
        self.since = 0
        self.last: int | None = None

    def is_due(self, batch: int) -> bool:
        """Count up to this batch of the epoch (from 0)."""
        if self.frequency == "epoch":
            return False
        new_epoch = self.last is None or batch <= self.last
        self.since += batch + 1 if new_epoch else batch - self.last  # type: ignore[operator]
        self.last = batch
        if self.since < self.frequency:  # type: ignore[operator]
            return False
        self.since = 0
        return True
