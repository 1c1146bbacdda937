"""Running sums that are the same in every run on every device, where torch is asked for deterministic kernels."""

from __future__ import annotations

import torch


def running_sum(x: torch.Tensor, dim: int) -> torch.Tensor:
    """The sums of the entries up to each one along an axis, as `torch.cumsum`.

    Torch's kernel for floats on CUDA is not deterministic: under `torch.use_deterministic_algorithms(True)` it raises
    an error. There the sums are a product with a triangular matrix, in float64, so that counts stay exact. It takes
    memory for the square of the axis, so it is for short ones.

    Args:
        x: tensor.
        dim: the axis.
    """
    if not (torch.are_deterministic_algorithms_enabled() and x.is_cuda and x.is_floating_point()):
        return x.cumsum(dim)
    size = x.shape[dim]
    summed = torch.ones(size, size, dtype=torch.float64, device=x.device).triu()
    return (x.movedim(dim, -1).double() @ summed).to(x.dtype).movedim(-1, dim)
