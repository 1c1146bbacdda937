"""Graphs of a device: kernels captured once, launched together from then on."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import torch

from torchkeras.training.replay.audit import Audit

T = TypeVar("T")


class Graph(Protocol):
    """Kernels that were captured."""

    def replay(self) -> None:
        """Launch all of them."""


class Graphs(Protocol):
    """The way in which a kind of device captures kernels."""

    def place(self) -> object:
        """The queue of the device in which kernels are launched now: a graph is replayed where it was captured."""

    def obstacle(self) -> str | None:
        """Why the graphs that were captured should not be kept; `None`: nothing speaks against it."""

    def run(self, function: Callable[[], T]) -> T:
        """Run a function as it will be captured: a first run prepares libraries and caches."""

    def audit(self, function: Callable[[], T], host: Sequence[torch.Tensor]) -> tuple[T, str | None]:
        """Run a function and say why it can't be captured, `None` if it can.

        Args:
            function: the function.
            host: tensors on the host that it may use: the caller sees to them between replays.
        """

    def capture(self, function: Callable[[], T]) -> tuple[Graph, T]:
        """Capture the kernels that a function launches; they do not run now.

        Returns:
            The graph, and the result of the function: its tensors have values after a replay.
        """


class CudaGraphs:
    """Captures on a CUDA device, in a stream of its own. All graphs of a device share one pool of memory.

    They can share it because steps run one after the other and no step reads what another one left in the pool.

    Args:
        device: the device.
    """

    _streams: dict[torch.device, torch.cuda.Stream] = {}
    _pools: dict[torch.device, Any] = {}
    _failures = 0  # after each one the generator is a copy, which earlier graphs do not know

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._taken = 0  # bytes by which a capture made the pool grow

    @property
    def _stream(self) -> torch.cuda.Stream:
        if self.device not in self._streams:
            self._streams[self.device] = torch.cuda.Stream(self.device)
            self._pools[self.device] = torch.cuda.graph_pool_handle()
        return self._streams[self.device]

    def place(self) -> object:
        return torch.cuda.current_stream(self.device).cuda_stream, CudaGraphs._failures

    def obstacle(self) -> str | None:
        # A graph keeps the memory of its step. A step in eager mode (a ragged batch, an evaluation) needs its own.
        free = torch.cuda.mem_get_info(self.device)[0]
        if free > 1.1 * self._taken:
            return None
        return f"a step takes {self._taken / 2**30:.1f} GiB and the device has but {free / 2**30:.1f} GiB left"

    def run(self, function: Callable[[], T]) -> T:
        outer = torch.cuda.current_stream(self.device)
        self._stream.wait_stream(outer)
        try:
            with torch.cuda.stream(self._stream):
                return function()
        finally:
            outer.wait_stream(self._stream)

    def audit(self, function: Callable[[], T], host: Sequence[torch.Tensor]) -> tuple[T, str | None]:
        before = torch.cuda.get_sync_debug_mode()
        audit = Audit(self.device, host)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                with audit:
                    result = self.run(function)
            finally:
                torch.cuda.set_sync_debug_mode(before)
        waits = [one for one in caught if "synchronizing CUDA operation" in str(one.message)]
        for one in caught:
            if one not in waits:
                warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
        waited = f"it waits for the device at {waits[0].filename}:{waits[0].lineno}" if waits else None
        return result, audit.obstacle or waited

    def capture(self, function: Callable[[], T]) -> tuple[Graph, T]:
        graph, stream = torch.cuda.CUDAGraph(), self._stream
        outer = torch.cuda.current_stream(self.device)
        generator = torch.cuda.default_generators[self.device.index or 0]
        state = generator.clone_state()
        context = torch.cuda.graph(
            graph, pool=self._pools[self.device], stream=stream, capture_error_mode="thread_local"
        )
        torch.cuda.synchronize(self.device)
        torch.cuda.empty_cache()
        reserved = torch.cuda.memory_reserved(self.device)
        collects = gc.isenabled()
        gc.disable()  # what it frees may not be freed while a stream is captured
        try:
            with torch.cuda.device(self.device), context:
                result = function()
        except BaseException:
            torch.cuda.set_stream(outer)
            # The generator may still believe that it is being captured. A copy from before does not.
            generator.graphsafe_set_state(state)
            self._pools[self.device] = torch.cuda.graph_pool_handle()
            CudaGraphs._failures += 1
            raise
        finally:
            if collects:
                gc.enable()
        self._taken = max(self._taken, torch.cuda.memory_reserved(self.device) - reserved)
        return graph, result


GRAPHS: dict[str, Callable[[torch.device], Graphs]] = {"cuda": CudaGraphs}
"""How each type of device captures, a row each."""
