"""Generators and iterables of batches, torch DataLoaders and Datasets."""

from __future__ import annotations

import types
from collections.abc import Iterable, Iterator
from typing import Any

import torch

from torchkeras.core.tensors.devices import parse_device
from torchkeras.core.types import DeviceLike
from torchkeras.training.data.batches import place
from torchkeras.training.data.source import Source, warn_out_of_data


class IterableSource(Source):
    """Batches of anything that can be iterated over. What can be only once (a generator) goes on in the next epoch.

    Raises:
        ValueError: a generator gives something else than tuples.
    """

    def __init__(self, iterable: Iterable, *, steps: int | None = None, device: DeviceLike = "cpu") -> None:
        super().__init__(steps)
        self.iterable = iterable
        self.device = parse_device(device)
        self.once = isinstance(iterable, Iterator)
        self.size = _length(iterable)

    def describe(self) -> str:
        return f"{type(self.iterable).__name__}"

    def _batches(self) -> Iterator[Any]:
        device = self.device
        if isinstance(self.iterable, types.GeneratorType):
            for batch in self.iterable:
                yield place(_tuple(batch), device)
        else:
            for batch in self.iterable:
                yield place(batch, device)

    def _one_pass(self) -> Iterator[Any]:
        given = 0
        for data in self._open():
            given += 1
            yield data
        if not given:
            warn_out_of_data()
        elif self.size is None and not self.once:
            self.size = given


class LoaderSource(IterableSource):
    """Batches of a torch DataLoader, in the order in which it was made to give them."""

    def __init__(self, loader: Any, *, steps: int | None = None, device: DeviceLike = "cpu") -> None:
        super().__init__(loader, steps=steps, device=device)
        self.batch_size = loader.batch_size
        self.num_samples = None if loader.drop_last else _length(loader.sampler)

    def describe(self) -> str:
        return "torch DataLoader"


def loader_of(dataset: Any, batch_size: int | None, shuffle: Any) -> torch.utils.data.DataLoader:
    """A DataLoader over a torch Dataset of single samples; only what can be indexed can be shuffled."""
    indexed = not isinstance(dataset, torch.utils.data.IterableDataset)
    return torch.utils.data.DataLoader(dataset, batch_size=batch_size or 32, shuffle=bool(shuffle) and indexed)


def _length(iterable: Any) -> int | None:
    try:
        return len(iterable)
    except (TypeError, NotImplementedError):
        return None


def _tuple(batch: Any) -> tuple:
    if not isinstance(batch, tuple):
        raise ValueError(
            "A generator must yield tuples: (inputs,), (inputs, targets) or (inputs, targets, sample_weights); "
            f"received {str(batch)[:100]} (of type {type(batch).__name__})."
        )
    return batch
