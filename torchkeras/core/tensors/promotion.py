"""Arguments of ops as tensors, in the type that Keras computes them in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from torchkeras.core import settings
from torchkeras.core.memo import memoized
from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.core.tensors.dtypes import (
    TORCH_DTYPES,
    dtype_of_scalar,
    promote,
    result_type,
    standardize_dtype,
    torch_dtype,
)
from torchkeras.core.torch_internals import constant_result

FLOATS = frozenset(
    getattr(torch, name)
    for name in "float16 bfloat16 float32 float64 complex64 complex128 float8_e4m3fn float8_e5m2".split()
)

NARROW = frozenset(TORCH_DTYPES.values()) - {torch.int64, torch.uint64, torch.float64, torch.complex128}


def device_of(xs: Sequence[Any]) -> torch.device | None:
    """The device of the first tensor among arguments, which the others are put on."""
    return next((x.device for x in xs if isinstance(x, Tensor)), None)


def tensor(x: Any, device: torch.device | None = None) -> Tensor:
    """`x` as a tensor."""
    return x if isinstance(x, Tensor) else convert_to_tensor(x, None, device)


def float_tensor(x: Any, device: torch.device | None = None) -> Tensor:
    """`x` as a tensor of floats: integers become `floatx()`."""
    x = tensor(x, device)
    return x if x.dtype in FLOATS else x.to(torch_dtype(None))


def pair(x1: Any, x2: Any) -> tuple[Tensor, Tensor]:
    """Two arguments in their common type; Python numbers are weak."""
    if isinstance(x1, Tensor) and isinstance(x2, Tensor) and x1.dtype is x2.dtype:
        return x1, x2
    first, second = common((x1, x2))
    return first, second


def common(xs: Sequence[Any], floating: bool = False, narrow: bool = False, product: bool = False) -> list[Tensor]:
    """Arguments in their common type, on the device of the first tensor among them.

    The type is a float one if `floating`; if `narrow`, one of 64 bits becomes that of 32; if `product`, int8 alone
    becomes int32.
    """
    device = device_of(xs)
    xs = [x if isinstance(x, (Tensor, bool, int, float)) else convert_to_tensor(x, None, device) for x in xs]
    dtype = common_dtype(xs, floating, narrow)
    if product and dtype is torch.int8 and all(isinstance(x, Tensor) and x.dtype is torch.int8 for x in xs):
        dtype = torch.int32
    return [x.to(dtype) if isinstance(x, Tensor) else convert_to_tensor(x, dtype, device) for x in xs]


def common_dtype(xs: Sequence[Any], floating: bool = False, narrow: bool = False) -> torch.dtype:
    """The type in which tensors and Python numbers are computed together."""
    kinds = [x.dtype if isinstance(x, Tensor) else dtype_of_scalar(x) for x in xs]
    if floating:
        kinds.append(float)
    found = _common_dtype(tuple(kinds), settings.floatx(), narrow)
    return found if found is not None else _joined(tuple(kinds), narrow)


@constant_result
@memoized
def _common_dtype(kinds: tuple, floatx: str, narrow: bool) -> torch.dtype | None:
    """The type, or `None` where there is none: an error of a constant result would be one of the compiler."""
    try:
        return _joined(kinds, narrow)
    except ValueError:
        return None


def _joined(kinds: tuple, narrow: bool) -> torch.dtype:
    join = result_type if narrow else promote
    return torch_dtype(join(*(kind if kind in (int, float) else standardize_dtype(kind) for kind in kinds)))


def with_scalar(x: Tensor, number: bool | int | float, floating: bool = False, narrow: bool = False) -> Tensor:
    """`x` in the type that it has beside a Python number."""
    return x.to(common_dtype((x, number), floating, narrow))
