"""The progress bar, drawn by tqdm in Keras's wording; one line per epoch where there is no terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from typing import Any

import numpy as np
from tqdm import tqdm

from torchkeras.distributed import is_main_process

_BOLD, _GREEN, _WHITE, _END = "\x1b[1m", "\x1b[32m", "\x1b[37m", "\x1b[0m"


def is_dynamic() -> bool:
    """Whether a line of the output can be overwritten: in a terminal or a notebook."""
    return "ipykernel" in sys.modules or (hasattr(sys.stdout, "isatty") and sys.stdout.isatty())


def resolve_verbose(verbose: int | str) -> int:
    """0 (nothing), 1 (a bar) or 2 (one line per epoch); `"auto"` is 1 where a bar can move and 2 elsewhere.

    Raises:
        ValueError: it is none of these.
    """
    if verbose == "auto":
        return 1 if is_dynamic() else 2
    if isinstance(verbose, (bool, int, np.integer)):
        return int(verbose)
    raise ValueError(f'verbose must be "auto", 0, 1 or 2; received {verbose!r} (of type {type(verbose).__name__}).')


def announce(message: str) -> None:
    """Print a line, on the main process alone."""
    if is_main_process():
        tqdm.write(message, file=sys.stdout)


class _Line(tqdm):
    """tqdm as a writer of one line over and over; `Progbar` makes the text."""

    monitor_interval = 0  # no watching thread
    text = ""

    def __init__(self) -> None:
        super().__init__(file=sys.stdout, leave=True, dynamic_ncols=True, delay=1e-9)  # draws nothing yet
        self.delay = 0
        self.nrows = None  # a pseudo-terminal may claim none, and tqdm would hide the line

    def __str__(self) -> str:
        return self.text

    def columns(self) -> int | None:
        """The columns that a line may have; `None`: not known."""
        columns = self.dynamic_ncols(self.fp)[0] if self.dynamic_ncols else None
        return columns - 1 if columns else None

    def draw(self, text: str, last: bool) -> None:
        self.text = text
        self.close() if last else self.refresh()


class Progbar:
    """A progress bar: the steps done, the time, and the values of metrics.

    On a terminal the bar moves; elsewhere its last state is printed. A line that is wider than the terminal gets a
    shorter bar, then loses its times, then the metrics that come after the loss; the last line is always whole.

    Args:
        target: number of steps in all; `None` if it is not known.
        width: width of the bar in characters. Default: `20`.
        verbose: 0: nothing; 1: a bar; 2: one line at the end. Default: `1`.
        interval: seconds between two drawings at least; with 0 each state is printed, without a terminal too. Default:
            `0.05`.
        stateful_metrics: names of values that are shown as they are; the others are averaged over the steps. Default:
            `None`.
        stateless_metrics: names of values that are averaged over the steps; the others are shown as they are. At most
            one of the two may be given. Default: `None`.
        unit_name: name of a step. Default: `"step"`.

    Raises:
        ValueError: both `stateful_metrics` and `stateless_metrics` are given.

    Example:
        >>> from torchkeras.reporting.progress import Progbar
        >>> bar = Progbar(3, verbose=2)
        >>> for step in range(3):
        ...     bar.update(step + 1, [("loss", 0.5)])
        3/3 - ...s/step - loss: 0.5000
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
            raise ValueError("Only one of `stateful_metrics` and `stateless_metrics` can be given; received both.")
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
            current: number of steps done.
            values: pairs of the name and the value of a metric in the last step. Default: none.
            finalize: whether this is the end of the bar. Default: whether the target is reached.
        """
        if finalize is None:
            finalize = self.target is not None and current >= self.target
        for name, value in values or ():
            self._add(name, value, current, finalize)
        self._seen = current
        now = time.monotonic()
        per_step = self._seconds_per_step(current, now)
        if self.verbose == 1:
            if finalize or ((is_dynamic() or not self.interval) and now - self._drawn >= self.interval):
                self._draw(current, now, per_step, finalize)
                self._drawn = now
        elif self.verbose == 2 and finalize and self.target:
            values_text = "".join(self._metrics_text())
            announce(f"{self._count(current)} - {now - self._start:.0f}s - {self._rate(per_step)}{values_text}")

    def add(self, n: int, values: Iterable[tuple[str, Any]] | None = None) -> None:
        """Show that `n` more steps are done.

        Args:
            n: number of steps.
            values: pairs of the name and the value of a metric in the last step. Default: none.
        """
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

    def _seconds_per_step(self, current: int, now: float) -> float:
        """The mean over the steps without the first, which warms up, unless it is the only one."""
        if not current:
            return 0.0
        if current > 1 and self._after_first is not None:
            return (now - self._after_first) / (current - 1)
        if current == 1:
            self._after_first = now
        return (now - self._start) / current

    def _draw(self, current: int, now: float, per_step: float, last: bool) -> None:
        if not is_main_process():
            return
        if self._line is None and is_dynamic():
            self._line = _Line()
        if self._line is None:
            announce(self._text(current, now, per_step, last))
            return
        columns = None if last else self._line.columns()
        self._line.draw(self._text(current, now, per_step, last, columns), last)

    def _text(self, current: int, now: float, per_step: float, last: bool, columns: int | None = None) -> str:
        """The line, in no more than so many columns."""
        seconds = per_step * (self.target - current) if self.target and not last else now - self._start
        shown = f"{seconds:.0f}s" if last or not self.target else _duration(seconds)
        head = self._count(current) if self.target else f"{current:7d}/Unknown"
        metrics = self._metrics_text()
        tail = f"{self._rate(per_step)}{''.join(metrics)}"
        width = self.width if self.target else 0
        if columns is not None:
            room = columns - len(f"{head} {shown} {tail}")
            if room < 0:
                return _cut([head.strip(), *_loss_first(metrics)], columns)
            width = max(min(width, room - 1), 0)
        bold, green, white, end = (_BOLD, _GREEN, _WHITE, _END) if is_dynamic() else ("",) * 4
        if self.target:
            head = f"{bold}{head}{end}"
        if self.target and width:
            done = min(int(width * current / self.target), width)
            head += f" {green}{'━' * done}{end}{white}{'━' * (width - done)}{end}"
        return f"{head} {bold}{shown}{end} {tail}"

    def _count(self, current: int) -> str:
        return f"{current:{len(str(self.target))}d}/{self.target}"

    def _rate(self, seconds: float) -> str:
        if seconds >= 1 or seconds == 0:
            return f"{seconds:.0f}s/{self.unit_name}"
        if seconds >= 1e-3:
            return f"{seconds * 1e3:.0f}ms/{self.unit_name}"
        return f"{seconds * 1e6:.0f}us/{self.unit_name}"

    def _metrics_text(self) -> list[str]:
        means = {name: total / max(count, 1) for name, (total, count) in self._values.items()}
        return [f" - {name}: {mean:{'.4f' if abs(mean) > 1e-3 else '.4e'}}" for name, mean in means.items()]


def _loss_first(metrics: list[str]) -> list[str]:
    return sorted(metrics, key=lambda text: not text.startswith(" - loss:"))


def _cut(pieces: list[str], columns: int) -> str:
    """The pieces that fit, in their order; where the second one does not fit, what there is room for."""
    kept = 2
    while kept < len(pieces) and len("".join(pieces[: kept + 1])) <= columns:
        kept += 1
    return "".join(pieces[:kept])[:columns]


def _duration(seconds: float) -> str:
    whole = int(seconds)
    if whole > 3600:
        return f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}"
    return f"{whole // 60}:{whole % 60:02d}" if whole > 60 else f"{whole}s"
