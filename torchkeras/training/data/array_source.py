"""Arrays: shuffled by one permutation an epoch, gathered in chunks, cut into views."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch

from torchkeras.core import tree
from torchkeras.core.accelerators import free_memory, is_lazy
from torchkeras.core.tensors.copy_stream import staging
from torchkeras.core.tensors.devices import parse_device
from torchkeras.core.types import DeviceLike
from torchkeras.training.data.batches import place
from torchkeras.training.data.columns import AnyColumn, StoredColumn, column_of, holds_text, is_sparse, rows_of
from torchkeras.training.data.pack import pack_x_y_sample_weight
from torchkeras.training.data.source import Source
from torchkeras.training.data.stored import advise_on_order
from torchkeras.training.data.weights import check_class_weight, class_weight_to_sample_weight, match_sample_weight

# A chunk on the CPU should stay in cache and below malloc's mmap threshold: at 4 MB a gather costs half of what it
# costs at 64 MB. On an accelerator fewer kernel launches win.
CPU_CHUNK_BYTES = 4 * 2**20
DEVICE_CHUNK_BYTES = 64 * 2**20
# Of arrays in files a part of the file is read once for each chunk.
STORED_CHUNK_BYTES = 64 * 2**20
MAX_BATCHES_A_CHUNK = 1024


class ArraySource(Source):
    """Batches of nested arrays with one row a sample.

    Raises:
        ValueError: the arrays differ in length, hold no samples or no numbers, or the weights don't fit.
    """

    draws_at_start = True

    def __init__(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        batch_size: int | None = None,
        steps: int | None = None,
        shuffle: bool | str = False,
        class_weight: Any = None,
        device: DeviceLike = "cpu",
    ) -> None:
        super().__init__(steps)
        self.num_samples = check_lengths(x, y, sample_weight)
        if class_weight is not None:
            check_class_weight(class_weight, y, sample_weight)
            sample_weight = class_weight_to_sample_weight(y, class_weight)
        elif sample_weight is not None:
            sample_weight = match_sample_weight(sample_weight, y)
        self.batch_size = int(batch_size or (math.ceil(self.num_samples / steps) if steps else 32))
        self.size = math.ceil(self.num_samples / self.batch_size)
        self.shuffle = shuffle
        self.wanted_device = parse_device(device)
        # A cut of a tensor on a lazy device is part of the graph, a new one for each place: cut on the host.
        self.device = torch.device("cpu") if is_lazy(self.wanted_device) else self.wanted_device
        self._data = self._place(pack_x_y_sample_weight(x, y, sample_weight))
        self._chunk = self._rows_a_chunk()
        self.makes_batches = any(isinstance(column, StoredColumn) for column in self._columns())
        if shuffle is True:
            for column in self._columns():
                if isinstance(column, StoredColumn):
                    advise_on_order(column.matrix, self._chunk)

    def set_batch_size(self, size: int) -> bool:
        self.batch_size = size
        self.size = math.ceil(self.num_samples / size)
        self._chunk = self._rows_a_chunk()
        return True

    def describe(self) -> str:
        return f"arrays with {self.num_samples} samples"

    def faster(self, device: torch.device) -> str:
        return (
            "The arrays lie in a file. Load them, if memory allows (np.asarray(dataset)); or read the file in order, "
            'with shuffle="batch".'
        )

    def peek(self) -> Any:
        rows = min(self.batch_size, self.num_samples)
        return self._placed(next(_stream(self._data, lambda column: (column.rows(0, rows),))))

    def _placed(self, batch: Any) -> Any:
        return batch if self.device == self.wanted_device else place(batch, self.wanted_device)

    def _batches(self) -> Iterator[Any]:
        batches = self._cut_batches()
        return batches if self.device == self.wanted_device else map(self._placed, batches)

    def _cut_batches(self) -> Iterator[Any]:
        order = self._order()
        for start in range(0, self.num_samples, self._chunk):
            stop = min(start + self._chunk, self.num_samples)
            yield from _stream(self._data, partial(self._cut, order, start, stop))

    def _cut(
        self, order: dict | None, start: int, stop: int, column: AnyColumn
    ) -> tuple[torch.Tensor | np.ndarray, ...]:
        rows = column.rows(start, stop) if order is None else column.take(order[column.tensor.device][start:stop])
        if isinstance(rows, torch.Tensor):
            return rows.split(self.batch_size)
        return tuple([rows[at : at + self.batch_size] for at in range(0, len(rows), self.batch_size)])

    def _order(self) -> dict[torch.device, torch.Tensor] | None:
        """This epoch's row numbers on each device that holds data; `None`: as they lie."""
        if not self.shuffle:
            return None
        order = staging((self.num_samples,), torch.int64, self.device)
        if self.shuffle == "batch":
            order.copy_(_shuffle_within(self.num_samples, self.batch_size))
        else:
            torch.randperm(self.num_samples, out=order, device="cpu")
        places = {column.tensor.device for column in self._columns()}
        return {place: order.to(place, non_blocking=True) for place in places}

    def _columns(self) -> list:
        return [column for column in tree.flatten(self._data) if column is not None]

    def _place(self, data: Any) -> Any:
        resident = _fits(tree.flatten(data), self.device)

        def make(value: Any) -> Any:
            return column_of(value, self.device, resident)

        for part, name in zip(data[1:] if isinstance(data, tuple) else (), ("y", "sample_weight")):
            _check_numbers(part, name)
        return tree.map_structure(make, data, none_is_leaf=False)

    def _rows_a_chunk(self) -> int:
        row = 1
        for column in self._columns():
            shape = getattr(column, "matrix", column.tensor).shape
            row += math.prod(shape[1:]) * column.dtype.itemsize
        limit = CPU_CHUNK_BYTES if self.device.type == "cpu" else DEVICE_CHUNK_BYTES
        if any(isinstance(column, StoredColumn) for column in self._columns()):
            limit = STORED_CHUNK_BYTES
        return max(1, min(limit // (row * self.batch_size), MAX_BATCHES_A_CHUNK)) * self.batch_size


def _check_numbers(part: Any, name: str) -> None:
    """Raise `ValueError` if targets or weights are strings."""
    for value in tree.flatten(part):
        if value is not None and holds_text(value):
            raise ValueError(
                f"Data must be numbers, but for inputs; received {name} with strings: {np.asarray(value).ravel()[:3]} "
                f"of shape {tuple(value.shape)}. Turn them into numbers first, for example with StringLookup."
            )


def check_lengths(x: Any, y: Any = None, sample_weight: Any = None) -> int:
    """The number of samples that all arrays have.

    Raises:
        ValueError: they differ, or there are none.
    """
    parts = {"x": x, "y": y, "sample_weight": sample_weight}
    lengths = {
        name: [rows_of(array) for array in tree.flatten(part) if array is not None] for name, part in parts.items()
    }
    found = {length for part in lengths.values() for length in part}
    if not lengths["x"]:
        raise ValueError(f"x must hold at least one array; received {x!r}. At least one input is not optional.")
    if len(found) > 1:
        told = "; ".join(f"{name!r} sizes: {', '.join(map(str, part))}" for name, part in lengths.items() if part)
        raise ValueError(
            f"Data cardinality is ambiguous. Make sure all arrays contain the same number of samples. {told}."
        )
    if found == {0}:
        raise ValueError("The data must hold at least one sample; received arrays of length 0.")
    return found.pop()


def _stream(node: Any, cut: Callable[[Any], Any]) -> Iterator[Any]:
    """Batches of a structure of columns, put together by `zip` and the like alone: no Python code a batch."""
    if node is None:
        return itertools.repeat(None)
    if isinstance(node, dict):
        return _dicts(node, [_stream(value, cut) for value in node.values()])
    if not isinstance(node, (list, tuple)):
        return iter(cut(node))
    rows = zip(*[_stream(value, cut) for value in node])
    if hasattr(node, "_fields"):
        return itertools.starmap(type(node), rows)
    return rows if isinstance(node, tuple) else map(list, rows)


def _dicts(node: dict, streams: list[Iterator]) -> Iterator[dict]:
    keys = tuple(node)
    return (dict(zip(keys, values)) for values in zip(*streams))


def _shuffle_within(samples: int, batch: int) -> torch.Tensor:
    """Row numbers shuffled inside each batch, batches in their order."""
    whole = samples // batch * batch
    starts = torch.arange(0, whole, batch, device="cpu")[:, None]
    inside = torch.rand(samples // batch, batch, device="cpu").argsort(1) + starts
    return torch.cat([inside.flatten(), torch.randperm(samples - whole, device="cpu") + whole])


def _fits(arrays: list, device: torch.device) -> bool:
    """Whether all arrays may lie on the device at once: on an accelerator, in half of the memory that is free."""
    free = free_memory(device)
    if free is None:
        return True
    dense = [array for array in arrays if array is not None and not is_sparse(array)]
    wanted = sum(
        math.prod(getattr(array, "shape", (rows_of(array),))) * getattr(getattr(array, "dtype", None), "itemsize", 8)
        for array in dense
    )
    return wanted <= free // 2
