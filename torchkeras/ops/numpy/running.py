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
from torchkeras.core.types import Axes, DTypeLike
from torchkeras.ops.numpy.axes import positive_axis


@op(dtype="narrow")
def cumsum(x: Tensor, axis: int | None = None, dtype: DTypeLike | None = None) -> Tensor:
    """Compute the running sum along an axis.

    Args:
        x: tensor.
        axis: axis; `None` for the flattened tensor. Default: `None`.
        dtype: dtype of the result; `None`: that of `x`. Default: `None`.

    Returns:
        A tensor of the shape of `x`, flattened if `axis` is `None`.

    Example:
        >>> keras.ops.cumsum([1.0, 2.0, 3.0])
        tensor([1., 3., 6.])
    """
    kind = _kind(x, dtype)
    return _along(torch.cumsum, x, axis, kind)


@op(dtype="narrow")
def cumprod(x: Tensor, axis: int | None = None, dtype: DTypeLike | None = None) -> Tensor:
    """Compute the running product along an axis.

    Args:
        x: tensor.
        axis: axis; `None` for the flattened tensor. Default: `None`.
        dtype: dtype of the result; `None`: that of `x`. Default: `None`.

    Returns:
        A tensor of the shape of `x`, flattened if `axis` is `None`.

    Example:
        >>> keras.ops.cumprod([1.0, 2.0, 3.0])
        tensor([1., 2., 6.])
    """
    kind = _kind(x, dtype)
    return _along(torch.cumprod, x, axis, kind)


@op(dtype="narrow")
def nancumsum(x: Tensor, axis: int | None = None, dtype: DTypeLike | None = None) -> Tensor:
    """Compute the running sum along an axis; NaN counts as 0.

    Args:
        x: tensor.
        axis: axis; `None` for the flattened tensor. Default: `None`.
        dtype: dtype of the result; `None`: that of `x`. Default: `None`.

    Returns:
        A tensor of the shape of `x`, flattened if `axis` is `None`.

    Example:
        >>> keras.ops.nancumsum([1.0, float("nan"), 3.0])
        tensor([1., 1., 4.])
    """
    kind = _kind(x, dtype)
    x = torch.nan_to_num(x, 0.0, torch.inf, -torch.inf)
    return _along(torch.cumsum, x, axis, kind)


@op(dtype="narrow")
def nancumprod(x: Tensor, axis: int | None = None, dtype: DTypeLike | None = None) -> Tensor:
    """Compute the running product along an axis; NaN counts as 1.

    Args:
        x: tensor.
        axis: axis; `None` for the flattened tensor. Default: `None`.
        dtype: dtype of the result; `None`: that of `x`. Default: `None`.

    Returns:
        A tensor of the shape of `x`, flattened if `axis` is `None`.

    Example:
        >>> keras.ops.nancumprod([1.0, float("nan"), 3.0])
        tensor([1., 1., 3.])
    """
    kind = _kind(x, dtype)
    x = torch.nan_to_num(x, 1.0, torch.inf, -torch.inf)
    return _along(torch.cumprod, x, axis, kind)


def _along(function: Callable[..., Tensor], x: Tensor, axis: Axes, kind: torch.dtype) -> Tensor:
    if axis is None:
        return function(x.reshape(-1), 0, dtype=kind)
    if not isinstance(axis, int):
        if not axis:
            return x.to(kind)
        (axis,) = axis
    return function(x, positive_axis(axis, x.dim()) if x.dim() else axis, dtype=kind)


def _kind(x: Tensor, dtype: DTypeLike) -> torch.dtype:
    kind = x.dtype if dtype is None else torch_dtype(result_type(dtype))
    return torch.int32 if kind is torch.bool else kind


@op
def diff(a: Tensor, n: int = 1, axis: int = -1) -> Tensor:
    """Subtract each element from its successor along an axis.

    Args:
        a: tensor.
        n: how many times to do so. Default: `1`.
        axis: the axis. Default: `-1`.

    Returns:
        A tensor that is `n` shorter along the axis.

    Example:
        >>> keras.ops.diff([1.0, 4.0, 9.0])
        tensor([3., 5.])
    """
    return torch.diff(a, n, axis)


def _integrated(y: KerasTensor, x: Any = None, **config: Any) -> Any:
    if x is not None:  # which may leave sizes open that `y` knows
        x = KerasTensor(y.shape, x.dtype)
    return infer(trapezoid, (y, x), config)


@op(dtype="common_float", spec=_integrated)
def trapezoid(y: Tensor, x: Tensor | None = None, dx: float = 1.0, axis: int = -1) -> Tensor:
    """Integrate along an axis by the trapezoidal rule.

    Args:
        y: tensor of samples.
        x: tensor of the places of the samples; `None`: they are `dx` apart. Default: `None`.
        dx: distance between samples. Default: `1.0`.
        axis: the axis. Default: `-1`.

    Returns:
        A tensor without the axis.

    Example:
        >>> keras.ops.trapezoid([1.0, 2.0, 3.0])
        tensor(4.)
    """
    return torch.trapezoid(y, dx=dx, dim=axis) if x is None else torch.trapezoid(y, x, dim=axis)
