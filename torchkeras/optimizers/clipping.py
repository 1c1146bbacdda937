"""Gradient clipping on lists of tensors; nothing here waits for a device."""

from __future__ import annotations

from typing import Any

import torch

from torchkeras.core.tensors.sharded import is_sharded
from torchkeras.core.torch_internals import (
    foreach_clamp_max,
    foreach_clamp_min,
    foreach_clamp_min_,
    foreach_div,
    foreach_div_,
    foreach_mul,
    foreach_norm,
)
from torchkeras.distributed.collectives import communicate, summing
from torchkeras.distributed.rank_group import along
from torchkeras.optimizers.parameter_group import local


def clip_by_value(grads: list, limit: float) -> list:
    """Each element clipped to `[-limit, limit]`."""
    clipped = foreach_clamp_max(grads, limit)
    foreach_clamp_min_(clipped, -limit)
    return list(clipped)


def each_factor(norms: list, limit: float) -> list:
    """For each norm the number to divide its tensor by, so that the norm is `limit` at the most."""
    over = foreach_clamp_min(norms, limit)
    foreach_div_(over, limit)
    return list(over)


def common_factor(norms: list, limit: float) -> torch.Tensor:
    """The number to multiply all tensors by, so that the norm of the whole is `limit` at the most.

    It is NaN where that norm isn't finite.
    """
    device = norms[0].device
    total = torch.linalg.vector_norm(torch.stack([norm.to(device=device) for norm in norms]))
    return limit / total.clamp(min=limit) + (total - total)


def scaled(grads: list, factor: torch.Tensor) -> list:
    """All tensors times a number, a tensor without dimensions."""
    if all(g.device == factor.device and g.dtype == factor.dtype for g in grads):
        return list(foreach_mul(grads, factor))
    return [g * factor.to(device=g.device, dtype=g.dtype) for g in grads]


def norms_of(grads: list, order: float = 2) -> list:
    """The norm of each tensor; of tensors in parts over all ranks, in one message for each way of splitting.

    Args:
        grads: the tensors, plain or distributed ones.
        order: of the norm.
    """
    return over_ranks(local_norms(grads, order), grads, order)


def local_norms(grads: list, order: float = 2) -> list:
    """The norm of each tensor; of distributed ones that of the part that lies here."""
    return list(foreach_norm([local(grad) for grad in grads], order))


def over_ranks(norms: list, like: list, order: float = 2) -> list:
    """The norms of whole tensors.

    Args:
        norms: those of the parts that lie here.
        like: the tensors, or variables as they are, which say how they are split over the ranks.
        order: of the norms.
    """
    for axes, places in _splits(like).items():
        powers = torch.stack([norms[i] for i in places]).pow(order)
        for mesh, axis in axes:
            communicate(powers, summing(along(mesh, axis)))
        for i, norm in zip(places, powers.pow(1 / order).unbind()):
            norms[i] = norm
    return norms


def _splits(tensors: list) -> dict[tuple[tuple[Any, int], ...], list[int]]:
    """The places of tensors in parts, by the axes of meshes that they are split over."""
    found: dict[tuple[tuple[Any, int], ...], list[int]] = {}
    for i, tensor in enumerate(tensors):
        if is_sharded(tensor):
            mesh = tensor.device_mesh
            axes = tuple((mesh, axis) for axis, placement in enumerate(tensor.placements) if placement.is_shard())
            found.setdefault(axes, []).append(i)
    return found


def clip(grads: list, value: float | None, norm: float | None, global_norm: float | None) -> list:
    """Gradients clipped by the limit that is set, if one is: of each value, of each norm or of the norm of all."""
    if value and value > 0:
        return clip_by_value(grads, value)
    limit = norm or global_norm
    if not limit or limit <= 0:
        return grads
    norms = norms_of(grads)
    if norm:
        return list(foreach_div(grads, each_factor(norms, limit)))
    return scaled(grads, common_factor(norms, limit))
