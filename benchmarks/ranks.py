"""Several gloo ranks on the CPU: equality with one process, time per step, messages and bytes per step, memory.

python benchmarks/ranks.py          (writes benchmarks/results/ranks.md; takes some minutes)
python benchmarks/ranks.py --no-equality        (prints the page without the first table, which takes longest)

Time per step is compared with loops written by hand around torch's DistributedDataParallel and fully_shard, in the same
processes and in turns. The script starts itself under torchrun.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import distributed, nn

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torchkeras as keras
from tests.distributed import strategy_cases
from tests.distributed.test_equal_to_one_process import compare

RESULT = Path(__file__).parent / "results" / "ranks.md"
WIDTH, LAYERS, BATCH, STEPS, ROUNDS, SEED = 512, 4, 64, 20, 5, 11
STRATEGIES = {1: [], 2: ["data", "model", "sharded"], 4: ["data", "model", "hybrid", "sharded"]}

# ---------------------------------------------------------------------------- the network, twice


def ours() -> Any:
    hidden = [keras.layers.Dense(WIDTH, activation="relu", name=f"wide_{i}") for i in range(LAYERS)]
    model = keras.Sequential([keras.Input((WIDTH,)), *hidden, keras.layers.Dense(10, name="out")])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.001), loss)
    return model


def by_hand() -> nn.Sequential:
    hidden = [layer for _ in range(LAYERS) for layer in (nn.Linear(WIDTH, WIDTH), nn.ReLU())]
    return nn.Sequential(*hidden, nn.Linear(WIDTH, 10))


def data() -> tuple[np.ndarray, np.ndarray]:
    rows = BATCH * STEPS
    return np.random.normal(size=(rows, WIDTH)).astype("float32"), np.random.randint(0, 10, rows)


class HandLoop:
    """The loop that a user of torch would write."""

    def __init__(self, strategy: str) -> None:
        self.model: Any = by_hand()
        if strategy == "data":
            self.model = nn.parallel.DistributedDataParallel(self.model)
        elif strategy == "sharded":
            from torch.distributed.fsdp import fully_shard

            for layer in self.model:
                if isinstance(layer, nn.Linear) and layer.out_features == WIDTH:
                    fully_shard(layer, reshard_after_forward=True)
            fully_shard(self.model, reshard_after_forward=True)
        self.optimizer = torch.optim.Adam(self.model.parameters(), 0.001, foreach=True)
        self.loss = nn.CrossEntropyLoss()

    def run(self, x: torch.Tensor, y: torch.Tensor) -> None:
        ranks, rank = (distributed.get_world_size(), distributed.get_rank()) if distributed.is_initialized() else (1, 0)
        share = BATCH // ranks
        for step in range(len(x) // BATCH):
            start = step * BATCH + rank * share
            self.optimizer.zero_grad()
            self.loss(self.model(x[start : start + share]), y[start : start + share]).backward()
            self.optimizer.step()


# ---------------------------------------------------------------------------- measures


def seconds_per_step(runs: dict[str, Any]) -> dict[str, float]:
    """The median over rounds in which the contenders take turns."""
    for run in runs.values():
        run()
    found: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, run in runs.items():
            begin = time.perf_counter()
            run()
            found[name].append((time.perf_counter() - begin) / STEPS)
    return {name: statistics.median(values) for name, values in found.items()}


def messages(run: Any, steps: int) -> tuple[Counter, int]:
    """The messages that gloo sends in a run, by kind, and their numbers of elements together."""
    with torch.profiler.profile(record_shapes=True) as profile:
        run(steps)
    kinds: Counter = Counter()
    elements = 0
    for event in profile.events():
        if event.name.startswith("gloo:"):
            kinds[event.name.removeprefix("gloo:")] += 1
            elements += sum(int(np.prod(shape)) for shape in event.input_shapes or [] if isinstance(shape, list))
    return kinds, elements


def per_step(run: Any) -> dict[str, Any]:
    """Messages and bytes of one step: the difference of a run of eight steps and one of four, divided."""
    (few, small), (many, large) = (messages(run, steps) for steps in (4, 8))
    kinds = {name: (many[name] - few[name]) / 4 for name in many if many[name] != few[name]}
    return {
        "messages": kinds,
        "bytes": (large - small) / 4 * 4,
        "per epoch": sum(many.values()) - 8 * sum(kinds.values()),
    }


def memory(model: Any) -> dict[str, int]:
    """Numbers on this rank: weights, their gradients, and the optimizer's state."""

    def local(tensors: Any) -> int:
        return sum((t.to_local() if hasattr(t, "to_local") else t).numel() for t in tensors)

    return {
        "weights": local(model.weights),
        "gradients": local(w.grad for w in model.trainable_weights),
        "state": local(v for v in model.optimizer.variables if v.dim()),
    }


