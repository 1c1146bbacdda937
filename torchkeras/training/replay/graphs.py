"""Graphs of a device: kernels captured once, launched together from then on."""

from __future__ import annotations

import gc
import warnings
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

import torch

from torchkeras.core.torch_internals import clear_cublas_workspaces, leave_pool
from torchkeras.training.replay.audit import Audit

T = TypeVar("T")
_OF_THE_MODE = "Synchronization debug mode is a prototype"  # torch warns of the mode that an audit switches on


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

    def capture(self, function: Callable[[], T], leaves_gradients: bool) -> tuple[Graph, T]:
        """Capture the kernels that a function launches; they do not run now.

        Args:
            function: the function.
            leaves_gradients: whether the function gives parameters gradients, which replays of evaluations and
                predictions must leave as they are.

        Returns:
            The graph, and the result of the function: its tensors have values after a replay.
        """


class CudaGraphs:
    """Captures on a CUDA device, in a stream beside that of the computation.

    Args:
        device: the device.
    """

    _sides: dict[tuple[torch.device, int], Side] = {}
    _failures = 0  # after each one the generator is a copy, which earlier graphs do not know
    # Torch's allocator of pinned memory (2.13, 2.14) goes on asking graphs whose capture CUDA refused to end.
    _broken: list[torch.cuda.CUDAGraph] = []

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._taken = 0  # bytes by which a capture made the pool grow

    @property
    def _side(self) -> Side:
        key = self.device, torch.cuda.current_stream(self.device).cuda_stream
        if key not in self._sides:
            self._sides[key] = Side(self.device)
        return self._sides[key]

    def place(self) -> object:
        return torch.cuda.current_stream(self.device).cuda_stream, CudaGraphs._failures

    def obstacle(self) -> str | None:
        # A graph keeps the memory of its step. A step in eager mode (a ragged batch, an evaluation) needs its own.
        free = torch.cuda.mem_get_info(self.device)[0]
        if free > 1.1 * self._taken:
            return None
        return f"a step takes {self._taken / 2**30:.1f} GiB and the device has but {free / 2**30:.1f} GiB left"

    def run(self, function: Callable[[], T]) -> T:
        outer, stream = torch.cuda.current_stream(self.device), self._side.stream
        stream.wait_stream(outer)
        try:
            with torch.cuda.stream(stream):
                return function()
        finally:
            outer.wait_stream(stream)

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
            if one not in waits and _OF_THE_MODE not in str(one.message):
                warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
        waited = f"it waits for the device at {waits[0].filename}:{waits[0].lineno}" if waits else None
        return result, audit.obstacle or waited

    def capture(self, function: Callable[[], T], leaves_gradients: bool) -> tuple[Graph, T]:
        with torch.cuda.device(self.device), _without_garbage_collection(), _workspaces_of_its_own():
            torch.cuda.synchronize()
            torch.cuda.empty_cache()
            reserved = torch.cuda.memory_reserved()
            graph, result = self._captured(function, leaves_gradients)
            self._taken = max(self._taken, torch.cuda.memory_reserved() - reserved)
        return graph, result

    def _captured(self, function: Callable[[], T], leaves_gradients: bool) -> tuple[torch.cuda.CUDAGraph, T]:
        """The graph and the result of a function; after an error, stream, generator and allocator are as before."""
        graph, side = torch.cuda.CUDAGraph(), self._side
        pool = side.pools[leaves_gradients]
        outer, handle = torch.cuda.current_stream(), pool.handle()
        generator = torch.cuda.default_generators[torch.cuda.current_device()]
        state = generator.clone_state()
        causes: list[BaseException] = []
        try:
            with torch.cuda.graph(graph, pool=handle, stream=side.stream, capture_error_mode="thread_local"):
                try:
                    result = function()
                except BaseException as error:
                    causes.append(error)
                    raise
        except BaseException:
            torch.cuda.set_stream(outer)
            # The generator may still believe that it is being captured. A copy from before does not.
            generator.graphsafe_set_state(state)
            if leave_pool(torch.cuda.current_device(), handle):
                CudaGraphs._broken.append(graph)
            pool.graphs.clear()  # the next one begins a new pool
            CudaGraphs._failures += 1
            if not causes:
                raise
        else:
            pool.graphs.add(graph)
            return graph, result
        # The end of a capture that was lost has an error of its own, which does not say why. Raised while that one is
        # handled, the cause would refer to it, and it to the cause: the memory of the step would stay.
        raise causes.pop()


class Side:
    """The stream in which the steps of one stream of computation are captured, and the memory of their graphs.

    Training steps share one pool of memory, other steps share another: their replays run one after the other in that
    stream, and no step reads what another one left in the pool. Gradients are read after a step, perhaps after an
    evaluation, too; in the pool of evaluations that were captured before they would lie where those compute. Graphs of
    another stream, which may run at the same time, have other pools.

    Args:
        device: the device.
    """

    def __init__(self, device: torch.device) -> None:
        self.stream = torch.cuda.Stream(device)
        self.pools = {leaves_gradients: Pool() for leaves_gradients in (True, False)}


class Pool:
    """Memory of graphs of which one runs at a time."""

    def __init__(self) -> None:
        self.graphs: weakref.WeakSet[torch.cuda.CUDAGraph] = weakref.WeakSet()
        self._handle: Any = None

    def handle(self) -> Any:
        """The pool for torch; a new one if no graph is left in it: torch then refuses further graphs in the old one."""
        if not self.graphs:
            self._handle = torch.cuda.graph_pool_handle()
        return self._handle


@contextmanager
def _workspaces_of_its_own() -> Iterator[None]:
    """Inside, cuBLAS gets memory for its workspaces again: that of a graph then lies in the graph's pool.

    Else the graph would go on to use memory of all streams, which torch gives to others when somebody clears the
    workspaces, as `torch.compile(mode="reduce-overhead")` does. And a step in eager mode that another thread runs at
    the same time in the stream of captures would write to the same workspace.
    """
    clear_cublas_workspaces()
    try:
        yield
    finally:
        clear_cublas_workspaces()


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Inside, no garbage is collected: its memory may not be freed while a stream is captured."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


GRAPHS: dict[str, Callable[[torch.device], Graphs]] = {"cuda": CudaGraphs}
"""How each type of device captures, a row each."""
