"""Step time against ranks: a short model and gloo ranks on this machine. Writes benchmarks/results/scale.md."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import distributed

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import torchkeras as keras
from tests.distributed import forked

WIDTH, DEPTH, BATCH, STEPS = 512, 4, 256, 40
BYTES = 4 * DEPTH * (WIDTH * WIDTH + WIDTH)


def measure(folder: Path) -> None:
    """The seconds of a step of `fit` on all ranks, of its computation alone, and of one all-reduce of the gradients."""
    keras.distribution.initialize()
    ranks = keras.distributed.world_size()
    x = np.random.default_rng(0).normal(size=(BATCH * STEPS, WIDTH)).astype("float32")
    model = keras.Sequential(
        [keras.Input((WIDTH,)), *(keras.layers.Dense(WIDTH, activation="relu") for _ in range(DEPTH))]
    )
    model.compile("sgd", "mse")
    model.fit(x, x, BATCH, verbose=0)
    begin = time.perf_counter()
    model.fit(x, x, BATCH, epochs=2, verbose=0)
    step = (time.perf_counter() - begin) / (2 * STEPS)
    layers = torch.nn.Sequential(*(m for _ in range(DEPTH) for m in (torch.nn.Linear(WIDTH, WIDTH), torch.nn.ReLU())))
    optimizer, rows = torch.optim.SGD(layers.parameters(), 0.01), torch.from_numpy(x[: BATCH // ranks])
    for number in range(STEPS + 5):
        if number == 5:
            begin = time.perf_counter()
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(layers(rows), rows).backward()
        optimizer.step()
    compute = (time.perf_counter() - begin) / STEPS
    reduce = 0.0
    if ranks > 1:
        flat = torch.zeros(BYTES // 4)
        for number in range(STEPS + 5):
            if number == 5:
                begin = time.perf_counter()
            distributed.all_reduce(flat)
        reduce = (time.perf_counter() - begin) / STEPS
    if keras.distributed.is_main_process():
        (folder / f"{ranks}.json").write_text(json.dumps([step, compute, reduce]))


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for ranks in (1, 2, 4):
            codes = forked.wait(forked.start(partial(measure, Path(folder)), ranks), 120)
            if codes != [0] * ranks:
                raise RuntimeError(f"The ranks ended with {codes}.")
            step, compute, reduce = (1e3 * value for value in json.loads((Path(folder) / f"{ranks}.json").read_text()))
            low, high = max(compute, reduce), compute + reduce
            rows.append(f"| {ranks} | {compute:.2f} | {reduce:.2f} | {low:.2f} to {high:.2f} | {step:.2f} |")
    lines = [
        "# Step time against ranks",
        "",
        f"Made by `benchmarks/scale.py`: torch {torch.__version__}, gloo, {os.cpu_count()} CPU cores, a thread per rank;",  # noqa: E501
        f"{DEPTH} layers of {WIDTH}, batches of {BATCH} together, {BYTES / 2**20:.1f} MB of gradients. The model: a step takes",  # noqa: E501
        "the computation of a rank's rows plus the all-reduce, less what of it runs while backward does. Ranks beyond the",  # noqa: E501
        "cores share them, computing as well as sending.",
        "",
        "| ranks | computing, ms | all-reduce, ms | model, ms (all overlapped to none) | `fit`, ms |",
        "|---|---|---|---|---|",
        *rows,
        "",
    ]
    (ROOT / "benchmarks/results/scale.md").write_text("\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
