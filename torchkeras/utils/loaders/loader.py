"""The DataLoader that the functions of this folder return."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, cast

import torch
from torch.utils.data import DataLoader, Sampler

from torchkeras.core.types import T
from torchkeras.utils.loaders.file_dataset import FileDataset, Reader
from torchkeras.utils.loaders.indexing import Request, Subset, find_files, seed_or_draw, split_files

_AHEAD = 2  # batches that are being prepared while one is in use
_MOST_THREADS = 8


def as_it_is(sample: T) -> T:
    """A sample or batch that needs no collation."""
    return sample


class SeededOrder(Sampler):
    """A random order by a seed, which does not depend on how samples are prepared.

    Args:
        data: the data to be ordered.
        seed: seed of the order.
        is_fixed: whether each pass has the same order, instead of a new one.
    """

    def __init__(self, data: Sized, seed: int, is_fixed: bool) -> None:
        self.data = data
        self.seed = seed
        self.is_fixed = is_fixed
        self.generator = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return len(self.data)

    def __iter__(self) -> Iterator[int]:
        if self.is_fixed:
            self.generator.manual_seed(self.seed)
        return iter(torch.randperm(len(self.data), generator=self.generator).tolist())


class BatchLoader(DataLoader):
    """A torch `DataLoader` whose samples are prepared by threads, and which knows its classes and files.

    It can be iterated over as often as you like, has a length, and is taken by `fit`, `evaluate` and `predict`. The
    threads need no copies of the process, unlike torch's workers.

    Args:
        dataset: the samples.
        batch_size: samples per batch; `None`: single samples.
        shuffle: whether the samples are shuffled.
        seed: seed of the order.
        same_order: whether each pass has the same order, instead of a new one.
        collate: joins samples to a batch; `None`: torch's own function.
        workers: number of threads that read samples ahead; 0: samples are read when they are needed.
        class_names: names of the classes.
        file_paths: paths of the files.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None,
        *,
        shuffle: bool = False,
        seed: int = 0,
        same_order: bool = False,
        collate: Any = None,
        workers: int = 0,
        class_names: list[str] | None = None,
        file_paths: list[str] | None = None,
    ) -> None:
        super().__init__(
            dataset,
            batch_size=batch_size,
            sampler=SeededOrder(dataset, int(seed), same_order) if shuffle else None,
            collate_fn=as_it_is if batch_size is None else collate,  # torch's own makes lists of tuples
        )
        self.workers = workers
        self.class_names = class_names
        self.file_paths = file_paths

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        return self._by_threads() if self.workers and not self.num_workers else super().__iter__()

    def _by_threads(self) -> Iterator[Any]:
        groups = self.sampler if self.batch_size is None else self.batch_sampler
        pending: deque[list[Future]] = deque()
        # Not a `with`: it would wait for samples that nobody wants if the loop is left early.
        pool = ThreadPoolExecutor(self.workers)
        ahead = _AHEAD if self.batch_size is not None else _AHEAD * self.workers
        try:
            for group in groups:  # type: ignore[union-attr]
                pending.append([pool.submit(self.dataset.__getitem__, index) for index in self._indices(group)])
                if len(pending) > ahead:
                    yield self._finished(pending.popleft())
            while pending:
                yield self._finished(pending.popleft())
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _indices(self, group: Any) -> list[int]:
        return [group] if self.batch_size is None else group

    def _finished(self, futures: list[Future]) -> Any:
        samples = [future.result() for future in futures]
        return samples[0] if self.batch_size is None else self.collate_fn(samples)

    def scan(self, skip_errors: bool = False) -> int:
        """Read every file once, to find broken ones before training does; see `skip_errors`.

        Args:
            skip_errors: whether to leave broken files out from now on, instead of raising one error with their names.
                Default: `False`.

        Returns:
            The number of files that are left out.

        Raises:
            ValueError: files are broken and `skip_errors` is false, or no file is left.
        """
        count = cast(FileDataset, self.dataset).scan(skip_errors, self.workers or None)
        if self.file_paths is not None:
            self.file_paths = cast(FileDataset, self.dataset).paths
        return count


def default_workers() -> int:
    """The number of threads: one per core, eight at most."""
    return min(_MOST_THREADS, os.cpu_count() or 1)


def load_files(
    request: Request, reader: Reader, batch_size: int | None, workers: int, skip_errors: bool
) -> BatchLoader | list[BatchLoader]:
    """The loader of the subset that was asked for, or both loaders.

    Args:
        request: which files.
        reader: reads a file.
        batch_size: samples per batch; `None`: single samples.
        workers: number of threads that read ahead.
        skip_errors: whether to leave broken files out.

    Raises:
        ValueError: the files do not fit the request, or there are none.
    """
    files = find_files(request)
    both = request.subset == "both"
    loaders = [
        _loader(split_files(files, request, subset), request, reader, batch_size, workers)
        for subset in (("training", "validation") if both else (request.subset,))
    ]
    if skip_errors:
        for loader in loaders:
            loader.scan(skip_errors=True)
    return loaders if both else loaders[0]


def _loader(files: Subset, request: Request, reader: Reader, batch_size: int | None, workers: int) -> BatchLoader:
    dataset = FileDataset(files.paths, files.labels, request.label_mode, len(files.class_names or ()), reader)
    return BatchLoader(
        dataset,
        batch_size,
        shuffle=request.shuffle and not files.is_held_out,
        seed=seed_or_draw(request.seed),
        same_order=request.format == "grain",
        collate=dataset.collate,
        workers=workers,
        class_names=files.class_names,
        file_paths=dataset.paths,
    )
