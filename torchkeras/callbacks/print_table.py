"""PrintTable: a line of a table for each epoch."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

from torchkeras.callbacks.callback import Callback, HookLogs
from torchkeras.callbacks.monitor_callback import MonitorCallback
from torchkeras.distributed import is_main_process
from torchkeras.layers.base.layer import Layer
from torchkeras.reporting.progress import announce

_WIDTH = 10  # of a column, in characters, at the least


class PrintTable(Callback):
    """Print the logs of each epoch as a row of a table, with the best value of each column marked by a `*`.

    It goes well with `fit(verbose=0)`. Where the package `rich` is installed and the output is a terminal, best values
    are green. With several processes the main one prints. Keras has no such callback.

    Args:
        columns: names in the logs. Default: `None`, all of the first epoch.
        precision: digits after the point. Default: `4`.
        show_time: whether to add a column with the seconds of each epoch. Default: `True`.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="zeros")])
        >>> model.compile(keras.optimizers.SGD(0.0), "mse")
        >>> table = keras.callbacks.PrintTable(show_time=False)
        >>> _ = model.fit(np.ones((4, 2)), np.ones((4, 1)), epochs=2, callbacks=[table], verbose=0)
        epoch |       loss
        ------+-----------
            1 |    1.0000*
            2 |     1.0000
    """

    def __init__(self, columns: Sequence[str] | None = None, precision: int = 4, show_time: bool = True) -> None:
        super().__init__()
        self.columns = None if columns is None else list(columns)
        self.precision = precision
        self.show_time = show_time
        self._names: list[str] = []
        self._best: dict[str, float] = {}
        self._signs: dict[str, int] = {}
        self._start = 0.0
        self._console: Any = None

    def on_train_begin(self, logs: HookLogs | None = None) -> None:
        self._names, self._best, self._console = [], {}, _console()

    def on_epoch_begin(self, epoch: int, logs: HookLogs | None = None) -> None:
        self._start = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: HookLogs | None = None) -> None:
        if not is_main_process():
            return
        logs = logs or {}
        if not self._names:
            self._names = self.columns or list(logs)
            heads = [name.rjust(self._width(name)) for name in self._names]
            heads += ["seconds".rjust(_WIDTH)] if self.show_time else []
            self._print(["epoch", *heads], [])
            announce("-+-".join("-" * len(head) for head in ["epoch", *heads]))
        cells, best = [], []
        for i, name in enumerate(self._names):
            value = logs.get(name)
            is_best = value is not None and self._is_best(name, float(value))
            text = "-" if value is None else f"{float(value):.{self.precision}f}"
            cells.append((text + "*" * is_best).rjust(self._width(name)))
            best += [i + 1] if is_best else []
        cells += [f"{time.monotonic() - self._start:.1f}".rjust(_WIDTH)] if self.show_time else []
        self._print([f"{epoch + 1:5d}", *cells], best)

    def _width(self, name: str) -> int:
        return max(len(name), _WIDTH)

    def _is_best(self, name: str, value: float) -> bool:
        if name not in self._signs:
            self._signs[name] = _direction(self.model, name)
        sign, best = self._signs[name], self._best.get(name)
        if not sign or math.isnan(value) or (best is not None and sign * (value - best) <= 0):
            return False
        self._best[name] = value
        return True

    def _print(self, cells: list[str], best: list[int]) -> None:
        if self._console is None:
            announce(" | ".join(cells))
            return
        marked = [f"[bold green]{cell}[/]" if i in best else cell for i, cell in enumerate(cells)]
        self._console.print(" [dim]|[/] ".join(marked), highlight=False)


def _direction(model: Layer, name: str) -> int:
    """1 if the metric should rise, -1 if it should fall, 0 if that is not known."""
    watcher = MonitorCallback(monitor=name)
    watcher.set_model(model)
    try:
        return watcher._tk_sign
    except ValueError:
        return 0


def _console() -> Any:
    """A console of rich, if the package is there and the output is a terminal."""
    try:
        from rich.console import Console
    except ImportError:
        return None
    console = Console()
    return console if console.is_terminal else None
