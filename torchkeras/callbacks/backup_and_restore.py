"""BackupAndRestore: an interrupted `fit` goes on where it was."""

from __future__ import annotations

import json
import math
import os
import warnings
from pathlib import Path
from typing import Any

import torch

from torchkeras.callbacks import random_state
from torchkeras.callbacks.backup_store import BackupStore, CorruptBackup
from torchkeras.callbacks.callback import Callback
from torchkeras.callbacks.model_checkpoint import BatchCount
from torchkeras.core.tensors.convert import convert_to_numpy
from torchkeras.distributed import broadcast_object, is_main_process


class BackupAndRestore(Callback):
    """Backs up the whole state of the training; the same `fit`, called again, goes on from there.

    Kept are weights, optimizer, metrics, the place in the epoch, the random number generators, and what other
    callbacks give in `get_state`. A backup is written beside the ones before and appears at once; the one before stays,
    to fall back on. A backup is not made while the loss is NaN, and not removed when that ended the training.

    Args:
        backup_dir: a folder for this training alone.
        save_freq: `"epoch"`, or a number of batches.
        double_checkpoint: taken for Keras's sake: two backups are always kept.
        delete_checkpoint: remove the backups when `fit` has come to its end.

    Raises:
        ValueError: `backup_dir` is empty or `save_freq` unknown.
    """

    runs_last = True  # so that a backup holds what the other callbacks made of the same batch or epoch

    def __init__(
        self,
        backup_dir: str | os.PathLike,
        save_freq: str | int = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        super().__init__()
        if not backup_dir:
            raise ValueError("Empty `backup_dir` argument passed: name a folder for the backups.")
        self.backup_dir = os.fspath(backup_dir)
        self.save_freq = save_freq
        self.double_checkpoint = double_checkpoint
        self.delete_checkpoint = delete_checkpoint
        self._store = BackupStore(self.backup_dir)
        self._count = BatchCount(save_freq)
        self._callbacks: list[Any] = []
        self._resumed: dict[str, Any] | None = None
        self._epoch_start: dict[str, Any] | None = None
        self._epoch = 0

    def set_callbacks(self, callbacks: list[Any]) -> None:
        """The callbacks of this `fit`, whose state is kept too."""
        self._callbacks = callbacks

    @property
    def idle_hooks(self) -> tuple:  # type: ignore[override]
        """Batches are of interest when backups are made after so many of them, or one is to be resumed in mid-epoch."""
        within = self._resumed is not None and self._resumed["step"] > 0
        idle = () if within else (BackupAndRestore.on_train_batch_begin,)
        return idle if self.save_freq != "epoch" else (*idle, BackupAndRestore.on_train_batch_end)

    # ------------------------------------------------------------------ restoring

    def on_train_begin(self, logs: Any = None) -> None:
        if not self.model.built:
            raise ValueError(
                f"BackupAndRestore needs a model that is built; {self.model!r} is not. Call it on a batch first."
            )
        self._resumed = self._load()
        if self._resumed is not None:
            self.model._tk_initial_epoch = self._resumed["epoch"]
            self.model._tk_initial_step = self._resumed["step"]
            for key, callback in self._stateful():
                if key in self._resumed.get("callbacks", {}):
                    callback.set_state(self._resumed["callbacks"][key])

    def _load(self) -> dict[str, Any] | None:
        """Load the newest generation that is whole; its state, `None` where there is no backup."""
        chosen = None
        if is_main_process():
            chosen = next((path for path in self._store.generations() if self._is_whole(path)), None)
        chosen = broadcast_object(chosen)
        if chosen is None:
            return self._load_from_keras()
        weights, state = self._store.read(chosen)
        self.model.load_weights(weights)
        return state

    def _is_whole(self, generation: Path) -> bool:
        try:
            self._store.read(generation)
        except CorruptBackup as error:
            warnings.warn(f"{error}. Falling back to the one before.", stacklevel=2)
            return False
        return True

    def _load_from_keras(self) -> dict[str, Any] | None:
        """A backup that Keras itself made: weights and the epoch."""
        weights, metadata = (Path(self.backup_dir) / name for name in ("latest.weights.h5", "training_metadata.json"))
        if not weights.exists() or not metadata.exists():
            return None
        self.model.load_weights(str(weights))
        return {"epoch": int(json.loads(metadata.read_text())["epoch"]), "step": 0}

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        state = self._resumed
        if state is not None and state["step"]:
            random_state.restore(state["epoch_start"])  # for the same order of samples
            self._set_metrics(state["metrics"])
        else:
            self._go_on()
        self._epoch = epoch
        if self.save_freq != "epoch":
            self._epoch_start = random_state.capture()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._go_on()

    def _go_on(self) -> None:
        """From here the training continues: random numbers as when the backup was made."""
        if self._resumed is not None:
            if "random" in self._resumed:
                random_state.restore(self._resumed["random"])
            self._resumed = None

    # ------------------------------------------------------------------ backing up

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self._count.is_due(batch):
            self._save(self._epoch, batch + 1, logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._go_on()  # no batch was left to do
        if self.save_freq == "epoch":
            self._save(epoch + 1, 0, logs)

    def on_train_end(self, logs: Any = None) -> None:
        if self.delete_checkpoint and is_main_process() and _is_sound(logs):
            self._store.remove()

    def _save(self, epoch: int, step: int, logs: Any) -> None:
        if not is_main_process():
            if _is_sound(logs):
                self.model._tk_save_along()
            return
        if not _is_sound(logs):
            warnings.warn("The loss is not finite: no backup is made, the one before is kept.", stacklevel=3)
            return
        state: dict[str, Any] = {
            "epoch": epoch,
            "step": step,
            "random": random_state.capture(),
            "callbacks": {key: callback.get_state() for key, callback in self._stateful()},
        }
        if step:
            state.update(epoch_start=self._epoch_start, metrics=self._metrics())
        self._store.write(self.model.save_weights, state)

    def _stateful(self) -> list[tuple[str, Any]]:
        named = [(f"{i} {type(c).__name__}", c) for i, c in enumerate(self._callbacks)]
        return [(key, c) for key, c in named if hasattr(c, "get_state") and hasattr(c, "set_state")]

    def _metrics(self) -> dict[str, list]:
        return {m.name: [convert_to_numpy(v).copy() for v in m.variables] for m in self.model.metrics}

    @torch.no_grad()
    def _set_metrics(self, states: dict[str, list]) -> None:
        for metric in self.model.metrics:
            for variable, value in zip(metric.variables, states.get(metric.name, ())):
                variable.copy_(torch.from_numpy(value).reshape(variable.shape))


def _is_sound(logs: Any) -> bool:
    loss = (logs or {}).get("loss")
    return not isinstance(loss, float) or math.isfinite(loss)
