"""ProgbarLogger: the progress bar of `fit`, `evaluate` and `predict`."""

from __future__ import annotations

import time
from typing import Any

from torchkeras.callbacks.callback import Callback, HookLogs
from torchkeras.reporting.progress import Progbar, announce, resolve_verbose

SECONDS_BETWEEN_LOOKS = 0.1


class ProgbarLogger(Callback):
    """Prints the steps done and the metrics. Every `fit`, `evaluate` and `predict` has one unless `verbose=0`.

    The bar reads the metrics ten times per second at most; in between, a step costs a look at the clock.

    Raises:
        ValueError: (in `fit`, `evaluate` and `predict`) `verbose` is neither `"auto"` nor 0, 1 or 2.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> bar = keras.callbacks.ProgbarLogger()
        >>> _ = model.fit(np.ones((4, 2)), np.ones((4, 1)), batch_size=2, callbacks=[bar], verbose=0)
        >>> bar.seen  # batches
        2
    """

    def __init__(self) -> None:
        super().__init__()
        self.verbose = 1
        self.epochs = 1
        self.target: int | None = None
        self.seen = 0
        self.progbar: Progbar | None = None
        self._in_fit = False
        self._due = 0.0

    def set_params(self, params: dict[str, Any]) -> None:
        self.params = params
        self.verbose = resolve_verbose(params.get("verbose", "auto"))
        self.epochs = params.get("epochs", 1)
        self.target = params.get("steps")

    def on_train_begin(self, logs: HookLogs | None = None) -> None:
        self._in_fit = True

    def on_train_end(self, logs: HookLogs | None = None) -> None:
        self._in_fit = False

    def on_epoch_begin(self, epoch: int, logs: HookLogs | None = None) -> None:
        if self.verbose and self.epochs > 1:
            announce(f"Epoch {epoch + 1}/{self.epochs}")
        self._begin()

    def on_train_batch_end(self, batch: int, logs: HookLogs | None = None) -> None:
        self._look(batch, logs)

    def on_epoch_end(self, epoch: int, logs: HookLogs | None = None) -> None:
        self._end(logs)

    def on_test_begin(self, logs: HookLogs | None = None) -> None:
        if not self._in_fit:  # validation is silent
            self._begin()

    def on_test_batch_end(self, batch: int, logs: HookLogs | None = None) -> None:
        if not self._in_fit:
            self._look(batch, logs)

    def on_test_end(self, logs: HookLogs | None = None) -> None:
        if not self._in_fit:
            self._end(logs)

    def on_predict_begin(self, logs: HookLogs | None = None) -> None:
        self._begin()

    def on_predict_batch_end(self, batch: int, logs: HookLogs | None = None) -> None:
        self._look(batch, None)

    def on_predict_end(self, logs: HookLogs | None = None) -> None:
        self._end(None)

    def _begin(self) -> None:
        self.seen = 0
        self._due = 0.0
        self.progbar = Progbar(self.target, verbose=self.verbose, stateless_metrics=())

    def _look(self, batch: int, logs: HookLogs | None) -> None:
        self.seen = batch + 1
        if self.verbose != 1:
            return
        now = time.monotonic()
        if now >= self._due and self.progbar is not None:
            self._due = now + SECONDS_BETWEEN_LOOKS
            self.progbar.update(self.seen, (logs or {}).items(), finalize=False)

    def _end(self, logs: HookLogs | None) -> None:
        if self.progbar is None:
            return
        if self.target is None:
            self.target = self.progbar.target = self.seen
        self.progbar.update(self.target, (logs or {}).items(), finalize=True)
