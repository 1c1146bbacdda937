"""`scripts/gpu_check.py` runs to its end where there is no GPU, and notices what differs."""

from __future__ import annotations

import importlib.util
from functools import partial

import pytest
import torch

import torchkeras as keras
from scripts.gpu_rows import BrokenDeviceError, Rows, in_other_processes
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
    rows = "training dense,action set rate,random numbers,gradients after,losses of layers,threads in turn,changes"
    assert main(["--device", "cpu", "--only", f"{rows},quantized predictions"]) == 0
    out = capsys.readouterr().out
    assert "OK   training dense" in out and "20 replays" in out and "8 rows OK, 0 failed" in out


def test_a_difference_is_a_row_and_the_exit_status(main, capsys, monkeypatch):
    calls = iter(range(100))
    monkeypatch.setattr(device_rows, "rows", lambda: {"loss of an error": lambda: [torch.ones(2) * next(calls)]})
    assert main(["--device", "pretended", "--only", "loss,random"]) == 1
    assert "FAIL all rows: loss" in capsys.readouterr().out


def fail():
    raise RuntimeError("CUDA error: an illegal memory access was encountered")


def test_a_row_that_breaks_the_device_ends_its_process_and_not_the_table(tmp_path, capsys):
    out, asked = tmp_path / "table.md", []

    def process(command):
        """The first process finds the device broken by a row, the second one dies within a row."""
        asked.append(command)
        state = tmp_path / command[-1]
        rows = Rows(60, [], "a title", out, state, is_broken=lambda: True)
        try:
            rows.run("right", lambda: "a note")
            rows.run("breaks", fail)
        except BrokenDeviceError:
            return 1
        if len(asked) == 2:
            rows._note(begin="dies")
            return -11
        rows.run("dies", partial(asked.append, "dies"))
        rows.run("last", lambda: None)
        rows.end()
        return 1

    assert in_other_processes(["script", "--device", "cuda"], process) == 1
    assert len(asked) == 3, "each row runs once"
    lines = [line.split(" | ") for line in out.read_text().splitlines() if line.startswith("| ")][1:]
    assert [line[:2] for line in lines] == [
        ["| right", "OK"], ["| breaks", "FAIL"], ["| dies", "FAIL"], ["| last", "OK"],
    ]  # fmt: skip
    assert "2 rows OK, 2 failed" in out.read_text() and capsys.readouterr().out.count("illegal memory") == 1


def test_a_process_that_can_not_start_is_not_started_again():
    asked = []
    assert in_other_processes(["script"], lambda command: asked.append(command) or 2) == 2
    assert len(asked) == 1
