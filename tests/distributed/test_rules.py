"""Under torchrun: who prints, writes and decides; what the ranks see; how a run ends when one of them fails."""

from __future__ import annotations

import time

import numpy as np
import pytest

from tests.distributed.launch import torchrun

pytestmark = pytest.mark.slow


def found(run, rule):
    return [rank["rules"][rule] for rank in run.ranks]


def test_weights_begin_as_rank_0s(run):
    first, second = found(run, "weights_begin_as_rank_0s")
    assert first["before"] != second["before"]
    assert first["predicted"] == second["predicted"]
    assert first["weights"] == second["weights"]


def test_random_numbers_of_data_and_of_the_script_are_the_same(run):
    first, second = found(run, "random_numbers_go_on_alike")
    assert first == second
    assert len(set(first["seen"])) == len(first["seen"])


def test_dropout_differs_from_rank_to_rank_and_from_step_to_step(run):
    first, second = found(run, "dropout_differs")
    assert len(first) == len(second) == 2
    assert len({str(mask) for mask in first + second}) == 4


def test_rank_0_decides_on_stopping(run):
    first, second = found(run, "rank_0_decides_on_stopping")
    assert first == [3, 1, 2]
    assert second == [3, 1, 0]


def test_early_stopping_is_the_same_everywhere(run):
    first, second = found(run, "early_stopping")
    assert first == second
    assert len(first["epochs"]) == 2


def test_rank_0_writes_and_the_others_wait(run):
    first, second = found(run, "files")
    assert first["same"] and second["same"]
    assert first["memory"] and second["memory"]
    assert first["failed"] and second["failed"], "a write that failed fails on all ranks"
    names = sorted(path.name for path in (run.folder / "files").iterdir())
    expected = ["1.keras", "2.keras", "best.weights.h5", "by_rank_0.keras", "late.weights.h5", "log.csv", "whole.keras"]
    assert names == expected
    assert len((run.folder / "files" / "log.csv").read_text().splitlines()) == 3


def test_a_distributed_sampler_is_left_alone(run):
    first, second = found(run, "a_distributed_sampler_is_left_alone")
    assert first["weights"] == second["weights"]
    epochs = [[sum(rank["seen"][-6:][i : i + 3], []) for rank in (first, second)] for i in (0, 3)]
    for one, other in epochs:
        assert sorted(one + other) == list(range(22)), "each sample once, on one of the ranks"
    assert epochs[0] != epochs[1], "the sampler is told the epoch"


def test_statistics_of_the_shares_are_averaged(run):
    first, second = found(run, "statistics_are_averaged")
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(np.array(a), np.array(b))


def test_ddp_looks_for_unused_parameters_only_where_users_code_decides(run):
    assert found(run, "what_a_step_looks_for") == [[False, True]] * 2


def test_copies_of_a_trained_model_train_on(run):
    for model, twin in found(run, "copies"):
        for a, b in zip(model, twin, strict=True):
            np.testing.assert_allclose(np.array(a), np.array(b), atol=1e-6)


def test_targets_of_other_rows_than_the_inputs_are_refused(run):
    for said in found(run, "targets_of_other_rows_are_refused"):
        assert len(said) == 2
        assert all("x of 6 rows and y of shape (12, 1)" in message for message in said)


def test_rank_0_alone_prints(run):
    printed = run.printed
    between = printed[printed.index("<<") : printed.index(">>")]
    lines = [line for line in between.splitlines() if line and not line.startswith("<<")]
    assert lines[0] == "2 processes: batches of 32 samples together, 16 each."
    assert len(lines) == 4, lines
    assert printed.count("processes: batches of") == 1
    assert "Traceback" not in printed


def test_an_error_on_one_rank_ends_the_run(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import os, numpy as np, torchkeras as keras\n"
        "class Fails(keras.callbacks.Callback):\n"
        "    def on_epoch_end(self, epoch, logs=None):\n"
        "        if os.environ['RANK'] == '1':\n"
        "            raise KeyError('on rank 1')\n"
        "model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])\n"
        "model.compile('sgd', 'mse')\n"
        "model.fit(np.ones((9, 2)), np.ones(9), epochs=3, callbacks=[Fails()], verbose=0)\n"
    )
    begin = time.monotonic()
    done = torchrun(script, ranks=2)
    assert done.returncode != 0
    assert time.monotonic() - begin < 30
    assert "on rank 1" in done.stderr


def test_interrupted_trainings_end_as_if_they_had_not_been(run):
    for rank in found(run, "interrupted_trainings_end_as_if_they_had_not_been"):
        for kind, result in rank.items():
            left = (15 if "steps" in kind else 30) - 12
            assert result == {"batches": left, "losses": True, "weights": True, "history": True}, kind
