"""The progress bar, drawn by tqdm in Keras's wording; a line an epoch where there is no terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from typing import Any

import numpy as np
from tqdm import tqdm
from tqdm.utils import disp_trim

from torchkeras.distributed import is_main_process

_BOLD, _GREEN, _WHITE, _END = "\x1b[1m", "\x1b[32m", "\x1b[37m", "\x1b[0m"


def is_dynamic() -> bool:
    """Whether a line of the output can be drawn anew: a terminal or a notebook."""
    return "ipykernel" in sys.modules or (hasattr(sys.stdout, "isatty") and sys.stdout.isatty())


def resolve_verbose(verbose: int | str) -> int:
    """0, 1 or 2; `"auto"` is 1 where a bar can move and 2 elsewhere."""
    return (1 if is_dynamic() else 2) if verbose == "auto" else int(verbose)


def announce(message: str) -> None:
    """Print a line, on the main process alone."""
    if is_main_process():
        tqdm.write(message, file=sys.stdout)


class _Line(tqdm):
    """tqdm as what writes a line over and over; the text is made here."""

    monitor_interval = 0  # no watching thread
    text = ""

    def __init__(self) -> None:
        super().__init__(file=sys.stdout, leave=True, dynamic_ncols=True, delay=1e-9)  # draws nothing yet
        self.delay = 0
        self.nrows = None  # a pseudo-terminal may claim none, and tqdm would hide the line

    def __str__(self) -> str:
        return self.text

    def draw(self, text: str, last: bool) -> None:
        width = self.dynamic_ncols(self.fp)[0] if self.dynamic_ncols else None
        self.text = text if last or not width or width < 20 else disp_trim(text, width)
        self.close() if last else self.refresh()


class Progbar:
    """A progress bar (Keras's `Progbar`).

    Args:
        target: steps in all; `None`: not known.
        width: of the bar, in characters.
        verbose: 0: nothing; 1: a bar; 2: one line at the end.
        interval: seconds between two looks at least.
        stateful_metrics: names of values to show as they are; the others are averaged over the steps.
        stateless_metrics: the other way round. Only one of the two may be given.
        unit_name: what is counted.
    """

    def __init__(
        self,
        target: int | None,
        width: int = 20,
        verbose: int = 1,
        interval: float = 0.05,
        stateful_metrics: Iterable[str] | None = None,
        stateless_metrics: Iterable[str] | None = None,
        unit_name: str = "step",
    ) -> None:
        if stateful_metrics is not None and stateless_metrics is not None:
            raise ValueError("Pass stateful_metrics or stateless_metrics, not both.")
        self.target = target
        self.width = width
        self.verbose = verbose
        self.interval = interval
        self.unit_name = unit_name
        self.stateful_metrics = set(stateful_metrics or ())
        self.stateless_metrics = None if stateless_metrics is None else set(stateless_metrics)
        self._values: dict[str, tuple[float, int]] = {}
        self._seen = 0
        self._start = time.monotonic()
        self._after_first: float | None = None
        self._drawn = 0.0
        self._line: _Line | None = None

    def update(
        self, current: int, values: Iterable[tuple[str, Any]] | None = None, finalize: bool | None = None
    ) -> None:
        """Show that `current` steps are done.

        Args:
            current: steps done.
            values: pairs of name and value of the last step.
            finalize: whether this ends the bar; default: when the target is reached.
        """
        if finalize is None:
            finalize = self.target is not None and current >= self.target
        for name, value in values or ():
            self._add(name, value, current, finalize)
        self._seen = current
        now = time.monotonic()
        per_step = self._seconds_a_step(current, now)
        if self.verbose == 1:
            if finalize or (is_dynamic() and now - self._drawn >= self.interval):
                self._draw(self._bar_text(current, now, per_step, finalize), finalize)
                self._drawn = now
        elif self.verbose == 2 and finalize and self.target:
            announce(f"{self._count(current)} - {now - self._start:.0f}s - {self._rate(per_step)}{self._told()}")

    def add(self, n: int, values: Iterable[tuple[str, Any]] | None = None) -> None:
        """Show that `n` more steps are done."""
        self.update(self._seen + n, values)

    def _add(self, name: str, value: Any, current: int, finalize: bool) -> None:
        averaged = (
            name not in self.stateful_metrics if self.stateless_metrics is None else name in self.stateless_metrics
        )
        value = value if isinstance(value, float) else float(np.mean(np.asarray(value)))
        if not averaged or finalize:
            self._values[name] = value, 1
            return
        steps = max(current - self._seen, 1)
        total, count = self._values.get(name, (0.0, 0))
        self._values[name] = total + value * steps, count + steps

    def _seconds_a_step(self, current: int, now: float) -> float:
        """The first step, which warms up, counts only as long as it is the only one."""
        if not current:
            return 0.0
        if current > 1 and self._after_first is not None:
            return (now - self._after_first) / (current - 1)
        if current == 1:
            self._after_first = now
        return (now - self._start) / current

    def _draw(self, text: str, last: bool) -> None:
        if not is_main_process():
            return
        if self._line is None and not is_dynamic():
            announce(text)
            return
        if self._line is None:
            self._line = _Line()
        self._line.draw(text, last)

    def _bar_text(self, current: int, now: float, per_step: float, last: bool) -> str:
        bold, green, white, end = (_BOLD, _GREEN, _WHITE, _END) if is_dynamic() else ("",) * 4
        seconds = now - self._start
        if self.target:
            done = min(int(self.width * current / self.target), self.width)
            bar = f"{bold}{self._count(current)}{end} "
            bar += f"{green}{'━' * done}{end}{white}{'━' * (self.width - done)}{end}"
            if not last:
                seconds = per_step * (self.target - current)
        else:
            bar = f"{current:7d}/Unknown"
        shown = f"{seconds:.0f}s" if last or not self.target else _duration(seconds)
        return f"{bar} {bold}{shown}{end} {self._rate(per_step)}{self._told()}"

    def _count(self, current: int) -> str:
        return f"{current:{len(str(self.target))}d}/{self.target}"

    def _rate(self, seconds: float) -> str:
        if seconds >= 1 or seconds == 0:
            return f"{seconds:.0f}s/{self.unit_name}"
        if seconds >= 1e-3:
            return f"{seconds * 1e3:.0f}ms/{self.unit_name}"
        return f"{seconds * 1e6:.0f}us/{self.unit_name}"

    def _told(self) -> str:
        means = {name: total / max(count, 1) for name, (total, count) in self._values.items()}
        return "".join(f" - {name}: {mean:{'.4f' if abs(mean) > 1e-3 else '.4e'}}" for name, mean in means.items())


def _duration(seconds: float) -> str:
    whole = int(seconds)
    if whole > 3600:
        return f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}"
    return f"{whole // 60}:{whole % 60:02d}" if whole > 60 else f"{whole}s"
