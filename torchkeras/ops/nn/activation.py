"""Activation functions."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from torchkeras.core.operations.op import op

op = functools.partial(op, file_module="keras.src.ops.nn")


@op
def relu(x: Tensor) -> Tensor:
    """`max(x, 0)`."""
    return torch.relu(x)


@op(dtype="float")
def gelu(x: Tensor, approximate: bool = True) -> Tensor:
    """`x * P(X <= x)` for a standard normal `X`; by default its tanh approximation (arXiv:1606.08415)."""
    return F.gelu(x, approximate="tanh" if approximate else "none")


@op
def leaky_relu(x: Tensor, negative_slope: float = 0.2) -> Tensor:
    """`x` where positive, `negative_slope * x` elsewhere."""
    return F.leaky_relu(x, negative_slope)


@op
def relu6(x: Tensor) -> Tensor:
    """`min(max(x, 0), 6)`."""
    return F.relu6(x)


@op
def softmax(x: Tensor, axis: int | tuple[int, ...] | None = -1) -> Tensor:
    """`exp(x) / sum(exp(x))` along `axis` (several as one; `None`: all); warns where there is but one value."""
    if not isinstance(axis, int):
        return _over_axes(torch.softmax, x, axis)
    if _size(x, axis) == 1 and not torch.compiler.is_compiling():
        warnings.warn(
            f"You are using a softmax over axis {axis} of a tensor of shape {tuple(x.shape)}. This axis has size 1. "
            "The softmax operation will always return the value 1, which is likely not what you intended. Did you "
            "mean to use a sigmoid instead?",
            stacklevel=3,
        )
    return torch.softmax(x, axis)


@op
def log_softmax(x: Tensor, axis: int | tuple[int, ...] | None = -1) -> Tensor:
    """`log(softmax(x))` along `axis` (several as one; `None`: all)."""
    if not isinstance(axis, int):
        return _over_axes(torch.log_softmax, x, axis)
    _size(x, axis)
    return torch.log_softmax(x, axis)


def _size(x: Tensor, axis: int) -> int:
    """The size of an axis of softmax, which on `meta` would take any number for one."""
    return x.size(axis) if x.dim() else 0


def _over_axes(function: Callable, x: Tensor, axes: Sequence[int] | None) -> Tensor:
    """A function of one axis along several, seen as one."""
    axes = range(x.dim()) if axes is None else [axis % x.dim() for axis in axes]
    last = range(-len(axes), 0)
    moved = torch.movedim(x, tuple(axes), tuple(last))
    flat = moved.flatten(-len(axes)) if axes else moved
    return torch.movedim(function(flat, -1).reshape(moved.shape), tuple(last), tuple(axes))


@op
def elu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """`x` where positive, `alpha * (exp(x) - 1)` elsewhere (arXiv:1511.07289)."""
    return F.elu(x, alpha)


@op
def selu(x: Tensor) -> Tensor:
    """The self-normalizing ELU (arXiv:1706.02515)."""
    return torch.selu(x)


@op
def celu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """`max(x, 0) + min(0, alpha * (exp(x / alpha) - 1))` (arXiv:1704.07483)."""
    return F.celu(x, alpha)


@op
def glu(x: Tensor, axis: int = -1) -> Tensor:
    """The first half along `axis` times the sigmoid of the second (arXiv:1612.08083)."""
    return F.glu(x, axis)


@op
def sigmoid(x: Tensor) -> Tensor:
    """`1 / (1 + exp(-x))`."""
    return torch.sigmoid(x)


@op
def hard_sigmoid(x: Tensor) -> Tensor:
    """`clip(x / 6 + 1/2, 0, 1)`."""
    return F.hardsigmoid(x)


@op
def log_sigmoid(x: Tensor) -> Tensor:
    """`-log(1 + exp(-x))`."""
    return F.logsigmoid(x)


@op
def hard_tanh(x: Tensor) -> Tensor:
    """`clip(x, -1, 1)`."""
    return F.hardtanh(x)


@op
def tanh_shrink(x: Tensor) -> Tensor:
    """`x - tanh(x)`."""
    return F.tanhshrink(x)


@op
def silu(x: Tensor) -> Tensor:
    """`x * sigmoid(x)` (arXiv:1710.05941)."""
    return F.silu(x)


@op
def hard_silu(x: Tensor) -> Tensor:
    """`x * hard_sigmoid(x)` (arXiv:1905.02244)."""
    return F.hardswish(x)


@op
def softplus(x: Tensor) -> Tensor:
    """`log(1 + exp(x))`."""
    return F.softplus(x)


@op
def softsign(x: Tensor) -> Tensor:
    """`x / (1 + |x|)`."""
    return F.softsign(x)


@op
def soft_shrink(x: Tensor, threshold: float = 0.5) -> Tensor:
    """`x` moved to zero by `threshold`, zero within it."""
    return F.softshrink(x, threshold)


@op
def hard_shrink(x: Tensor, threshold: float = 0.5) -> Tensor:
    """`x` where `|x| > threshold`, zero elsewhere."""
    return F.hardshrink(x, threshold)


@op
def threshold(x: Tensor, threshold: float, default_value: float) -> Tensor:
    """`x` above `threshold`, `default_value` elsewhere."""
    return F.threshold(x, threshold, default_value)


@op
def squareplus(x: Tensor, b: float = 4) -> Tensor:
    """`(x + sqrt(x**2 + b)) / 2` (arXiv:2112.11687)."""
    return (x + torch.sqrt(x * x + b)) / 2


@op
def sparse_plus(x: Tensor) -> Tensor:
    """0 below -1, `(x + 1)**2 / 4` up to 1, `x` above."""
    return torch.where(x < 1, (x + 1).clamp(min=0).square() / 4, x)


@op
def sparse_sigmoid(x: Tensor) -> Tensor:
    """0 below -1, `(x + 1) / 2` up to 1, 1 above."""
    x = x if x.is_floating_point() else x * 1.0
    return 0.5 * F.hardtanh(x) + 0.5  # whose gradient is 0 at both ends, as Keras's; clamp's is not


@op
def sparsemax(x: Tensor, axis: int = -1) -> Tensor:
    """A sparse softmax along `axis` (arXiv:1602.02068), with Keras's threshold.

    Keras takes the sum of all partial sums over the support where the paper takes the last one, so that its result
    need not sum to one. Models trained with it need the same here.
    """
    ordered = torch.sort(x, dim=axis, descending=True).values
    ranks = torch.arange(1, x.size(axis) + 1, device=x.device, dtype=x.dtype)
    if axis != -1:
        ranks = ranks.view(-1, *(1,) * (x.dim() - 1 - axis % x.dim()))
    sums = torch.cumsum(ordered, dim=axis)
    support = ordered - (sums - 1) / ranks > 0
    threshold = (torch.where(support, sums, 0).sum(dim=axis, keepdim=True) - 1) / support.sum(dim=axis, keepdim=True)
    return torch.clamp(x - threshold, min=0.0)
