"""A rank that is killed under `python -m torchkeras run --max-restarts`: the job goes on by itself from the backup."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.distributed.launch import environment, results

pytestmark = pytest.mark.slow

SCRIPT = """
import json, os, signal, sys
import numpy as np
import torchkeras as keras

class Watch(keras.callbacks.Callback):
    seen = 0
    def on_train_batch_end(self, batch, logs=None):
        self.seen += 1
        if batch == 4 and os.environ["RANK"] == "1" and os.environ.get("TORCHELASTIC_RESTART_COUNT") == "0":
            os.kill(os.getpid(), signal.SIGKILL)

folder = sys.argv[1]
keras.utils.set_random_seed(4)
x = np.random.default_rng(4).normal(size=(61, 5)).astype("float32")
layers = [keras.Input((5,)), keras.layers.Dense(6, "tanh"), keras.layers.Dropout(0.3), keras.layers.Dense(1)]
model = keras.Sequential(layers)
model.compile(keras.optimizers.Adam(0.01), "mse")
backup = keras.callbacks.BackupAndRestore(f"{folder}/backup", save_freq=2, delete_checkpoint=False)
watch = Watch()
loss = model.fit(x, x[:, :1], batch_size=8, epochs=2, verbose=0, callbacks=[backup, watch]).history["loss"]
found = {"seen": watch.seen, "loss": loss, "weights": [w.tolist() for w in model.get_weights()]}
json.dump(found, open(f"{folder}/{os.environ['RANK']}.json", "w"))
"""


def test_a_killed_rank_is_started_again_and_the_training_ends_as_if_it_had_not_been(tmp_path):
    script, folder = tmp_path / "train.py", tmp_path / "killed"
    script.write_text(SCRIPT)
    folder.mkdir()
    command = [sys.executable, "-m", "torchkeras", "run", "--nproc", "2", "--max-restarts", "1", script, folder]
    done = subprocess.run(list(map(str, command)), env=environment(), capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-4000:]
    expected, _ = results(tmp_path / "whole", script, ranks=2)
    assert [rank["seen"] for rank in expected] == [16, 16]
    for rank, whole in enumerate(expected):
        found = json.loads((folder / f"{rank}.json").read_text())
        assert found["seen"] == 12, "after four batches there was a backup"
        assert found["weights"] == whole["weights"] and found["loss"] == whole["loss"]
