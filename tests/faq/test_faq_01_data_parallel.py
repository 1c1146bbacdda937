"""FAQ 1: several devices of one machine train in parallel, by torch's DistributedDataParallel, with `fit()`."""

from __future__ import annotations

import runpy

import pytest

from tests.distributed.launch import results, torchrun

pytestmark = pytest.mark.slow

SCRIPT = """
import json, os, sys
import numpy as np
import torchkeras as keras

keras.utils.set_random_seed(1)
if "set" in sys.argv:
    keras.distribution.set_distribution(keras.distribution.DataParallel())
model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, activation="relu"), keras.layers.Dense(1)])
model.compile("sgd", "mse", metrics=["mae"])
x, y = np.random.normal(size=(50, 3)), np.random.normal(size=(50, 1))
history = model.fit(x, y, batch_size=16, epochs=2, verbose=0).history
step = model._tk_training.train_step.trained
wrapped = type(getattr(step, "wrapped", None)).__name__
found = {"history": history, "predicted": model.predict(x, verbose=0).tolist(), "wrapped": wrapped}
json.dump(found, open(f"{sys.argv[1]}/{os.environ.get('RANK', 0)}.json", "w"))
"""


def test_the_script_of_one_process_runs_on_two(tmp_path, monkeypatch):
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    monkeypatch.setattr("sys.argv", [str(script), str(tmp_path)])
    alone = runpy.run_path(str(script))["found"]
    ranks, _ = results(tmp_path / "two", script, "set", ranks=2, by=torchrun)
    assert alone["wrapped"] == "NoneType"
    for rank in ranks:
        assert rank["wrapped"] == "DistributedDataParallel"
        for name, values in alone["history"].items():
            assert rank["history"][name] == pytest.approx(values, abs=1e-5)
        assert sum(rank["predicted"], []) == pytest.approx(sum(alone["predicted"], []), abs=1e-5)
