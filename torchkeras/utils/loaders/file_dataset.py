"""Files as a torch Dataset of single samples."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
import torch
from torch.utils.data import Dataset

from torchkeras.utils.loaders.indexing import Labels, say


class Reader(Protocol):
    """Reads one kind of files."""

    def read(self, path: str) -> Any:
        """The content of a file as one sample.

        Raises:
            ValueError: the file is broken; names it.
        """

    def join(self, samples: list[Any]) -> Any:
        """Samples as one batch."""


class FileDataset(Dataset):
    """Samples that are read from files when they are asked for, with their labels.

    Args:
        paths: paths of the files.
        labels: label of each file as an integer; `None`: samples have no labels.
        label_mode: form of the labels: `"int"` (int32), `"binary"` (one float32) or `"categorical"` (float32, one-hot).
        num_classes: number of classes, for one-hot labels.
        reader: reads the files.
    """

    def __init__(
        self, paths: Sequence[str], labels: Labels, label_mode: str | None, num_classes: int, reader: Reader
    ) -> None:
        self.paths = list(paths)
        self.labels = None if labels is None else _encoded(labels, label_mode, num_classes)
        self.reader = reader

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Any:
        sample = self.reader.read(self.paths[index])
        return sample if self.labels is None else (sample, self.labels[index])

    def collate(self, samples: list[Any]) -> Any:
        """Join samples to a batch; a DataLoader of your own takes it as `collate_fn`.

        Args:
            samples: samples as this data set gives them.

        Returns:
            The joined contents, or a tuple of them and the labels.
        """
        if self.labels is None:
            return self.reader.join(samples)
        contents, labels = zip(*samples)
        return self.reader.join(list(contents)), torch.stack(labels)

    def scan(self, skip_errors: bool = False, workers: int | None = None) -> int:
        """Read every file once, to find broken ones before training does.

        Args:
            skip_errors: whether to leave broken files out from now on, instead of raising. Default: `False`.
            workers: number of threads. Default: `None`, one for each core, eight at most.

        Returns:
            The number of files that are left out.

        Raises:
            ValueError: files are broken and `skip_errors` is false; names up to ten of them. Or none is left.
        """
        with ThreadPoolExecutor(workers or min(8, os.cpu_count() or 1)) as pool:
            errors = list(pool.map(self._error_of, self.paths))
        broken = [error for error in errors if error]
        if not broken:
            return 0
        listed = "\n".join(broken[:10]) + (f"\n... and {len(broken) - 10} more" if len(broken) > 10 else "")
        if not skip_errors:
            raise ValueError(
                f"{len(broken)} of {len(self.paths)} files can't be read; scan(skip_errors=True) leaves them out:\n"
                + listed
            )
        kept = [index for index, error in enumerate(errors) if not error]
        if not kept:
            raise ValueError(f"None of the {len(self.paths)} files can be read:\n{listed}")
        self.paths[:] = [self.paths[index] for index in kept]
        if self.labels is not None:
            self.labels = self.labels[kept]
        say(f"Left out {len(broken)} files that can't be read:\n{listed}")
        return len(broken)

    def _error_of(self, path: str) -> str:
        try:
            self.reader.read(path)
        except (OSError, ValueError) as error:
            return str(error)
        return ""


def _encoded(labels: np.ndarray | Sequence[int], label_mode: str | None, num_classes: int) -> torch.Tensor:
    numbers = torch.as_tensor(labels, dtype=torch.int32)
    if label_mode == "binary":
        return numbers.float().unsqueeze(-1)
    if label_mode == "categorical":
        return (numbers.unsqueeze(-1) == torch.arange(num_classes, dtype=torch.int32)).float()
    return numbers
