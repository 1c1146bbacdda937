"""A training begins under one strategy on some ranks, and is resumed from its backup under others.

    python checkpoint_trials.py FOLDER [BEFORE THEN ...]

Each is `STRATEGY:RANKS`, such as `sharded:2` or `model:4`. Prints the largest difference from one process as JSON.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torchmetrics

import torchkeras as keras
from tests.distributed import forked
from tests.distributed.kill_trials import difference, fresh, weights_of

EPOCHS, BATCH = 2, 8


class StopAt(keras.callbacks.Callback):
    def __init__(self, step):
        super().__init__()
        self.step = step

    def on_train_batch_end(self, batch, logs=None):
        if self.model.optimizer.iterations == self.step and os.environ["RANK"] == "0":
            os.kill(os.getpid(), signal.SIGTERM)
        if self.model.optimizer.iterations >= self.step:
            time.sleep(0.25)  # so that the ranks agree on a batch of this epoch


def set_strategy(name: str, ranks: int) -> None:
    keras.distribution.initialize()
    if name == "sharded" and ranks > 1:
        keras.distribution.set_distribution(keras.distribution.FullyShardedDataParallel())
    elif name == "model" and ranks > 1:
        mesh = keras.distribution.DeviceMesh((ranks // 2, 2), ["batch", "model"])
        layouts = keras.distribution.LayoutMap(mesh)
        layouts[".*hidden/kernel"] = (None, "model")
        layouts[".*out/kernel"] = ("model", None)
        keras.distribution.set_distribution(keras.distribution.ModelParallel(layout_map=layouts))


class Seen(torchmetrics.Metric):
    """States with three of torchmetrics' reductions."""

    def __init__(self):
        super().__init__()
        self.add_state("rows", [], dist_reduce_fx="cat")
        self.add_state("largest", torch.tensor(-9.0), dist_reduce_fx="max")
        self.add_state("count", torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, predicted, target):
        self.rows.append(target[:, 0])
        self.largest = torch.maximum(self.largest, target.max())
        self.count += len(target)

    def compute(self):
        rows = torch.cat(self.rows) if isinstance(self.rows, list) else self.rows
        return rows.sum() + 10 * len(rows) + self.largest + 1000 * self.count


def metrics():
    """Means, a metric that makes its state for the first batch, and torchmetrics' own."""
    return ["mae", keras.metrics.RootMeanSquaredError(), keras.metrics.R2Score(), Seen()]


def train(folder: Path, strategy: str, ranks: int, stop: int | None, epochs: int = EPOCHS) -> None:
    set_strategy(strategy, ranks)
    keras.utils.set_random_seed(5)
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(64, 6)).astype("float32"), rng.normal(size=(64, 2)).astype("float32")
    hidden = keras.layers.Dense(9 if strategy == "uneven" else 12, activation="tanh", name="hidden")
    model = keras.Sequential([keras.Input((6,)), hidden, keras.layers.Dense(2, name="out")])
    model.compile(keras.optimizers.Adam(0.02), "mse", metrics=metrics())
    backup = keras.callbacks.BackupAndRestore(
        folder / "backup", save_freq=6, delete_checkpoint=False, async_save=stop is None
    )
    late = [] if stop is None else [StopAt(stop)]
    keep = [keras.callbacks.ModelCheckpoint(folder / "{epoch}.checkpoint", async_save=True)]
    keep += [keras.callbacks.OrbaxCheckpoint(folder / "numbered", max_to_keep=2)]
    history = model.fit(x, y, BATCH, epochs, callbacks=[backup, *keep, *late], verbose=0)
    weights = model.get_weights()
    model.save(folder / "whole.keras")
    again = keras.models.load_model(folder / f"{epochs}.checkpoint")
    model.load_weights(folder / "numbered")
    after = model.get_weights()
    whole = keras.models.load_model(folder / "whole.keras")
    for loaded in (again.get_weights(), whole.get_weights(), after):
        assert difference(loaded, weights) == 0.0
    states = [{}, {}]
    for loaded, state in zip((again, whole), states, strict=True):
        loaded.optimizer.save_own_variables(state)
    np.testing.assert_equal(*states)
    assert len(states[0]) == 2 + 2 * len(weights)
    if os.environ["RANK"] == "0":
        logs = [np.array(history.history[name]) for name in sorted(history.history)]
        assert len(logs) == 5 and all(len(log) == epochs for log in logs), history.history
        np.savez(folder / "weights.npz", *weights, *logs)


def run(folder: Path, place: str, stop: int | None = None) -> None:
    strategy, ranks = place.split(":")
    codes = forked.wait(
        forked.start(partial(train, folder, strategy, int(ranks), stop), int(ranks), str(folder / "log"))
    )
    expected = [0 if stop is None else 128 + signal.SIGTERM] * int(ranks)
    logs = [path.read_text()[-2500:] for path in folder.glob("log.*")]
    assert codes == expected, f"{place}: {codes}\n" + "\n".join(logs)


if __name__ == "__main__":
    folder, *places = sys.argv[1:]
    found = {}
    run(fresh(Path(folder) / "alone"), "data:1")
    for before, then in zip(places[::2], places[1::2], strict=True):
        where = fresh(Path(folder) / "run")
        run(where, before, stop=2)
        run(where, then)
        found[f"{before}, {then}"] = difference(weights_of(where), weights_of(Path(folder) / "alone"))
    print(json.dumps(found))
