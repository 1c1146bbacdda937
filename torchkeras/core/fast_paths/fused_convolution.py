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
from torchkeras.core.fast_paths.unseen import is_unseen
from torchkeras.core.torch_internals import onednn_convolution, onednn_enabled, onednn_linear
from torchkeras.core.variables.variable import Variable

_LEAST_ROWS = 16  # of a product, for which oneDNN is the faster library
_LEAST_PRODUCTS = 2**20  # and of numbers: below, its call costs more than it saves, 12 microseconds
Affine = tuple[Tensor, Tensor]


def can_fuse(x: Tensor, kernel: Tensor | None) -> bool:
    """Whether a convolution without gradients is made, on an x86 CPU, of plain float32 tensors that nobody traces.

    In inference mode, and under `torch.no_grad()` as well: nothing is kept from one call to the next, so no change of a
    weight can be missed.
    """
    return (
        not torch.compiler.is_compiling()  # first: it knows no inference mode
        and not torch.is_grad_enabled()
        and type(x) is Tensor
        and issubclass(type(kernel), Variable)
        and x.dtype is kernel.dtype is torch.float32  # type: ignore[union-attr]
        and x.is_cpu
        and kernel.is_cpu
        and x.layout is torch.strided
        and kernel.is_contiguous()
        and fast_paths_enabled()
        and onednn_enabled()
        and _is_here()
        and not torch.is_autocast_enabled("cpu")
        and is_unseen()
        and x.numel() > 0
    )


def fused_product(
    x: Tensor, matrix: Tensor, bias: Tensor | None, affine: Affine | None, activation: Overwriting | None
) -> Tensor:
    """`activation((x @ matrix + bias) * scale + shift)` without gradients, where `can_fuse` says so.

    Args:
        x: of shape `(*, in)`.
        matrix: of shape `(in, out)`.
        bias: of shape `(out,)`, or `None`.
        affine: `scale` and `shift`, of shape `(out,)`; `None` for neither.
        activation: the activation; `None` for none.

    Returns:
        A tensor `(*, out)`.
    """
    channels, filters = matrix.shape
    rows = x.reshape(-1, channels)
    places, left = rows.shape[0], None
    if affine is not None:
        scale, shift = affine
        if channels <= places:
            matrix, bias = matrix * scale, shift if bias is None else torch.addcmul(shift, bias, scale)
        else:
            left = affine
    if left is None and places >= _LEAST_ROWS and places * channels * filters >= _LEAST_PRODUCTS:
        name, scalars, rest = _for_onednn(activation)
        y = onednn_linear(rows, matrix.t(), bias, name, scalars, "")
    else:
        y, rest = rows @ matrix if bias is None else torch.addmm(bias, rows, matrix), activation
    if left is not None:
        scale, shift = left
        torch.addcmul(shift, y, scale, out=y)
    if rest is not None:
        rest.function(y)
    return y.view(*x.shape[:-1], filters)


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
    scale, left = None, affine
    if affine is not None:
        height, width, depth, _ = kernel.shape
        if height * width * depth <= _count_places(x.shape, kernel.shape, strides, border, dilation):
            scale, shift = affine
            bias, left = shift if bias is None else torch.addcmul(shift, bias, scale), None
    name, scalars, rest = _for_onednn(activation) if left is None else ("none", (), activation)
    weight = _laid_out(kernel, scale)
    y = onednn_convolution(x, weight, bias, border, strides, dilation, groups, name, scalars, "")
    if left is not None:
        scale, shift = (values.view(-1, 1, 1) for values in left)
        torch.addcmul(shift, y, scale, out=y)
    return y if rest is None else rest.function(y)


def _for_onednn(activation: Overwriting | None) -> tuple[str, Sequence[float], Overwriting | None]:
    """The name and the constants by which oneDNN applies an activation, and what is left to do after it."""
    if activation is None:
        return "none", (), None
    return ("none", (), activation) if activation.onednn is None else (activation.onednn, activation.scalars, None)


def _laid_out(kernel: Tensor, scale: Tensor | None) -> Tensor:
    """The kernel, scaled, as `(out, in / groups, h, w)`, transposed as a matrix where it is large enough to pay."""
    if kernel.shape[2] == 1:  # small: of depthwise convolutions
        return torch.permute(kernel if scale is None else kernel * scale, (3, 2, 0, 1))
    *inner, out = kernel.shape
    columns = kernel.view(-1, out).t().contiguous()
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
