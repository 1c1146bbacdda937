"""The batches that a vocabulary is learned from."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchkeras.core.tensors.strings import holds_strings

_ROWS = 256


def adapt_batches(data: Any, steps: int | None, layer: str) -> Iterator[Any]:
    """The inputs of each batch.

    Args:
        data: list, array, tensor or column (one batch, in which each element of a flat one is a document of its own);
            a torch `DataLoader` or `Dataset`, a `PyDataset`, or any iterable of batches.
        steps: number of batches at most; `None` for all. Not for a list or an array.
        layer: class of the layer, for messages.

    Raises:
        TypeError: `data` is none of these.
    """
    if isinstance(data, (list, tuple, np.ndarray, Tensor)) or hasattr(data, "__array__"):
        data = data[:] if hasattr(data, "chunks") and hasattr(data, "__getitem__") else data  # an array in a file
        whole = data if isinstance(data, (np.ndarray, Tensor)) else np.asarray(data, dtype=object)
        if whole.ndim == 1:
            whole = whole[:, None]
        if whole.shape[0]:
            yield whole
        return
    if isinstance(data, (str, bytes, dict)) or not (hasattr(data, "__iter__") or hasattr(data, "__getitem__")):
        raise TypeError(
            f"{layer}.adapt() takes a list, an array, a DataLoader, a Dataset or an iterable of batches. Received: "
            f"{type(data).__name__}"
        )
    for batch in islice(_batches(data), steps):
        yield inputs_of(batch)


def _batches(data: Any) -> Iterator[Any]:
    if hasattr(data, "num_batches") and hasattr(data, "__getitem__"):  # a PyDataset has no end of its own
        number = data.num_batches
        return map(data.__getitem__, count() if number is None else range(number))
    if isinstance(data, torch.utils.data.Dataset):
        return iter(torch.utils.data.DataLoader(data, batch_size=_ROWS))
    if not hasattr(data, "__iter__"):
        return map(data.__getitem__, range(len(data)))
    return iter(data)


def inputs_of(batch: Any) -> Any:
    """The inputs of a batch: the first part of `(inputs, targets, ...)`, or all of a list of strings."""
    if not isinstance(batch, (tuple, list)) or not batch or isinstance(batch[0], (str, bytes, int)):
        return batch
    first, others = batch[0], batch[1:]
    # (strings, targets) of a loader: rows of strings would go on with strings
    has_targets = any(isinstance(part, (Tensor, np.ndarray)) for part in others)
    if isinstance(batch, tuple) or has_targets or isinstance(first, (Tensor, np.ndarray)):
        return first
    if isinstance(first, tuple) and holds_strings(first):  # collation makes a tuple of the strings of a batch
        return first
    return batch
