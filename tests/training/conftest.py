"""Fixtures of the tests of compiled steps."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch


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
