"""Signals that ask a training to stop, as clusters send them before they take a machine away."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any


class SignalHandlers:
    """While installed, signals are noted and handed on by name, instead of what they do otherwise.

    A signal stays as it is where another handler is there that is not Python's, where it is ignored, and in threads
    other than the main one.

    Args:
        names: names of signals, such as `"SIGTERM"`. Those that the system lacks are left out.
        heard: called in the main thread with the name.

    Raises:
        ValueError: a name is not that of a signal.
    """

    def __init__(self, names: Sequence[str], heard: Callable[[str], None]) -> None:
        for name in names:
            if not isinstance(name, str) or not name.startswith("SIG"):
                raise ValueError(f"signals must be names such as 'SIGTERM'; received {name!r}.")
        self._numbers = [int(getattr(signal, name)) for name in names if hasattr(signal, name)]
        self._heard = heard
        self._before: dict[int, Any] = {}
        self._last: int | None = None

    def install(self) -> None:
        """Listen from now on."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in self._numbers:
            before = signal.getsignal(number)
            if before is not None and before is not signal.SIG_IGN:
                self._before[number] = before
                signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._last = number
        self._heard(signal.Signals(number).name)

    def remove(self) -> None:
        """Put the handlers back that were there. A signal that was not answered is sent once more."""
        self._put_back()
        if self._last is not None:
            number, self._last = self._last, None
            signal.raise_signal(number)

    def end_process(self, name: str) -> None:
        """Do what the signal is for: call the handler that the program had, else leave the process.

        Raises:
            SystemExit: with the code that shells give for the signal, 128 and its number.
        """
        number = int(getattr(signal, name))
        before = self._before.get(number)
        self._last = None
        self._put_back()
        if callable(before) and before is not signal.default_int_handler:
            before(number, None)
        raise SystemExit(128 + number)

    def _put_back(self) -> None:
        while self._before:
            signal.signal(*self._before.popitem())
