"""Threads of this process that compute at once: only a thread that computes alone captures a graph.

While a stream is captured, another thread may neither draw random numbers on the device, nor wait for all of its
streams, nor free the allocator's cache: torch raises an error in that thread, or the capture is lost. So a thread
whose pass meets another one's goes on in eager mode until it is alone, and one that begins a pass waits for a capture
in progress. Graphs that were captured before are replayed, one at a time.
"""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import AbstractContextManager

LOCK = threading.RLock()
"""Held while a step is captured or replayed, and while a pass begins."""
_passes: Counter[int] = Counter()  # how many passes each thread is in


class _InPass:
    """A scope without state of its own, so that one object serves all passes."""

    def __enter__(self) -> None:
        with LOCK:
            _passes[threading.get_ident()] += 1

    def __exit__(self, *error: object) -> None:
        mine = threading.get_ident()
        with LOCK:
            _passes[mine] -= 1
            if not _passes[mine]:
                del _passes[mine]


_IN_PASS = _InPass()


def in_pass() -> AbstractContextManager[None]:
    """Inside, this thread computes with batches: no other thread captures a step."""
    return _IN_PASS


def is_alone() -> bool:
    """Whether no other thread is in a pass. It holds as long as the caller has `LOCK`."""
    return _passes.keys() <= {threading.get_ident()}
