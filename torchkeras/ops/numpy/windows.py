"""Windows of signals: `x` is the length, the result is `(x,)`."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import Tensor

from torchkeras.core.tensors.devices import current_device


def bartlett(x: Any) -> Tensor:
    """A triangle whose ends are 0."""
    return torch.bartlett_window(_length(x), periodic=False, dtype=torch.float32, device=current_device())


def blackman(x: Any) -> Tensor:
    """A sum of three cosines."""
    return torch.blackman_window(_length(x), periodic=False, dtype=torch.float32, device=current_device())


def hamming(x: Any) -> Tensor:
    """A raised cosine whose ends are 0.08."""
    return torch.hamming_window(_length(x), periodic=False, dtype=torch.float32, device=current_device())


def hanning(x: Any) -> Tensor:
    """A raised cosine whose ends are 0."""
    return torch.hann_window(_length(x), periodic=False, dtype=torch.float32, device=current_device())


def kaiser(x: Any, beta: Any) -> Tensor:
    """Kaiser's window: the greater `beta`, the narrower."""
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
