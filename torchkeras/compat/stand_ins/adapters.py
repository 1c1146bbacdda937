"""Data adapters and the iterator over epochs by Keras's private names, for training loops of a user's own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch

from torchkeras.core import tree
from torchkeras.core.tensors.convert import convert_to_numpy
from torchkeras.core.types import ArrayLike, Nest
from torchkeras.training.data import PyDataset, Source, make_source


class DataAdapter:
    """Base of adapters, each of which gives batches of one kind of data. A subclass may define a kind of its own.

    `fit` takes an adapter as `x`.
    """

    def get_numpy_iterator(self) -> Iterable[Any]:
        """One pass over the batches, with NumPy's arrays."""
        return (tree.map_structure(convert_to_numpy, batch) for batch in self.get_torch_dataloader())

    def get_torch_dataloader(self) -> Iterable[Any]:
        """One pass over the batches, with tensors."""
        raise NotImplementedError(f"{type(self).__name__} must define get_torch_dataloader().")

    @property
    def num_batches(self) -> int | None:
        """Batches in one pass; `None`: unknown."""
        return None

    @property
    def batch_size(self) -> int | None:
        """Rows per batch; `None`: unknown."""
        return None

    @property
    def has_partial_batch(self) -> bool | None:
        """Whether the last batch is smaller than the others; `None`: unknown."""
        return None

    @property
    def partial_batch_size(self) -> int | None:
        """Rows of the last batch where it is smaller; `None`: it is not, or that is unknown."""
        return None

    def on_epoch_begin(self) -> None:
        """Called before each epoch."""

    def on_epoch_end(self) -> None:
        """Called after each epoch."""

    def __iter__(self) -> Iterator[Any]:
        return iter(self.get_torch_dataloader())


