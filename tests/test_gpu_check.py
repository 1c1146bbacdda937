"""`scripts/gpu_check.py` runs to its end where there is no GPU, and notices what differs."""

from __future__ import annotations

import importlib.util

import pytest
import torch

import torchkeras as keras
from tests import device_rows
from tests.package_imports import PACKAGE
from torchkeras.training.replay.graphs import GRAPHS


@pytest.fixture
def main(monkeypatch):
    monkeypatch.setitem(GRAPHS, "cpu", None)  # the script sets it
    monkeypatch.delitem(GRAPHS, "cpu")
    before = keras.config.cuda_graphs(), torch.backends.cudnn.allow_tf32
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    spec = importlib.util.spec_from_file_location("gpu_check", PACKAGE.parent / "scripts" / "gpu_check.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    yield script.main
    keras.config.set_cuda_graphs(before[0])
    torch.backends.cudnn.allow_tf32 = before[1]


def test_on_the_cpu_with_a_stand_in_for_graphs(main, capsys):
    assert main(["--device", "cpu", "--only", "training dense,action set rate"]) == 0
    out = capsys.readouterr().out
    assert "OK   training dense" in out and "20 replays" in out and "2 rows OK, 0 failed" in out


def test_a_difference_is_a_row_and_the_exit_status(main, capsys, monkeypatch):
    calls = iter(range(100))
    monkeypatch.setattr(device_rows, "rows", lambda: {"loss of an error": lambda: [torch.ones(2) * next(calls)]})
    assert main(["--device", "pretended", "--only", "loss,random"]) == 1
    assert "FAIL all rows: loss" in capsys.readouterr().out
