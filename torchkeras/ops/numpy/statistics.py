"""Means, variances, quantiles, correlation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchkeras.core.operations.op import op
from torchkeras.core.symbolic.infer import infer
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.tensors.dtypes import torch_dtype
from torchkeras.core.types import Axes
from torchkeras.ops.numpy.axes import NO_AXES, kept, last, over, over_nothing, shape_of


@op(dtype="float")
def mean(x: Tensor, axis: Axes | None = None, keepdims: bool = False) -> Tensor:
    """Compute the mean of the elements along axes.

    Args:
        x: tensor.
        axis: axis or axes to reduce; `None` for all. Default: `None`.
        keepdims: whether reduced axes stay, with size 1. Default: `False`.

    Returns:
        A tensor without the reduced axes.

    Example:
        >>> keras.ops.mean([[1.0, 2.0], [3.0, 4.0]], axis=0)
        tensor([2., 3.])
    """
    if axis in NO_AXES:
        x, axis, keepdims = over_nothing(x)
    return torch.mean(x, axis, keepdim=keepdims)


@op(dtype="narrow_float")
def var(x: Tensor, axis: Axes | None = None, keepdims: bool = False) -> Tensor:
    """Compute the variance of the elements along axes: the mean squared distance from their mean.

    Args:
        x: tensor.
        axis: axis or axes to reduce; `None` for all. Default: `None`.
        keepdims: whether reduced axes stay, with size 1. Default: `False`.

    Returns:
        A tensor without the reduced axes.

    Example:
        >>> keras.ops.var([[1.0, 3.0], [2.0, 2.0]], axis=1)
        tensor([1., 0.])
    """
    if axis in NO_AXES:
        x, axis, keepdims = over_nothing(x)
    return torch.var(x, axis, correction=0, keepdim=keepdims)


@op(dtype="float")
def std(x: Tensor, axis: Axes | None = None, keepdims: bool = False) -> Tensor:
    """Compute the standard deviation of the elements along axes: the root of their variance.

    Args:
        x: tensor.
        axis: axis or axes to reduce; `None` for all. Default: `None`.
        keepdims: whether reduced axes stay, with size 1. Default: `False`.

    Returns:
        A tensor without the reduced axes.

    Example:
        >>> keras.ops.std([[1.0, 3.0], [2.0, 2.0]], axis=1)
        tensor([1., 0.])
    """
    if axis in NO_AXES:
        x, axis, keepdims = over_nothing(x)
    return torch.std(x, axis, correction=0, keepdim=keepdims)


def _averaged(x: KerasTensor, weights: Any = None, axis: Axes | None = None) -> Any:
    if weights is not None:  # which may leave sizes open that `x` knows
        wanted = x.shape[axis : axis % len(x.shape) + 1] if isinstance(axis, int) else x.shape
        if not any(_agree(shape_of(weights), shape) for shape in (wanted, x.shape)):
            raise ValueError(f"weights must have the shape {x.shape} or {wanted}; received {shape_of(weights)}.")
        weights = KerasTensor(x.shape, weights.dtype)
    return infer(average, (x, axis, weights), {})


def _agree(one: tuple, other: tuple) -> bool:
    return len(one) == len(other) and all(a == b or None in (a, b) for a, b in zip(one, other))


@op(dtype="narrow_float", spec=_averaged)
def average(x: Tensor, axis: Axes | None = None, weights: Tensor | None = None) -> Tensor:
    """Compute the weighted mean of the elements along axes.

    Args:
        x: tensor.
        axis: axis or axes to reduce; `None` for all. Default: `None`.
        weights: tensor of the shape of `x`, or a vector along the axis; `None` weighs all equally. Default: `None`.

    Returns:
        A tensor without the reduced axes.

    Raises:
        ValueError: the weights have another shape.

    Example:
        >>> keras.ops.average([1.0, 2.0, 4.0], weights=[1.0, 1.0, 2.0])
        tensor(2.7500)
    """
    if weights is None:
        return torch.mean(*over(x, axis, False)[:2])
    if weights.shape != x.shape:
        if not isinstance(axis, int) or weights.shape != x.shape[axis : axis % x.dim() + 1]:
            raise ValueError(
                "weights must have the shape of x, or be a vector as long as the axis that is averaged; "
                f"received x of shape {tuple(x.shape)}, weights of shape {tuple(weights.shape)}, axis={axis}."
            )
        weights = weights.reshape([-1 if i == axis % x.dim() else 1 for i in range(x.dim())])
    weighted, axes, _ = over(x * weights, axis, False)
    return torch.sum(weighted, axes) / torch.sum(over(weights, axis, False)[0], axes)


@op(dtype="narrow_float")
def median(x: Tensor, axis: Axes | None = None, keepdims: bool = False) -> Tensor:
    """Return the middle element along axes, or the mean of the two in the middle.

    Args:
        x: tensor.
        axis: axis or axes to reduce; `None` for all. Default: `None`.
        keepdims: whether reduced axes stay, with size 1. Default: `False`.

    Returns:
        A tensor without the reduced axes.

    Example:
        >>> keras.ops.median([[1.0, 9.0, 2.0]], axis=1)
        tensor([2.])
    """
    return quantiles(x, torch.full((), 0.5, device=x.device), axis, "linear", keepdims)


def _refuse_outside(q: Any, limit: int) -> None:
    values = torch.as_tensor(q)
    if values.numel() and not bool(((values >= 0) & (values <= limit)).all()):
        raise ValueError(f"q must be in the range [0, {limit}]; received {values.tolist()}.")


def _refuse_quantiles(x: Any, q: Any, *_: Any, **__: Any) -> None:
    _refuse_outside(q, 1)


def _refuse_percentiles(x: Any, q: Any, *_: Any, **__: Any) -> None:
    _refuse_outside(q, 100)


@op(dtype="narrow_float", keep=("q",), check=_refuse_quantiles)
def quantile(x: Tensor, q: Tensor, axis: Axes | None = None, method: str = "linear", keepdims: bool = False) -> Tensor:
    """Return the values below which fractions of the elements lie.

    Args:
        x: tensor.
        q: fraction or fractions in [0, 1].
        axis: axis or axes to reduce; `None` for all. Default: `None`.
        method: value between two neighbours: `"linear"`, `"lower"`, `"higher"`, `"midpoint"` or `"nearest"`. Default:
            `"linear"`.
        keepdims: whether reduced axes stay, with size 1. Default: `False`.

    Returns:
        A tensor without the reduced axes; the axis of `q`, if it has one, comes first.

    Example:
        >>> keras.ops.quantile([1.0, 2.0, 3.0, 4.0], 0.5)
        tensor(2.5000)
    """
    return quantiles(x, q, axis, method, keepdims)


@op(dtype="narrow_float", keep=("q",), check=_refuse_percentiles)
def percentile(
    x: Tensor, q: Tensor, axis: Axes | None = None, method: str = "linear", keepdims: bool = False
) -> Tensor:
    """Return the values below which percentages of the elements lie.

    Args:
        x: tensor.
        q: percentage or percentages in [0, 100].
        axis: axis or axes to reduce; `None` for all. Default: `None`.
        method: value between two neighbours: `"linear"`, `"lower"`, `"higher"`, `"midpoint"` or `"nearest"`. Default:
            `"linear"`.
        keepdims: whether reduced axes stay, with size 1. Default: `False`.

    Returns:
        A tensor without the reduced axes; the axis of `q`, if it has one, comes first.

    Example:
        >>> keras.ops.percentile([1.0, 2.0, 3.0, 4.0], 50)
        tensor(2.5000)
    """
    return quantiles(x, q / 100, axis, method, keepdims)


# The index at or below a position (its fraction is cut off), and what goes to the value above.
_BETWEEN = {
    "linear": lambda position: (position, position.frac()),
    "lower": lambda position: (position, None),
    "higher": lambda position: (position.ceil(), None),
    "nearest": lambda position: (position.round(), None),
    "midpoint": lambda position: (position, (position.frac() > 0).to(position.dtype) / 2),
}


def quantiles(x: Tensor, q: Tensor, axis: Axes, method: str, keepdims: bool, skip_nan: bool = False) -> Tensor:
    """Quantiles at the fractions `q` `(m,)` or `()`, of all values or of those that are not NaN.

    Where there is a NaN that is not skipped, the result is NaN.
    """
    if method not in _BETWEEN:
        raise ValueError(f"method must be one of {list(_BETWEEN)}; received {method!r}.")
    if q.dim() > 1:
        raise ValueError(f"q must be a number or a vector; received the shape {tuple(q.shape)}.")
    if axis is not None and not x.ndim:
        raise ValueError(f"axis={axis} is out of bounds for a number, which has no axes.")
    dtype = x.dtype
    exact = dtype if dtype in (torch.float32, torch.float64) else torch.float32
    values = last(x, axis)
    if not values.shape[-1]:
        raise ValueError(f"A quantile or median needs at least one value; received the shape {tuple(x.shape)}.")
    values = torch.sort(values if dtype is exact else values.to(exact), -1).values  # NaN comes last
    parts = (q if q.dtype is exact else q.to(exact)).reshape(-1)
    if skip_nan:
        present = torch.sum(values == values, -1, keepdim=True)
        position, pick = parts * torch.clamp(present - 1, min=0), torch.gather
    else:
        position, pick = parts * (values.shape[-1] - 1), torch.index_select
    index, fraction = _BETWEEN[method](position)
    result = pick(values, -1, index.long())
    if fraction is not None:
        above = pick(values, -1, position.ceil().long())
        result = torch.where(fraction > 0, torch.lerp(result, above, fraction), result)
    if not skip_nan:
        greatest = values[..., -1:]
        result = torch.where(greatest != greatest, greatest, result)
    result = result if dtype is exact else result.to(dtype)
    if keepdims:
        result = result.reshape(*kept(x.shape, axis), -1)
    return result.movedim(-1, 0) if q.dim() else result.squeeze(-1)


@op
def corrcoef(x: Tensor) -> Tensor:
    """Compute the correlation coefficients of variables.

    Args:
        x: tensor `(variables, observations)`.

    Returns:
        A tensor `(variables, variables)`.

    Example:
        >>> keras.ops.corrcoef([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]])
        tensor([[ 1., -1.],
                [-1.,  1.]])
    """
    centered = _centered(x, "corrcoef")
    products = centered @ centered.mH
    lengths = torch.sqrt(torch.diagonal(products).real)
    result = products / lengths / lengths.unsqueeze(-1)
    result = result if result.is_complex() else torch.clamp(result, -1, 1)
    return result if x.dim() == 2 else result.reshape(())


@op
def cov(x: Tensor) -> Tensor:
    """Compute the covariances of variables, with the number of observations less one. Keras has it from 3.16 on.

    Args:
        x: tensor `(variables, observations)`; a vector is one variable.

    Returns:
        A tensor `(variables, variables)`, or a scalar for a vector.

    Example:
        >>> keras.ops.cov([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]])
        tensor([[ 1., -1.],
                [-1.,  1.]])
    """
    centered = _centered(x, "cov")
    result = centered @ centered.mH / (centered.shape[-1] - 1)
    return result if x.dim() == 2 else result.reshape(())


def _centered(x: Tensor, name: str) -> Tensor:
    """Each row less its mean, in floats."""
    if x.dtype is torch.int64:  # in float64, where other integers are taken in `floatx()`
        x = x.double()
    elif not (x.is_floating_point() or x.is_complex()):
        x = x.to(torch_dtype(None))
    if x.dim() > 2:
        raise ValueError(f"{name}() takes a matrix or a vector; received the shape {tuple(x.shape)}.")
    rows = x if x.dim() == 2 else x.reshape(1, -1)
    return rows - torch.mean(rows, -1, keepdim=True)
