"""Checks of the shapes of matrices."""

from __future__ import annotations

from typing import Any


def require_matrices(x: Any, *_: Any, **__: Any) -> None:
    """Raise a ValueError unless the first argument has two axes at least."""
    if len(x.shape) < 2:
        raise ValueError(
            f"Expected input to have rank >= 2: `(..., M, N)`. Received input with shape {tuple(x.shape)}."
        )


def require_square(x: Any, *_: Any, **__: Any) -> None:
    """Raise a ValueError unless the first argument is `(..., M, M)`."""
    shape = x.shape
    if len(shape) < 2:
        require_matrices(x)
    if shape[-1] != shape[-2]:
        raise ValueError(f"Expected a square matrix. Received non-square input with shape {tuple(shape)}.")
