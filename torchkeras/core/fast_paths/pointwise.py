"""Convolutions with kernels of one place by oneDNN, where torch would take a slower library.

With one thread and fewer than 16 images torch (2.14) computes such a convolution, and its gradients, as products by
MKL, which leaves the AVX-512 units of AMD CPUs unused. A dilation means nothing to a kernel of one place, but with it
torch always takes oneDNN. Measured on one core, forward and backward: 0.38 to 0.48 of the time for six shapes of
MobileNetV2 and ResNet-50 and batches of 8.

In few places, and where there is little to multiply, it is best computed as a product, which needs no other layout of
the kernel: 0.7 ms forward and backward, where torch's convolution takes 3.6, for 8 images of one pixel and a kernel of
(576, 1024); 0.13 to 0.7 of the time for 2 to 64 places and kernels of (16, 64) to (512, 2048), in float32 and bfloat16;
0.5 to 1.0 of it for 128 to 2048 places and up to three million products. Where operations are counted it is the
convolution that a GPU runs.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torchkeras.core.fast_paths.linear import onednn_is_faster_here
from torchkeras.core.fast_paths.switch import fast_paths_enabled
from torchkeras.core.fast_paths.unseen import is_unseen
from torchkeras.core.torch_internals import onednn_enabled, tracing_state

MOST_ROWS = 128
"""Up to how many places of a batch a convolution is computed as a product, whatever the size of the kernel."""

MOST_PRODUCTS = 3 << 20
"""Up to how many products of numbers a convolution is computed as a product, whatever the number of places."""

_DILATIONS = {2: (2, 2), 3: (2, 2, 2)}


def is_small_product(inputs: Tensor, kernel: Tensor) -> bool:
    """Whether a convolution with a kernel of one place, without strides and padding, is best computed as a product.

    Args:
        inputs: of shape `(batch, *spatial, channels)`.
        kernel: of shape `(*ones, channels, filters)`.
    """
    return (
        not torch.compiler.is_compiling()  # first: sizes compared become fixed ones
        and inputs.is_cpu
        and 0 < (size := inputs.numel())
        and (size <= MOST_ROWS * inputs.shape[-1] or size * kernel.shape[-1] <= MOST_PRODUCTS)
        and inputs.dtype is kernel.dtype
        and fast_paths_enabled()
        and is_unseen()
    )


def pointwise_dilation(x: Tensor, dilation: tuple[int, ...]) -> tuple[int, ...]:
    """The dilation with which to call torch's convolution of `x` by a kernel of one place without strides.

    Args:
        x: the inputs `(N, C, *spatial)`.
        dilation: the layer's.
    """
    if (
        not torch.compiler.is_compiling()  # first: sizes compared become fixed ones
        and x.is_cpu
        and x.dtype is torch.float32
        and x.shape[0] < 16
        and onednn_is_faster_here()
        and torch.get_num_threads() == 1
        and tracing_state() is None
        and onednn_enabled()
        and fast_paths_enabled()
    ):
        return _DILATIONS.get(x.ndim - 2, dilation)
    return dilation
