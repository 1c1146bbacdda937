"""Facts about a training that several ranks compare before they begin: code, data and settings."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import torch

from torchkeras.callbacks import CallbackList
from torchkeras.core import tree

if TYPE_CHECKING:
    from torchkeras.training.run import Run

_LOOKED_AT = 1 << 16  # bytes of each part of the first batch


def check(run: Run, callbacks: CallbackList) -> None:
    """Raise an error, or warn, if the ranks are about to do different things.

    Raises:
        RankError: a fact that must be the same everywhere is not.
    """
    run.strategy.check_alike(lambda: _must(run, callbacks), lambda: _should(run))


def _must(run: Run, callbacks: CallbackList) -> dict[str, Any]:
    model, source = run.model, run.source
    shapes = [tuple(weight.shape) for weight in model.weights]
    together = [type(c).__name__ for c in callbacks.callbacks if getattr(c, "needs_all_ranks", False)]
    facts = {
        "the class of the model": type(model).__name__,
        "the number of weights": len(shapes),
        "the shapes of weights": f"{repr(shapes)[:200]} (checksum {zlib.crc32(repr(shapes).encode())})",
        "the number of weights that train": len(model.trainable_weights),
        "the optimizer": type(model.optimizer).__name__,
        "epochs": (run.initial_epoch, run.epochs),
        "batches per epoch": source.num_batches,
        "samples": getattr(source.source, "num_samples", None) if not source.is_sharded else None,
        "rows per batch": getattr(source.source, "batch_size", None),
        "batches to validate on": None if run.validation is None else run.validation.num_batches,
        "callbacks that work on all ranks together": together,
    }
    return facts


def _should(run: Run) -> dict[str, Any]:
    facts: dict[str, Any] = {"the names of metrics": sorted(str(metric.name) for metric in run.model.metrics)}
    if not run.source.is_sharded:
        facts["the first batch (a checksum)"] = _checksum(run.source.peek())
    return facts


def _checksum(data: Any) -> int:
    total = 0
    for leaf in tree.flatten(data):
        if isinstance(leaf, torch.Tensor) and not leaf.is_sparse and leaf.layout == torch.strided:
            rows = leaf.detach().reshape(-1)[: _LOOKED_AT // leaf.element_size()].cpu().contiguous()
            total = zlib.crc32(rows.view(torch.uint8).numpy().tobytes() if rows.numel() else b"", total)
    return total
