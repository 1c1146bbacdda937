"""Running sums and products, differences, and the integral of samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from torchkeras.core.operations.op import op
from torchkeras.core.symbolic.infer import infer
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.tensors.dtypes import result_type, torch_dtype
from torchkeras.ops.numpy.axes import positive_axis


@op(dtype="narrow")
def cumsum(x: Tensor, axis: int | None = None, dtype: Any = None) -> Tensor:
    """The running sum along `axis` (default: of the flattened tensor)."""
    kind = _kind(x, dtype)
    return _along(torch.cumsum, x, axis, kind)


@op(dtype="narrow")
def cumprod(x: Tensor, axis: int | None = None, dtype: Any = None) -> Tensor:
    """The running product along `axis` (default: of the flattened tensor)."""
    kind = _kind(x, dtype)
    return _along(torch.cumprod, x, axis, kind)


@op(dtype="narrow")
def nancumsum(x: Tensor, axis: int | None = None, dtype: Any = None) -> Tensor:
    """As `cumsum`, NaN counting as 0."""
    kind = _kind(x, dtype)
    x = torch.nan_to_num(x, 0.0, torch.inf, -torch.inf)
    return _along(torch.cumsum, x, axis, kind)


@op(dtype="narrow")
def nancumprod(x: Tensor, axis: int | None = None, dtype: Any = None) -> Tensor:
    """As `cumprod`, NaN counting as 1."""
    kind = _kind(x, dtype)
    x = torch.nan_to_num(x, 1.0, torch.inf, -torch.inf)
    return _along(torch.cumprod, x, axis, kind)


def _along(function: Callable[..., Tensor], x: Tensor, axis: Any, kind: torch.dtype) -> Tensor:
    if axis is None:
        return function(x.reshape(-1), 0, dtype=kind)
    if not isinstance(axis, int):
        if not axis:
            return x.to(kind)
        (axis,) = axis
    return function(x, positive_axis(axis, x.dim()) if x.dim() else axis, dtype=kind)


def _kind(x: Tensor, dtype: Any) -> torch.dtype:
    if dtype is not None:
        return torch_dtype(result_type(dtype))
    return torch.int32 if x.dtype is torch.bool else x.dtype


@op
def diff(a: Tensor, n: int = 1, axis: int = -1) -> Tensor:
    """The differences of neighbours along `axis`, taken `n` times."""
    return torch.diff(a, n, axis)


def _integrated(y: KerasTensor, x: Any = None, **config: Any) -> Any:
    if x is not None:  # which may leave sizes open that `y` knows
        x = KerasTensor(y.shape, x.dtype)
    return infer(trapezoid, (y, x), config)


@op(dtype="common_float", spec=_integrated)
def trapezoid(y: Tensor, x: Tensor | None = None, dx: float = 1.0, axis: int = -1) -> Tensor:
    """The integral along `axis` by the trapezoidal rule, of samples at `x` or `dx` apart."""
    return torch.trapezoid(y, dx=dx, dim=axis) if x is None else torch.trapezoid(y, x, dim=axis)
