"""Starting workers: alone, and several under torchrun."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def start(script: Path, *arguments: Any, ranks: int = 1, timeout: float = 300) -> subprocess.CompletedProcess:
    """Run a script by itself, or on so many ranks of one machine, on the CPU."""
    torchrun = ["-m", "torch.distributed.run", f"--nproc-per-node={ranks}", "--master-port=0", "--rdzv-backend=c10d"]
    torchrun += ["--rdzv-endpoint=localhost:0"]
    command = [sys.executable, *(torchrun if ranks > 1 else ()), str(script), *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(script.parent), environment.get("PYTHONPATH", "")])
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        environment.pop(name, None)
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=environment)


def results(folder: Path, script: Path, *arguments: Any, ranks: int = 1) -> tuple[list[dict], str]:
    """What each rank wrote to `<folder>/<rank>.json`, and what was printed."""
    folder.mkdir(parents=True, exist_ok=True)
    done = start(script, folder, *arguments, ranks=ranks)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(ranks)], done.stdout + done.stderr
