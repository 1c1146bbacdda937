"""Convolutions with kernels of one place by oneDNN, where torch would take a slower library.

With one thread and fewer than 16 images torch (2.14) computes such a convolution, and its gradients, as products by
MKL, which leaves the AVX-512 units of AMD CPUs unused. A dilation means nothing to a kernel of one place, but with it
torch always takes oneDNN. Measured on one core, forward and backward: 0.38 to 0.48 of the time for six shapes of
MobileNetV2 and ResNet-50 and batches of 8.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torchkeras.core.fast_paths.linear import onednn_is_faster_here
from torchkeras.core.fast_paths.switch import fast_paths_enabled
from torchkeras.core.torch_internals import onednn_enabled, tracing_state

_DILATIONS = {2: (2, 2), 3: (2, 2, 2)}


def pointwise_dilation(x: Tensor, dilation: tuple[int, ...]) -> tuple[int, ...]:
    """The dilation with which to call torch's convolution of `x` by a kernel of one place without strides.

    Args:
        x: the inputs `(N, C, *spatial)`.
        dilation: the layer's.
    """
    if (
        x.is_cpu
        and x.dtype is torch.float32
        and x.shape[0] < 16
        and not torch.compiler.is_compiling()
        and onednn_is_faster_here()
        and torch.get_num_threads() == 1
        and tracing_state() is None
        and onednn_enabled()
        and fast_paths_enabled()
    ):
        return _DILATIONS.get(x.ndim - 2, dilation)
    return dilation
