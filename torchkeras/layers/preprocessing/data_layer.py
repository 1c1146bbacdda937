"""The base of layers that work on raw data: they take lists, and learn from a data set by `adapt`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchkeras.core import tree
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.layers.base.layer import Layer


class DataLayer(Layer):
    """A layer of which a call also takes Python numbers and lists of them."""

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(inputs, (Tensor, KerasTensor, np.ndarray)) and not _holds_arrays(inputs):
            inputs = convert_to_tensor(inputs)
        return super().__call__(inputs, *args, **kwargs)


def _holds_arrays(inputs: Any) -> bool:
    leaves = tree.flatten(inputs)
    return bool(leaves) and all(isinstance(leaf, (Tensor, KerasTensor, np.ndarray)) for leaf in leaves)


def is_array(data: object) -> bool:
    """Whether `data` is one array or tensor, not a series of batches."""
    return isinstance(data, (np.ndarray, Tensor))


def batches(data: Any, steps: int | None, layer: str) -> Iterator[Any]:
    """The inputs of each batch that `adapt` learns from: those of `(inputs, targets, ...)` where a batch is a tuple.

    Args:
        data: an array or tensor (one batch), a `PyDataset`, a torch `DataLoader`, or any iterable of batches.
        steps: number of batches at most; `None` for all. Not for an array.
        layer: class of the layer, for messages.

    Raises:
        ValueError: there is no batch.
        TypeError: `data` is none of these.
    """
    if is_array(data):
        yield data
        return
    if hasattr(data, "num_batches") and hasattr(data, "__getitem__"):  # a PyDataset has no end of its own
        number = data.num_batches
        found = (data[index] for index in range(number)) if number is not None else map(data.__getitem__, _count())
    elif hasattr(data, "__iter__") and not isinstance(data, (str, bytes, dict)):
        found = iter(data)
    else:
        raise TypeError(
            f"{layer}.adapt() takes an array, a tensor, a PyDataset, a DataLoader or an iterable of batches. "
            f"Received: {type(data).__name__}"
        )
    empty = True
    for batch in islice(found, steps):
        empty = False
        yield batch[0] if isinstance(batch, (tuple, list)) and batch and hasattr(batch[0], "shape") else batch
    if empty:
        raise ValueError(
            f"{layer}.adapt() received an empty iterable (no batches): it must give at least one batch. "
            f"Received: {type(data).__name__}"
        )


def _count() -> Iterator[int]:
    index = 0
    while True:
        yield index
        index += 1


def to_float64(batch: Any, layer: str) -> np.ndarray:
    """The numbers of a batch, for sums that keep their precision.

    Raises:
        TypeError: the batch holds no numbers.
        ValueError: a number is NaN; names the columns.
    """
    if isinstance(batch, Tensor):
        array = batch.detach().to("cpu", torch.float64).numpy()
    else:
        array = np.asarray(batch)
        if array.dtype.kind not in "fiub":
            raise TypeError(f"{layer}.adapt() takes numbers. Received: an array of dtype {array.dtype}")
        array = array.astype("float64")
    missing = np.isnan(array)
    if missing.any():
        columns = sorted(set(np.nonzero(missing)[-1].tolist()))
        raise ValueError(
            f"{layer}.adapt() needs data without NaN, which would make everything that it learns NaN. Received: "
            f"{int(missing.sum())} NaN of {array.size} values, at {columns[:10]} along the last axis"
            f"{' and more' if len(columns) > 10 else ''}. Fill or drop them first."
        )
    return array
