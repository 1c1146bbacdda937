"""Ranks that fail, that are alone somewhere, or that differ: all of them end soon, and say why."""

from __future__ import annotations

import json
import os

import pytest

from tests.distributed.launch import ROOT, start

pytestmark = pytest.mark.slow
STRESS = bool(os.environ.get("TORCHKERAS_STRESS"))

# By fault: the exit code of each rank, and what each must have printed.
FAILED = {
    "callback": (1, 1, ["ended because of another rank. Rank 1 failed in fit()", "in a callback"], ["in a callback"]),
    "loader": (1, 1, ["Rank 1 failed in fit()", "in the data"], ["in the data"]),
    "loss": (1, 1, ["Rank 1 failed in fit()", "in the loss"], ["in the loss"]),
    "save": (1, 1, ["FileNotFoundError"], ["Rank 0 could not write", "does not exist"]),
    "killed": (1, -9, ["another rank is gone"], []),
    "lengths": (1, 1, *[["batches per epoch: 6 on rank 0, 8 on rank 1", "samples: 48 on rank 0, 64 on rank 1"]] * 2),
    "code": (1, 1, *[["differ in the shapes of weights: [(4, 3)"]] * 2),
    "seeds": (0, 0, ["The ranks differ in the first batch (a checksum)"], []),
    "one_callback": (1, 1, *[["callbacks that work on all ranks together: ['BackupAndRestore'] on rank 0"]] * 2),
    "alone_in_save": (0, 1, [], ["the rank(s) [0] did not come within 1 seconds"]),
    "alone_in_sharded_save": (1, 0, ["can't be pickled", "the rank(s) [1] did not come"], ["can't be pickled"]),
    "alone_in_predict": (1, 1, *[["The ranks make different calls: predict() on rank 0, fit() on rank 1. All"]] * 2),
    "alone_at_the_end": (1, 0, ["Rank 0 waits at evaluate(), but rank 1 has ended without it. All ranks must"], []),
    "alone_in_a_callback": (
        *(1, 1, ["Rank 0 waits at evaluate() in fit(); the rank(s) [1] went on with the training"]),
        ["fit() ended on rank 1: another rank is gone"],
    ),
    "alone_between_batches": (
        *(1, 1, ["Rank 0 waits at evaluate() in fit(); the rank(s) [1] did not come within 3"]),
        ["fit() ended"],
    ),
    "alone_with_a_weight": (1, 0, ["waits at the reading of sequential/dense/kernel, but rank 1 has ended"], []),
    "alone_with_weights": (1, 1, *[["different calls: set_weights() on rank 0, get_weights() on rank 1."]] * 2),
    "alone_in_compile": (1, 0, ["Rank 0 waits at the making of a DeviceMesh, but rank 1 has ended"], []),
    "alone_in_barrier": (1, 1, ["Rank 0 waits at barrier(), but rank 1 has ended with an error"], ["of the script"]),
    "alone_on_a_batch": (1, 1, ["the rank(s) [0] did not come within 3"], ["Rank 1 waits at predict()"]),
    "nobody_comes": (1, 0, ["Rank 0 of 2 could not join the others", "within 2 seconds"], []),
    "lost_in_a_message": (1, 1, ["did not answer in time"], ["did not answer in time"]),
}
RIGHT = ["uneven", "by_itself", "offloaded", "torchmetrics_in_parts"]
QUICK = ["callback", "lengths", "seeds", "alone_in_save", "alone_in_predict", "alone_in_a_callback", "by_itself"]
QUICK += ["alone_with_weights", "offloaded", "torchmetrics_in_parts"]


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> dict:
    names = [*FAILED, *RIGHT] if STRESS else QUICK
    done = start(ROOT / "tests/distributed/fault_trials.py", tmp_path_factory.mktemp("faults"), *names)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", [name for name in FAILED if STRESS or name in QUICK])
def test_every_rank_ends_and_says_why(found, name):
    *codes, first, second = FAILED[name]
    got = found[name]
    assert got["codes"] == codes, got["printed"]
    assert got["seconds"] < 30
    for printed, expected in zip(got["printed"], (first, second), strict=True):
        for text in expected:
            assert text in printed


def numbers(found, name):
    assert found[name]["codes"] == [0, 0], found[name]["printed"]
    return [json.loads(printed.splitlines()[-1]) for printed in found[name]["printed"]]


def test_weights_in_the_hosts_memory_change_no_number(found):
    for with_offload, without in numbers(found, "offloaded"):
        assert with_offload == without


def test_sums_of_torchmetrics_count_each_row_once(found):
    for values in numbers(found, "torchmetrics_in_parts"):
        assert values["rows"] == 10.0 and values["meansquarederror"] == 0.0


def test_what_one_rank_does_by_itself_the_others_need_not_know(found):
    assert found["by_itself"]["codes"] == [0, 0], found["by_itself"]["printed"]
    first, second = (printed.splitlines() for printed in found["by_itself"]["printed"])
    assert first[0] == second[0], "the weights of all ranks, after the next fit"
    assert "so that no rank can compute by itself" in first[1]
    assert json.loads(first[2]) == [2, 0]


@pytest.mark.skipif(not STRESS, reason="make stress runs it")
def test_shares_without_rows(found):
    one, other = numbers(found, "uneven")
    assert one == other and [row[0] for row in one] == [1, 2, 3, 4, 5]
