"""Seconds that `import torchkeras` takes beyond `import torch`: the median of several fresh processes each."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = "import time; a = time.perf_counter(); import {}; print(time.perf_counter() - a)"
LIMIT = 0.3


def seconds(module: str, cache: str, runs: int = 7) -> float:
    """The median over fresh processes, the first of which only warms the disk's cache."""
    environment = {**os.environ, "KERAS_BACKEND": "torch", "PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": cache}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package is compiled once
    command = [sys.executable, "-c", PROGRAM.format(module)]
    times = [
        float(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
        for _ in range(runs + 1)
    ]
    return statistics.median(times[1:])


def main() -> None:
    with tempfile.TemporaryDirectory() as cache:
        times = {module: seconds(module, cache) for module in ("torch", "torchkeras", "keras")}
    beyond = {module: value - times["torch"] for module, value in times.items() if module != "torch"}
    for module, value in times.items():
        extra = f", {beyond[module]:.3f} s beyond torch" if module in beyond else ""
        print(f"import {module}: {value:.3f} s{extra}")
    results = ROOT / "benchmarks" / "results" / "import_time.json"
    results.parent.mkdir(exist_ok=True)
    results.write_text(json.dumps({"seconds": times, "beyond_torch": beyond, "limit": LIMIT}, indent=1) + "\n")
    if beyond["torchkeras"] > LIMIT:
        sys.exit(f"torchkeras takes {beyond['torchkeras']:.3f} s beyond torch; at most {LIMIT} s are allowed.")


if __name__ == "__main__":
    main()
