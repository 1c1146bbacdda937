"""BackupAndRestore: an interrupted `fit` goes on where it was."""

from __future__ import annotations

import json
import math
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from torchkeras.callbacks.backup_store import PARTS, BackupStore, CorruptBackup, Prepared
from torchkeras.callbacks.callback import Callback, HookLogs
from torchkeras.callbacks.model_checkpoint import BatchCount
from torchkeras.callbacks.run import Run, State
from torchkeras.callbacks.signals import SignalHandlers
from torchkeras.core import random_state
from torchkeras.core.tensors.convert import convert_to_numpy
from torchkeras.core.tensors.sharded import is_sharded
from torchkeras.core.user_warnings import warn_user
from torchkeras.distributed import is_main_process, rank, world_size
from torchkeras.distributed.process import broadcast_object, gather_objects
from torchkeras.reporting.progress import announce
from torchkeras.saving.checkpoints import CheckpointWriter

_CLOCK = "save_every"


class BackupAndRestore(Callback):
    """Backs up the whole state of the training; the same `fit`, called again, goes on from there.

    A backup holds the weights, the optimizer, the metrics of the running epoch, the place in the data, the random
    number generators of every process, and what other callbacks return from `get_state()`. The resumed training
    therefore ends with the weights, to the last bit, and with the logged values of one that was never interrupted. This
    holds for arrays, `PyDataset`s and torch `DataLoader`s (also with samplers, generators and workers), on one process
    or several. Of other data a warning at the first backup says why they can't be set back.

    Weights that lie in parts on several ranks are written in parts, each rank its own, and are read by any number of
    ranks under any distribution.

    A backup is written beside those before it and appears at once or not at all; the one before stays, to fall back on.
    No backup is made while the loss is NaN or infinite, and none is removed when that ended the training. Backups that
    Keras made (the weights and the epoch) are read, too.

    With `save_freq="epoch"` an interrupted epoch is repeated as a whole: after an interruption in epoch 15 (counted
    from 0) the training resumes at epoch 15. With a number of batches it resumes in the middle of the epoch. Backups
    are made after the other callbacks have run, wherever this one stands in the list.

    Args:
        backup_dir: a folder for this training alone. It is made where it is missing.
        save_freq: `"epoch"`, or an integer: a backup after so many batches, counted over epochs. Default: `"epoch"`.
        double_checkpoint: kept for Keras's signature: two backups are always kept. Default: `False`.
        delete_checkpoint: whether to remove the backups when `fit` has come to its end. Default: `True`.
        save_every: minutes after which a backup is made, beside those of `save_freq`, after the batch that is running
            then (also one of the validation). Default: `None`, never.
        signals: names of signals at which a backup is made after the running batch and the process ends, with the exit
            code 128 plus the signal's number. Clusters send SIGTERM or SIGUSR1 before they take a machine away. Under
            several processes it is enough if one of them gets the signal. If the program has a handler of its own for
            the signal, it is called after the backup. Default: `("SIGTERM", "SIGUSR1")`.
        async_save: whether training goes on while a backup is written: it waits only until the weights are copied.
            Default: `False`.

    Raises:
        ValueError: `backup_dir` is empty, `save_freq` is neither `"epoch"` nor a positive integer, `save_every` is not
            positive, something in `signals` is not the name of a signal, or (in `fit`) the model is not built.

    Example:
        >>> class Interrupt(keras.callbacks.Callback):
        ...     def on_epoch_begin(self, epoch, logs=None):
        ...         if epoch == 4:
        ...             raise RuntimeError("Oh no!")
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> backup = keras.callbacks.BackupAndRestore("backup")
        >>> x, y = np.ones((8, 2)), np.ones((8, 1))
        >>> try:
        ...     _ = model.fit(x, y, epochs=6, callbacks=[backup, Interrupt()], verbose=0)
        ... except RuntimeError:
        ...     print("interrupted")
        interrupted
        >>> model.fit(x, y, epochs=6, callbacks=[backup], verbose=0).epoch
        [4, 5]
    """

    needs_all_ranks = True
    runs_last = True  # so that a backup holds what the other callbacks made of the same batch or epoch

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: str | int = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
        save_every: float | None = None,
        signals: Sequence[str] = ("SIGTERM", "SIGUSR1"),
        async_save: bool = False,
    ) -> None:
        super().__init__()
        if not backup_dir:
            raise ValueError("Empty `backup_dir` argument passed: name a folder for the backups.")
        self.backup_dir = os.fspath(backup_dir)
        self.save_freq = save_freq
        self.double_checkpoint = double_checkpoint
        self.delete_checkpoint = delete_checkpoint
        if save_every is not None and not save_every > 0:
            raise ValueError(f"save_every must be a positive number of minutes; received {save_every!r}.")
        self.save_every = save_every
        self.signals = tuple(signals)
        self.async_save = async_save
        self._writer = CheckpointWriter(background=async_save)
        self._handlers = SignalHandlers(self.signals, self._ask)
        self._timer: threading.Timer | None = None
        self._postponed: str | None = None
        self._of_epoch: State | None = None  # the state of this process before the validation that runs
        self._store = BackupStore(self.backup_dir)
        self._count = BatchCount(save_freq)
        self._callbacks: list[Callback] = []
        self._run: Run | None = None
        self._resumed: State | None = None
        self._epoch = 0
        self._has_warned = self._is_due = False
        if save_freq == "epoch":
            self.idle_hooks = (BackupAndRestore.on_train_batch_end,)

    def _tk_set_callbacks(self, callbacks: list[Callback]) -> None:
        """Take the callbacks of this `fit`, whose state is kept too."""
        self._callbacks = callbacks

    def _tk_set_run(self, run: Run) -> None:
        """Take the training in progress, whose place is kept."""
        self._run = run

    # ------------------------------------------------------------------ restoring

    def on_train_begin(self, logs: HookLogs | None = None) -> None:
        if not self.model.built:
            raise ValueError(
                f"BackupAndRestore needs a model that is built; {self.model!r} is not. Call it on a batch first."
            )
        self._has_warned = self._is_due = False
        self._postponed = self._of_epoch = None
        if self._run is not None:
            self._run.source.keep_place()
            self._listen(self._run)
        self._resumed = self._load()
        if self._resumed is None:
            return
        for key, callback in self._stateful():
            if key in self._resumed.get("callbacks", {}):
                callback.set_state(self._resumed["callbacks"][key])
        if self._run is not None:
            self._run.initial_epoch, self._run.initial_step = self._resumed["epoch"], self._resumed["step"]
            if "place" in self._resumed:
                arrived = self._restore_rank if self._resumed["step"] else _nothing
                self._run.source.go_to(self._resumed["place"], arrived)
        if not self._resumed["step"]:
            self._restore_rank()

    def _load(self) -> State | None:
        """Load the newest generation that is whole; its state, `None` where there is no backup."""
        chosen = None
        if is_main_process():
            chosen = next((path for path in self._store.generations() if self._is_whole(path)), None)
        chosen = broadcast_object(chosen)
        if chosen is None:
            return self._load_from_keras()
        weights, state = self._store.read(chosen)
        self.model.load_weights(weights)
        before = len(state.get("ranks", ()))
        if before and before != world_size() and is_main_process():
            warn_user(
                f"The backup was made by {before} process(es) and is restored by {world_size()}: random numbers of "
                "layers will differ from those of an uninterrupted training."
            )
        return state

    def _is_whole(self, generation: Path) -> bool:
        try:
            self._store.read(generation)
        except CorruptBackup as error:
            warn_user(f"{error}. Falling back to the one before.")
            return False
        return True

    def _load_from_keras(self) -> State | None:
        """A backup that Keras itself made: weights and the epoch."""
        weights, metadata = (Path(self.backup_dir) / name for name in ("latest.weights.h5", "training_metadata.json"))
        if not weights.exists() or not metadata.exists():
            return None
        self.model.load_weights(str(weights))
        return {"epoch": int(json.loads(metadata.read_text())["epoch"]), "step": 0}

    def on_epoch_begin(self, epoch: int, logs: HookLogs | None = None) -> None:
        self._epoch = epoch
        gathered = self._gathered()
        if gathered and self._run is not None:
            self._run.set_states(gathered)
        if self._resumed is not None and not self._resumed["step"]:
            self._resumed = None

    def _ranks(self) -> list[State]:
        """The parts of the restored backup that belonged to single processes."""
        return [] if self._resumed is None else self._resumed.get("ranks", [])

    def _gathered(self) -> list[State]:
        """The results of the interrupted epoch, of each process that the backup was made by."""
        return [part["gathered"] for part in self._ranks() if "gathered" in part]

    @torch.no_grad()
    def _restore_rank(self) -> None:
        """From here the training goes on as it did from the backup."""
        ranks = self._ranks()
        own = ranks[rank()] if rank() < len(ranks) else {}
        if "random" in own:
            random_state.restore(own["random"])
        kept = [part["buffers"] for part in ranks if "buffers" in part]
        if kept:
            is_same = self._run is not None and self._run.is_shared_as(self._gathered())
            values = own["buffers"] if is_same else [_mean(parts) for parts in zip(*kept, strict=True)]
            for buffer, value in zip(self._buffers(), values, strict=True):
                buffer.copy_(torch.from_numpy(np.asarray(value)).reshape(buffer.shape))
        self._resumed = None

    # ------------------------------------------------------------------ requests: signals and the clock

    def _listen(self, run: Run) -> None:
        run.requests.answer = self._answer
        run.exits.callback(self._writer.wait)
        run.exits.callback(self._handlers.remove)
        run.exits.callback(self._stop_clock)
        self._handlers.install()
        self._start_clock()

    def _ask(self, reason: str) -> None:
        if self._run is not None:
            self._run.requests.ask(reason)

    def _start_clock(self) -> None:
        self._stop_clock()
        if self.save_every is not None and is_main_process():
            self._timer = threading.Timer(60.0 * self.save_every, self._ask, [_CLOCK])
            self._timer.daemon = True
            self._timer.start()

    def _stop_clock(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _answer(self, reason: str, step: int) -> None:
        """Make a backup after a batch of the training or of its validation; end the process if it got a signal."""
        run = self._run
        assert run is not None
        if self._of_epoch is not None:
            saved = self._save(self._epoch, step, self._of_epoch["gathered"]["results"]["values"], self._of_epoch)
        elif run.source.num_batches == step:
            self._postponed = reason  # the epoch's end, or its validation, is next
            return
        else:
            saved = self._save(self._epoch, step, run.logs())
        self._end_process(reason, saved)

    def _end_process(self, reason: str, saved: bool) -> None:
        if reason != _CLOCK:
            self._writer.wait()
            done = f"a backup was made in {self.backup_dir}" if saved else "no backup was made"
            announce(f"{reason}: {done}; the process ends.")
            self._handlers.end_process(reason)

    def on_test_begin(self, logs: HookLogs | None = None) -> None:
        if self._run is None or self._run.source.num_batches is None:
            return
        step = self._run.source.num_batches
        self._of_epoch = self._own_part(step)
        if self._postponed is not None:
            reason, self._postponed = self._postponed, None
            self._answer(reason, step)

    def on_test_end(self, logs: HookLogs | None = None) -> None:
        self._of_epoch = None

    # ------------------------------------------------------------------ backing up

    def on_train_batch_end(self, batch: int, logs: HookLogs | None = None) -> None:
        if self._count.is_due(batch):
            if self._run is not None and self._run.source.num_batches == batch + 1:
                self._is_due = True  # at the epoch's end, which is near
            else:
                self._save(self._epoch, batch + 1, logs)

    def on_epoch_end(self, epoch: int, logs: HookLogs | None = None) -> None:
        self._resumed = None
        reason, self._postponed = self._postponed, None
        if self.save_freq == "epoch" or self._is_due or reason is not None:
            self._is_due = False
            saved = self._save(epoch + 1, 0, logs)
            if reason is not None:
                self._end_process(reason, saved)

    def on_train_end(self, logs: HookLogs | None = None) -> None:
        self._writer.wait()
        if self.delete_checkpoint and is_main_process() and _is_sound(logs):
            self._store.remove()

    def _save(self, epoch: int, step: int, logs: HookLogs | None, part: State | None = None) -> bool:
        """Make a backup, unless the loss is not finite; whether it was made.

        Args:
            epoch: the epoch to resume in.
            step: how many of its batches are done.
            logs: values, which must be finite.
            part: the state of this process. Default: as it is now.
        """
        self._start_clock()
        if not broadcast_object(_is_sound(logs)):
            if is_main_process():
                warn_user("The loss is not finite: no backup is made, the one before is kept.")
            return False
        ranks = gather_objects(self._own_part(step) if part is None else part)
        in_parts = self.async_save or any(is_sharded(weight) for weight in self.model.weights)
        if not is_main_process():
            if in_parts:
                self._writer.write(self.model, Path, _nothing_to_finish)
            return True
        state: State = {
            "epoch": epoch,
            "step": step,
            "ranks": ranks,
            "callbacks": {key: callback.get_state() for key, callback in self._stateful()},
        }
        if self._run is not None:
            self._warn_of_data(self._run)
            state["place"] = self._run.source.place(step)
        if not in_parts:
            self._store.write(self.model.save_weights, state)
            return True
        prepared = Prepared(state)

        def finish(folder: Path) -> None:
            self._store.finish(folder.parent, prepared)

        self._writer.write(self.model, self._folder_for_parts, finish)
        return True

    def _folder_for_parts(self) -> Path:
        folder = self._store.begin() / PARTS
        folder.mkdir()
        return folder

    def _own_part(self, step: int) -> State:
        """Each process has its own random numbers and, within an epoch, its own metrics and statistics."""
        part: State = {"random": random_state.capture()}
        if step and self._run is not None:
            part["gathered"] = self._run.get_state()
            if world_size() > 1:
                part["buffers"] = [convert_to_numpy(buffer).copy() for buffer in self._buffers()]
        return part

    def _buffers(self) -> list[torch.Tensor]:
        return [buffer for buffer in self.model.buffers() if not is_sharded(buffer)]

    def _warn_of_data(self, run: Run) -> None:
        if run.source.inexact is not None and not self._has_warned:
            self._has_warned = True
            warn_user(
                "A training that is resumed from this backup will not see exactly the data of an uninterrupted one: "
                f"{run.source.inexact}."
            )

    def _stateful(self) -> list[tuple[str, Any]]:
        named = [(f"{i} {type(c).__name__}", c) for i, c in enumerate(self._callbacks)]
        return [(key, c) for key, c in named if hasattr(c, "get_state") and hasattr(c, "set_state")]


def _mean(parts: Sequence[np.ndarray]) -> np.ndarray:
    """The mean of float buffers of several ranks, as at an epoch's end; others, such as seeds, are the first rank's."""
    first = np.asarray(parts[0])
    if not np.issubdtype(first.dtype, np.floating) or all(np.array_equal(first, part) for part in parts[1:]):
        return first
    return np.mean(parts, axis=0).astype(first.dtype)


def _nothing_to_finish(folder: Path) -> None:
    """Rank 0 puts the folder in its place."""


def _nothing() -> None:
    """Between epochs there is nothing left to restore when the place in the data is reached."""


def _is_sound(logs: HookLogs | None) -> bool:
    loss = (logs or {}).get("loss")
    return not isinstance(loss, float) or math.isfinite(loss)
