"""`PyDataset`: batches by number, from the user's Python code, prepared by threads or processes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from torchkeras.core.user_warnings import warn_user


class PyDataset:
    """Base class of data sets that return whole batches by index.

    Define `__getitem__(index)`, which returns a batch, and `__len__()` or the property `num_batches` (`None` for an
    endless data set). Define `on_epoch_begin()` or `on_epoch_end()` to change the data between epochs.

    Random numbers of NumPy, torch and Python in processes depend on the seed of the training and the batch's index
    alone, so that runs repeat. Threads share the generators of the process: timing decides which batch gets which
    numbers. There, draw from a generator that `__getitem__` seeds by the index.

    Args:
        workers: number of threads or processes that prepare batches ahead; 0, or 1 without processes, prepares none.
            Default: `1`.
        use_multiprocessing: whether to use processes, which are forked for each epoch, instead of threads. Default:
            `False`.
        max_queue_size: greatest number of batches that are prepared ahead. Default: `10`.

    Example:
        >>> class Squares(keras.utils.PyDataset):
        ...     def __len__(self):
        ...         return 3
        ...
        ...     def __getitem__(self, index):
        ...         x = np.full((2, 1), index)
        ...         return x, x**2
        >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> history = model.fit(Squares(), epochs=2, verbose=0)
        >>> len(history.history["loss"])
        2
    """

    def __init__(self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10) -> None:
        self._workers = workers
        self._use_multiprocessing = use_multiprocessing
        self._max_queue_size = max_queue_size

    def _setting(self, name: str, default: Any) -> Any:
        if name not in self.__dict__:
            warn_user(
                f"{type(self).__name__} should call `super().__init__(**kwargs)` in its constructor; `**kwargs` can "
                "hold `workers`, `use_multiprocessing` and `max_queue_size`."
            )
            self.__dict__[name] = default
        return self.__dict__[name]

    @property
    def workers(self) -> int:
        """The number of threads or processes that prepare batches ahead."""
        return self._setting("_workers", 1)

    @workers.setter
    def workers(self, value: int) -> None:
        self._workers = value

    @property
    def use_multiprocessing(self) -> bool:
        """Whether processes prepare batches, not threads."""
        return self._setting("_use_multiprocessing", False)

    @use_multiprocessing.setter
    def use_multiprocessing(self, value: bool) -> None:
        self._use_multiprocessing = value

    @property
    def max_queue_size(self) -> int:
        """The greatest number of batches that are prepared ahead."""
        return self._setting("_max_queue_size", 10)

    @max_queue_size.setter
    def max_queue_size(self, value: int) -> None:
        self._max_queue_size = value

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must define __getitem__(index), which returns a batch.")

    def __iter__(self) -> Iterator[Any]:
        for index in batch_numbers(self):
            yield self[index]

    @property
    def num_batches(self) -> int | None:
        """The number of batches in an epoch; `None` for an endless data set. By default `len(self)`."""
        if hasattr(self, "__len__"):
            return len(self)
        raise NotImplementedError(f"{type(self).__name__} must define __len__() or the property num_batches.")

    def on_epoch_begin(self) -> None:
        """Called when an epoch begins."""

    def on_epoch_end(self) -> None:
        """Called when an epoch has ended."""


def batch_numbers(dataset: PyDataset) -> Iterator[int]:
    """The numbers of the batches in order, without end where the data set has none."""
    try:
        size = dataset.num_batches
    except NotImplementedError:
        size = None
    return itertools.count() if size is None else iter(range(size))


Sequence = PyDataset  # Keras's second name
