"""The pieces that update rules share, on lists of tensors."""

from __future__ import annotations

import math
from typing import Any

import torch

from torchkeras.core.torch_internals import (
    foreach_add_,
    foreach_addcdiv_,
    foreach_addcmul_,
    foreach_div,
    foreach_div_,
    foreach_lerp_,
    foreach_mul,
    foreach_mul_,
    foreach_sqrt,
    foreach_sub,
)
from torchkeras.core.types import Number


def lerp_(averages: list, values: list, share: Number) -> None:
    """Move each average by `share`, a number or a tensor without dimensions, towards its value."""
    if isinstance(share, torch.Tensor):
        steps = foreach_sub(values, averages)
        foreach_mul_(steps, share.to(averages[0].dtype))
        foreach_add_(averages, steps)
    else:
        foreach_lerp_(averages, values, share)


def lerp_square_(averages: list, values: list, share: float) -> None:
    """Move each average by `share` towards the square of its value."""
    foreach_mul_(averages, 1 - share)
    foreach_addcmul_(averages, values, values, value=share)


def root(values: list, epsilon: float, scale: Number | None = None) -> list:
    """`sqrt(v / scale) + epsilon` of each. The scale is a number or a tensor without dimensions."""
    roots = foreach_sqrt(values)
    if scale is not None:
        foreach_div_(roots, sqrt(scale))
    foreach_add_(roots, epsilon)
    return list(roots)


def descend_(parameters: list, directions: list, lr: Number) -> None:
    """`p -= lr * d`. `lr` is a number or a tensor without dimensions; `directions` may be changed."""
    if isinstance(lr, torch.Tensor):
        foreach_mul_(directions, lr.to(device=parameters[0].device, dtype=parameters[0].dtype))
        lr = 1.0
    foreach_add_(parameters, directions, alpha=-lr)


def descend_by_ratio_(parameters: list, numerators: list, denominators: list, lr: Number) -> None:
    """`p -= lr * n / d`. `lr` is a number or a tensor without dimensions."""
    if isinstance(lr, torch.Tensor):
        descend_(parameters, list(foreach_div(numerators, denominators)), lr)
    else:
        foreach_addcdiv_(parameters, numerators, denominators, value=-lr)


def shrink_(parameters: list, share: Number) -> None:
    """`p -= share * p`, with a share that is a number or a tensor without dimensions."""
    if isinstance(share, torch.Tensor):  # `1 - share` would lose most digits of a small share in float32
        share = (-share).to(device=parameters[0].device, dtype=parameters[0].dtype)
        foreach_add_(parameters, foreach_mul(parameters, share))
    else:
        foreach_mul_(parameters, 1 - share)


def is_scalar_on(value: object, parameter: torch.Tensor) -> bool:
    """Whether a rate is a tensor that a fused kernel can read: on the device of the parameter, in running code."""
    return isinstance(value, torch.Tensor) and value.device == parameter.device and not torch.compiler.is_compiling()


def is_number(value: object) -> bool:
    """Whether a rate is a Python number, which kernels take as an argument."""
    return type(value) is float


def sqrt(value: Number) -> Any:
    """The root of a number or of a tensor."""
    return value.sqrt() if isinstance(value, torch.Tensor) else math.sqrt(value)


def at_least(value: Number, limit: float) -> Any:
    """`max(value, limit)`, without reading a tensor."""
    return value.clamp(min=limit) if isinstance(value, torch.Tensor) else max(value, limit)


def smaller(a: Number, b: Number) -> Any:
    """`min(a, b)`, without reading a tensor."""
    if not isinstance(a, torch.Tensor):
        a, b = b, a
    return a.clamp(max=b) if isinstance(a, torch.Tensor) else min(a, b)
