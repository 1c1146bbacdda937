"""Batches as loaders, generators and PyDatasets make them: put in a tuple, as tensors, on the device."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from torchkeras.core import tree
from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.core.tensors.copy_stream import beside, pinned
from torchkeras.core.tensors.strings import is_string_array, lists_to_arrays
from torchkeras.training.data.named_parts import NamedParts

_CPU = torch.device("cpu")


def to_device(value: Any, device: torch.device, is_new: bool = False) -> Any:
    """One leaf of a batch as a tensor on the device. It keeps its type, float64 too, as in Keras.

    Strings stay on the host, as an array.

    Args:
        value: the leaf.
        device: the device.
        is_new: whether nobody fills its memory with other values later. Default: `False`.
    """
    if isinstance(value, torch.Tensor):
        return value if value.device == device else pinned(value, device, is_new).to(device, non_blocking=True)
    if value is None or isinstance(value, (str, bytes)):
        return value
    if isinstance(value, np.ndarray) and value.dtype.kind not in "biufc":
        return value
    if hasattr(value, "iloc") and is_string_array(array := np.asarray(value)):
        return array
    # First a tensor on the host: for `torch.as_tensor(value, device=device)` the host would wait.
    return pinned(convert_to_tensor(value, device=_CPU), device, is_new).to(device, non_blocking=True)


def place(batch: Any, device: torch.device, parts: NamedParts | None = None, is_new: bool = False) -> Any:
    """A batch on the device; a list at the top (torch's collation makes it of a tuple) becomes a tuple.

    Args:
        batch: the batch.
        device: where it is wanted.
        parts: takes a batch that is a dict apart; default: it stays a dict.
        is_new: whether nobody fills its memory with other values later. Default: `False`.

    Raises:
        ValueError: the batch has no rows, or lacks an entry.
    """
    if parts is not None:
        batch = parts.split(batch)
    if type(batch) in (list, tuple, dict) and any(isinstance(leaf, (str, bytes)) for leaf in tree.flatten(batch)):
        batch = _with_string_arrays(batch)
    placed = beside(lambda: _placed(batch, device, is_new), device)
    _check_rows(placed)
    return placed


def _with_string_arrays(batch: Any) -> Any:
    """A batch with arrays in the place of lists and tuples of strings, as collation makes them."""
    if isinstance(batch, dict):
        return {name: lists_to_arrays(value, f"Entry {name!r} of a batch") for name, value in batch.items()}
    if all(isinstance(leaf, (str, bytes)) for leaf in batch):
        return lists_to_arrays(batch, "A batch")
    return type(batch)(lists_to_arrays(part, "A batch") for part in batch)


def _check_rows(batch: Any) -> None:
    """Raise `ValueError` if the first tensor of a batch has no rows."""
    first = batch
    while isinstance(first, (tuple, list, dict)) and first:
        first = next(iter(first.values() if isinstance(first, dict) else first))
    if isinstance(first, torch.Tensor) and first.dim() and not first.shape[0]:
        raise ValueError(
            f"Each batch must hold at least one sample; received one whose first array has shape {tuple(first.shape)}."
        )


def _placed(batch: Any, device: torch.device, is_new: bool) -> Any:
    if type(batch) in (list, tuple):
        return tuple([_place(part, device, is_new) for part in batch])
    return _place(batch, device, is_new)


def _place(part: Any, device: torch.device, is_new: bool) -> Any:
    if tree.is_nested(part):
        return tree.map_structure(lambda leaf: to_device(leaf, device, is_new), part)
    return to_device(part, device, is_new)
