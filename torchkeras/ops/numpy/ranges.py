"""Evenly spaced numbers, on a line or on a logarithmic scale."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from torchkeras.core.operations.op import op
from torchkeras.core.symbolic.infer import infer_elementwise
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.core.tensors.devices import current_device
from torchkeras.core.tensors.dtypes import torch_dtype
from torchkeras.core.tensors.promotion import common, common_dtype
from torchkeras.core.types import ArrayLike, DTypeLike


@op(call=("start", "stop", "step"))
def arange(
    start: ArrayLike, stop: ArrayLike | None = None, step: ArrayLike | None = None, dtype: DTypeLike | None = None
) -> Tensor:
    """Return evenly spaced numbers.

    Args:
        start: first number; without `stop`, the end, and the numbers begin at 0.
        stop: end, which is not included; `None`: see `start`. Default: `None`.
        step: distance between numbers; `None`: 1. Default: `None`.
        dtype: dtype of the result; `None`: the one that fits the arguments. Default: `None`.

    Returns:
        A vector.

    Example:
        >>> keras.ops.arange(3)
        tensor([0, 1, 2], dtype=torch.int32)
    """
    if stop is None:
        start, stop = 0, start
    step = 1 if step is None else step
    wanted = _type_of(start, stop, step) if dtype is None else torch_dtype(dtype)
    return torch.arange(start, stop, step, dtype=wanted, device=current_device())  # type: ignore[arg-type]


def _type_of(*numbers: Any) -> torch.dtype:
    if all(number.__class__ is int for number in numbers):
        return torch.int32
    known = [number if isinstance(number, (int, float)) else convert_to_tensor(number) for number in numbers]
    return common_dtype(known, narrow=True)


def _spaced_spec(
    start: ArrayLike,
    stop: ArrayLike,
    num: int = 50,
    axis: int = 0,
    dtype: DTypeLike | None = None,
    retstep: bool = False,
    **_: Any,
) -> Any:
    ends = infer_elementwise(lambda *ends: common(ends, floating=True, narrow=True)[0], (start, stop), {})
    shape = list(ends.shape)
    shape.insert(axis % (len(shape) + 1), num)
    values = KerasTensor(shape, dtype or ends.dtype)
    return (values, ends) if retstep else values


@op(call=("start", "stop"), spec=_spaced_spec)
def linspace(
    start: ArrayLike,
    stop: ArrayLike,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: DTypeLike | None = None,
    axis: int = 0,
) -> Any:
    """Return a number of evenly spaced numbers.

    Args:
        start: first number: number or tensor.
        stop: last number: number or tensor that broadcasts against `start`.
        num: how many. Default: `50`.
        endpoint: whether `stop` is the last number; otherwise it would come next. Default: `True`.
        retstep: whether to return also the distance. Default: `False`.
        dtype: dtype of the result; `None`: a float. Default: `None`.
        axis: new axis for the numbers. Default: `0`.

    Returns:
        A tensor, or a pair of it and the distance.

    Example:
        >>> keras.ops.linspace(0.0, 1.0, 3)
        tensor([0.0000, 0.5000, 1.0000])
    """
    values, step = _line(start, stop, num, endpoint, dtype, axis)
    return (values, step) if retstep else values


@op(call=("start", "stop"), spec=_spaced_spec)
def logspace(
    start: ArrayLike,
    stop: ArrayLike,
    num: int = 50,
    endpoint: bool = True,
    base: ArrayLike = 10,
    dtype: DTypeLike | None = None,
    axis: int = 0,
) -> Tensor:
    """Return numbers that are evenly spaced on a logarithmic scale: `base ** linspace(start, stop)`.

    Args:
        start: exponent of the first number.
        stop: exponent of the last number.
        num: how many. Default: `50`.
        endpoint: whether `stop` is the last exponent; otherwise it would come next. Default: `True`.
        base: the base. Default: `10`.
        dtype: dtype of the result; `None`: a float. Default: `None`.
        axis: new axis for the numbers. Default: `0`.

    Returns:
        A tensor.

    Example:
        >>> keras.ops.logspace(0.0, 2.0, 3)
        tensor([  1.,  10., 100.])
    """
    exponents, _ = _line(start, stop, num, endpoint, None, axis)
    values = torch.pow(base, exponents)  # type: ignore[arg-type]
    return values if dtype is None else values.to(torch_dtype(dtype))


@op(call=("start", "stop"), spec=_spaced_spec)
def geomspace(
    start: ArrayLike,
    stop: ArrayLike,
    num: int = 50,
    endpoint: bool = True,
    dtype: DTypeLike | None = None,
    axis: int = 0,
) -> Tensor:
    """Return numbers each of which is the same multiple of the one before.

    Args:
        start: first number: number or tensor.
        stop: last number, of the same sign.
        num: how many. Default: `50`.
        endpoint: whether `stop` is the last number; otherwise it would come next. Default: `True`.
        dtype: dtype of the result; `None`: a float. Default: `None`.
        axis: new axis for the numbers. Default: `0`.

    Returns:
        A tensor.

    Raises:
        ValueError: an end is 0.

    Example:
        >>> keras.ops.geomspace(1.0, 100.0, 3).round(decimals=4)
        tensor([  1.,  10., 100.])
    """
    sign: Tensor | float
    first: Tensor | float
    last: Tensor | float
    if isinstance(start, (int, float)) and isinstance(stop, (int, float)):
        if not start * stop:
            raise ValueError(f"geomspace() can't start or stop at 0; received start={start}, stop={stop}.")
        sign, first, last = math.copysign(1, start), math.log(abs(start)), math.log(abs(stop))
    else:
        low, high = torch.broadcast_tensors(*common((start, stop), floating=True, narrow=True))
        sign, first, last = torch.sign(low).unsqueeze(axis), torch.log(torch.abs(low)), torch.log(torch.abs(high))
    values = sign * torch.exp(_line(first, last, num, endpoint, None, axis)[0])
    return values if dtype is None else values.to(torch_dtype(dtype))


def _line(
    start: ArrayLike, stop: ArrayLike, num: int, endpoint: bool, dtype: DTypeLike | None, axis: int
) -> tuple[Tensor, Tensor | float]:
    """Return evenly spaced numbers and their distance, which is NaN for a single number."""
    parts = num - 1 if endpoint else num
    if isinstance(start, (int, float)) and isinstance(stop, (int, float)):
        distance = (stop - start) / parts if parts > 0 else math.nan
        last = stop if endpoint else stop - distance
        return torch.linspace(start, last, num, dtype=torch_dtype(dtype), device=current_device()), distance
    low, high = common((start, stop), floating=True, narrow=True)
    step = (high - low) / parts if parts > 0 else (high - low) * math.nan
    end = high if endpoint else high - step
    weights = torch.linspace(0, 1, num, dtype=low.dtype, device=low.device)
    values = torch.lerp(low.unsqueeze(-1), end.unsqueeze(-1), weights).movedim(-1, axis)
    return (values if dtype is None else values.to(torch_dtype(dtype))), step
