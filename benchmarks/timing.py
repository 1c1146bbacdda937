"""Times of several ways to do one thing, taken in turns, so that a busy moment of the machine hits all of them."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

Run = Callable[[], object]


def waits_for(device: str) -> Run | None:
    """The function that waits until a device has done its work; `None` for the CPU."""
    return None if device == "cpu" else torch.cuda.synchronize


def best_times(runs: dict[str, Run], rounds: int, wait: Run | None = None) -> dict[str, float]:
    """Run each once, then time rounds of all of them; return the seconds of the best round of each.

    `wait` is called at the end of each timed run.
    """
    best = dict.fromkeys(runs, float("inf"))
    for run in runs.values():
        run()
    for _ in range(rounds):
        for name, run in runs.items():
            started = time.perf_counter()
            run()
            if wait is not None:
                wait()
            best[name] = min(best[name], time.perf_counter() - started)
    return best
