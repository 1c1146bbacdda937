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
from torchkeras.optimizers.parameter_group import Plan


def clip_by_value(grads: list, limit: float) -> list:
    """Each element clipped to `[-limit, limit]`."""
    clipped = foreach_clamp_max(grads, limit)
    foreach_clamp_min_(clipped, -limit)
    return list(clipped)


def clip_by_norm(grads: list, limit: float, norms: list) -> list:
    """Each tensor scaled so that its 2-norm is `limit` at the most."""
    over = foreach_clamp_min(norms, limit)
    foreach_div_(over, limit)
    return list(foreach_div(grads, over))


def clip_by_global_norm(grads: list, limit: float, norms: list) -> list:
    """All tensors scaled alike so that the 2-norm of the whole is `limit` at the most; NaN where it isn't finite."""
    device = norms[0].device
    total = torch.linalg.vector_norm(torch.stack([norm.to(device=device) for norm in norms]))
    scale = limit / total.clamp(min=limit) + (total - total)
    if all(g.device == device and g.dtype == scale.dtype for g in grads):
        return list(foreach_mul(grads, scale))
    return [g * scale.to(device=g.device, dtype=g.dtype) for g in grads]


def norms_of(grads: list, order: float = 2, like: list | None = None) -> list:
    """The norm of each tensor; of tensors in parts over all ranks, in one message for each way of splitting.

    Args:
        grads: the tensors: plain ones, distributed ones, or the parts of distributed ones that lie here.
        order: of the norm.
        like: the variables that say which of the tensors are parts. Default: the tensors themselves.
    """
    norms = list(foreach_norm([grad.to_local() if is_sharded(grad) else grad for grad in grads], order))
    for axes, places in _splits(grads if like is None else like).items():
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


def clip(
    grads: list, value: float | None, norm: float | None, global_norm: float | None, plan: Plan | None = None
) -> list:
    """Gradients clipped by the limit that is set, if one is: of each value, of each norm or of the norm of all.

    Args:
        plan: the variables of the gradients, which may be in parts on several ranks.
    """
    like = plan.variables if plan is not None and plan.sharded else None
    if value and value > 0:
        return clip_by_value(grads, value)
    limit = norm or global_norm
    if not limit or limit <= 0:
        return grads
    return (clip_by_norm if norm else clip_by_global_norm)(grads, limit, norms_of(grads, like=like))
