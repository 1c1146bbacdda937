"""Windows of signals: `x` is the length, the result is `(x,)`."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import Tensor

from torchkeras.core.tensors.devices import current_device


def bartlett(x: Any) -> Tensor:
    """Return Bartlett's window, a triangle that is 0 at its ends.

    Args:
        x: number of points.

    Returns:
        A vector `(x,)`.

    Example:
        >>> keras.ops.bartlett(5)
        tensor([0.0000, 0.5000, 1.0000, 0.5000, 0.0000])
    """
    return torch.bartlett_window(_length(x), periodic=False, dtype=torch.float32, device=current_device())


def blackman(x: Any) -> Tensor:
    """Return Blackman's window, a sum of three cosines.

    Args:
        x: number of points.

    Returns:
        A vector `(x,)`.

    Example:
        >>> keras.ops.blackman(5)[1:4]
        tensor([0.3400, 1.0000, 0.3400])
    """
    return torch.blackman_window(_length(x), periodic=False, dtype=torch.float32, device=current_device())


def hamming(x: Any) -> Tensor:
    """Return Hamming's window, a raised cosine that is 0.08 at its ends.

    Args:
        x: number of points.

    Returns:
        A vector `(x,)`.

    Example:
        >>> keras.ops.hamming(5)
        tensor([0.0800, 0.5400, 1.0000, 0.5400, 0.0800])
    """
    return torch.hamming_window(_length(x), periodic=False, dtype=torch.float32, device=current_device())


def hanning(x: Any) -> Tensor:
    """Return the Hann window, a raised cosine that is 0 at its ends.

    Args:
        x: number of points.

    Returns:
        A vector `(x,)`.

    Example:
        >>> keras.ops.hanning(5)
        tensor([0.0000, 0.5000, 1.0000, 0.5000, 0.0000])
    """
    return torch.hann_window(_length(x), periodic=False, dtype=torch.float32, device=current_device())


def kaiser(x: Any, beta: Any) -> Tensor:
    """Return Kaiser's window; it is narrower the larger `beta` is.

    Args:
        x: number of points.
        beta: shape of the window, at least 0.

    Returns:
        A vector `(x,)`.

    Example:
        >>> keras.ops.kaiser(3, 5.0)
        tensor([0.0367, 1.0000, 0.0367])
    """
    length, beta = _length(x), float(beta)
    if length > _LONG:
        return torch.signal.windows.kaiser(length, beta=beta, dtype=torch.float32, device=current_device())
    return torch.kaiser_window(length, periodic=False, beta=beta, dtype=torch.float32, device=current_device())


_LONG = 4096  # from where on torch's newer function, which starts slowly, is the faster one


def _length(x: Any) -> int:
    try:
        return int(x) if isinstance(x, Tensor) else operator.index(x)
    except TypeError:
        raise TypeError(f"A window's length must be an integer (no symbolic tensor); received {x!r}.") from None
