"""LivePlot: curves of the logs that grow while `fit` runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

from torchkeras.callbacks.callback import Callback, HookLogs
from torchkeras.distributed import is_main_process
from torchkeras.reporting.progress import announce
from torchkeras.reporting.text_plot import text_plot


class LivePlot(Callback):
    """Draw the curves of the logs after each epoch: in a notebook as a picture, in a terminal as text.

    A metric and its `val_` stand in one plot. In a terminal the plot is drawn over the one before; where the output is
    a file, it is printed once, when training ends. With several processes the main one draws. Keras has no such
    callback.

    Args:
        metrics: names in the logs, without `val_`. Default: `None`, all.
        every: epochs from one drawing to the next. Default: `1`.
        filename: path of a picture that is written when training ends, by matplotlib. Default: `None`.
        width: characters of a plot in a terminal. Default: `60`.
        height: lines of a plot in a terminal. Default: `10`.

    Raises:
        ValueError: `every` is not positive.
        ImportError: a picture is wanted, in a notebook or file, and matplotlib is not installed.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="zeros")])
        >>> model.compile(keras.optimizers.SGD(0.0), "mse")
        >>> plot = keras.callbacks.LivePlot(width=5, height=2)
        >>> _ = model.fit(np.ones((4, 2)), np.ones((4, 1)), epochs=3, callbacks=[plot], verbose=0)
                 1 ┤● ● ●
                 1 ┤
                   └─────
                    1   3
        ● loss
    """

    def __init__(
        self,
        metrics: Sequence[str] | None = None,
        every: int = 1,
        filename: str | os.PathLike[str] | None = None,
        width: int = 60,
        height: int = 10,
    ) -> None:
        super().__init__()
        if every < 1:
            raise ValueError(f"`every` must be a positive number of epochs; received {every}.")
        self.metrics = None if metrics is None else list(metrics)
        self.every = every
        self.filename = filename
        self.width = width
        self.height = height
        self.history: dict[str, list[float]] = {}
        self._epochs = 0
        self._drawn = 0  # lines in the terminal
        self._shown: Any = None  # the picture in the notebook

    def on_train_begin(self, logs: HookLogs | None = None) -> None:
        self.history, self._epochs, self._drawn, self._shown = {}, 0, 0, None

    def on_epoch_end(self, epoch: int, logs: HookLogs | None = None) -> None:
        for name, value in (logs or {}).items():
            if self.metrics is None or name.removeprefix("val_") in self.metrics:
                before = self.history.setdefault(name, [float("nan")] * self._epochs)  # validation may come later
                before += [float("nan")] * (self._epochs - len(before)) + [float(value)]
        self._epochs += 1
        if self._epochs % self.every == 0 and is_main_process():
            self._draw()

    def on_train_end(self, logs: HookLogs | None = None) -> None:
        if not is_main_process():
            return
        if _notebook() is None and not sys.stdout.isatty():
            announce("\n".join(self._text()))
        if self.filename is not None:
            self.figure().savefig(os.fspath(self.filename), dpi=120)

    def plots(self) -> list[dict[str, list[float]]]:
        """The curves of each plot by name."""
        names = list(dict.fromkeys(name.removeprefix("val_") for name in self.history))
        pairs = [(name, f"val_{name}") for name in names]
        return [{name: self.history[name] for name in pair if name in self.history} for pair in pairs]

    def figure(self) -> Any:
        """The curves as a figure of matplotlib.

        Raises:
            ImportError: matplotlib is not installed.
        """
        from matplotlib.figure import Figure

        plots = self.plots()
        figure = Figure((5 * max(len(plots), 1), 3.5), layout="constrained")
        for place, curves in enumerate(plots, 1):
            axes = figure.add_subplot(1, len(plots), place)
            for name, values in curves.items():
                axes.plot(range(1, len(values) + 1), values, marker=".", label=name)
            axes.set(xlabel="epoch", title=next(iter(curves)).removeprefix("val_"))
            axes.grid(alpha=0.3)
            axes.legend()
        return figure

    def _text(self) -> list[str]:
        return [line for curves in self.plots() for line in text_plot(curves, self.width, self.height)]

    def _draw(self) -> None:
        display = _notebook()
        if display is not None:
            figure = self.figure()
            if self._shown is None:
                self._shown = display.display(figure, display_id=True)
            else:
                self._shown.update(figure)
        elif sys.stdout.isatty():
            lines = self._text()
            up = f"\x1b[{self._drawn}A\x1b[J" if self._drawn else ""
            announce(up + "\n".join(lines))
            self._drawn = len(lines)


def _notebook() -> Any:
    """The module `IPython.display` where a notebook runs; else `None`."""
    return sys.modules.get("IPython.display") if "ipykernel" in sys.modules else None