def peak(run: Any) -> float:
    """The most memory that three steps take beside what there was before, in bytes."""
    with torch.profiler.profile(profile_memory=True) as profile:
        run(3)
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    return float(np.cumsum([event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]).max())


def measure(strategy: str) -> dict[str, Any]:
    keras.utils.clear_session()
    keras.utils.set_random_seed(SEED)
    strategy_cases.set_strategy(strategy)
    model = ours()
    x, y = data()
    tensors = torch.as_tensor(x), torch.as_tensor(y)

    def fit(steps: int = STEPS) -> None:
        model.fit(x[: steps * BATCH], y[: steps * BATCH], batch_size=BATCH, verbose=0, shuffle=False)

    runs: dict[str, Any] = {"fit": fit}
    hand = HandLoop(strategy) if strategy in ("alone", "data", "sharded") else None
    if hand is not None:
        runs["by hand"] = lambda: hand.run(*tensors)
    found: dict[str, Any] = {"seconds": seconds_per_step(runs), "memory": memory(model)}
    found["peak"] = {"fit": peak(fit)}
    if hand is not None:
        found["peak"]["by hand"] = peak(lambda steps: hand.run(*(t[: steps * BATCH] for t in tensors)))
    if strategy != "alone":
        found["fit"] = per_step(fit)
        if hand is not None:
            found["by hand"] = per_step(lambda steps: hand.run(*(t[: steps * BATCH] for t in tensors)))
    keras.distribution.set_distribution(None)
    return found


def worker(folder: str) -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    keras.distribution.initialize()
    ranks = keras.distributed.world_size()
    names = STRATEGIES[ranks] or ["alone"]
    found = {
        "measures": {name: measure(name) for name in names},
        "values": {name: strategy_cases.run(SEED, name) for name in names if "--no-equality" not in sys.argv},
    }
    rank = int(os.environ.get("RANK", 0))
    if rank == ranks - 1:
        (Path(folder) / f"{ranks}.json").write_text(json.dumps(found))


# ---------------------------------------------------------------------------- the page


def launch(folder: str, ranks: int) -> dict[str, Any]:
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"] if ranks > 1 else []
    command = [sys.executable, *torchrun, __file__, *sys.argv[1:], "--worker", folder]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)}
    subprocess.run(command, env=environment, check=True, stderr=subprocess.DEVNULL, timeout=900)
    return json.loads((Path(folder) / f"{ranks}.json").read_text())  # type: ignore[no-any-return]


def equality(found: dict[int, dict[str, Any]]) -> list[str]:
    columns = [(ranks, name) for ranks in STRATEGIES for name in STRATEGIES[ranks]]
    lines = ["| case | " + " | ".join(f"{ranks} ranks, {name}" for ranks, name in columns) + " |"]
    lines.append("|---|" + "---|" * len(columns))
    alone = found[1]["values"].get("alone", {})
    for case in alone:
        cells = []
        for ranks, name in columns:
            differences = dict(compare(found[ranks]["values"][name][case], alone[case], case))
            cells.append(f"{max(differences.values()):.1e}")
        lines.append(f"| {case.replace('_', ' ')} | " + " | ".join(cells) + " |")
    return lines


