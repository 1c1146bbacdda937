"""Masks ride on the tensors that they describe, as an attribute."""

from __future__ import annotations

from typing import Any


def get_mask(x: Any) -> Any:
    """The mask of a tensor, or `None`."""
    return getattr(x, "_keras_mask", None)


def set_mask(x: Any, mask: Any) -> None:
    """Attach `mask` (`None` removes) to the tensor `x`."""
    if mask is not None or getattr(x, "_keras_mask", None) is not None:
        x._keras_mask = mask
