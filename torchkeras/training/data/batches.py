"""Batches that others made (loaders, generators, PyDatasets): in a tuple, as tensors, on the device."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from torchkeras.core import tree
from torchkeras.core.tensors.convert import convert_to_tensor


def to_device(value: Any, device: torch.device) -> Any:
    """One leaf of a batch as a tensor on the device. It keeps its type, float64 too, as in Keras.

    What is no number (a string, say) stays as it is.
    """
    if isinstance(value, torch.Tensor):
        return value if value.device == device else value.to(device, non_blocking=True)
    if value is None or isinstance(value, (str, bytes)):
        return value
    if isinstance(value, np.ndarray) and value.dtype.kind not in "biufc":
        return value
    return convert_to_tensor(value, device=device)


def place(batch: Any, device: torch.device) -> Any:
    """A batch on the device; a list at the top (what torch's collation makes of a tuple) becomes a tuple."""
    if type(batch) in (list, tuple):
        return tuple([_place(part, device) for part in batch])
    return _place(batch, device)


def _place(part: Any, device: torch.device) -> Any:
    if tree.is_nested(part):
        return tree.map_structure(lambda leaf: to_device(leaf, device), part)
    return to_device(part, device)