def speed(found: dict[int, dict[str, Any]]) -> list[str]:
    lines = [
        "| ranks | strategy | `fit`, ms per step | by hand, ms per step | by hand / `fit` |",
        "|---|---|---|---|---|",
    ]
    for ranks in STRATEGIES:
        for name, row in found[ranks]["measures"].items():
            seconds = row["seconds"]
            hand = seconds.get("by hand")
            cells = f"{hand * 1000:.2f} | {hand / seconds['fit']:.2f}" if hand else "- | -"
            lines.append(f"| {ranks} | {name} | {seconds['fit'] * 1000:.2f} | {cells} |")
    return lines


def traffic(found: dict[int, dict[str, Any]]) -> list[str]:
    lines = ["| ranks | strategy | messages per step | kB per step | by hand: messages | kB | more per `fit` |"]
    lines.append("|---|---|---|---|---|---|---|")
    for ranks in STRATEGIES:
        for name in STRATEGIES[ranks]:
            row = found[ranks]["measures"][name]
            cells = [
                f"{_kinds(row[who])} | {row[who]['bytes'] / 1000:.0f}" if who in row else "- | -"
                for who in ("fit", "by hand")
            ]
            lines.append(f"| {ranks} | {name} | {' | '.join(cells)} | {row['fit']['per epoch']:.0f} |")
    return lines


def _kinds(row: dict[str, Any]) -> str:
    return ", ".join(f"{count:g} {kind}" for kind, count in sorted(row["messages"].items())) or "0"


def sizes(found: dict[int, dict[str, Any]]) -> list[str]:
    whole = found[1]["measures"]["alone"]["memory"]
    lines = ["| ranks | strategy | weights | gradients | optimizer state | peak of `fit`, MB | peak by hand, MB |"]
    lines.append("|---|---|---|---|---|---|---|")
    for ranks in STRATEGIES:
        for name in STRATEGIES[ranks]:
            row = found[ranks]["measures"][name]
            parts = " | ".join(f"{row['memory'][k] / whole[k]:.3f}" for k in whole)
            peaks = " | ".join(f"{row['peak'][k] / 1e6:.1f}" if k in row["peak"] else "-" for k in ("fit", "by hand"))
            lines.append(f"| {ranks} | {name} | {parts} | {peaks} |")
    return lines


def _megabytes(found: dict[int, dict[str, Any]]) -> float:
    return float(found[1]["measures"]["alone"]["memory"]["gradients"] * 4 / 1e6)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = {ranks: launch(folder, ranks) for ranks in STRATEGIES}
    page = [
        "# Several ranks",
        "",
        f"Made by `benchmarks/ranks.py`: torch {torch.__version__}, gloo, {os.cpu_count()} cores, a thread per rank.",
        "More ranks than cores share them, so that times show what is added to torch's loops, not how they scale.",
        "",
        "## The largest difference from one process",
        "",
        "Losses, metrics, weights, `predict`, `evaluate`; relative where numbers are over 1. `data`: `DataParallel`;",
        "`model`: `ModelParallel` on a mesh of (ranks / 2, 2); `hybrid`: `FullyShardedDataParallel` on that mesh;",
        "`sharded`: the same on one axis. The cases are those of `tests/distributed/strategy_cases.py`.",
        "",
        *equality(found),
        "",
        f"## Time per step: {LAYERS} layers of {WIDTH}, batches of {BATCH}",
        "",
        *speed(found),
        "",
        "## Messages and bytes per step",
        "",
        "Counted by torch's profiler on one rank; bytes are those of the tensors handed to gloo. The last column is a",
        "`fit` of one epoch.",
        "",
        *traffic(found),
        "",
        "## Numbers on a rank, as a part of the whole",
        "",
        f"Gradients: those that a rank holds when a step is done, {_megabytes(found):.1f} MB in all. The peak is the",
        "most memory that three steps take beside what lay there before: gathered weights, activations, messages.",
        "",
        *sizes(found),
        "",
    ]
    if "--no-equality" not in sys.argv:
        RESULT.write_text("\n".join(page))
    print("\n".join(page))


if __name__ == "__main__":
    if "--worker" in sys.argv:
        worker(sys.argv[-1])
    else:
        main()
