"""Batch renormalization (Ioffe, 2017): the correction that makes training outputs depend on moving statistics."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from torchkeras.core.types import DTypeLike, Shape
from torchkeras.initializers.initializer import Initializer

_LIMITS = ("rmin", "rmax", "dmax")


def standardize_clipping(clipping: dict[str, float] | None) -> dict[str, float]:
    """Return the limits of the correction as a dict that holds no other keys.

    Args:
        clipping: a dict with any of the keys `"rmax"`, `"rmin"` and `"dmax"`; `None` for no limits.

    Raises:
        ValueError: another key, `rmax` below `rmin`, or a negative `dmax`.
    """
    limits = clipping or {}
    if set(limits) - set(_LIMITS):
        raise ValueError(
            f"Received invalid keys for `renorm_clipping` argument: {limits}. Supported values: {list(_LIMITS)}."
        )
    rmin, rmax, dmax = (limits.get(name) for name in _LIMITS)
    if rmax is not None and rmin is not None and rmax < rmin:
        raise ValueError(
            f"rmax should be greater than rmin in the `renorm_clipping` argument. Received: rmax={rmax}, rmin={rmin}."
        )
    if dmax is not None and dmax < 0:
        raise ValueError(f"dmax should be non-negative in the `renorm_clipping` argument. Received: dmax={dmax}.")
    return limits


def root_of(initializer: Initializer | Callable[..., Any]) -> Callable[..., Tensor]:
    """An initializer of standard deviations: the square root of what the one of variances gives."""

    def root(shape: Shape, dtype: DTypeLike | None = None) -> Tensor:
        return torch.sqrt(fresh(initializer)(shape, dtype=dtype))

    return root


def fresh(initializer: Initializer | Callable[..., Any]) -> Initializer | Callable[..., Any]:
    """A copy of the initializer that has drawn nothing yet; a plain function is its own copy."""
    return initializer.clone() if isinstance(initializer, Initializer) else initializer


def corrections(
    mean: Tensor,
    stddev: Tensor,
    renorm_mean: Tensor,
    renorm_stddev: Tensor,
    clipping: dict[str, float],
    epsilon: float,
) -> tuple[Tensor, Tensor]:
    """Factor and offset that turn values normalized by the batch into values normalized by moving statistics.

    `r = stddev / renorm_stddev` and `d = (mean - renorm_mean) / renorm_stddev`, both clipped, both constants for the
    gradient.

    Args:
        mean, stddev: statistics of the batch, one for each channel.
        renorm_mean, renorm_stddev: their moving averages.
        clipping: limits `rmin <= r <= rmax` and `-dmax <= d <= dmax`, each optional.
        epsilon: a moving deviation below its square root counts as that root.

    Returns:
        `(r, d)`, in the type of `mean`.
    """
    with torch.no_grad():
        moving = renorm_stddev.to(mean.dtype).clamp(min=math.sqrt(epsilon))
        r = stddev / moving
        d = (mean - renorm_mean.to(mean.dtype)) / moving
        rmin, rmax, dmax = (clipping.get(name) for name in _LIMITS)
        r = r.clamp(0.0 if rmin is None else rmin, math.inf if rmax is None else rmax)
        return r, d if dmax is None else d.clamp(-dmax, dmax)
