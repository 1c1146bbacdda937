"""Samples a second of torchkeras against a hand-written torch loop and against Keras on torch.

    python benchmarks/speed.py                       # all cases; writes benchmarks/results/
    python benchmarks/speed.py --only LSTM --quick   # cases whose name contains "LSTM", few samples

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
from datetime import date
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SUFFIXES = {"cpu": "", "cuda": "-cuda"}


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
                print(_line(rows[-1]), flush=True)
        table = _table(rows, device, options)
        print("\n" + table)
        if not (options.only or options.quick or options.contenders):
            _write(table, rows, device)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="cases whose name contains this")
    parser.add_argument("--quick", action="store_true", help="a quarter of the samples, one round")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=2, help="epochs a round")
    parser.add_argument("--contenders", nargs="*", choices=["torch", "torchkeras", "keras"])
    parser.add_argument("--device", choices=["cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0: as many as torch takes")
    parser.add_argument(
        "--fused", action="store_true", help="torch's loop with Adam(fused=True), which is not its default"
    )
    parser.add_argument("--jit", action="store_true", help="torchkeras with jit_compile=True")
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
    for name in options.contenders or ["torch", "torchkeras", "keras"]:
        try:
            if name == "torch":
                runs[name] = contenders.torch_loop(case, x, y, options.device, bf16, options.fused)
            else:
                jit = True if options.jit and name == "torchkeras" else None
                lib = importlib.import_module(name)
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
    command += [f"--{name}" for name in ("quick", "fused", "jit") if getattr(options, name)]
    if options.contenders:
        command += ["--contenders", *options.contenders]
    path = os.pathsep.join([str(HERE.parent), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
    environment = {**os.environ, "KERAS_BACKEND": "torch", "PYTHONPATH": path.rstrip(os.pathsep)}
    if device == "cpu":
        environment["CUDA_VISIBLE_DEVICES"] = ""
    done = subprocess.run(command, stdout=subprocess.PIPE, env=environment, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


# ------------------------------------------------------------------------------------------------ the table


def _line(row: dict[str, Any]) -> str:
    speeds = {name: row["samples"] / seconds for name, seconds in row["seconds"].items()}
    cells = [row["case"] + (", bf16" if row["precision"] == "bfloat16" else "")]
    cells += [f"{speeds[name]:,.0f}" if name in speeds else "" for name in ("torch", "torchkeras", "keras")]
    for other in ("torch", "keras"):
        cells.append(
            f"**{speeds['torchkeras'] / speeds[other]:.2f}**" if {"torchkeras", other} <= speeds.keys() else ""
        )
    cells.append(f"{speeds['keras'] / speeds['torch']:.2f}" if {"keras", "torch"} <= speeds.keys() else "")
    notes = "".join(f" {name} failed: {message.splitlines()[0]}" for name, message in row["failures"].items())
    return "| " + " | ".join(cells) + " |" + notes


def _table(rows: list[dict[str, Any]], device: str, options: argparse.Namespace) -> str:
    head = [
        "| case | torch loop | torchkeras | Keras | torchkeras / torch | torchkeras / Keras | Keras / torch |",
        "|---|---|---|---|---|---|---|",
    ]
    return (
        "\n".join(["Samples per second, best epoch. " + _machine(device, options), "", *head, *map(_line, rows)]) + "\n"
    )


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


def _write(table: str, rows: list[dict[str, Any]], device: str) -> None:
    results = HERE / "results"
    results.mkdir(exist_ok=True)
    name = "speed" + SUFFIXES[device]
    (results / f"{name}.md").write_text("# Speed\n\n" + table)
    (results / f"{name}.json").write_text(json.dumps(rows, indent=1) + "\n")
    print(f"written to {results / name}.md and .json")


if __name__ == "__main__":
    main()
