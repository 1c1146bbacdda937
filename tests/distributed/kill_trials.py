"""Trainings that are stopped at random moments until they come to their end: the same weights as if nothing had been.

    python kill_trials.py FOLDER --kills 50 --ranks 2 [--signal SIGKILL,SIGTERM] [--then 1] [--seed N]

prints a line of JSON. Signals are sent in turn. `--then` is the number of ranks that take over after every other stop.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import time
from functools import partial
from pathlib import Path

import numpy as np

import torchkeras as keras
from tests.distributed import forked

SAMPLES, BATCH, EPOCHS = 96, 8, 3


class Slow(keras.callbacks.Callback):
    """Gives the batches a length, so that stops fall everywhere."""

    def __init__(self, first):
        super().__init__()
        self.first = first

    def on_train_batch_end(self, batch, logs=None):
        if self.first is not None and not self.first.exists():
            self.first.touch()
        time.sleep(0.002)


def train(folder: Path, kind: str, strategy: str = "data") -> None:
    """A training that resumes from its backups; the last one writes the weights."""
    if strategy == "sharded":
        keras.distribution.initialize()
        keras.distribution.set_distribution(keras.distribution.FullyShardedDataParallel())
    keras.utils.set_random_seed(5)
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(SAMPLES, 6)).astype("float32"), rng.normal(size=(SAMPLES, 1)).astype("float32")
    more = [] if kind == "plain" else [keras.layers.BatchNormalization(), keras.layers.Dropout(0.4)]
    layers = [keras.Input((6,)), keras.layers.Dense(16, activation="tanh"), *more, keras.layers.Dense(1)]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.Adam(0.01, gradient_accumulation_steps=2), "mse", metrics=["mae"])
    backup = keras.callbacks.BackupAndRestore(folder / "backup", save_freq=5, delete_checkpoint=False)
    callbacks = [backup, keras.callbacks.ReduceLROnPlateau("loss", min_delta=1.0, patience=0)]
    begun = folder / f"begun-{os.environ.get('RANK', '0')}"
    history = model.fit(
        x, y, BATCH, EPOCHS, verbose=0, callbacks=[*callbacks, Slow(begun)], validation_data=(x[:20], y[:20])
    )
    weights = model.get_weights()
    if os.environ.get("RANK", "0") == "0":
        np.savez(folder / "weights.part.npz", *weights)
        (folder / "history.json").write_text(json.dumps(history.history))
        os.rename(folder / "weights.part.npz", folder / "weights.npz")


def weights_of(folder: Path) -> list[np.ndarray]:
    with np.load(folder / "weights.npz") as file:
        return [file[name] for name in file]


def difference(one: list[np.ndarray], other: list[np.ndarray]) -> float:
    return max(float(np.abs(a.astype("float64") - b).max()) for a, b in zip(one, other, strict=True))


def trials(
    folder: Path,
    kills: int,
    ranks: int,
    then: int | None = None,
    sent: str = "SIGKILL",
    seed: int = 0,
    strategy: str = "data",
    resumed: int = 2,
) -> dict:
    """Stop trainings until there were so many stops; each goes on after `resumed` stops until its end."""
    kind = "plain" if then is not None else "dropout"
    chance = random.Random(seed)
    fresh(folder / "whole")
    assert forked.wait(forked.start(partial(train, folder / "whole", kind, strategy), ranks)) == [0] * ranks
    seconds = (folder / "whole/weights.npz").stat().st_mtime - (folder / "whole/begun-0").stat().st_mtime
    expected = weights_of(folder / "whole")
    found = {"kills": 0, "trainings": 0, "equal": 0, "largest": 0.0, "codes": {}, "seconds": 0.0}
    while found["kills"] < kills:
        run = fresh(folder / "run")
        worlds = [ranks, ranks if then is None else then]
        for stop in range(min(resumed, kills - found["kills"])):
            for path in run.glob("begun-*"):
                path.unlink()
            world = worlds[stop % 2]
            processes = forked.start(partial(train, run, kind, strategy), world, str(run / "log"))
            until = time.monotonic() + 20
            while time.monotonic() < until and len(list(run.glob("begun-*"))) < world:
                if (run / "weights.npz").exists():
                    break
                time.sleep(0.001)
            time.sleep(chance.uniform(0, 0.9 * seconds))
            begin = time.monotonic()
            # A cluster's signal reaches all ranks, or one; a rank that is lost is one, and torchrun stops the others.
            chosen = processes if chance.random() < 0.5 else [chance.choice(processes)]
            name = sent.split(",")[stop % len(sent.split(","))]
            forked.send(chosen, getattr(signal, name))
            if name == "SIGKILL":
                forked.send(processes, signal.SIGKILL)
            codes = forked.wait(processes, 30)
            found["seconds"] = max(found["seconds"], time.monotonic() - begin)
            for code in map(str, codes):
                found["codes"][code] = found["codes"].get(code, 0) + 1
            found["kills"] += 1
        if not (run / "weights.npz").exists():
            last = forked.start(partial(train, run, kind, strategy), worlds[1], str(run / "log"))
            codes = forked.wait(last)
            assert set(codes) == {0}, (codes, (run / "log.0").read_text()[-3000:])
        found["trainings"] += 1
        got = difference(weights_of(run), expected)
        found["equal"] += got == 0.0
        found["largest"] = max(found["largest"], got)
    return found


def fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--then", type=int)
    parser.add_argument("--signal", default="SIGKILL")
    parser.add_argument("--strategy", default="data")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "little"))
    given = parser.parse_args()
    found = trials(given.folder, given.kills, given.ranks, given.then, given.signal, given.seed, given.strategy)
    print(json.dumps({"seed": given.seed, "ranks": given.ranks, "then": given.then, "signal": given.signal, **found}))
