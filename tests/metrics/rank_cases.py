"""Every metric over batches with weights and masks: on one process, or on as many ranks as torchrun starts.

python rank_cases.py FOLDER SEED          (or under torchrun): writes FOLDER/<rank>.json
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import torch

from tests.interop.metric_cases import METRICS, SEGMENTS, VALUES, make_batch
from torchkeras import metrics
from torchkeras.core.tensors.masks import set_mask
from torchkeras.distributed import process
from torchkeras.distributed.strategies import registry

ROWS = (9, 1, 12)  # of the global batches: a rank may get none


def weights_of(rng: np.random.Generator, row: str, kind: str, rows: int) -> np.ndarray | None:
    if METRICS[row][1].get("axis") == 0 or kind == VALUES:
        return None
    shape = (rows, 5) if kind == SEGMENTS or row.startswith("BinaryIoU") else (rows,)
    drawn = rng.uniform(0.1, 2.0, size=shape).astype("float32")
    return np.ceil(drawn).astype("int32") if "IoU" in row and "float" not in row else drawn


def batches(row: str, seed: int) -> list[tuple]:
    """The global batches: tensors, weights or `None`, a mask or `None`."""
    rng = np.random.default_rng([seed, *row.encode()])
    kind, arguments = METRICS[row]
    found = []
    for rows in ROWS:
        batch = [torch.tensor(x) for x in make_batch(rng, kind, arguments, rows)]
        masked = issubclass(getattr(metrics, row.split()[0]), metrics.MeanMetricWrapper) and "axis" not in arguments
        mask = torch.tensor(rng.integers(0, 2, size=rows).astype(bool)) if masked else None
        found.append((batch, weights_of(rng, row, kind, rows), mask))
    return found


def run(seed: int) -> dict[str, dict]:
    """State and result of each metric; of several ranks together."""
    rank, world = process.rank(), process.world_size()
    found = {}
    for row, (_, arguments) in METRICS.items():
        metric = getattr(metrics, row.split()[0])(**arguments)
        if arguments.get("axis") == 0:  # a correlation over the rows of a batch: each rank takes whole ones
            mine = [slice(None) if i % world == rank else slice(0) for i in range(len(ROWS))]
        else:
            mine = [slice(rows * rank // world, rows * (rank + 1) // world) for rows in ROWS]
        for (batch, weight, mask), part in zip(batches(row, seed), mine, strict=True):
            own = [x[part] for x in batch]
            if mask is not None:
                set_mask(own[-1], mask[part])
            if len(own[0]):
                metric.update_state(*own, sample_weight=None if weight is None else weight[part])
        with registry.current().metrics_of_all_ranks([metric]):
            state = [v.detach().double().reshape(-1).tolist() for v in metric.variables]
            found[row] = {"state": state, "result": metric.result().double().reshape(-1).tolist()}
    return found


if __name__ == "__main__":
    process.join()
    folder, seed = Path(sys.argv[1]), int(sys.argv[2])
    (folder / f"{os.environ.get('RANK', 0)}.json").write_text(json.dumps(run(seed)))
