"""Tensors made anew."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchkeras.core.dtypes import torch_dtype
from torchkeras.core.op import op


@op(elementwise=True)
def zeros_like(x: Tensor, dtype: Any = None) -> Tensor:
    """Zeros in the form of `x`."""
    return torch.zeros_like(x, dtype=None if dtype is None else torch_dtype(dtype))


@op(elementwise=True)
def ones_like(x: Tensor, dtype: Any = None) -> Tensor:
    """Ones in the form of `x`."""
    return torch.ones_like(x, dtype=None if dtype is None else torch_dtype(dtype))
