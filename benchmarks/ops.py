"""What an op costs above the torch calls that it makes, and beside Keras's op on torch.

    python benchmarks/ops.py                  # every op; writes benchmarks/results/ops.md
    python benchmarks/ops.py --only sum,take  # these, printed alone

Overhead: each op is called with the inputs of its first row in `tests/ops/rows/` (a few elements), the torch functions
that it calls are recorded, and then called alone with the same arguments. Sizes: each op against Keras's at 1, 1,000
and 1,000,000 elements (benchmarks/op_inputs.py). All contenders take turns; what counts is the best round of each.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib
import operator
import os
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "torch"
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import keras
import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from benchmarks.op_inputs import FORMS, SIZELESS, forms, inputs
from tests.ops.row import Row, tensors
from torchkeras import ops
from torchkeras.core.operations.op import OPS

SIZES = (1, 1_000, 1_000_000)
LIMIT = 0.5  # microseconds above torch
SLOWER = 1.05  # times Keras's
# Calls that read what a tensor is: part of an op's own cost.
READS = {"dim", "size", "is_floating_point", "is_complex", "numel", "__len__"}
VIEWS = {"real", "imag", "mH", "mT", "H", "T"}  # attributes that are calls of torch


class Recorder(TorchFunctionMode):
    """Keeps each torch function that is called, with its arguments."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Callable, tuple, dict]] = []

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        name = getattr(func, "__name__", "")
        view = name == "__get__" and getattr(func.__self__, "__name__", "") in VIEWS
        if view or name not in READS and name != "__get__":
            self.calls.append((func, args, kwargs or {}))
        return func(*args, **(kwargs or {}))


def keep_freed_memory() -> None:
    """Has glibc give back less of what is freed: else a call of megabytes is slow or not by what came before it."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(-1, 1 << 30)  # of the heap's end: from 1 GiB
        libc.mallopt(-3, 1 << 25)  # of a map of its own: from 32 MiB, the most there is


def best_microseconds(
    contenders: list[Callable[[], Any]], rounds: int = 15, budget: float = 1.5e-3, most: float = 2.0
) -> list[float]:
    """The best time of a call of each; they take turns.

    Args:
        budget: seconds of a contender's turn.
        most: seconds of all rounds together, beyond two rounds.
    """
    counts, seconds = [], 0.0
    for call in contenders:
        call()
        start = time.perf_counter()
        call()
        taken = max(time.perf_counter() - start, 1e-7)
        counts.append(max(1, min(2000, int(budget / taken))))
        seconds += counts[-1] * taken
    best = [float("inf")] * len(contenders)
    turns = list(enumerate(zip(contenders, counts)))
    for _ in range(min(rounds, max(2, int(most / seconds)))):
        turns.reverse()
        for i, (call, count) in turns:
            start = time.perf_counter()
            for _ in range(count):
                call()
            best[i] = min(best[i], (time.perf_counter() - start) / count)
    return [seconds * 1e6 for seconds in best]


def replay(calls: list[tuple[Callable, tuple, dict]]) -> Callable[[], Any]:
    """A function that makes the calls again, one a line, as they would stand in a program."""
    scope: dict[str, Any] = {}
    lines = ["def bare():", "    pass"]
    for i, (func, args, kwargs) in enumerate(calls):
        values = {f"a{i}_{j}": value for j, value in enumerate(args)}
        named = {f"k{i}_{name}": value for name, value in kwargs.items()}
        scope |= {f"f{i}": func, **values, **named}
        given = [*values, *(f"{name}=k{i}_{name}" for name in kwargs)]
        lines.append(f"    f{i}({', '.join(given)})")
    exec("\n".join(lines), scope)
    return scope["bare"]


def overhead(row: Row) -> dict[str, Any] | None:
    """One row: microseconds of the torch calls alone, of the op, and of Keras's op; None: no calls to make alone."""
    given = tensors(row.arrays(np.random.default_rng(0)))
    find = operator.attrgetter(row.op)  # also in a sub-namespace: image.resize
    ours, theirs = find(ops), find(keras.ops)
    with Recorder() as recorder:
        ours(*given, **row.config)
    bare = replay(recorder.calls)

    try:
        bare()
    except RuntimeError:  # of vmap or of a forward gradient
        return None
    config = row.config
    contenders = [bare, lambda: ours(*given, **config)]
    if row.keras is True:
        contenders.append(lambda: theirs(*given, **config))
    torch_time, our_time, *keras_time = best_microseconds(contenders)
    names = [getattr(func, "__name__", str(func)) for func, _, _ in recorder.calls]
    return {
        "op": row.op,
        "calls": names,
        "torch": torch_time,
        "ours": our_time,
        "overhead": our_time - torch_time,
        "keras": keras_time[0] if keras_time else None,
    }


