"""What metrics add to a training step; writes benchmarks/results/metrics.md.

    python benchmarks/metrics.py [--rounds 15]

The step is that of the MLP of benchmarks/speed.py (784-512-512-10, batch 128), with one-hot targets so that AUC has
something to count. First whole epochs of `fit` with and without accuracy and AUC, in turns; then each update by itself.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch

import torchkeras as keras
from torchkeras.training.compile.options import LossTracker

BATCH, CLASSES, ROWS = 128, 10, 12_800
LIMIT = 0.05
RESULTS = Path(__file__).resolve().parent / "results"
TRACKED = ("loss", "CategoricalAccuracy", "AUC")
UPDATED: dict[str, Callable[[], Any]] = {
    "CategoricalAccuracy": lambda: keras.metrics.CategoricalAccuracy(),
    "AUC": lambda: keras.metrics.AUC(from_logits=True),
    "AUC, PR, 50 thresholds": lambda: keras.metrics.AUC(50, "PR", from_logits=True),
    "AUC, labels apart": lambda: keras.metrics.AUC(multi_label=True, from_logits=True),
    "TopKCategoricalAccuracy": lambda: keras.metrics.TopKCategoricalAccuracy(),
    "Precision": lambda: keras.metrics.Precision(),
    "Recall, top 3": lambda: keras.metrics.Recall(top_k=3),
    "PrecisionAtRecall": lambda: keras.metrics.PrecisionAtRecall(0.5),
    "F1Score": lambda: keras.metrics.F1Score("macro"),
    "OneHotMeanIoU": lambda: keras.metrics.OneHotMeanIoU(CLASSES),
    "CategoricalCrossentropy": lambda: keras.metrics.CategoricalCrossentropy(from_logits=True),
    "MeanSquaredError": lambda: keras.metrics.MeanSquaredError(),
    "R2Score": lambda: keras.metrics.R2Score(),
    "PearsonCorrelation": lambda: keras.metrics.PearsonCorrelation(),
}


def model(metrics: list) -> Any:
    layers = [keras.Input((784,))]
    for _ in range(2):
        layers += [keras.layers.Dense(512, activation="relu"), keras.layers.Dropout(0.2)]
    made = keras.Sequential([*layers, keras.layers.Dense(CLASSES)])
    made.compile("adam", keras.losses.CategoricalCrossentropy(from_logits=True), metrics=metrics)
    return made


def best(run: Callable[[], object], rounds: int) -> float:
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def epochs(rounds: int) -> tuple[float, float]:
    """Seconds of a step in the best epoch without and with accuracy and AUC."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((ROWS, 784), dtype="float32")
    y = np.eye(CLASSES, dtype="float32")[rng.integers(0, CLASSES, ROWS)]
    models = [model([]), model(["accuracy", keras.metrics.AUC(from_logits=True)])]
    times: list[list[float]] = [[], []]
    for _ in range(rounds + 1):
        for made, found in zip(models, times):
            found.append(best(lambda made=made: made.fit(x, y, batch_size=BATCH, verbose=0), 1))  # type: ignore[misc]
    without, with_ = (min(found[1:]) / (ROWS / BATCH) for found in times)
    return without, with_


def updates(rounds: int) -> dict[str, float]:
    """Seconds of one update of each metric."""
    logits = torch.randn(BATCH, CLASSES)
    labels = torch.nn.functional.one_hot(torch.randint(CLASSES, (BATCH,)), CLASSES).float()
    loss, tracker = torch.tensor(0.5), LossTracker(name="loss")
    steps = 200
    found = {"loss": best(lambda: [tracker.add(loss, BATCH) for _ in range(steps)], rounds) / steps}
    for name, make in UPDATED.items():
        metric = make()
        found[name] = best(lambda m=metric: [m.update_state(labels, logits) for _ in range(steps)], rounds) / steps  # type: ignore[misc]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    without, with_ = epochs(options.rounds)
    found = updates(options.rounds)
    share = sum(found[name] for name in TRACKED) / without
    lines = [
        "# Metrics",
        "",
        f"{date.today()}, cpu, {torch.get_num_threads()} threads, Python {platform.python_version()}, torch "
        f"{torch.__version__}; the best of {options.rounds} rounds.",
        "",
        f"A step of `fit` takes {1e6 * without:,.0f} µs with the loss alone, {1e6 * with_:,.0f} µs with accuracy and "
        f"AUC: {100 * (with_ / without - 1):+.1f} %.",
        f"The updates of loss, accuracy and AUC by themselves take {100 * share:.1f} % of a step; at most "
        f"{100 * LIMIT:.0f} % are allowed.",
        "",
        "| update | µs | % of a step |",
        "|---|---|---|",
        *(f"| {name} | {1e6 * value:,.1f} | {100 * value / without:.2f} |" for name, value in found.items()),
    ]
    print("\n".join(lines))
    (RESULTS / "metrics.md").write_text("\n".join(lines) + "\n")
    if share > LIMIT:
        sys.exit(f"Loss, accuracy and AUC take {100 * share:.1f} % of a step; at most {100 * LIMIT:.0f} % are allowed.")


if __name__ == "__main__":
    main()
