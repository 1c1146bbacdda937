"""From anything that holds one number to a Python float."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch


def as_float(value: Any) -> Any:
    """A Python float of whatever holds one number: a number, a tensor, an array. Anything else comes back as it is."""
    if isinstance(value, (float, int)):
        return float(value)
    if isinstance(value, torch.Tensor):
        value = value.detach()
        return float(value) if value.numel() == 1 else value
    if isinstance(value, (np.ndarray, np.generic)):
        is_number = value.size == 1 and value.dtype.kind in "biuf"
        return float(value.reshape(())) if is_number else value
    return value