class _SourceAdapter(DataAdapter):
    """An adapter around a source of batches of this package."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def get_torch_dataloader(self) -> Iterable[Any]:
        return self._source.epoch()

    @property
    def num_batches(self) -> int | None:
        return self._source.size

    @property
    def batch_size(self) -> int | None:
        return self._source.batch_size

    @property
    def has_partial_batch(self) -> bool | None:
        return None if self._rest() is None else bool(self._rest())

    @property
    def partial_batch_size(self) -> int | None:
        return self._rest() or None

    def _rest(self) -> int | None:
        samples, size = self._source.num_samples, self._source.batch_size
        return None if samples is None or size is None else samples % size


class ArrayDataAdapter(_SourceAdapter):
    """Batches cut from arrays.

    Args:
        x: arrays (nested).
        y: targets. Default: `None`.
        sample_weight: weights of the samples. Default: `None`.
        batch_size: rows per batch. Default: 32, or as `steps` divide the samples.
        steps: batches per epoch, from which a batch size follows. Default: `None`.
        shuffle: another order in each pass; `"batch"`: only inside each batch. Default: `False`.
        class_weight: weight by class index. Default: `None`.
    """

    def __init__(
        self,
        x: Nest[ArrayLike],
        y: Nest[ArrayLike] | None = None,
        sample_weight: Nest[ArrayLike] | None = None,
        batch_size: int | None = None,
        steps: int | None = None,
        shuffle: bool | str = False,
        class_weight: Mapping[int, float] | None = None,
    ) -> None:
        made = make_source(
            x, y, sample_weight, batch_size=batch_size, steps=steps, shuffle=shuffle, class_weight=class_weight
        )
        made.steps = None  # a pass has all batches
        super().__init__(made)


class PyDatasetAdapter(_SourceAdapter):
    """Batches of a `PyDataset`.

    Args:
        x: the data set.
        class_weight: weight by class index. Default: `None`.
        shuffle: the batches in another order in each pass. Default: `False`.
    """

    def __init__(
        self, x: PyDataset, class_weight: Mapping[int, float] | None = None, shuffle: bool | str = False
    ) -> None:
        super().__init__(make_source(x, shuffle=shuffle, class_weight=class_weight))


class GeneratorDataAdapter(_SourceAdapter):
    """Batches that a generator gives."""

    def __init__(self, generator: Iterable[Any]) -> None:
        super().__init__(make_source(generator))


class TorchDataLoaderAdapter(_SourceAdapter):
    """Batches of a torch `DataLoader`."""

    def __init__(self, dataloader: torch.utils.data.DataLoader) -> None:
        if not isinstance(dataloader, torch.utils.data.DataLoader):
            raise ValueError(f"Expected argument `dataloader` to be a DataLoader. Received: {dataloader}")
        super().__init__(make_source(dataloader))
        self._sizes = dataloader

    @property
    def batch_size(self) -> int | None:
        return self._sizes.batch_size

    def _rest(self) -> int | None:
        size = self._sizes.batch_size
        with contextlib.suppress(TypeError):  # a data set that has no length
            return len(self._sizes.dataset) % size if size and not self._sizes.drop_last else 0  # type: ignore[arg-type]
        return None


def get_data_adapter(
    x: Any,
    y: Nest[ArrayLike] | None = None,
    sample_weight: Nest[ArrayLike] | None = None,
    batch_size: int | None = None,
    steps_per_epoch: int | None = None,
    shuffle: bool | str = False,
    class_weight: Mapping[int, float] | None = None,
) -> DataAdapter:
    """The adapter for data of any kind that `fit` takes. An adapter is returned as it is.

    Raises:
        ValueError: data of an unknown kind, or arguments that don't go with its kind.
    """
    if isinstance(x, DataAdapter):
        return x
    made = make_source(
        x, y, sample_weight, batch_size=batch_size, steps=steps_per_epoch, shuffle=shuffle, class_weight=class_weight
    )
    made.steps = None
    kinds = ((PyDataset, PyDatasetAdapter), (torch.utils.data.DataLoader, TorchDataLoaderAdapter))
    known = next((adapter for kind, adapter in kinds if isinstance(x, kind)), None)
    cls = known or (ArrayDataAdapter if made.num_samples is not None else GeneratorDataAdapter)
    adapter = cls.__new__(cls)
    _SourceAdapter.__init__(adapter, made)
    if isinstance(adapter, TorchDataLoaderAdapter):
        adapter._sizes = x
    return adapter


class EpochIterator:
    """The batches of an epoch at a time, with the numbers of their steps, as NumPy's arrays.

    Each element is `(first step, last step, batches)`; there are as many batches as `steps_per_execution`, fewer at the
    end. With `steps_per_epoch` the next epoch begins where the one before ended.

    Args:
        x, y, sample_weight, batch_size, shuffle, class_weight: as `fit` takes them.
        steps_per_epoch: batches per epoch. Default: all of a pass.
        steps_per_execution: batches per element. Default: 1.
    """

    as_numpy = True

    def __init__(
        self,
        x: Any,
        y: Nest[ArrayLike] | None = None,
        sample_weight: Nest[ArrayLike] | None = None,
        batch_size: int | None = None,
        steps_per_epoch: int | None = None,
        shuffle: bool | str = False,
        class_weight: Mapping[int, float] | None = None,
        steps_per_execution: int = 1,
    ) -> None:
        self.steps_per_epoch = steps_per_epoch
        self.steps_per_execution = steps_per_execution
        self.data_adapter = get_data_adapter(x, y, sample_weight, batch_size, steps_per_epoch, shuffle, class_weight)
        self._num_batches = self.data_adapter.num_batches
        self._running: Iterator[Any] | None = None
        self._steps_seen = 0

    def __iter__(self) -> Iterator[tuple[int, int, list[Any]]]:
        return self.enumerate_epoch()

    def enumerate_epoch(self) -> Iterator[tuple[int, int, list[Any]]]:
        """The elements of the next epoch."""
        self.data_adapter.on_epoch_begin()
        if self._running is None or self.steps_per_epoch is None:
            self._running, self._steps_seen = self._opened(), 0
        given = 0
        while self.steps_per_epoch is None or given < self.steps_per_epoch:
            batches = list(zip(range(self.steps_per_execution), self._running))
            if batches:
                yield given, given + self.steps_per_execution - 1, [batch for _, batch in batches]
            given += len(batches)
            self._steps_seen += len(batches)
            if len(batches) < self.steps_per_execution:
                break
        if self.steps_per_epoch is None:
            self._num_batches = given
        elif given < self.steps_per_epoch and isinstance(self.data_adapter, _SourceAdapter):
            self.data_adapter._source.warn_out_of_data(given)
        if given < (self.steps_per_epoch or 0) or self._steps_seen == self._num_batches:
            self._running = None
        self.data_adapter.on_epoch_end()

    def reset(self) -> None:
        """Begin a new pass with the next epoch."""
        self._running = None
        self.data_adapter.on_epoch_end()

    @contextlib.contextmanager
    def catch_stop_iteration(self) -> Iterator[None]:
        """End a block where the data end."""
        with contextlib.suppress(StopIteration):
            yield

    @property
    def num_batches(self) -> int | None:
        """Batches per epoch; `None` before the first epoch where that is not known."""
        return self.steps_per_epoch or self._num_batches

    def _opened(self) -> Iterator[Any]:
        adapter = self.data_adapter
        return iter(adapter.get_numpy_iterator() if self.as_numpy else adapter.get_torch_dataloader())


class TorchEpochIterator(EpochIterator):
    """The batches of an epoch at a time as tensors."""

    as_numpy = False


def can_convert_arrays(arrays: Nest[Any]) -> bool:
    """Whether each of the nested values is an array, a tensor or `None`."""
    return all(
        value is None or isinstance(value, (np.ndarray, torch.Tensor)) or hasattr(value, "__array__")
        for value in tree.flatten(arrays)
    )


def get_torch_dataloader(iterable: Iterable[Any]) -> Iterator[Any]:
    """Batches that are given one after the other, as tensors."""
    return iter(make_source(iterable).epoch())


def get_numpy_iterator(iterable: Iterable[Any]) -> Iterator[Any]:
    """Batches that are given one after the other, as NumPy's arrays."""
    return (tree.map_structure(convert_to_numpy, batch) for batch in iterable)
