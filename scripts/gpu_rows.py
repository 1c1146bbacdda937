"""The rows of `scripts/gpu_check.py`: a table that outlives the process that makes it.

After a kernel has written to memory that is not its own, every later kernel of the process fails; a kernel that hangs
never returns. So the rows run in a process of their own, which writes to a file which row it begins and ends. If a row
breaks that process or takes too long, a new process goes on with the next row.
"""

from __future__ import annotations

import faulthandler
import json
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torchkeras as keras

LIMIT = 200.0
"""Seconds after which a row is given up, with its process."""


class BrokenDeviceError(Exception):
    """The device does nothing any more in this process."""


class Rows:
    """The table: a line for each row, with the reason where it failed.

    Args:
        seconds: after so many seconds no further row is begun.
        only: words; rows whose names have none of them are left out. Empty: all rows.
        title: the device and the versions, for the file.
        file: where to write the table. Default: nowhere.
        state: a file of the rows that earlier processes ran, which this one goes on with. Default: none.
        is_broken: whether the device does nothing any more, asked after a row that failed. Default: it never is.
    """

    def __init__(
        self,
        seconds: float,
        only: list[str],
        title: str = "",
        file: Path | None = None,
        state: Path | None = None,
        is_broken: Callable[[], bool] | None = None,
    ) -> None:
        self.start, self.seconds, self.only = time.time(), seconds, only
        self.passed, self.failed, self.left_out = 0, 0, 0
        self.lines: list[str] = []  # of the library's log, since the row began
        self.title, self.file, self.state = title, file, state
        self.is_broken = is_broken
        self.table: list[str] = []
        self._done: set[str] = set()
        self._go_on()

    def _go_on(self) -> None:
        """Take over the rows of earlier processes. One that was begun and not ended has failed."""
        notes = [] if self.state is None else [json.loads(line) for line in self.state.read_text().splitlines()]
        self.start = next((note["start"] for note in notes if "start" in note), self.start)
        if not notes:
            self._note(start=self.start)
        begun = ""
        for note in notes:
            if "begin" in note:
                begun = note["begin"]
            elif "name" in note:
                begun = ""
                self._add(note["name"], note["status"], note["line"])
        if begun:
            text = f"its process ended without a word, or it took more than {LIMIT:.0f} s"
            self._end(begun, "FAIL", LIMIT, text)

    def run(self, name: str, function: Callable[[], Any]) -> None:
        """Run one check and print its row.

        Raises:
            BrokenDeviceError: after it, nothing more can be computed in this process.
        """
        if name in self._done or self.only and not any(word in name for word in self.only):
            return
        if time.time() - self.start > self.seconds:
            self.left_out += 1
            self._write(f"| {name} | not begun | | |")
            return
        self._note(begin=name)
        begin = time.perf_counter()
        self.lines.clear()
        if self.state is not None:
            faulthandler.dump_traceback_later(LIMIT, exit=True, file=sys.__stderr__)
        try:
            keras.backend.clear_session()
            note, status = function() or "", "OK"
        except Exception as error:
            text = " ".join(str(error).split())[:400]
            where = traceback.extract_tb(error.__traceback__)[-1]
            note, status = f"{type(error).__name__}: {text} ({Path(where.filename).name}:{where.lineno})", "FAIL"
            note += "".join(f"\n       log: {line}" for line in self.lines[:3])
        finally:
            if self.state is not None:
                faulthandler.cancel_dump_traceback_later()
        self._end(name, status, time.perf_counter() - begin, note)
        if status == "FAIL" and self.is_broken is not None and self.is_broken():
            raise BrokenDeviceError(name)

    def summary(self) -> str:
        left_out = f", {self.left_out} not begun in time" if self.left_out else ""
        return f"{self.passed} rows OK, {self.failed} failed{left_out}; {time.time() - self.start:.0f} s"

    def end(self) -> None:
        """Note that no further process has to go on."""
        self._note(end=True)

    def _end(self, name: str, status: str, seconds: float, note: str) -> None:
        print(f"{status:<4} {name}  ({seconds:.1f} s)  {note}", flush=True)
        cell = " ".join(note.replace("|", "/").split())[:500]
        line = f"| {name} | {status} | {seconds:.1f} | {cell} |"
        self._note(name=name, status=status, line=line)
        self._add(name, status, line)

    def _add(self, name: str, status: str, line: str) -> None:
        self._done.add(name)
        self.passed += status == "OK"
        self.failed += status == "FAIL"
        self._write(line)

    def _note(self, **note: Any) -> None:
        if self.state is not None:
            with self.state.open("a") as file:
                file.write(json.dumps(note) + "\n")

    def _write(self, line: str) -> None:
        """Add a line to the table's file, whole so that a run that is cut off leaves what was found."""
        self.table.append(line)
        if self.file is not None:
            head = ["# Checks on a GPU", "", f"{self.title}. Made by `scripts/gpu_check.py`. {self.summary()}.", ""]
            self.file.write_text("\n".join([*head, "| check | | s | |", "|---|---|---|---|", *self.table]) + "\n")


def in_other_processes(command: list[str], start: Callable[[list[str]], int] | None = None) -> int:
    """Run the rows in a process, and after one that was broken the rest of them in another; the last exit status.

    Args:
        command: the arguments of the script.
        start: runs a command and returns its exit status. Default: `subprocess.call`.
    """
    with tempfile.TemporaryDirectory() as folder:
        state, seen = Path(folder) / "rows.jsonl", -1
        state.touch()
        while True:
            status = (start or subprocess.call)([sys.executable, *command, "--state", str(state)])
            notes = state.read_text().splitlines()
            if len(notes) == seen or not notes or "end" in json.loads(notes[-1]):
                return status
            seen = len(notes)
