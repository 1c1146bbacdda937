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


@op(call=("start", "stop", "step"))
def arange(start: Any, stop: Any = None, step: Any = None, dtype: Any = None) -> Tensor:
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
    return torch.arange(start, stop, step, dtype=wanted, device=current_device())


def _type_of(*numbers: Any) -> torch.dtype:
    if all(number.__class__ is int for number in numbers):
        return torch.int32
    known = [number if isinstance(number, (int, float)) else convert_to_tensor(number) for number in numbers]
    return common_dtype(known, narrow=True)


def _spaced_spec(
    start: Any, stop: Any, num: int = 50, axis: int = 0, dtype: Any = None, retstep: bool = False, **_: Any
) -> Any:
    ends = infer_elementwise(lambda *ends: common(ends, floating=True, narrow=True)[0], (start, stop), {})
    shape = list(ends.shape)
    shape.insert(axis % (len(shape) + 1), num)
    values = KerasTensor(shape, dtype or ends.dtype)
    return (values, ends) if retstep else values


@op(call=("start", "stop"), spec=_spaced_spec)
def linspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
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
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, base: Any = 10, dtype: Any = None, axis: int = 0
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
    values = torch.pow(base, exponents)
    return values if dtype is None else values.to(torch_dtype(dtype))


@op(call=("start", "stop"), spec=_spaced_spec)
def geomspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0) -> Tensor:
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
    if _are_numbers(start, stop):
        if not start * stop:
            raise ValueError(f"geomspace() can't start or stop at 0; received start={start}, stop={stop}.")
        sign: Any = math.copysign(1, start)
        first: Any = math.log(abs(start))
        last: Any = math.log(abs(stop))
    else:
        start, stop = torch.broadcast_tensors(*common((start, stop), floating=True, narrow=True))
        sign = torch.sign(start).unsqueeze(axis)
        first, last = torch.log(torch.abs(start)), torch.log(torch.abs(stop))
    values = sign * torch.exp(_line(first, last, num, endpoint, None, axis)[0])
    return values if dtype is None else values.to(torch_dtype(dtype))


def _are_numbers(start: Any, stop: Any) -> bool:
    return isinstance(start, (int, float)) and isinstance(stop, (int, float))


def _line(start: Any, stop: Any, num: int, endpoint: bool, dtype: Any, axis: int) -> tuple[Tensor, Any]:
    """Evenly spaced numbers and their distance (NaN where there is but one)."""
    parts = num - 1 if endpoint else num
    numbers = _are_numbers(start, stop)
    if not numbers:
        start, stop = common((start, stop), floating=True, narrow=True)
    step = (stop - start) / parts if parts > 0 else (stop - start) * math.nan
    last = stop if endpoint else stop - step
    if numbers:
        values = torch.linspace(start, last, num, dtype=torch_dtype(dtype), device=current_device())
        return values, step
    weights = torch.linspace(0, 1, num, dtype=start.dtype, device=start.device)
    values = torch.lerp(start.unsqueeze(-1), last.unsqueeze(-1), weights).movedim(-1, axis)
    return (values if dtype is None else values.to(torch_dtype(dtype))), step
