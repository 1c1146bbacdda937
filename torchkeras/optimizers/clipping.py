"""Gradient clipping on lists of tensors; nothing here waits for a device."""

from __future__ import annotations

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


def norms_of(grads: list, order: float = 2) -> list:
    """The norm of each tensor, over all ranks for sharded ones."""
    return [norm.full_tensor() if is_sharded(norm) else norm for norm in foreach_norm(grads, order)]
