"""What an op costs above the torch calls that it makes, and beside Keras's op on torch.

    python benchmarks/ops.py                  # every op; writes benchmarks/results/ops.md
    python benchmarks/ops.py --only sum,take  # these, printed alone

Overhead: each op is called with the inputs of its first row in `tests/ops/rows/` (a few elements), the torch functions
that it calls are recorded, and then called alone with the same arguments. Sizes: ops of one shape against Keras's at
1, 1,000 and 1,000,000 elements. All contenders take turns; what counts is the best round of each.
"""

from __future__ import annotations

import argparse
import importlib
import operator
import os
import platform
import statistics
import sys
import time
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

from tests.ops.row import Row, tensors
from torchkeras import ops
from torchkeras.core.op import OPS

SIZES = (1, 1_000, 1_000_000)
LIMIT = 0.5  # microseconds above torch
SLOWER = 1.05  # times Keras's
# Calls that read what a tensor is: part of an op's own cost.
READS = {"dim", "size", "is_floating_point", "is_complex", "numel", "__len__"}
VIEWS = {"real", "imag", "mH", "mT", "H", "T"}  # attributes that are calls of torch
REDUCTIONS = set(
    "sum mean max min prod var std any all argmax argmin cumsum cumprod sort argsort median flip ravel count_nonzero "
    "nansum nanmean diff norm".split()
)


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


def best_microseconds(contenders: list[Callable[[], Any]], rounds: int = 15, budget: float = 1.5e-3) -> list[float]:
    """The best time of a call of each; they take turns."""
    counts = []
    for call in contenders:
        call()
        start = time.perf_counter()
        call()
        counts.append(max(1, min(2000, int(budget / max(time.perf_counter() - start, 1e-7)))))
    best = [float("inf")] * len(contenders)
    for _ in range(rounds):
        for i, (call, count) in enumerate(zip(contenders, counts)):
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


def sized(name: str, size: int) -> tuple | None:
    """Arguments of about `size` elements for an op, or None where the op has no such form."""
    side = max(1, int(size**0.5))
    generator = torch.Generator().manual_seed(0)
    flat = torch.rand(size, generator=generator) * 0.8 + 0.1
    square = (torch.rand(side, side, generator=generator) * 0.8 + 0.1).contiguous()
    special: dict[str, tuple] = {
        "take": (flat, torch.randint(0, size, (side,), generator=generator)),
        "concatenate": ([flat, flat],),
        "stack": ([flat, flat],),
        "matmul": (square, square),
        "dot": (square, square),
        "transpose": (square,),
        "softmax": (square,),
        "log_softmax": (square,),
        "logsumexp": (square,),
        "where": (flat > 0.5, flat, flat),
        "clip": (flat, 0.2, 0.7),
        "reshape": (square, (-1,)),
        "one_hot": (torch.randint(0, 10, (max(1, size // 10),), generator=generator), 10),
        "pad": (square, ((1, 1), (1, 1))),
        "tile": (square, (2, 1)),
        "repeat": (flat, 2),
        "expand_dims": (flat, 0),
        "cast": (flat, "float16"),
        "full_like": (flat, 2.5),
        "imag": (torch.complex(flat, flat),),
        "ldexp": (flat, (flat * 10).to(torch.int32)),
    }
    if name in special:
        return special[name]
    if name in REDUCTIONS:
        return (flat,)
    definition = OPS[name]
    if definition.elementwise and len(definition.tensors) in (1, 2) and not definition.variadic:
        required = [n for n in definition.config if n not in definition.defaults]
        if required:
            return None
        if "bitwise" in name or "shift" in name or name in {"gcd", "lcm"}:
            whole = (flat * 10).to(torch.int32)
            return (whole,) * len(definition.tensors)
        return (flat,) * len(definition.tensors)
    return None


def by_size(name: str) -> dict[str, Any] | None:
    """Times of an op over Keras's at each size."""
    ours, theirs = getattr(ops, name), getattr(keras.ops, name)
    ratios = {}
    for size in SIZES:
        args = sized(name, size)
        if args is None:
            return None
        rounds = 15 if size < 1_000_000 else 25
        a, b = best_microseconds([lambda: ours(*args), lambda: theirs(*args)], rounds)
        ratios[size] = a / b
    return {"op": name, **ratios}


def first_rows() -> list[Row]:
    folder = ROOT / "tests" / "ops" / "rows"
    modules = [importlib.import_module(f"tests.ops.rows.{p.stem}") for p in sorted(folder.glob("[a-z]*.py"))]
    first: dict[str, Row] = {}
    for row in (row for module in modules for row in module.ROWS):
        first.setdefault(row.op, row)
    return [first[name] for name in sorted(first)]


def table(rows: list[dict], sizes: list[dict]) -> str:
    over = [row for row in rows if row["overhead"] > LIMIT]
    beside = [row["ours"] / row["keras"] for row in rows if row["keras"]]
    slower = [(row["op"], size) for row in sizes for size in SIZES if row[size] > SLOWER]
    lines = [
        "# Cost of the ops",
        "",
        f"{date.today()}, CPU, 1 thread, Python {platform.python_version()}, torch {torch.__version__}, "
        f"Keras {keras.__version__}. Times in microseconds.",
        "",
        f"Above the torch calls that they make: {len(rows)} ops, median "
        f"{statistics.median(row['overhead'] for row in rows):.2f}; above {LIMIT}: {len(over)}. "
        f"Time over Keras's on the same few elements: median {statistics.median(beside):.2f}, "
        f"highest {max(beside):.2f}.",
        "",
        f"Slower than Keras's by more than 5% at {', '.join(f'{s:,}' for s in SIZES)} elements: "
        + (", ".join(f"{name} ({size:,})" for name, size in slower) or "none")
        + f", of {len(sizes)} ops.",
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
    options = parser.parse_args()
    torch.set_num_threads(1)
    chosen = set(options.only.split(",")) if options.only else None
    measured = {row.op: overhead(row) for row in first_rows() if chosen is None or row.op in chosen}
    rows = [result for result in measured.values() if result is not None]
    print(
        "Not measured, for their torch calls belong inside a transform:", *(n for n, r in measured.items() if r is None)
    )
    named = [name for name in sorted(OPS) if (chosen is None or name in chosen) and hasattr(ops, name)]
    sizes = [result for result in map(by_size, named) if result is not None]
    text = table(rows, sizes)
    print(text)
    if chosen is None:
        (ROOT / "benchmarks" / "results" / "ops.md").write_text(text)


if __name__ == "__main__":
    with torch.no_grad():
        main()
