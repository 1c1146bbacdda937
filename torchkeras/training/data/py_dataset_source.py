"""Batches of a PyDataset, prepared ahead by its workers and handed out in order."""

from __future__ import annotations

import itertools
import multiprocessing
import random
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

from torchkeras.core import random_state
from torchkeras.core.tensors.devices import parse_device
from torchkeras.core.types import DeviceLike
from torchkeras.training.data.batches import place as place_on
from torchkeras.training.data.named_parts import NamedParts
from torchkeras.training.data.object_state import ObjectState, State
from torchkeras.training.data.py_dataset import PyDataset, batch_numbers
from torchkeras.training.data.source import Source
from torchkeras.training.data.weights import check_class_weight, class_weight_to_sample_weight


class PyDatasetSource(Source):
    """Batches of a PyDataset.

    Args:
        dataset: the data set.
        steps: batches per epoch. Default: all of a pass.
        shuffle: whether the batches come in another order each epoch.
        class_weight: weight by class index.
        parts: takes batches that are dicts apart. Default: they stay dicts.
        device: where batches are wanted.

    Raises:
        ValueError: a batch is neither a dict, an array nor a tuple of one to three parts, or has no rows.
    """

    def __init__(
        self,
        dataset: PyDataset,
        *,
        steps: int | None = None,
        shuffle: bool | str = False,
        class_weight: Mapping[int, float] | None = None,
        parts: NamedParts | None = None,
        device: DeviceLike = "cpu",
    ) -> None:
        super().__init__(steps)
        self.dataset = dataset
        self.shuffle = shuffle
        self.class_weight = class_weight
        self.parts = parts
        self.device = parse_device(device)
        self._objects = [ObjectState(dataset)]

    @property
    def size(self) -> int | None:  # type: ignore[override]
        return self.dataset.num_batches

    def describe(self) -> str:
        return type(self.dataset).__name__

    def faster(self, device: torch.device) -> str:
        workers = self.dataset.workers
        return (
            f"The PyDataset has workers={workers}: pass more to its constructor (super().__init__(workers=4, "
            "use_multiprocessing=True)), or make __getitem__ cheaper."
        )

    def epoch(self, skip: int = 0) -> Iterator[Any]:
        if self._goal is not None:
            return super().epoch(skip)
        return self._between_hooks(super().epoch(skip))

    def peek(self) -> Any:
        if self.size == 0:
            raise ValueError(f"The data must give at least one batch; {self.describe()} has length 0.")
        return self._finish(self.dataset[0])

    def place(self, step: int) -> State:
        """As for other sources, with the data set as it is now: batches are left out by number, without making them."""
        return {**super().place(step), "objects": self._objects_now()}

    def _resumed(self, place: State, arrived: Callable[[], None], step: int) -> Iterator[Any]:
        if not step:
            return self._between_hooks(super()._resumed(place, arrived, step))
        if self.steps is not None:
            self.dataset.on_epoch_begin()
        return self._until_the_hook(super()._resumed(place, arrived, step))

    def _reopened(self, place: State) -> Iterator[Any]:
        random_state.restore(place["random"])
        if self.steps is None:
            self.dataset.on_epoch_begin()
        numbers = self._numbers()
        for _ in itertools.islice(numbers, place["given"]):
            pass
        batches = self._made(numbers)
        self._start = {"random": place["random"], "objects": []}
        self._set_objects(place["objects"])
        return batches

    def _between_hooks(self, batches: Iterator[Any]) -> Iterator[Any]:
        self.dataset.on_epoch_begin()
        yield from self._until_the_hook(batches)

    def _until_the_hook(self, batches: Iterator[Any]) -> Iterator[Any]:
        try:
            yield from batches
        finally:
            self.dataset.on_epoch_end()

    def _batches(self) -> Iterator[Any]:
        yield from self._made(self._numbers())

    def _numbers(self) -> Iterator[int]:
        """The numbers of a pass's batches in their order."""
        if self.shuffle and self.size is not None:
            return iter(torch.randperm(self.size).tolist())
        return batch_numbers(self.dataset)

    def _made(self, numbers: Iterator[int]) -> Iterator[Any]:
        dataset = self.dataset
        processes = dataset.use_multiprocessing and dataset.workers > 0
        if not processes and dataset.workers <= 1:
            return map(self._finish, map(dataset.__getitem__, numbers))
        executor = _processes(dataset) if processes else ThreadPoolExecutor(dataset.workers)
        fetch = _fetch if processes else dataset.__getitem__
        return map(self._finish, _ahead(executor, fetch, numbers, max(dataset.max_queue_size, 1)))

    def _finish(self, batch: Any) -> Any:
        if self.parts is not None:
            batch = self.parts.split(batch)
        if isinstance(batch, dict):
            return place_on(batch, self.device)
        if not isinstance(batch, (list, tuple)) and hasattr(batch, "__array__"):
            batch = (batch,)
        if not isinstance(batch, (list, tuple)) or len(batch) not in (1, 2, 3):
            raise ValueError(
                "PyDataset.__getitem__() must return a dict or a tuple: (inputs,), (inputs, targets) or "
                f"(inputs, targets, sample_weights); received {str(batch)[:100]} (of type {type(batch).__name__})."
            )
        if self.class_weight is not None and len(batch) > 1:
            check_class_weight(self.class_weight, batch[1], batch[2] if len(batch) == 3 else None)
            batch = (*batch, class_weight_to_sample_weight(batch[1], self.class_weight))
        return place_on(tuple(batch), self.device)


def _ahead(executor: Executor, fetch: Callable, numbers: Iterator[int], window: int) -> Iterator[Any]:
    """Results in the order of the numbers, with up to `window` of them asked for ahead."""
    waiting: deque[Future] = deque()
    try:
        waiting.extend(executor.submit(fetch, number) for number in itertools.islice(numbers, window))
        while waiting:
            batch = waiting.popleft().result()
            waiting.extend(executor.submit(fetch, number) for number in itertools.islice(numbers, 1))
            yield batch
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


_in_worker: dict[str, Any] = {}


def _processes(dataset: PyDataset) -> ProcessPoolExecutor:
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("fork" if "fork" in methods else None)
    seed = int(torch.empty((), dtype=torch.int64).random_().item())
    return ProcessPoolExecutor(dataset.workers, mp_context=context, initializer=_begin_worker, initargs=(dataset, seed))


def _begin_worker(dataset: PyDataset, seed: int) -> None:
    """Keep the data set and the pass's seed."""
    _in_worker.update(dataset=dataset, seed=seed)
    torch.set_num_threads(1)


def _fetch(number: int) -> Any:
    """A batch, with random numbers that depend on its number and not on the worker that happens to make it."""
    seed = _in_worker["seed"] + number
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)
    return _in_worker["dataset"][number]
