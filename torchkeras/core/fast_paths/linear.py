"""`x @ kernel + bias` by the library whose matrix product is the faster one on this CPU."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from torchkeras.core.fast_paths.overwriting import Overwriting
from torchkeras.core.fast_paths.switch import fast_paths_enabled
from torchkeras.core.fast_paths.unseen import is_unseen
from torchkeras.core.torch_internals import onednn_enabled, onednn_linear
from torchkeras.core.variables.variable import Variable

# torch multiplies float32 matrices with MKL, which leaves the AVX-512 units of AMD CPUs unused; oneDNN, which torch has
# as well, does not. Measured there, one thread, oneDNN's time as a part of MKL's: 0.46 for (64, 1600) x (1600, 128),
# 0.51 for (512, 128) x (128, 128), 1.4 for (64, 128) x (128, 64), 3.7 for one row and (2048, 2048).
LEAST_PRODUCTS = 2**20
LEAST_ROWS = 16

# With gradients, forward and backward, again as a part of MKL's time: 0.95 for (4096, 32) x (32, 32), 0.69 for
# (64, 1600) x (1600, 128), 0.56 for (128, 512) x (512, 512), 0.49 for (512, 384) x (384, 1536).
LEAST_PRODUCTS_WITH_GRADIENTS = 2**22


def linear(x: Tensor, kernel: Tensor, bias: Tensor | None, form: Overwriting | None = None) -> Tensor:
    """`x @ kernel + bias`, and perhaps an activation of it, written over it.

    Args:
        x: tensor of shape `(*, in)`, of any type that casts to the kernel's.
        kernel: tensor of shape `(in, units)`. Both ways on CPU, a product with it is within 6% of `F.linear` on an
            `(units, in)` matrix for 512 and 784 features and batches of 32 to 512, and 0.9 of its time for 4 features.
        bias: tensor of shape `(units,)`, or `None`.
        form: the activation, for which `may_overwrite` holds. Default: `None`.

    Returns:
        A tensor of shape `(*, units)` in the kernel's type.
    """
    if x.dtype != kernel.dtype:
        x = x.to(kernel.dtype)
    if x.ndim != 2:
        return linear(x.reshape(-1, kernel.shape[0]), kernel, bias, form).view(*x.shape[:-1], kernel.shape[1])
    grads = torch.is_grad_enabled()
    if (
        not torch.compiler.is_compiling()  # first: sizes compared become fixed ones
        and x.shape[0] * kernel.numel() >= (LEAST_PRODUCTS_WITH_GRADIENTS if grads else LEAST_PRODUCTS)
        and _is_for_onednn(x, kernel)
    ):
        outputs = _Linear.apply(x, kernel, bias) if grads else _by_onednn(x, kernel, bias)
    else:
        outputs = torch.mm(x, kernel) if bias is None else torch.addmm(bias, x, kernel)
    return outputs if form is None else form.function(outputs)


def _by_onednn(x: Tensor, matrix: Tensor, bias: Tensor | None) -> Tensor:
    return onednn_linear(x, matrix.t(), bias, "none", [], "")


def _kernel_gradient(x: Tensor, grad: Tensor) -> Tensor:
    """`x.t() @ grad`, with the smaller copy: oneDNN's product lays its first factor out in order."""
    rows, features = x.shape
    units = grad.shape[1]
    if rows * features <= rows * units + features * units:
        return _by_onednn(x.t(), grad, None)
    return _by_onednn(grad.t(), x, None).t().contiguous()


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, kernel)
        return _by_onednn(x, kernel, bias)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, kernel = ctx.saved_tensors
        needs_x, needs_kernel, needs_bias = ctx.needs_input_grad
        if torch.is_grad_enabled():  # gradients of gradients
            products = grad @ kernel.t() if needs_x else None, x.t() @ grad if needs_kernel else None
        else:
            products = (
                _by_onednn(grad, kernel.t(), None) if needs_x else None,
                _kernel_gradient(x, grad) if needs_kernel else None,
            )
        return *products, grad.sum(0) if needs_bias else None


def _is_for_onednn(x: Tensor, kernel: Tensor) -> bool:
    """Whether a large product is faster by oneDNN, of ordinary tensors that nobody traces, in code not compiled."""
    return (
        x.shape[0] >= LEAST_ROWS
        and onednn_is_faster_here()
        and fast_paths_enabled()
        and type(x) is Tensor
        and x.layout is torch.strided
        and (isinstance(kernel, Variable) or type(kernel) is Tensor)
        and x.device.type == "cpu"
        and x.dtype is kernel.dtype is torch.float32
        and onednn_enabled()
        and not torch.is_autocast_enabled("cpu")
        and is_unseen()
    )


@functools.cache
def onednn_is_faster_here() -> bool:
    """Whether this CPU is one on which oneDNN's product is the faster one."""
    known = torch.backends.mkldnn.is_available() and onednn_linear is not None
    if not known or torch.backends.cpu.get_cpu_capability() != "AVX512":
        return False
    try:
        return "AuthenticAMD" in Path("/proc/cpuinfo").read_text(errors="ignore")
    except OSError:
        return False
