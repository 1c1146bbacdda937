"""Timer: a limit of time for `fit`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import timedelta

from torchkeras.callbacks.callback import Callback, HookLogs
from torchkeras.reporting.progress import announce


class Timer(Callback):
    """Stop `fit` after some time, and measure how long training and validation take. Keras has no such callback.

    A backup by `BackupAndRestore` holds the time that was used: a training that goes on has the rest.

    Args:
        max_time: the limit: seconds, a `datetime.timedelta`, its arguments as a dict (`{"hours": 1}`), or a string
            `"DD:HH:MM:SS"` whose leading parts may be left out. Default: `None`, no limit.
        interval: `"batch"`: look after each batch; `"epoch"`: after each epoch. Default: `"batch"`.
        verbose: whether a line says why training ends. Default: `True`.

    Raises:
        ValueError: the limit or the interval is none of these.

    Example:
        >>> timer = keras.callbacks.Timer("01:30:00")
        >>> timer.max_time
        5400.0
    """

    def __init__(
        self,
        max_time: float | str | timedelta | Mapping[str, float] | None = None,
        interval: str = "batch",
        verbose: bool = True,
    ) -> None:
        super().__init__()
        if interval not in ("batch", "epoch"):
            raise ValueError(f'`interval` must be "batch" or "epoch"; received {interval!r}.')
        self.max_time = _seconds(max_time)
        self.interval = interval
        self.verbose = verbose
        self._used = 0.0  # before this call of `fit`
        self._start: float | None = None
        self._validation, self._validation_start = 0.0, 0.0
        self._is_training = False
        if interval == "epoch" or self.max_time is None:
            self.idle_hooks = (Timer.on_train_batch_end,)

    def time_elapsed(self) -> float:
        """Seconds of training, with its validation."""
        return self._used + (0.0 if self._start is None else time.monotonic() - self._start)

    def time_remaining(self) -> float | None:
        """Seconds until the limit; `None` without one."""
        return None if self.max_time is None else max(self.max_time - self.time_elapsed(), 0.0)

    def validation_time(self) -> float:
        """Seconds of validation within `fit`."""
        return self._validation

    def get_state(self) -> dict[str, float]:
        """The time that was used."""
        return {"used": self.time_elapsed(), "validation": self._validation}

    def set_state(self, state: dict[str, float]) -> None:
        """Go on from a state that `get_state` gave.

        Args:
            state: the state.
        """
        self._used, self._validation = state["used"], state["validation"]
        self._start = None if self._start is None else time.monotonic()

    def on_train_begin(self, logs: HookLogs | None = None) -> None:
        self._used, self._validation, self._start, self._is_training = 0.0, 0.0, time.monotonic(), True

    def on_train_batch_end(self, batch: int, logs: HookLogs | None = None) -> None:
        self._check()

    def on_epoch_end(self, epoch: int, logs: HookLogs | None = None) -> None:
        self._check()

    def on_test_begin(self, logs: HookLogs | None = None) -> None:
        self._validation_start = time.monotonic()

    def on_test_end(self, logs: HookLogs | None = None) -> None:
        if self._is_training:
            self._validation += time.monotonic() - self._validation_start

    def on_train_end(self, logs: HookLogs | None = None) -> None:
        self._used, self._start, self._is_training = self.time_elapsed(), None, False

    def _check(self) -> None:
        if self.max_time is None or self.time_elapsed() < self.max_time or self.model.stop_training:
            return
        self.model.stop_training = True
        if self.verbose:
            announce(f"Timer: the limit of {timedelta(seconds=round(self.max_time))} is reached, training ends")


def _seconds(limit: object) -> float | None:
    """A limit in seconds.

    Raises:
        ValueError: it is in none of the forms.
    """
    if isinstance(limit, Mapping):
        limit = timedelta(**limit)
    if isinstance(limit, timedelta):
        limit = limit.total_seconds()
    if isinstance(limit, str):
        parts = limit.split(":")
        if len(parts) > 4 or not all(part.strip().isdigit() for part in parts):
            raise ValueError(f'`max_time` as text must be "DD:HH:MM:SS"; received {limit!r}.')
        units = (1, 60, 3600, 86400)
        limit = sum(int(part) * unit for part, unit in zip(reversed(parts), units))
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, (int, float)) or limit < 0):
        raise ValueError(f"`max_time` must be a length of time; received {limit!r}.")
    return None if limit is None else float(limit)
