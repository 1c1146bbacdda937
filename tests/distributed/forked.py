"""Ranks as forks of this process: each starts in milliseconds, not in seconds. Import torchkeras first."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable

import torch

from torchkeras.distributed.process import say_goodbye


def start(function: Callable[[], None], ranks: int, log: str | None = None, **environment: str) -> list[int]:
    """Fork a process for each rank, which runs the function and ends; their ids."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    sys.stdout.flush()
    sys.stderr.flush()
    found = []
    for rank in range(ranks):
        child = os.fork()
        if child:
            found.append(child)
            continue
        code = 70
        try:
            known = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": ranks, "MASTER_PORT": port}
            os.environ.update({name: str(value) for name, value in known.items()}, MASTER_ADDR="127.0.0.1")
            os.environ.update(environment)
            if log is not None:
                with open(f"{log}.{rank}", "ab") as file:
                    os.dup2(file.fileno(), 1)
                    os.dup2(file.fileno(), 2)
            code = _run(function)
        finally:
            os._exit(code)
    return found


def _run(function: Callable[[], None]) -> int:
    """Run the function as a script would be run; the exit code."""
    try:
        function()
        code = 0
    except SystemExit as error:
        code = int(error.code or 0)
    except BaseException as error:
        sys.last_exc = error
        sys.excepthook(type(error), error, error.__traceback__)
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    say_goodbye()  # as Python does at its end, without the handlers of the process that forked this one
    if code == 0 and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
        time.sleep(0.1)  # gloo's threads let go of the last message
    return code


def wait_for_all(processes: list[int], seconds: float) -> list[int | None]:
    """The exit codes as `wait` gives them; where one process fails, the others are killed after five seconds."""
    return wait(processes, seconds, after_failure=5.0)


def wait(processes: list[int], seconds: float = 60.0, after_failure: float | None = None) -> list[int | None]:
    """The exit codes, negative for signals; `None` for those that had to be killed when the time was over."""
    codes: dict[int, int | None] = {}
    end = time.monotonic() + seconds
    while len(codes) < len(processes) and time.monotonic() < end:
        if after_failure is not None and any(codes.values()):
            end, after_failure = min(end, time.monotonic() + after_failure), None
        for process in processes:
            if process not in codes:
                done, status = os.waitpid(process, os.WNOHANG)
                if done:
                    codes[process] = os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    for process in processes:
        if process not in codes:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            codes[process] = None
    return [codes[process] for process in processes]


def send(processes: list[int], number: int) -> None:
    """Send a signal to those that still run."""
    for process in processes:
        try:
            os.kill(process, number)
        except ProcessLookupError:
            traceback.print_exc()
