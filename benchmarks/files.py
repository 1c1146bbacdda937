"""Time and memory of saving and loading large files, beside Keras and beside reading or writing the bytes alone.

    python benchmarks/files.py [--gigabytes 2] [--rows keras weights]

Each number comes from a process of its own, after a small model was saved and loaded. "bytes" is the time of reading or
writing a file of that size in one call, in the same process and right after. "peak" is the greatest memory beyond what
was in use before, in parts of the weights: a loaded model needs 1.00.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).parent / "results" / "files.md"

# Each row: the ending of the file, and how a model is saved to it and loaded from it.
ROWS: dict[str, tuple[str, Callable[..., Any], Callable[..., Any]]] = {
    "keras": (".keras", lambda k, model, path: model.save(path), lambda k, model, path: k.saving.load_model(path)),
    "weights": (
        ".weights.h5",
        lambda k, model, path: model.save_weights(path),
        lambda k, model, path: model.load_weights(path),
    ),
    "sharded": (
        ".weights.json",
        lambda k, model, path: model.save_weights(path, max_shard_size=0.5),
        lambda k, model, path: model.load_weights(path),
    ),
    "safetensors": (
        ".safetensors",
        lambda k, model, path: model.save_weights(path),
        lambda k, model, path: model.load_weights(path),
    ),
}
KERAS_HAS = {"keras", "weights", "sharded"}


def library(name: str) -> Any:
    os.environ["KERAS_BACKEND"] = "torch"
    return __import__(name)


def make(package: Any, gigabytes: float) -> Any:
    size = max(4, int((gigabytes * 2**30 / 4 / 16) ** 0.5))
    return package.Sequential([package.Input((size,)), *(package.layers.Dense(size) for _ in range(16))])


def memory(field: str) -> int:
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(field))


def measure(row: str, name: str, action: str, path: str, gigabytes: float) -> dict[str, float]:
    """One number, in this process."""
    package = library(name)
    _, save, load = ROWS[row]
    with tempfile.TemporaryDirectory(dir=os.path.dirname(path)) as folder:
        small = os.path.join(folder, f"small{ROWS[row][0]}")
        model = make(package, 1e-6)
        save(package, model, small)
        load(package, model, small)
    whole = row == "keras" and action == "load"
    model = None if whole else make(package, gigabytes)
    before = memory("VmRSS")
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    start = time.perf_counter()
    result = (save if action == "save" else load)(package, model, path)
    seconds = time.perf_counter() - start
    weights = sum(p.numel() * 4 for p in (result if whole else model).parameters())
    peak = (memory("VmHWM") - before) / weights
    return {"seconds": seconds, "peak": peak, "bytes": bytes_alone(action, path, weights), "gib": weights / 2**30}


def bytes_alone(action: str, path: str, size: int) -> float:
    """Seconds for the bytes of the weights, in one call."""
    if action == "save":
        data = bytearray(size)
        plain = f"{path}.plain"
        start = time.perf_counter()
        with open(plain, "wb", buffering=0) as file:
            file.write(data)
            os.fsync(file.fileno())
        seconds = time.perf_counter() - start
        os.unlink(plain)
        return seconds
    places = sorted(Path(path).parent.glob("*.*"), key=lambda p: p.stat().st_size, reverse=True)
    start = time.perf_counter()
    view = memoryview(np.empty(size, "u1"))  # new memory, as a loaded model needs
    for place in places:
        with open(place, "rb", buffering=0) as file:
            while view and (count := file.readinto(view)):
                view = view[count:]
    return time.perf_counter() - start


def child(*arguments: Any) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, __file__, "--child", json.dumps(arguments)], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--rows", nargs="*", default=list(ROWS), choices=list(ROWS))
    parser.add_argument("--child")
    given = parser.parse_args()
    if given.child:
        print(json.dumps(measure(*json.loads(given.child))))
        return
    lines = [
        "| format | | seconds | bytes alone | ratio | peak | Keras: seconds | peak |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in given.rows:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, f"model{ROWS[row][0]}")
            for action in ("save", "load"):
                ours = child(row, "torchkeras", action, path, given.gigabytes)
                theirs = child(row, "keras", action, path, given.gigabytes) if row in KERAS_HAS else None
                beside = f"{theirs['seconds']:.2f} | {theirs['peak']:.2f}" if theirs else "- | -"
                lines.append(
                    f"| `{ROWS[row][0]}` | {action} | {ours['seconds']:.2f} | {ours['bytes']:.2f} | "
                    f"{ours['seconds'] / ours['bytes']:.2f} | {ours['peak']:.2f} | {beside} |"
                )
                print(lines[-1], flush=True)
    RESULTS.write_text(
        f"# Saving and loading {given.gigabytes:g} GiB of weights\n\nWritten by `benchmarks/files.py`, on "
        f"{os.cpu_count()} cores, files in the page cache. Peaks are parts of the weights.\n\n"
        + "\n".join(lines)
        + "\n"
    )


if __name__ == "__main__":
    main()
