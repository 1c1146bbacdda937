"""Samples a second of torchkeras against a hand-written torch loop and against Keras on torch.

    python benchmarks/speed.py                       # all cases; writes benchmarks/results/
    python benchmarks/speed.py --only LSTM --quick   # cases whose name contains "LSTM", few samples
    python benchmarks/speed.py --compiled --cpu-time --threads 1   # against a loop compiled by torch.compile

Each case runs in a process of its own. There the contenders take turns, a few epochs each, several rounds; what counts
is the best epoch of each. A ratio is samples a second against the torch loop's in the same process.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SUFFIXES = {"cpu": "", "cuda": "-cuda"}
COMPILED = ["torch compiled", "torchkeras compiled"]


def main() -> None:
    options = _options()
    if options.case is not None:
        print(json.dumps(run_case(options)))
        return
    import torch

    from cases import CASES

    devices = [options.device] if options.device else ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    for device in devices:
        chosen = [i for i, case in enumerate(CASES) if not options.only or options.only.lower() in case.name.lower()]
        rows = []
        for precision in ["float32", "bfloat16"] if device == "cuda" else ["float32"]:
            for index in chosen:
                rows.append(_worker(index, device, precision, options))
                print(_line(rows[-1], options), flush=True)
        table = _table(rows, device, options)
        print("\n" + table)
        if not (options.only or options.quick or options.contenders):
            _write(table, rows, device, options.compiled)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="cases whose name contains this")
    parser.add_argument("--quick", action="store_true", help="a quarter of the samples, one round")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=2, help="epochs a round")
    parser.add_argument("--contenders", nargs="*", choices=["torch", "torchkeras", "keras", *COMPILED])
    parser.add_argument("--device", choices=["cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0: as many as torch takes")
    parser.add_argument(
        "--fused", action="store_true", help="torch's loop with Adam(fused=True), which is not its default"
    )
    parser.add_argument("--jit", action="store_true", help="torchkeras with jit_compile=True")
    parser.add_argument("--compiled", action="store_true", help="torch's loop and torchkeras, both compiled, and eager")
    parser.add_argument("--cpu-time", action="store_true", help="seconds of the processor instead of the clock's")
    parser.add_argument("--precision", default="float32", help=argparse.SUPPRESS)
    parser.add_argument("--case", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


# ------------------------------------------------------------------------------------------------ one case


def run_case(options: argparse.Namespace) -> dict[str, Any]:
    """Time one case in this process; seconds of the best epoch by contender."""
    import numpy as np
    import torch

    import contenders
    from cases import CASES

    if options.cpu_time:
        contenders.clock = time.process_time
    if options.threads:
        torch.set_num_threads(options.threads)
    case = CASES[options.case]
    samples = case.samples // 4 if options.quick else case.samples
    if options.device == "cuda":
        samples *= 4
    x, y = case.data(samples, np.random.default_rng(0))
    bf16 = options.precision == "bfloat16"
    runs: dict[str, Any] = {}
    failures: dict[str, str] = {}
    for name in options.contenders or ["torch", "torchkeras", *(COMPILED if options.compiled else ["keras"])]:
        try:
            library, _, compiled = name.partition(" ")
            if library == "torch":
                fused = options.fused
                runs[name] = contenders.torch_loop(case, x, y, options.device, bf16, fused, bool(compiled))
            else:
                jit = True if compiled or (options.jit and name == "torchkeras") else None
                lib = importlib.import_module(library)
                runs[name] = contenders.keras_fit(lib, case, x, y, options.device, bf16, jit)
            runs[name](1)  # warm up
        except Exception as error:
            runs.pop(name, None)
            failures[name] = f"{type(error).__name__}: {error}"
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(1 if options.quick else options.rounds):
        for name, run in runs.items():
            seconds[name] += run(options.epochs)
    best = {name: min(times) for name, times in seconds.items()}
    row = {"case": case.name, "precision": options.precision, "samples": samples, "seconds": best, "failures": failures}
    if options.device == "cuda" and "torchkeras" in runs and not bf16 and not case.predict:
        contenders.epoch_without_sync(importlib.import_module("torchkeras"), case, x, y)
        row["without_sync"] = True
    return row


def _worker(index: int, device: str, precision: str, options: argparse.Namespace) -> dict[str, Any]:
    command = [sys.executable, str(HERE / "speed.py"), "--case", str(index), "--device", device]
    command += ["--precision", precision, "--rounds", str(options.rounds), "--epochs", str(options.epochs)]
    command += ["--threads", str(options.threads)]
    flags = ("quick", "fused", "jit", "compiled", "cpu-time")
    command += [f"--{name}" for name in flags if getattr(options, name.replace("-", "_"))]
    if options.contenders:
        command += ["--contenders", *options.contenders]
    path = os.pathsep.join([str(HERE.parent), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
    environment = {**os.environ, "KERAS_BACKEND": "torch", "PYTHONPATH": path.rstrip(os.pathsep)}
    if device == "cpu":
        environment["CUDA_VISIBLE_DEVICES"] = ""
    done = subprocess.run(command, stdout=subprocess.PIPE, env=environment, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


# ------------------------------------------------------------------------------------------------ the table


COLUMNS = ["torch", "torchkeras", "keras"]
RATIOS = [("torchkeras", "torch"), ("torchkeras", "keras"), ("keras", "torch")]
COMPILED_COLUMNS = ["torch", "torchkeras", *COMPILED]
COMPILED_RATIOS = [
    ("torchkeras", "torch"),
    ("torchkeras compiled", "torch compiled"),
    ("torchkeras compiled", "torchkeras"),
]
TITLES = {"torch": "torch loop", "torch compiled": "torch loop, compiled", "keras": "Keras"}


def _line(row: dict[str, Any], options: argparse.Namespace) -> str:
    speeds = {name: row["samples"] / seconds for name, seconds in row["seconds"].items()}
    cells = [row["case"] + (", bf16" if row["precision"] == "bfloat16" else "")]
    columns, ratios = (COMPILED_COLUMNS, COMPILED_RATIOS) if options.compiled else (COLUMNS, RATIOS)
    cells += [f"{speeds[name]:,.0f}" if name in speeds else "" for name in columns]
    for one, other in ratios:
        ratio = f"{speeds[one] / speeds[other]:.2f}" if {one, other} <= speeds.keys() else ""
        cells.append(f"**{ratio}**" if ratio and one != "keras" else ratio)
    notes = "".join(f" {name} failed: {message.splitlines()[0]}" for name, message in row["failures"].items())
    return "| " + " | ".join(cells) + " |" + notes


def _table(rows: list[dict[str, Any]], device: str, options: argparse.Namespace) -> str:
    columns, ratios = (COMPILED_COLUMNS, COMPILED_RATIOS) if options.compiled else (COLUMNS, RATIOS)
    titles = [TITLES.get(name, name) for name in columns]
    titles += [f"{one} / {TITLES[other] if other == 'keras' else other}" for one, other in ratios]
    titles = [title.replace("keras /", "Keras /") if title.startswith("keras") else title for title in titles]
    head = ["| case | " + " | ".join(titles) + " |", "|---" * (1 + len(titles)) + "|"]
    lines = [_line(row, options) for row in rows]
    seconds = "second of processor time" if options.cpu_time else "second"
    return "\n".join([f"Samples per {seconds}, best epoch. " + _machine(device, options), "", *head, *lines]) + "\n"


def _machine(device: str, options: argparse.Namespace) -> str:
    from importlib.metadata import version

    import torch

    where = (
        torch.cuda.get_device_name() if device == "cuda" else f"{options.threads or torch.get_num_threads()} threads"
    )
    return (
        f"{date.today()}, {device}, {where}, Python {platform.python_version()}, torch {torch.__version__}, "
        f"Keras {version('keras')}; {options.rounds} rounds of {options.epochs} epochs"
        + (", torch with Adam(fused=True)" if options.fused else "")
        + (", torchkeras with jit_compile=True" if options.jit else "")
        + "."
    )


def _write(table: str, rows: list[dict[str, Any]], device: str, compiled: bool) -> None:
    results = HERE / "results"
    results.mkdir(exist_ok=True)
    name = "speed" + ("_compiled" if compiled else "") + SUFFIXES[device]
    title = "# Speed of compiled steps" if compiled else "# Speed"
    (results / f"{name}.md").write_text(f"{title}\n\n{table}")
    (results / f"{name}.json").write_text(json.dumps(rows, indent=1) + "\n")
    print(f"written to {results / name}.md and .json")


if __name__ == "__main__":
    main()
