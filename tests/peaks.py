"""The most memory that functions take on the CPU, counted by torch's allocator to the byte."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping

import torch


def peaks(runs: Mapping[str, Callable[[], object]]) -> dict[str, int]:
    """The most bytes that each function has beyond those in use when it is called: the middle one of three calls.

    Another thread, which a test before has left, may take or free memory in one of them.
    """
    gc.collect()
    gc.disable()  # else what the functions before have left may be freed meanwhile
    try:
        with torch.profiler.profile(profile_memory=True) as profile:
            for name, run in 3 * list(runs.items()):
                with torch.profiler.record_function(f"run: {name}"):
                    run()
    finally:
        gc.enable()
    events = [event for event in profile.profiler.kineto_results.events() if event.name().startswith(("run: ", "[mem"))]
    found: dict[str, list[int]] = {name: [] for name in runs}
    name, end, taken = "", 0, 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        if event.name().startswith("run: "):
            name, end, taken = event.name().removeprefix("run: "), event.start_ns() + event.duration_ns(), 0
            found[name].append(0)
        elif event.start_ns() <= end:
            taken += event.nbytes()
            found[name][-1] = max(found[name][-1], taken)
    return {name: sorted(calls)[1] for name, calls in found.items()}
