"""A convolution, the affine map of a batch normalization in inference, and an activation in one kernel of oneDNN.

`activation((conv(x, kernel) + bias) * scale + shift)` is `activation(conv(x, kernel * scale) + bias * scale + shift)`:
the products stay the same to rounding, and two passes over the images are saved. The kernel is scaled in each call and
never kept, so no change of a weight can be missed; where it has more numbers than the result, the result is scaled
instead. Measured on one core of an AMD CPU (torch 2.14), as a part of the time of the three calls: 0.2 to 0.8 for
depthwise kernels, 0.3 to 0.5 for kernels of one place.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Tensor

from torchkeras.core.fast_paths.overwriting import Overwriting
from torchkeras.core.fast_paths.switch import fast_paths_enabled
from torchkeras.core.torch_internals import (
    count_dispatch_modes,
    count_function_modes,
    is_functorch_wrapped,
    onednn_convolution,
    onednn_enabled,
    onednn_linear,
    tracing_state,
)
from torchkeras.core.variables.variable import Variable

_LEAST_ROWS = 16  # of a product, for which oneDNN is the faster library
Affine = tuple[Tensor, Tensor]


def can_fuse(x: Tensor, kernel: Tensor) -> bool:
    """Whether a convolution is made in inference mode, on an x86 CPU, of plain float32 tensors that nobody traces."""
    return (
        not torch.compiler.is_compiling()  # first: it knows no inference mode
        and torch.is_inference_mode_enabled()
        and type(x) is Tensor
        and x.dtype is kernel.dtype is torch.float32
        and x.is_cpu
        and kernel.is_cpu
        and x.layout is torch.strided
        and isinstance(kernel, Variable)
        and kernel.is_contiguous()
        and fast_paths_enabled()
        and onednn_enabled()
        and _is_here()
        and not torch.is_autocast_enabled("cpu")
        and not is_functorch_wrapped(x)
        and tracing_state() is None
        and count_dispatch_modes() == 0
        and count_function_modes() == 0
        and x.numel() > 0
    )


def fused_convolution(
    x: Tensor,
    kernel: Tensor,
    bias: Tensor | None,
    affine: Affine | None,
    strides: Sequence[int],
    border: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    activation: Overwriting | None,
) -> Tensor:
    """`activation((conv(x, kernel) + bias) * scale + shift)` without gradients, where `can_fuse` says so.

    Args:
        x: images `(N, C, H, W)`, best a view of `(N, H, W, C)`.
        kernel: of shape `(h, w, in / groups, out)`, contiguous.
        bias: of shape `(out,)`, or `None`.
        affine: `scale` and `shift`, of shape `(out,)`; `None` for neither.
        strides, border, dilation: two numbers each.
        groups: the number of groups.
        activation: the activation; `None` for none.

    Returns:
        A tensor `(N, out, H', W')`.
    """
    attribute, scalars, rest = "none", [], activation
    if activation is not None and activation.onednn is not None:
        attribute, scalars, rest = activation.onednn, list(activation.scalars), None
    places = _count_places(x.shape, kernel.shape, strides, border, dilation)
    scale, left = None, affine
    if affine is not None and kernel.numel() <= places * kernel.shape[-1]:
        scale, shift = affine
        bias, left = shift if bias is None else torch.addcmul(shift, bias, scale), None
    if left is not None:
        attribute, scalars, rest = "none", [], activation
    is_product = kernel.shape[0] == kernel.shape[1] == groups == 1 and max(strides) == 1 and max(border) == 0
    if is_product:
        matrix = kernel[0, 0] if scale is None else kernel[0, 0] * scale
        rows = x.permute(0, 2, 3, 1).reshape(places, -1)
        if places >= _LEAST_ROWS:
            y = onednn_linear(rows, matrix.t(), bias, attribute, scalars, "")
        else:
            y = rows @ matrix if bias is None else torch.addmm(bias, rows, matrix)
            rest = activation
        y = y.view(x.shape[0], *x.shape[2:], -1).permute(0, 3, 1, 2)
    else:
        weight = _laid_out(kernel, scale)
        y = onednn_convolution(x, weight, bias, border, strides, dilation, groups, attribute, scalars, "")
    if left is not None:
        scale, shift = (values.view(-1, 1, 1) for values in left)
        torch.addcmul(shift, y, scale, out=y)
    return y if rest is None else rest.function(y)


def _laid_out(kernel: Tensor, scale: Tensor | None) -> Tensor:
    """The kernel, scaled, as `(out, in / groups, h, w)`, transposed as a matrix where it is large enough to pay."""
    *inner, out = kernel.shape
    rows = kernel.view(-1, out)
    if scale is not None and kernel.shape[2] == 1:  # small: of depthwise convolutions
        rows, scale = rows * scale, None
    columns = rows.t().contiguous()
    if scale is not None:
        columns.mul_(scale.view(-1, 1))
    return columns.view(out, *inner).movedim(-1, 1)


def _count_places(
    shape: Sequence[int], kernel: Sequence[int], strides: Sequence[int], border: Sequence[int], dilation: Sequence[int]
) -> int:
    """The number of places of a batch for which the convolution gives a row of channels."""
    count = shape[0]
    for length, size, step, side, rate in zip(shape[2:], kernel, strides, border, dilation):
        count *= max((length + 2 * side - rate * (size - 1) - 1) // step + 1, 0)
    return count


@functools.cache
def _is_here() -> bool:
    known = torch.backends.mkldnn.is_available() and None not in (onednn_linear, onednn_convolution)
    return known and torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")
