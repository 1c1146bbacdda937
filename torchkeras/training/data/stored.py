"""Arrays that lie in a file and are read a part at a time: HDF5 datasets, zarr arrays, dask arrays."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

logger = logging.getLogger("torchkeras")

# Rows of a file without chunks that lie at most so far apart are read together.
_GAP = 16


def is_stored(value: Any) -> bool:
    """Whether the value has the protocol of an array in a file: `shape`, `dtype`, `chunks`, and slices give arrays."""
    if isinstance(value, (np.ndarray, torch.Tensor)) or hasattr(value, "iloc"):
        return False
    return all(hasattr(value, name) for name in ("shape", "dtype", "chunks", "__getitem__"))


class StoredRows:
    """Rows of an array in a file, which is read when they are asked for.

    Args:
        array: the array.
        start, stop: the first row and the row behind the last one. Default: all rows.
    """

    def __init__(self, array: Any, start: int = 0, stop: int | None = None) -> None:
        self.array = array
        self.start, self.stop = start, int(array.shape[0]) if stop is None else stop
        self.dtype = array.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes."""
        return (self.stop - self.start, *map(int, self.array.shape[1:]))

    @property
    def chunks(self) -> Any:
        """The sizes of the parts that the file holds as one, `None` for a file without."""
        return self.array.chunks

    @property
    def rows_per_chunk(self) -> int | None:
        """Rows that the file holds as one part; `None`: each row can be read by itself."""
        first = self.chunks[0] if self.chunks else None
        return max(first) if isinstance(first, tuple) else first  # dask names the size of every chunk

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> np.ndarray:
        start, stop, step = rows.indices(len(self))
        return np.asarray(self.array[self.start + start : self.start + max(start, stop)])[::step]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype)

    def cut(self, start: int, stop: int) -> StoredRows:
        """Some of the rows, not read yet."""
        return StoredRows(self.array, self.start + start, min(self.start + stop, self.stop))

    def take(self, index: np.ndarray) -> np.ndarray:
        """Rows in any order. Each part of the file that holds some of them is read once."""
        if not len(index):
            return self[0:0]
        order = np.argsort(index, kind="stable")
        wanted = index[order]
        result: np.ndarray | None = None
        for first, last in self._runs(wanted):
            lowest = int(wanted[first])
            part = self[lowest : int(wanted[last - 1]) + 1]
            if result is None:
                result = np.empty((len(index), *part.shape[1:]), part.dtype)
            result[order[first:last]] = part[wanted[first:last] - lowest]
        assert result is not None
        return result

    def _runs(self, wanted: np.ndarray) -> Iterator[tuple[int, int]]:
        """Places in the sorted row numbers between which rows are read together."""
        rows = self.rows_per_chunk
        if rows is None:
            borders = np.flatnonzero(np.diff(wanted) > _GAP) + 1
        else:
            borders = np.flatnonzero(np.diff((wanted + self.start) // rows)) + 1
        return zip([0, *borders.tolist()], [*borders.tolist(), len(wanted)], strict=True)


def stored(value: Any) -> StoredRows:
    """An array in a file as `StoredRows`."""
    return value if isinstance(value, StoredRows) else StoredRows(value)


def advise_on_order(array: StoredRows, rows: int) -> None:
    """Say once that rows in random order read a file of many chunks again and again.

    Args:
        array: the array.
        rows: rows that are read at a time.
    """
    per_chunk = array.rows_per_chunk
    times = 0 if per_chunk is None else min(per_chunk, -(-len(array) // rows))
    if times > 3:
        logger.warning(
            "shuffle=True takes rows in random order from an array that lies in a file in chunks of %d rows, so each "
            'chunk is read about %d times per epoch. shuffle="batch" reads the file in order and shuffles within '
            "batches; a file with smaller chunks, or an array in memory, is faster too.",
            per_chunk,
            times,
        )
