"""Arguments of ops as tensors, in the type that Keras computes them in."""

from __future__ import annotations

from typing import Any

import torch

from torchkeras.core.dtypes import dtype_of_scalar, promote, standardize_dtype, torch_dtype
from torchkeras.core.tensors import convert_to_tensor


def tensor(x: Any) -> torch.Tensor:
    """`x` as a tensor."""
    return x if isinstance(x, torch.Tensor) else convert_to_tensor(x)


def float_tensor(x: Any) -> torch.Tensor:
    """`x` as a tensor of floats: integers become `floatx()`."""
    x = tensor(x)
    if x.is_floating_point() or x.is_complex():
        return x
    return x.to(torch_dtype(None))


def pair(x1: Any, x2: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Two arguments in their common type; Python numbers are weak."""
    if isinstance(x1, torch.Tensor) and isinstance(x2, torch.Tensor):
        if x1.dtype == x2.dtype:
            return x1, x2
        common = torch_dtype(promote(standardize_dtype(x1.dtype), standardize_dtype(x2.dtype)))
        return x1.to(common), x2.to(common)
    common = torch_dtype(promote(_kind(x1), _kind(x2)))
    device = next((x.device for x in (x1, x2) if isinstance(x, torch.Tensor)), None)
    return convert_to_tensor(x1, common, device), convert_to_tensor(x2, common, device)


def _kind(x: Any) -> Any:
    if isinstance(x, (bool, int, float)):
        return dtype_of_scalar(x)
    return standardize_dtype(x.dtype) if hasattr(x, "dtype") else standardize_dtype(tensor(x).dtype)
