"""`CudaGraphs` on a stand-in for `torch.cuda`: the pool that a graph gets, and all as before after a failed capture."""

from __future__ import annotations

import contextlib
import gc
import warnings
import weakref
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch

from torchkeras.core import torch_internals
from torchkeras.training.replay import graphs
from torchkeras.training.replay.graphs import CudaGraphs

DEVICE = torch.device("cuda", 1)


class Generator:
    state = "before"

    def clone_state(self):
        return self.state

    def graphsafe_set_state(self, state):
        self.state = state


class Graph:
    pass


@pytest.fixture
def cuda(monkeypatch):
    """Two devices; the second one is not the current one. Notes pools and the stream that is current in the end."""
    handles = iter(range(100))
    made = SimpleNamespace(
        device=0, stream=7, pools=[], left=[], cleared=[], is_open=True, generators=[Generator(), Generator()]
    )

    @contextmanager
    def device(which):
        outer, made.device = made.device, which.index
        try:
            yield
        finally:
            made.device = outer

    @contextmanager
    def graph(graph, pool, stream, capture_error_mode):
        assert made.device == 1 and capture_error_mode == "thread_local"
        made.pools.append(pool)
        made.stream, made.generators[1].state = stream, "capturing"
        try:
            yield  # as in torch, the stream is not changed back after an error
        except RuntimeError:
            if made.is_open:
                raise RuntimeError("operation failed due to a previous error during capture")  # noqa: B904
            raise
        made.stream, made.generators[1].state = 7, "after"

    def set_stream(stream):
        made.stream, made.device = stream.cuda_stream, 1

    functions = {
        "device": device,
        "graph": graph,
        "set_stream": set_stream,
        "current_device": lambda: made.device,
        "current_stream": lambda *_: SimpleNamespace(cuda_stream=made.stream),
        "Stream": lambda device: object(),
        "CUDAGraph": Graph,
        "graph_pool_handle": lambda: (0, next(handles)),
        "default_generators": made.generators,
        "synchronize": lambda: None,
        "empty_cache": lambda: None,
        "memory_reserved": lambda: 0,
    }
    for name, function in functions.items():
        monkeypatch.setattr(torch.cuda, name, function, raising=False)
    monkeypatch.setattr(CudaGraphs, "_sides", {})
    monkeypatch.setattr(CudaGraphs, "_failures", 0)
    monkeypatch.setattr(CudaGraphs, "_broken", [])
    monkeypatch.setattr(graphs, "leave_pool", lambda device, pool: made.left.append((device, pool)) or made.is_open)
    monkeypatch.setattr(graphs, "clear_cublas_workspaces", lambda: made.cleared.append(made.stream))
    return made


def fail():
    raise RuntimeError("operation not permitted when stream is capturing")


def test_a_pool_is_shared_while_a_graph_lives_in_it_by_the_graphs_of_a_stream(cuda):
    mine = CudaGraphs(DEVICE)
    kept = [mine.capture(lambda: 1, True), CudaGraphs(DEVICE).capture(lambda: 2, True)]
    assert [result for _, result in kept] == [1, 2] and cuda.pools[0] == cuda.pools[1]
    kept.append(mine.capture(lambda: 3, False))
    assert cuda.pools[2] != cuda.pools[0], "an evaluation would compute where the gradients lie"
    cuda.stream = 8
    kept.append(mine.capture(lambda: 4, True))
    assert cuda.pools[3] not in cuda.pools[:3]
    cuda.stream = 7
    kept.clear()
    mine.capture(lambda: 5, True)
    assert cuda.pools[4] not in cuda.pools[:4], "torch refuses a pool that all graphs have left"


def test_a_graph_has_workspaces_of_its_own(cuda):
    """Of those that were there before, torch may give the memory to others while the graph still uses it."""
    CudaGraphs(DEVICE).capture(lambda: cuda.cleared.append("captured"), True)
    assert cuda.cleared == [7, "captured", 7]
    with pytest.raises(RuntimeError, match="not permitted"):
        CudaGraphs(DEVICE).capture(fail, True)
    assert cuda.cleared[3:] == [7, 7]


def test_after_a_capture_that_fails_all_is_as_before(cuda):
    mine = CudaGraphs(DEVICE)
    place, (kept, _) = mine.place(), mine.capture(lambda: 1, True)
    with pytest.raises(RuntimeError, match="not permitted"):
        mine.capture(fail, True)
    assert (cuda.device, cuda.stream) == (0, 7) and cuda.generators[1].state == "after"
    assert cuda.left == [(1, cuda.pools[0])]
    mine.capture(lambda: 2, True)
    assert cuda.pools[2] != cuda.pools[0] and kept is not None
    assert mine.place() != place and len(CudaGraphs._broken) == 1, "torch's allocator of pinned memory still asks it"
    cuda.is_open = False  # the step raised an error of its own, and CUDA ended the capture
    with pytest.raises(RuntimeError, match="not permitted"):
        mine.capture(fail, True)
    assert len(CudaGraphs._broken) == 1


def test_the_step_that_failed_in_a_capture_is_not_held(cuda):
    """Its memory may be needed for the same step in eager mode."""
    held = []

    def step():
        activations = torch.ones(3)
        held.append(weakref.ref(activations))
        fail()

    gc.disable()
    try:
        with contextlib.suppress(RuntimeError):
            CudaGraphs(DEVICE).capture(step, True)
        assert held[0]() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("is_open", (True, False))
def test_the_allocator_forgets_a_capture_once(is_open, monkeypatch):
    released = []

    def end(device, pool):
        if not is_open:
            raise RuntimeError("endAllocatePool: not currently recording to mempool_id")

    monkeypatch.setattr(torch_internals, "_end_allocate_to_pool", end)
    monkeypatch.setattr(torch_internals, "_release_pool", lambda *given: released.append(given))
    assert torch_internals.leave_pool(1, (0, 5)) == is_open
    assert released == [(1, (0, 5))] * is_open


def test_an_audit_passes_on_the_warnings_of_the_step_alone(cuda, monkeypatch):
    messages = [
        "Synchronization debug mode is a prototype feature",
        "called a synchronizing CUDA operation",
        "of yours",
    ]

    def step():
        for message in messages:
            warnings.warn(message, stacklevel=2)
        return 1

    for name, function in {
        "get_sync_debug_mode": lambda: 0,
        "set_sync_debug_mode": lambda mode: None,
    }.items():
        monkeypatch.setattr(torch.cuda, name, function, raising=False)
    monkeypatch.setattr(CudaGraphs, "run", lambda self, function: function())
    with pytest.warns(UserWarning) as caught:
        result, obstacle = CudaGraphs(DEVICE).audit(step, [])
    assert result == 1 and obstacle.startswith("it waits for the device at")
    assert [str(one.message) for one in caught] == ["of yours"]
