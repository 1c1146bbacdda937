"""FSDP2's `fully_shard` on two gloo ranks gives the single process's weights."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.package_imports import ROOT
from tests.torch_promises.fsdp_worker import NAMES, TENSOR_PARALLEL

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("fsdp")]


@pytest.fixture(scope="module")
def errors(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What went wrong in the two processes, by case; empty where nothing did."""
    results = tmp_path_factory.mktemp("fsdp") / "errors.json"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    worker = Path(__file__).with_name("fsdp_worker.py")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, str(worker), str(results)], env=environment, capture_output=True, text=True, timeout=180
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(results.read_text())


@pytest.mark.parametrize("name", NAMES)
def test_fully_sharded_step_equals_the_whole_one(name, errors):
    assert errors[name] == "", errors[name]


def test_linear_modules_in_parts_train_as_the_layers_whole(errors):
    assert errors[TENSOR_PARALLEL] == "", errors[TENSOR_PARALLEL]
