"""A line of advice where training waits for its data."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Any, TypeVar

import torch

from torchkeras.core.accelerators import is_idle
from torchkeras.distributed import is_main_process

logger = logging.getLogger("torchkeras")

T = TypeVar("T")
_END = object()

LEAST_SHARE = 0.3
"""Of an epoch's time; less is not worth a line."""
LEAST_SECONDS = 3.0
"""That an epoch waits for data; shorter ones are not worth a line."""

_advised = False


class WaitMeter:
    """Measures how long the first epoch waits for batches, and says once per process if that is long.

    On a GPU only those waits count after which the device had nothing left to do.

    Args:
        source: the source of the batches, for the advice.
        device: the device of the model's weights.
    """

    def __init__(self, source: Any, device: torch.device) -> None:
        self.source = source
        self.device = device
        self.waited = self.total = 0.0

    def watched(self, batches: Iterator[T]) -> Iterator[T]:
        """The batches. The first one, before which workers start, is not counted."""
        first = next(batches, _END)
        if first is _END:
            return
        yield first  # type: ignore[misc]
        clock = time.perf_counter
        start = clock()
        while True:
            before = clock()
            batch = next(batches, _END)
            if batch is _END:
                break
            if self._is_idle():
                self.waited += clock() - before
            yield batch  # type: ignore[misc]
        self.total = clock() - start
        self._advise()

    def _is_idle(self) -> bool:
        return is_idle(self.device)

    def _advise(self) -> None:
        global _advised
        share = self.waited / max(self.total, 1e-9)
        if _advised or share < LEAST_SHARE or self.waited < LEAST_SECONDS or not is_main_process():
            return
        _advised = True
        logger.warning(
            "Training waited for data during %.0f%% of the first epoch (%.1f of %.1f seconds). %s",
            100 * share,
            self.waited,
            self.total,
            self.source.faster(self.device),
        )


def waits(source: Any) -> bool:
    """Whether making a batch of a source may take long, and nobody was advised yet."""
    return not _advised and getattr(source, "makes_batches", False)
