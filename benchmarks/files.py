"""Time and memory of saving and loading large files, beside Keras and beside reading or writing the bytes alone.

    python benchmarks/files.py [--gigabytes 2] [--rows keras weights]

Each row comes from processes of their own, after a small model was saved and loaded: the least of three loads, one
save. "bytes" is the time of reading or writing a file of that size in one call, in the same process and right after
each. "peak" is the greatest memory beyond what was in use before, in parts of the weights: a loaded model needs 1.00.
Beside stands Keras; beside `.safetensors`, which Keras has not, the `load_file` and `save_file` of safetensors itself,
with the values copied into the model, as `load_state_dict` does.
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
import torch

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
BESIDE = {"keras": "keras", "weights": "keras", "sharded": "keras", "safetensors": "safetensors"}
LOADS = 3


def save_file(package: Any, model: Any, path: str) -> None:
    from safetensors.torch import save_file

    save_file({name: value.detach().as_subclass(torch.Tensor) for name, value in model.state_dict().items()}, path)


def load_file(package: Any, model: Any, path: str) -> None:
    from safetensors.torch import load_file

    model.load_state_dict(load_file(path))


OWN_OF_SAFETENSORS = (".safetensors", save_file, load_file)


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
    package = library("torchkeras" if name == "safetensors" else name)
    _, save, load = OWN_OF_SAFETENSORS if name == "safetensors" else ROWS[row]
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
    times, alone, peak = [], [], 0.0
    for attempt in range(LOADS if action == "load" else 1):
        start = time.perf_counter()
        result = (save if action == "save" else load)(package, model, path)
        times.append(time.perf_counter() - start)
        weights = sum(p.numel() * 4 for p in (result if whole else model).parameters())
        if attempt == 0:
            peak = (memory("VmHWM") - before) / weights
        result = None
        alone.append(bytes_alone(action, path, weights))
    return {"seconds": min(times), "peak": peak, "bytes": min(alone), "gib": weights / 2**30}


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
        "| format | | seconds | bytes alone | ratio | peak | Keras, safetensors: seconds | peak |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in given.rows:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, f"model{ROWS[row][0]}")
            for action in ("save", "load"):
                ours = child(row, "torchkeras", action, path, given.gigabytes)
                other = os.path.join(folder, f"other{ROWS[row][0]}")
                theirs = child(row, BESIDE[row], action, other, given.gigabytes)
                beside = f"{theirs['seconds']:.2f} | {theirs['peak']:.2f}"
                lines.append(
                    f"| `{ROWS[row][0]}` | {action} | {ours['seconds']:.2f} | {ours['bytes']:.2f} | "
                    f"{ours['seconds'] / ours['bytes']:.2f} | {ours['peak']:.2f} | {beside} |"
                )
                print(lines[-1], flush=True)
    RESULTS.write_text(
        f"# Saving and loading {given.gigabytes:g} GiB of weights\n\nWritten by `benchmarks/files.py`, on "
        f"{os.cpu_count()} cores with a load of {os.getloadavg()[0]:.0f} of other programs, files in the page cache. "
        f"Saving ends when the bytes are on the disk for ours and for the bytes alone, not for the others. Peaks are "
        f"parts of the weights. Beside `.safetensors` stands the library of that name.\n\n" + "\n".join(lines) + "\n"
    )


if __name__ == "__main__":
    main()
