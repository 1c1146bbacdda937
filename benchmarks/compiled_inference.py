"""Compiled `evaluate`, `predict`, `test_on_batch` and `predict_on_batch` against loops that `torch.compile` compiled.

    python benchmarks/compiled_inference.py [--only NAME] [--rounds 30] [--threads 1] [--out FILE]

The networks are those of `speed.py`. Both contenders get NumPy arrays and give Python floats or NumPy arrays; they take
turns, and what counts is the least time of the processor. The torch loop computes outputs, loss and hits of a batch in
one compiled function, as `evaluate` does with the metric `accuracy`.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import numpy as np
import torch
import torch.nn.functional as F

import torchkeras as keras
from cases import CASES, Case
from contenders import _compiled

METHODS = ("evaluate", "predict", "test_on_batch", "predict_on_batch")
BATCHES = 4
Calls = dict[str, Callable[[], object]]


def torch_calls(case: Case, x: np.ndarray, y: np.ndarray) -> Calls:
    """The four methods as an expert writes them in torch."""
    model = case.module().eval()
    layout = torch.channels_last if case.channels_last else torch.contiguous_format
    if case.images:
        model = model.to(memory_format=layout)

    def batch_of(array: np.ndarray) -> torch.Tensor:
        batch = torch.from_numpy(array)
        return batch.permute(0, 3, 1, 2).contiguous(memory_format=layout) if case.images else batch

    def measured(batch: torch.Tensor, wanted: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits = model(batch)
        if case.outputs == 1:
            hits = (logits > 0) == (wanted > 0.5)
            return F.binary_cross_entropy_with_logits(logits, wanted), hits.sum()
        return F.cross_entropy(logits, wanted), (logits.argmax(1) == wanted).sum()

    outputs, losses = torch.compile(model), torch.compile(measured)
    size, rows = case.batch_size, len(x)

    @torch.inference_mode()
    def evaluate() -> tuple[float, float]:
        total, right = torch.zeros(()), torch.zeros((), dtype=torch.int64)
        inputs, labels = torch.from_numpy(x), torch.from_numpy(y)
        if case.images:
            inputs = inputs.permute(0, 3, 1, 2).contiguous(memory_format=layout)
        for batch, wanted in zip(inputs.split(size), labels.split(size)):
            loss, hits = losses(batch, wanted)
            total += loss * len(batch)
            right += hits
        return total.item() / rows, right.item() / rows

    @torch.inference_mode()
    def predict() -> np.ndarray:
        return torch.cat([outputs(batch) for batch in batch_of(x).split(size)]).numpy()

    @torch.inference_mode()
    def test_on_batch() -> tuple[float, float]:
        loss, hits = losses(batch_of(x[:size]), torch.from_numpy(y[:size]))
        return loss.item(), hits.item() / size

    @torch.inference_mode()
    def predict_on_batch() -> np.ndarray:
        return outputs(batch_of(x[:size])).numpy()

    return dict(zip(METHODS, (evaluate, predict, test_on_batch, predict_on_batch)))


def keras_calls(case: Case, x: np.ndarray, y: np.ndarray) -> Calls:
    """The four methods of a model of this library with `jit_compile=True`."""
    model = _compiled(keras, case, x, False, True)
    size = case.batch_size
    options: dict[str, Any] = {"batch_size": size, "verbose": 0}
    first = x[:size], y[:size]
    return {
        "evaluate": lambda: model.evaluate(x, y, **options),
        "predict": lambda: model.predict(x, **options),
        "test_on_batch": lambda: model.test_on_batch(*first),
        "predict_on_batch": lambda: model.predict_on_batch(first[0]),
    }


def least_times(calls: tuple[Callable[[], object], ...], rounds: int) -> list[float]:
    """The least processor time of each call, in milliseconds."""
    best = [float("inf")] * len(calls)
    for call in calls * 3:  # compile
        call()
    for _ in range(rounds):
        for i, call in enumerate(calls):
            started = time.process_time()
            call()
            best[i] = min(best[i], 1e3 * (time.process_time() - started))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    lines = [
        f"Milliseconds of processor time, least of {args.rounds} in turns; {BATCHES} batches for `evaluate` and "
        f"`predict`; torch {torch.__version__}, cpu, {args.threads} threads.",
        "",
        "| case | method | torch, compiled | torchkeras, compiled | speed (torch = 1) |",
        "|---|---|---|---|---|",
    ]
    for case in CASES:
        if case.predict or args.only.lower() not in case.name.lower():
            continue
        x, y = case.data(BATCHES * case.batch_size, np.random.default_rng(0))
        theirs, ours = torch_calls(case, x, y), keras_calls(case, x, y)
        for method in METHODS:
            torchs, own = least_times((theirs[method], ours[method]), args.rounds)
            lines.append(f"| {case.name} | {method} | {torchs:.2f} | {own:.2f} | **{torchs / own:.2f}** |")
            print(lines[-1], flush=True)
        if args.out is not None:
            args.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
