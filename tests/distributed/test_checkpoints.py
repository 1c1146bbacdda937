"""Checkpoints and backups in parts: read on other numbers of ranks and under other strategies, also by torch itself."""

from __future__ import annotations

import json
import os

import pytest

from tests.distributed.launch import ROOT, start

pytestmark = pytest.mark.slow
QUICK = ["sharded:2", "model:2"]
FULL = [*QUICK, "sharded:2", "data:1", "data:1", "sharded:4", "data:2", "sharded:2", "model:4", "sharded:2"]


def test_resumed_on_other_ranks_and_under_other_strategies(tmp_path):
    places = FULL if os.environ.get("TORCHKERAS_STRESS") else QUICK
    done = start(ROOT / "tests/distributed/checkpoint_trials.py", tmp_path, *places, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert len(found) == len(places) // 2
    assert max(found.values()) < 1e-5, found
