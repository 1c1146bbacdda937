"""`jit_compile=True` on two gloo ranks: the largest difference from one uncompiled process, by strategy and model.

python benchmarks/ranks_compiled.py [BACKEND [CASE ...]]      (writes benchmarks/results/ranks_compiled.md)

The backend is the one of `torch.compile`: "aot_eager" (the default: graphs are made, split and differentiated, and
their operations run one by one), or "inductor", which makes C++ of them and takes minutes for each model.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from torch.nn.parallel import DistributedDataParallel

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torchkeras as keras
from tests.distributed import strategy_cases
from tests.distributed.test_equal_to_one_process import compare
from torchkeras.distributed.strategies import data_parallel
from torchkeras.training import compilable

RESULT = Path(__file__).parent / "results" / "ranks_compiled.md"
STRATEGIES, SEED = ("data", "pieces", "model", "sharded"), 11


def cases() -> dict[str, Any]:
    return strategy_cases.CASES


def compile_all(backend: str) -> list[str]:
    """Let every model compile its steps, with this backend; the list of graphs that are made from now on."""
    graphs: list[str] = []
    real, made = torch.compile, compilable.Compiled

    class Compiled(made):  # type: ignore[misc, valid-type]
        def __init__(self, *options: Any) -> None:
            super().__init__(*options[:7], True, *options[8:])

    compilable.Compiled = Compiled  # type: ignore[misc]

    def counted(module: Any, inputs: Any) -> Any:
        graphs.append(type(module).__name__)
        return torch._dynamo.lookup_backend(backend)(module, inputs)

    torch.compile = lambda function, **options: real(function, **{**options, "backend": counted})  # type: ignore[assignment]
    return graphs


def set_message_size(strategy: str) -> None:
    """Let DDP send many messages under "pieces", as it does for models of more than 25 MB: graphs are split there."""
    size = {"bucket_cap_mb": 0.0005} if strategy == "pieces" else {}
    torch.distributed._DEFAULT_FIRST_BUCKET_BYTES = 200 if size else 1 << 20  # type: ignore[attr-defined]
    data_parallel.DistributedDataParallel = functools.partial(DistributedDataParallel, **size)  # type: ignore[assignment, misc]


def worker(folder: str, backend: str, names: list[str]) -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    keras.distribution.initialize()
    ranks, rank = keras.distributed.world_size(), int(os.environ.get("RANK", 0))
    graphs = compile_all(backend) if ranks > 1 else []
    found: dict[str, Any] = {}
    for strategy in STRATEGIES if ranks > 1 else ("alone",):
        set_message_size(strategy)
        for name in names:
            torch._dynamo.reset()
            graphs.clear()
            try:
                values = strategy_cases.run(SEED, strategy, [name])[name]
                found[f"{strategy}/{name}"] = {"values": values, "graphs": len(graphs)}
            except Exception as error:
                found[f"{strategy}/{name}"] = {"error": f"{type(error).__name__}: {error}"[:2000]}
                print(rank, strategy, name, found[f"{strategy}/{name}"]["error"], flush=True)
            (Path(folder) / f"{ranks}-{rank}.json").write_text(json.dumps(found))


def launch(folder: str, ranks: int, arguments: list[str]) -> dict[str, Any]:
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"] if ranks > 1 else []
    command = [sys.executable, *torchrun, __file__, "--worker", folder, *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)}
    subprocess.run(command, env=environment, check=True, stderr=subprocess.DEVNULL, timeout=3000)
    return json.loads((Path(folder) / f"{ranks}-{ranks - 1}.json").read_text())  # type: ignore[no-any-return]


def cell(row: dict[str, Any], alone: Any) -> str:
    if "error" in row:
        return row["error"].splitlines()[0][:60]
    return f"{max(dict(compare(row['values'], alone, '')).values()):.1e} ({row['graphs']})"


def main(backend: str, names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        alone = launch(folder, 1, [backend, *names])
        found = launch(folder, 2, [backend, *names])
    lines = [f"| case | {' | '.join(STRATEGIES)} |", "|---" * (1 + len(STRATEGIES)) + "|"]
    for name in names:
        cells = [cell(found[f"{s}/{name}"], alone[f"alone/{name}"]["values"]) for s in STRATEGIES]
        lines.append(f"| {name.replace('_', ' ')} | {' | '.join(cells)} |")
    page = [
        "# Compiled steps on two ranks",
        "",
        f"Made by `benchmarks/ranks_compiled.py {backend}`: torch {torch.__version__}, gloo. The largest difference",
        "of losses, metrics, weights, `predict` and `evaluate` from one uncompiled process (relative where numbers are",
        "over 1), and in brackets the graphs that were made on a rank. `pieces` is `data` with messages of 500 bytes,",
        "at whose limits torch's DDPOptimizer splits the graphs, as it does at 25 MB.",
        "",
        *lines,
        "",
    ]
    print("\n".join(page))
    if len(names) == len(cases()):
        RESULT.write_text("\n".join(page))


if __name__ == "__main__":
    if "--worker" in sys.argv:
        at = sys.argv.index("--worker")
        worker(sys.argv[at + 1], sys.argv[at + 2], sys.argv[at + 3 :])
    else:
        backend, *names = sys.argv[1:] or ["aot_eager"]
        main(backend, names or list(cases()))
