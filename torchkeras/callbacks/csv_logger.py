"""CSVLogger: each epoch's logs as a row of a file."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from typing import Any, TextIO

import numpy as np

from torchkeras.callbacks.callback import Callback, HookLogs
from torchkeras.distributed import is_main_process


class CSVLogger(Callback):
    """Writes the logs of each epoch as a row of a CSV file, at once. With several processes the main one writes.

    The columns are `epoch` (counted from 0) and the names in the logs of the first epoch; a value that is missing in a
    later epoch is written as `NA`.

    Args:
        filename: path of the file.
        separator: string between the columns. Default: `","`.
        append: `True`: append to a file that exists, without a second header; `False`: overwrite it. Default: `False`.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> logger = keras.callbacks.CSVLogger("training.csv")
        >>> _ = model.fit(np.ones((4, 2)), np.ones((4, 1)), epochs=2, callbacks=[logger], verbose=0)
        >>> lines = open("training.csv").read().splitlines()
        >>> len(lines), lines[0].split(",")[:2]
        (3, ['epoch', 'loss'])
    """

    def __init__(self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False) -> None:
        super().__init__()
        self.filename = os.fspath(filename)
        self.sep = separator
        self.append = append
        self.append_header = True
        self.keys: list[str] | None = None
        self.csv_file: TextIO | None = None

    def on_train_begin(self, logs: HookLogs | None = None) -> None:
        self._close()
        self.keys = None
        if not is_main_process():
            return
        self.append_header = not (self.append and os.path.exists(self.filename) and os.path.getsize(self.filename))
        self.csv_file = open(self.filename, "a" if self.append else "w", newline="")

    def on_epoch_end(self, epoch: int, logs: HookLogs | None = None) -> None:
        if self.csv_file is None:
            return
        logs = logs or {}
        first = self.keys is None
        if self.keys is None:
            self.keys = sorted(logs)
            if not any(name.startswith("val_") for name in self.keys):  # validation may come later
                self.keys += [f"val_{name}" for name in self.keys]
        writer = csv.writer(self.csv_file, delimiter=self.sep)
        if first and self.append_header:
            writer.writerow(["epoch", *self.keys])
        writer.writerow([epoch, *(_cell(logs.get(name, "NA")) for name in self.keys)])
        self.csv_file.flush()

    def on_train_end(self, logs: HookLogs | None = None) -> None:
        self._close()

    def _close(self) -> None:
        if self.csv_file is not None:
            self.csv_file.close()
            self.csv_file = None


def _cell(value: object) -> Any:
    """A value as it is written: the items of a list or an array in one cell."""
    scalar = isinstance(value, str) or (isinstance(value, np.ndarray) and value.ndim == 0)
    if isinstance(value, Iterable) and not scalar:
        return f'"[{", ".join(map(str, value))}]"'
    return value
