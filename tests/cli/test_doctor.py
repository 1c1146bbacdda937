"""`python -m torchkeras doctor`: what it finds, and what it says is wrong."""

from __future__ import annotations

import json

import pytest
import torch

from torchkeras.cli import doctor
from torchkeras.cli.main import main


@pytest.mark.slow
def test_two_processes_sum_a_tensor():
    seconds, problem = doctor._two_processes()
    assert problem == ""
    assert seconds > 0


def test_a_machine_that_is_well(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "_two_processes", lambda: (0.016, ""))
    monkeypatch.setattr(doctor, "_backends", lambda: ["gloo", "nccl"])
    assert main(["doctor", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["torch"] == torch.__version__
    assert report["two processes"] == "1.00 GB/s summed by gloo"
    assert report["problems"] == []


def test_problems_are_named(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "_two_processes", lambda: (None, "no route to host"))
    assert main(["doctor"]) == 1
    assert "could not sum a tensor: no route to host" in capsys.readouterr().out


def test_a_torch_without_gloo(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "_backends", list)
    assert main(["doctor"]) == 1
    assert "This torch has no gloo" in capsys.readouterr().out