def by_size(form: str, rounds: int) -> dict[str, Any]:
    """Times of an op over Keras's at each size; where ours seems to be slower it is measured on."""
    find = operator.attrgetter(form.split(":")[0])
    ours, theirs = find(ops), find(keras.ops)
    ratios = {}
    for size in SIZES:
        args, kwargs = inputs(form, size)
        contenders = [lambda: ours(*args, **kwargs), lambda: theirs(*args, **kwargs)]
        a, b = best_microseconds(contenders, rounds)
        for _ in range(2):
            if a > SLOWER * b:
                a, b = map(min, zip((a, b), best_microseconds(contenders, 2 * rounds)))
        ratios[size] = a / b
    return {"op": form, **ratios}


def first_rows() -> list[Row]:
    folder = ROOT / "tests" / "ops" / "rows"
    modules = [importlib.import_module(f"tests.ops.rows.{p.stem}") for p in sorted(folder.glob("[a-z]*.py"))]
    first: dict[str, Row] = {}
    for row in (row for module in modules for row in module.ROWS):
        first.setdefault(row.op, row)
    return [first[name] for name in sorted(first)]


def compared(sizes: list[dict], names: list[str]) -> str:
    """How many ops were compared by size, and why the others were not."""
    done = {row["op"].split(":")[0] for row in sizes}
    left = [f"{name} ({SIZELESS.get(name, 'no inputs')})" for name in names if name not in done]
    return f"{len(done)} of {len(names)} ops in {len(sizes)} forms; not compared: {', '.join(left) or 'none'}"


def table(rows: list[dict], sizes: list[dict], names: list[str]) -> str:
    over = [row for row in rows if row["overhead"] > LIMIT]
    alone = [row for row in rows if len(row["calls"]) == 1]
    each = [row for row in rows if row["overhead"] > LIMIT * max(len(row["calls"]), 1)]
    beside = [row["ours"] / row["keras"] for row in rows if row["keras"]]
    slower = [(row["op"], size) for row in sizes for size in SIZES if row[size] > SLOWER]
    lines = [
        "# Cost of the ops",
        "",
        f"{date.today()}, CPU, 1 thread, Python {platform.python_version()}, torch {torch.__version__}, "
        f"Keras {keras.__version__}. Times in microseconds.",
        "",
        f"Above the torch calls that they make: {len(rows)} ops, median "
        f"{statistics.median(row['overhead'] for row in rows):.2f}; above {LIMIT}: {len(over)}; "
        f"of the {len(alone)} ops of one call: {sum(row in over for row in alone)}; above {LIMIT} for each call: "
        f"{len(each)} ({', '.join(row['op'] for row in each)}). "
        f"Time over Keras's on the same few elements: median {statistics.median(beside):.2f}, "
        f"highest {max(beside):.2f}.",
        "",
        f"Slower than Keras's by more than 5% at {', '.join(f'{s:,}' for s in SIZES)} elements: "
        + (", ".join(f"{name} ({size:,})" for name, size in slower) or "none")
        + f"; {compared(sizes, names)}.",
        "",
        "| op | torch calls | torch | op | overhead | Keras |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        calls = ", ".join(row["calls"][:4]) + (f" and {len(row['calls']) - 4} more" if len(row["calls"]) > 4 else "")
        theirs = f"{row['keras']:.2f}" if row["keras"] else ""
        lines.append(
            f"| {row['op']} | {calls} | {row['torch']:.2f} | {row['ours']:.2f} | {row['overhead']:.2f} | {theirs} |"
        )
    lines += [
        "",
        "Time over Keras's by size (below 1: faster):",
        "",
        "| op | " + " | ".join(f"{s:,}" for s in SIZES) + " |",
    ]
    lines.append("|---|" + "---|" * len(SIZES))
    lines += [f"| {row['op']} | " + " | ".join(f"{row[size]:.2f}" for size in SIZES) + " |" for row in sizes]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="names of ops, separated by commas")
    parser.add_argument("--rounds", type=int, default=20, help="turns of each contender at each size")
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    warnings.simplefilter("ignore")  # Keras's, of what torch will drop
    chosen = set(options.only.split(",")) if options.only else None
    measured = {row.op: overhead(row) for row in first_rows() if chosen is None or row.op in chosen}
    rows = [result for result in measured.values() if result is not None]
    print(
        "Not measured, for their torch calls belong inside a transform:", *(n for n, r in measured.items() if r is None)
    )
    names = sorted({*OPS, *(form.split(":")[0] for form in FORMS)})
    names = [name for name in names if chosen is None or name in chosen]
    sizes = [by_size(form, options.rounds) for name in names for form in forms(name)]
    text = table(rows, sizes, names)
    print(text)
    if chosen is None:
        (ROOT / "benchmarks" / "results" / "ops.md").write_text(text)


if __name__ == "__main__":
    with torch.no_grad():
        main()
