"""A convolution's kernel as torch's convolutions read it, by one quick transposition.

A kernel lies in memory as `(*window, in, out)`, torch's convolutions of channels-last images on a CPU read
`(out, *window, in)`. Given a permuted view they copy it element by element; as a matrix of two dimensions torch
transposes it block by block. Measured with torch 2.13 on one core: 1.6 ms against 10 to 15 for a kernel of
(3, 3, 512, 512), 0.24 against 0.85 for (3, 3, 256, 256). The gradient goes the way back.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchkeras.core.fast_paths.switch import fast_paths_enabled
from torchkeras.core.tensors.sharded import is_sharded
from torchkeras.core.torch_internals import in_functorch_transform

_FEWEST = 1 << 16  # numbers in a kernel for which it pays


def lay_out_kernel(kernel: Tensor) -> Tensor | None:
    """The kernel as `(out, in, *window)` in channels-last memory; `None` where this way is not open or does not pay.

    Args:
        kernel: of shape `(*window, in, out)`.
    """
    if (
        kernel.device.type != "cpu"
        or kernel.numel() < _FEWEST
        or not kernel.is_contiguous()
        or torch.compiler.is_compiling()
        or not fast_paths_enabled()
        or in_functorch_transform()
        or is_sharded(kernel)
    ):
        return None
    if kernel.requires_grad and torch.is_grad_enabled():
        return _LaidOut.apply(kernel)
    return _laid_out(kernel)


class _LaidOut(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, kernel: Tensor) -> Tensor:
        return _laid_out(kernel)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        rows = grad.movedim(1, -1)
        return rows.reshape(len(rows), -1).t().contiguous().view(*rows.shape[1:], len(rows))

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor) -> Tensor:
        return _laid_out(tangent.contiguous())


def _laid_out(kernel: Tensor) -> Tensor:
    *inner, out = kernel.shape
    return kernel.reshape(-1, out).t().contiguous().view(out, *inner).movedim(-1, 1)
