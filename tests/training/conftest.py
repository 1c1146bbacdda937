"""Fixtures of the tests of compiled and of replayed steps."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

import torchkeras as keras
from tests.training import recorded_graphs
from torchkeras.training.replay.graphs import GRAPHS


@pytest.fixture
def record_graphs(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[torch.fx.GraphModule]]:
    """A function that gives `torch.compile` a backend, by name, and returns the list of all graphs compiled since."""

    def record(backend: str) -> list[torch.fx.GraphModule]:
        found, real, run = [], torch.compile, torch._dynamo.lookup_backend(backend)

        def count(module, example):
            found.append(module)
            return run(module, example)

        monkeypatch.setattr(torch, "compile", lambda f, **kwargs: real(f, **{**kwargs, "backend": count}))
        torch._dynamo.reset()
        return found

    return record


@pytest.fixture
def graphs_on_the_cpu(monkeypatch):
    """Steps on the CPU are replayed by the stand-in for graphs."""
    monkeypatch.setitem(GRAPHS, "cpu", recorded_graphs.RecordedGraphs)
    recorded_graphs.CAPTURED.clear()
    before = keras.config.cuda_graphs()
    keras.config.set_cuda_graphs("auto")
    yield
    keras.config.set_cuda_graphs(before)
