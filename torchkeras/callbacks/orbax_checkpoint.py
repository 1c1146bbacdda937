"""OrbaxCheckpoint: numbered checkpoints in a folder, written in the background, each rank its parts."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path
from typing import Any

from torchkeras.callbacks.callback import HookLogs
from torchkeras.callbacks.model_checkpoint import BatchCount
from torchkeras.callbacks.monitor_callback import MonitorCallback
from torchkeras.callbacks.run import Run
from torchkeras.distributed import is_main_process
from torchkeras.distributed.process import broadcast_object
from torchkeras.reporting.progress import announce
from torchkeras.saving.checkpoints import CheckpointWriter
from torchkeras.saving.formats.checkpoint import numbered
from torchkeras.saving.safety.atomic import sync_folder

_WRITING = ".writing-"


class OrbaxCheckpoint(MonitorCallback):
    """Saves numbered checkpoints in a folder, in the background, as Keras's callback of that name does.

    The files are not Orbax's, which needs JAX: a checkpoint is a folder of `.safetensors` files, of which each rank
    writes the parts that lie on it, beside the model's config. `keras.models.load_model(directory)` and
    `model.load_weights(directory)` read the newest one that is whole, on any number of ranks and under any
    distribution. A checkpoint appears at once or not at all.

    Args:
        directory: the folder. It is made where it is missing.
        monitor: name of the value in the logs that says which model is best. Default: `"val_loss"`.
        verbose: 1: print each save; 0: do not. Default: `0`.
        save_best_only: whether to save only when the value is better than at the last save. Default: `False`.
        mode: `"min"`: the value should become less; `"max"`: more; `"auto"`: as the metric of that name says. Default:
            `"auto"`.
        save_freq: `"epoch"`, or an integer: a save after so many batches, counted over epochs. A checkpoint's number
            is that of the epoch, counted from 0, or of the batches. Default: `"epoch"`.
        initial_value_threshold: with `save_best_only`, the value that the first save has to be better than. Default:
            `None`.
        max_to_keep: how many checkpoints are kept; `None` means all. Default: `1`.
        save_on_background: whether training goes on while files are written. Default: `True`.
        save_weights_only: whether to leave the model's config out; `load_model` then refuses. Default: `False`.

    Raises:
        ValueError: `save_freq` is neither `"epoch"` nor a positive integer, or `max_to_keep` is not positive.
        OSError: (in `fit`) a checkpoint can't be written; in the background, at the next save or at the end.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> checkpoint = keras.callbacks.OrbaxCheckpoint("checkpoints", max_to_keep=2)
        >>> _ = model.fit(np.ones((4, 2)), np.ones((4, 1)), epochs=3, callbacks=[checkpoint], verbose=0)
        >>> import os
        >>> sorted(os.listdir("checkpoints"))
        ['1', '2']
        >>> loaded = keras.models.load_model("checkpoints")
        >>> bool(torch.equal(loaded.layers[0].kernel, model.layers[0].kernel))
        True
    """

    needs_all_ranks = True

    def __init__(
        self,
        directory: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
        max_to_keep: int | None = 1,
        save_on_background: bool = True,
        save_weights_only: bool = False,
    ) -> None:
        super().__init__(monitor, mode, initial_value_threshold)
        if max_to_keep is not None and max_to_keep < 1:
            raise ValueError(f"max_to_keep must be a positive integer or None; received {max_to_keep!r}.")
        self.directory = os.fspath(directory)
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_freq = save_freq
        self.max_to_keep = max_to_keep
        self.save_on_background = save_on_background
        self.save_weights_only = save_weights_only
        self._count = BatchCount(save_freq)
        self._batches = 0
        self._last_batch: int | None = None
        self._writer = CheckpointWriter(background=save_on_background)
        if save_freq == "epoch":
            self.idle_hooks = (OrbaxCheckpoint.on_train_batch_end,)

    def set_model(self, model: Any) -> None:
        super().set_model(model)
        optimizer = getattr(model, "optimizer", None)
        if optimizer is not None:
            self._batches = int(optimizer.iterations)

    def _tk_set_run(self, run: Run) -> None:
        """Take the training in progress, at whose end no checkpoint may be half-written."""
        run.exits.callback(self._writer.wait)

    def on_train_begin(self, logs: HookLogs | None = None) -> None:
        super().on_train_begin(logs)
        if is_main_process():
            Path(self.directory).mkdir(parents=True, exist_ok=True)

    def on_train_batch_end(self, batch: int, logs: HookLogs | None = None) -> None:
        is_new_epoch = self._last_batch is None or batch <= self._last_batch
        self._batches += batch + 1 if is_new_epoch else batch - self._last_batch  # type: ignore[operator]
        self._last_batch = batch
        if self._count.is_due(batch):
            self._save(self._batches, logs)

    def on_epoch_end(self, epoch: int, logs: HookLogs | None = None) -> None:
        if self.save_freq == "epoch":
            self._save(epoch, logs)

    def on_train_end(self, logs: HookLogs | None = None) -> None:
        self.wait_until_finished()

    def wait_until_finished(self) -> None:
        """Wait until the checkpoint that is being written is complete."""
        self._writer.wait()

    def _save(self, number: int, logs: HookLogs | None) -> None:
        if self.save_best_only and not broadcast_object(self._is_best(logs or {})):
            return
        if self.verbose > 0:
            announce(f"\nSaving checkpoint {number} to {self.directory}")
        finish = lambda folder: self._finish(folder, number)
        self._writer.write(self.model, self._new_folder, finish, whole=not self.save_weights_only)

    def _is_best(self, logs: HookLogs) -> bool:
        current = logs.get(self.monitor)
        if current is None:
            self._tk_warn_of_missing(f"Can save best model only with {self.monitor} available. Nothing is saved.")
            return False
        better = self._tk_is_improvement(float(current), self.best)
        if better:
            self.best = float(current)
        return better

    def _new_folder(self) -> Path:
        folder = Path(self.directory)
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob(f"{_WRITING}*"):
            shutil.rmtree(leftover, ignore_errors=True)
        fresh = folder / f"{_WRITING}{secrets.token_hex(6)}"
        fresh.mkdir()
        return fresh

    def _finish(self, folder: Path, number: int) -> None:
        """Put a complete checkpoint in its place, and remove those that are too many."""
        place = folder.with_name(str(number))
        if place.exists():
            old = folder.with_name(f"{_WRITING}{secrets.token_hex(6)}")
            os.rename(place, old)
            os.rename(folder, place)
            shutil.rmtree(old, ignore_errors=True)
        else:
            os.rename(folder, place)
        sync_folder(folder.parent)
        if self.max_to_keep is not None:
            newest = sorted(numbered(folder.parent), key=lambda path: path != place)
            for path in newest[self.max_to_keep :]:
                shutil.rmtree(path, ignore_errors=True)
