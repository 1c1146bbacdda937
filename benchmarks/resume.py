"""Stops at random moments, and how long a save holds up the training: writes benchmarks/results/resume.md.

    python benchmarks/resume.py [--kills 50] [--known RESULTS.jsonl]

`--known` takes lines that `tests/distributed/kill_trials.py` printed, instead of running the trials.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

import torchkeras as keras

ROOT = Path(__file__).resolve().parent.parent
CASES = ["--ranks 1", "--ranks 2", "--ranks 2 --then 1", "--ranks 2 --signal SIGTERM", "--ranks 1 --signal SIGUSR1"]
CASES += ["--ranks 2 --strategy sharded"]


def trials(kills: int) -> list[dict]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    found = []
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, str(ROOT / "tests/distributed/kill_trials.py"), folder, "--kills", str(kills)]
            done = subprocess.run(
                [*command, *case.split()], env=environment, capture_output=True, text=True, check=True
            )
        found.append(json.loads(done.stdout.splitlines()[-1]))
    return found


def row(case: str, found: dict) -> str:
    codes = ", ".join(f"{code}: {count}" for code, count in sorted(found["codes"].items()))
    cells = [case.replace("--", ""), found["signal"], found["kills"], f"{found['equal']} of {found['trainings']}"]
    cells += [f"{found['largest']:.1e}", f"{found['seconds']:.2f}", codes]
    return "| " + " | ".join(map(str, cells)) + " |"


def hold(megabytes: int = 256, rounds: int = 5) -> list[tuple[str, float, float]]:
    """The milliseconds that a save holds the step, at once and in the background; the middle of some rounds."""
    width = int((megabytes * 2**20 / 4 / 4) ** 0.5)
    model = keras.Sequential([keras.Input((width,)), *(keras.layers.Dense(width) for _ in range(4))])
    model.compile("sgd", "mse")
    found = []
    for background in (False, True):
        held, whole = [], []
        with tempfile.TemporaryDirectory(dir=ROOT) as folder:
            saver = keras.callbacks.OrbaxCheckpoint(folder, save_on_background=background)
            saver.set_model(model)
            saver.on_train_begin()
            for number in range(rounds + 1):
                begin = time.perf_counter()
                saver.on_epoch_end(number, {})
                held.append(time.perf_counter() - begin)
                saver.wait_until_finished()
                whole.append(time.perf_counter() - begin)
        name = "in the background" if background else "at once"
        found.append((name, 1e3 * float(np.median(held[1:])), 1e3 * float(np.median(whole[1:]))))
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--known", type=Path)
    given = parser.parse_args()
    known = given.known and [json.loads(line) for line in given.known.read_text().splitlines()]
    found = known or trials(given.kills)
    lines = [
        "# Stopped and resumed",
        "",
        f"Made by `benchmarks/resume.py`: torch {torch.__version__}, gloo, {os.cpu_count()} CPU cores.",
        "",
        "## Stops at random moments",
        "",
        "A training of 36 batches with dropout, batch normalization, accumulated gradients, validation and a backup every",  # noqa: E501
        "5 batches (`tests/distributed/kill_trials.py`) is stopped at random moments, twice, and then ends. `then 1`: two",  # noqa: E501
        "and one rank take turns, without dropout. Equal: its weights are, to the last bit, those of a training that was",  # noqa: E501
        "never stopped. Seconds: the longest from the signal to the end of the last rank. Codes: of the ranks; 0 had ended",  # noqa: E501
        "before, -15 had not yet begun to listen.",
        "",
        "| case | signal | stops | equal | largest difference | seconds | exit codes |",
        "|---|---|---|---|---|---|---|",
        *(row(case, one) for case, one in zip(CASES, found)),
        "",
        "## How long a save holds the training",
        "",
        "256 MB of weights, `OrbaxCheckpoint`, the middle of 5 saves. In the background the step waits for the copy of the",  # noqa: E501
        "weights alone.",
        "",
        "| save | held, ms | until it is complete, ms |",
        "|---|---|---|",
        *(f"| {name} | {held:.0f} | {whole:.0f} |" for name, held, whole in hold()),
        "",
    ]
    (ROOT / "benchmarks/results/resume.md").write_text("\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
