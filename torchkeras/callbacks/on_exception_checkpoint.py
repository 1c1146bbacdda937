"""OnExceptionCheckpoint: the model in a file when `fit` ends by an error."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from torchkeras.callbacks.callback import Callback, HookLogs
from torchkeras.callbacks.run import Run
from torchkeras.distributed import is_main_process
from torchkeras.reporting.progress import announce


class OnExceptionCheckpoint(Callback):
    """Save the model when `fit` ends by an error or by Ctrl-C. Keras has no such callback.

    The error is raised all the same. With several processes the main one saves, if the error reaches it.

    Args:
        filepath: path of the file: `.keras` for the whole model, `.weights.h5` for its weights. It may name `{epoch}`
            (from 1) and `{batch}` (from 1), where training was.

    Raises:
        ValueError: the path ends otherwise.

    Example:
        >>> class Broken(keras.callbacks.Callback):
        ...     def on_epoch_end(self, epoch, logs=None):
        ...         raise RuntimeError("the disk is full")
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> rescue = keras.callbacks.OnExceptionCheckpoint("rescue_{epoch}.keras")
        >>> try:
        ...     _ = model.fit(np.ones((4, 2)), np.ones((4, 1)), callbacks=[Broken(), rescue], verbose=0)
        ... except RuntimeError as error:
        ...     print(error)
        OnExceptionCheckpoint: RuntimeError, the model is saved as rescue_1.keras
        the disk is full
    """

    def __init__(self, filepath: str | os.PathLike[str]) -> None:
        super().__init__()
        self.filepath = os.fspath(filepath)
        if not self.filepath.endswith((".keras", ".weights.h5")):
            raise ValueError(f"`filepath` must end in .keras or .weights.h5; received {self.filepath!r}.")
        self.saved: str | None = None
        self._epoch = self._batch = 0
        if "{batch" not in self.filepath:
            self.idle_hooks = (OnExceptionCheckpoint.on_train_batch_end,)

    def _tk_set_run(self, run: Run) -> None:
        """Take the call of `fit`.

        Args:
            run: the call.
        """
        run.exits.callback(self._at_exit)

    def on_train_begin(self, logs: HookLogs | None = None) -> None:
        self.saved = None

    def on_epoch_begin(self, epoch: int, logs: HookLogs | None = None) -> None:
        self._epoch, self._batch = epoch + 1, 0

    def on_train_batch_end(self, batch: int, logs: HookLogs | None = None) -> None:
        self._batch = batch + 1

    def _at_exit(self) -> None:
        error = sys.exception()
        if error is None or not is_main_process():
            return
        path = self.filepath.format(epoch=self._epoch, batch=self._batch)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        save = self.model.save if path.endswith(".keras") else self.model.save_weights
        save(path)
        self.saved = path
        announce(f"OnExceptionCheckpoint: {type(error).__name__}, the model is saved as {path}")
