"""ModelCheckpoint: the model, or its weights, in a file after each epoch or a number of batches."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
import torch

from torchkeras.callbacks.callback import HookLogs
from torchkeras.callbacks.monitor_callback import MonitorCallback
from torchkeras.callbacks.run import Run
from torchkeras.core.user_warnings import warn_user
from torchkeras.reporting.progress import announce
from torchkeras.saving.checkpoints import CheckpointWriter
from torchkeras.saving.safety.folders import replacing_folder

_IN_PARTS = ".checkpoint"


class ModelCheckpoint(MonitorCallback):
    """Saves the model, or its weights, at each epoch's end or after a number of batches.

    The main process writes. A file appears at once: an interrupted save leaves the file that was there.

    A path that ends in `.checkpoint` stands for a folder, to which each rank writes the parts of the weights that lie
    on it; `load_model` and `load_weights` read it on any number of ranks and under any distribution.

    Args:
        filepath: path of the file. It ends in `.keras` or `.h5`, or with `save_weights_only=True` in `.weights.h5`; or
            in either case in `.checkpoint`. It may have fields in braces, such as
            `"{epoch:02d}-{val_loss:.2f}.keras"`: `epoch` and `batch` (counted from 1; the latter with a number as
            `save_freq`) and the names in the logs. Missing folders are made.
        monitor: name of the value in the logs that says which model is best. Default: `"val_loss"`.
        verbose: 1: print each save; 0: do not. Default: `0`.
        save_best_only: whether to save only when the value is better than at the last save. NaN is never better. While
            the logs lack the value, nothing is saved once there is a best model, and a warning says so once. Default:
            `False`.
        save_weights_only: whether to save with `model.save_weights` instead of `model.save`. Default: `False`.
        mode: `"min"`: the value should become less; `"max"`: more; `"auto"`: as the metric of that name says. Default:
            `"auto"`.
        save_freq: `"epoch"`, or an integer: a save after so many batches, counted over epochs. Default: `"epoch"`.
        initial_value_threshold: with `save_best_only`, the value that the first save has to be better than. Default:
            `None`.
        async_save: whether training goes on while a `.checkpoint` is written: it waits only until the weights are
            copied. Default: `False`.

    Raises:
        ValueError: `save_freq` is neither `"epoch"` nor a positive integer; `filepath` has another ending, or with
            `async_save=True` does not end in `.checkpoint`.
        KeyError: (in `fit`) `filepath` has a field that the logs lack.
        OSError: (in `fit`) there is a folder at `filepath`, or it can't be written.

    Example:
        >>> import os
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> checkpoint = keras.callbacks.ModelCheckpoint("{epoch}.keras")
        >>> _ = model.fit(np.ones((4, 2)), np.ones((4, 1)), epochs=2, callbacks=[checkpoint], verbose=0)
        >>> sorted(os.listdir("."))
        ['1.keras', '2.keras']
    """

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
        async_save: bool = False,
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
        self.async_save = async_save
        self._writer = CheckpointWriter(background=async_save)
        self._in_parts = self.filepath.endswith(_IN_PARTS)
        if async_save and not self._in_parts:
            raise ValueError(f"With async_save=True the filepath must end in {_IN_PARTS}. Received: {self.filepath}")
        if not self._in_parts and not self.filepath.endswith(endings):
            raise ValueError(
                f"The filepath must end in {' or '.join(endings)} with save_weights_only={save_weights_only}. "
                f"Received: filepath={self.filepath}"
            )
        if save_freq == "epoch":
            self.idle_hooks = (ModelCheckpoint.on_train_batch_end,)

    def _tk_set_run(self, run: Run) -> None:
        """Take the training in progress, at whose end nothing may be half-written."""
        run.exits.callback(self._writer.wait)

    def on_epoch_begin(self, epoch: int, logs: HookLogs | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: HookLogs | None = None) -> None:
        if self._count.is_due(batch):
            self._save(self._epoch, batch, logs)

    def on_epoch_end(self, epoch: int, logs: HookLogs | None = None) -> None:
        if self.save_freq == "epoch":
            self._save(epoch, None, logs)

    def _save(self, epoch: int, batch: int | None, logs: HookLogs | None) -> None:
        logs = logs or {}
        path = self.file_path(epoch, batch, logs)
        if not self._is_wanted(epoch, logs, path):
            return
        if self._in_parts:
            self._save_in_parts(Path(path))
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

    def _save_in_parts(self, path: Path) -> None:
        def make() -> Path:
            path.parent.mkdir(parents=True, exist_ok=True)
            return Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".saving", dir=path.parent))

        def finish(folder: Path) -> None:
            with replacing_folder(path) as fresh:
                for part in folder.iterdir():
                    os.rename(part, fresh / part.name)
            folder.rmdir()

        self._writer.write(self.model, make, finish, whole=not self.save_weights_only)

    def on_train_end(self, logs: HookLogs | None = None) -> None:
        self._writer.wait()

    def file_path(self, epoch: int, batch: int | None, logs: HookLogs) -> str:
        """The path of the file to write.

        Args:
            epoch: number of the epoch, counted from 0.
            batch: number of the batch, counted from 0; `None` at an epoch's end.
            logs: values that may be named in the path.

        Raises:
            KeyError: the path has a field that the logs lack.
        """
        fields = {"epoch": epoch + 1, **logs}
        if batch is not None:
            fields.setdefault("batch", batch + 1)
        try:
            return self.filepath.format(**fields)
        except KeyError as error:
            raise KeyError(
                f'Failed to format this callback filepath: "{self.filepath}". Reason: {error}. '
                f"It may name {', '.join(sorted(fields))}: the logs have {'no other value' if logs else 'no value'}."
            ) from None

    def _is_wanted(self, epoch: int, logs: HookLogs, path: str) -> bool:
        if not self.save_best_only:
            if self.verbose > 0:
                announce(f"\nEpoch {epoch + 1}: saving model to {path}")
            return True
        current = logs.get(self.monitor)
        if current is None:
            kept = self.best is not None
            self._tk_warn_of_missing(
                f"Can save best model only with {self.monitor} available. Available metrics are: {','.join(logs)}. "
                + ("Nothing is saved." if kept else "The model is saved as it is.")
            )
            return not kept
        if isinstance(current, (np.ndarray, torch.Tensor)) and current.ndim > 0:
            warn_user(
                f"Can save best model only when `monitor` is a scalar value. Received: {current}. "
                "Falling back to `save_best_only=False`."
            )
            return True
        return self._is_best(epoch, float(current), path)

    def _is_best(self, epoch: int, current: float, path: str) -> bool:
        before = "None" if self.best is None else f"{self.best:.5f}"
        better = self._tk_is_improvement(current, self.best)
        if better:
            self.best = current
        if self.verbose > 0:
            change = f"improved from {before} to {current:.5f}, saving model to {path}"
            announce(f"\nEpoch {epoch + 1}: {self.monitor} {change if better else f'did not improve from {before}'}")
        return better


class BatchCount:
    """Counts batches over epochs, and says when a number of them is complete.

    Args:
        frequency: number of batches; `"epoch"`: never.

    Raises:
        ValueError: the frequency is neither `"epoch"` nor a positive integer.
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
        """Count up to a batch of the epoch (from 0; with `steps_per_execution` some numbers are left out)."""
        if self.frequency == "epoch":
            return False
        new_epoch = self.last is None or batch <= self.last
        self.since += batch + 1 if new_epoch else batch - self.last  # type: ignore[operator]
        self.last = batch
        if self.since < self.frequency:  # type: ignore[operator]
            return False
        self.since = 0
        return True
