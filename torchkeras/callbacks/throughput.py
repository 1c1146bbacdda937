"""Throughput: batches and samples per second in the logs of each epoch."""

from __future__ import annotations

import time
from typing import Any

from torchkeras.callbacks.callback import Callback, HookLogs
from torchkeras.callbacks.run import Run


class Throughput(Callback):
    """Add `batches_per_second` and `samples_per_second` to the logs of each epoch. Keras has no such callback.

    Only training counts, not validation. The first batches of `fit`, which build and compile, are left out. Callbacks
    that stand behind this one in the list see the values. Samples are those of the global batch; they are absent where
    the size of a batch is not known.

    Args:
        warmup: batches at the beginning of `fit` to leave out; of a model with `jit_compile` one more is, since the
            second batch compiles. Default: `1`.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> speed = keras.callbacks.Throughput()
        >>> history = model.fit(np.ones((40, 2)), np.ones((40, 1)), batch_size=4, callbacks=[speed], verbose=0)
        >>> sorted(history.history)
        ['batches_per_second', 'loss', 'samples_per_second']
    """

    def __init__(self, warmup: int = 1) -> None:
        super().__init__()
        self.warmup = warmup
        self._run: Any = None
        self._left = self._last = self._first = 0
        self._start = self._end = 0.0

    def _tk_set_run(self, run: Run) -> None:
        """Take the call of `fit`.

        Args:
            run: the call.
        """
        self._run = run

    def on_train_begin(self, logs: HookLogs | None = None) -> None:
        self._left = self.warmup + bool(getattr(self.model, "jit_compile", False))

    def on_epoch_begin(self, epoch: int, logs: HookLogs | None = None) -> None:
        self._first = self._last = 0
        self._start, self._end = time.perf_counter(), 0.0

    def on_train_batch_end(self, batch: int, logs: HookLogs | None = None) -> None:
        self._last = batch + 1
        if self._left > 0:
            self._left -= self._last - self._first
            self._first, self._start = self._last, time.perf_counter()

    def on_test_begin(self, logs: HookLogs | None = None) -> None:
        self._end = self._end or time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: HookLogs | None = None) -> None:
        batches = self._last - self._first
        seconds = (self._end or time.perf_counter()) - self._start
        if logs is None or batches <= 0 or seconds <= 0:
            return
        logs["batches_per_second"] = batches / seconds
        source = getattr(getattr(self._run, "source", None), "source", None)
        size = getattr(source, "batch_size", None)
        if size:
            whole = getattr(source, "num_samples", None)
            samples = batches * size
            if whole is not None and self._last * size > whole:  # the last batch is smaller
                samples -= self._last * size - whole
            logs["samples_per_second"] = samples / seconds
