"""Trainings that are killed, or get a signal, at random moments: each ends with the weights of an uninterrupted one."""

from __future__ import annotations

import json
import os

import pytest

from tests.distributed.launch import ROOT, start

pytestmark = pytest.mark.slow
STRESS = bool(os.environ.get("TORCHKERAS_STRESS"))
QUICK = {"2 ranks, killed and SIGTERM": 2}  # stops; the others are for `make stress`
CASES = {
    "1 rank": ["--ranks", 1],
    "2 ranks": ["--ranks", 2],
    "2 ranks, killed and SIGTERM": ["--ranks", 2, "--signal", "SIGKILL,SIGTERM"],
    "2 ranks, SIGTERM": ["--ranks", 2, "--signal", "SIGTERM"],
    "1 rank, SIGUSR1": ["--ranks", 1, "--signal", "SIGUSR1"],
    "2 ranks, then 1": ["--ranks", 2, "--then", 1],
    "1 rank, then 4": ["--ranks", 1, "--then", 4],
    "2 ranks, fully sharded": ["--ranks", 2, "--strategy", "sharded"],
}


@pytest.mark.parametrize("name", CASES if STRESS else QUICK)
def test_the_end_is_that_of_an_uninterrupted_training(name, tmp_path):
    arguments = [*CASES[name], "--kills", 50 if STRESS else QUICK[name]]
    done = start(ROOT / "tests/distributed/kill_trials.py", tmp_path, *arguments, timeout=1200)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["kills"] == arguments[-1] and found["trainings"]
    assert "None" not in found["codes"], f"a rank did not end within 30 seconds: {found}"
    if "then" in name:
        assert found["largest"] < 1e-5, found
    else:
        assert found["equal"] == found["trainings"], found
