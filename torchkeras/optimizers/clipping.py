"""Gradient clipping on lists of tensors; nothing here waits for a device."""

from __future__ import annotations

import torch

from torchkeras.core.tensors.sharded import is_sharded


def clip_by_value(grads: list, limit: float) -> list:
    """Each element clipped to `[-limit, limit]`."""
    clipped = torch._foreach_clamp_max(grads, limit)
    torch._foreach_clamp_min_(clipped, -limit)
    return list(clipped)


def clip_by_norm(grads: list, limit: float, norms: list) -> list:
    """Each tensor scaled so that its 2-norm is `limit` at the most."""
    over = torch._foreach_clamp_min(norms, limit)
    torch._foreach_div_(over, limit)
    return list(torch._foreach_div(grads, over))


def clip_by_global_norm(grads: list, limit: float, norms: list) -> list:
    """All tensors scaled alike so that the 2-norm of the whole is `limit` at the most; NaN where it isn't finite."""
    device = norms[0].device
    total = torch.linalg.vector_norm(torch.stack([norm.to(device=device) for norm in norms]))
    scale = limit / total.clamp(min=limit) + (total - total)
    if all(g.device == device and g.dtype == scale.dtype for g in grads):
        return list(torch._foreach_mul(grads, scale))
    return [g * scale.to(device=g.device, dtype=g.dtype) for g in grads]


def norms_of(grads: list, order: float = 2) -> list:
    """The norm of each tensor, over all ranks for sharded ones."""
    return [norm.full_tensor() if is_sharded(norm) else norm for norm in torch._foreach_norm(grads, order)]
