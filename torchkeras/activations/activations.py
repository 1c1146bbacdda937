"""Activation functions, on tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from torchkeras.activations.symbolic import activation
from torchkeras.core.registry import register_public


def linear(x: Any) -> Any:
    """`x`."""
    return x


register_public(linear, "keras.activations")


@activation(op="ReLU", module="keras.src.activations.activations")
def relu(x: Tensor, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Tensor:
    """`x` above `threshold` (cut at `max_value`), `negative_slope * (x - threshold)` below."""
    if negative_slope == 0.0 and threshold == 0.0 and max_value is None:
        return torch.relu(x)
    if max_value is None and threshold == 0.0:
        return F.leaky_relu(x, negative_slope)
    positive = torch.relu(x) if threshold == 0.0 else torch.where(x > threshold, x, 0)
    if max_value is not None:
        positive = torch.clamp(positive, 0.0, max_value)
    return positive - negative_slope * torch.relu(threshold - x) if negative_slope else positive


@activation
def leaky_relu(x: Tensor, negative_slope: float = 0.2) -> Tensor:
    """`x` where positive, `negative_slope * x` elsewhere."""
    return F.leaky_relu(x, negative_slope)


@activation
def relu6(x: Tensor) -> Tensor:
    """`min(max(x, 0), 6)`."""
    return F.relu6(x)


@activation
def softmax(x: Tensor, axis: int | tuple[int, ...] | None = -1) -> Tensor:
    """`exp(x) / sum(exp(x))` along `axis` (several as one; `None`: all)."""
    return torch.softmax(x, axis) if isinstance(axis, int) else _over_axes(torch.softmax, x, axis)


@activation
def log_softmax(x: Tensor, axis: int | tuple[int, ...] | None = -1) -> Tensor:
    """`log(softmax(x))` along `axis` (several as one; `None`: all)."""
    return torch.log_softmax(x, axis) if isinstance(axis, int) else _over_axes(torch.log_softmax, x, axis)


def _over_axes(function: Callable, x: Tensor, axes: Sequence[int] | None) -> Tensor:
    """A function of one axis along several, seen as one."""
    axes = range(x.dim()) if axes is None else [axis % x.dim() for axis in axes]
    last = range(-len(axes), 0)
    moved = torch.movedim(x, tuple(axes), tuple(last))
    flat = moved.flatten(-len(axes)) if axes else moved
    return torch.movedim(function(flat, -1).reshape(moved.shape), tuple(last), tuple(axes))


@activation
def elu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """`x` where positive, `alpha * (exp(x) - 1)` elsewhere (arXiv:1511.07289)."""
    return F.elu(x, alpha)


@activation
def selu(x: Tensor) -> Tensor:
    """The self-normalizing ELU (arXiv:1706.02515)."""
    return torch.selu(x)


@activation
def celu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """`max(x, 0) + min(0, alpha * (exp(x / alpha) - 1))` (arXiv:1704.07483)."""
    return F.celu(x, alpha)


@activation
def gelu(x: Tensor, approximate: bool = False) -> Tensor:
    """`x * P(X <= x)` for a standard normal `X`, or its tanh approximation (arXiv:1606.08415)."""
    return F.gelu(x, approximate="tanh" if approximate else "none")


@activation
def glu(x: Tensor, axis: int = -1) -> Tensor:
    """The first half along `axis` times the sigmoid of the second (arXiv:1612.08083)."""
    return F.glu(x, axis)


@activation
def sigmoid(x: Tensor) -> Tensor:
    """`1 / (1 + exp(-x))`."""
    return torch.sigmoid(x)


@activation
def hard_sigmoid(x: Tensor) -> Tensor:
    """`clip(x / 6 + 1/2, 0, 1)`."""
    return F.hardsigmoid(x)


@activation
def log_sigmoid(x: Tensor) -> Tensor:
    """`-log(1 + exp(-x))`."""
    return F.logsigmoid(x)


@activation(module="keras.src.ops.numpy")
def tanh(x: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    return torch.tanh(x)


@activation
def hard_tanh(x: Tensor) -> Tensor:
    """`clip(x, -1, 1)`."""
    return F.hardtanh(x)


@activation
def tanh_shrink(x: Tensor) -> Tensor:
    """`x - tanh(x)`."""
    return F.tanhshrink(x)


@activation
def silu(x: Tensor) -> Tensor:
    """`x * sigmoid(x)` (arXiv:1710.05941)."""
    return F.silu(x)


@activation
def hard_silu(x: Tensor) -> Tensor:
    """`x * hard_sigmoid(x)` (arXiv:1905.02244)."""
    return F.hardswish(x)


@activation
def softplus(x: Tensor) -> Tensor:
    """`log(1 + exp(x))`."""
    return F.softplus(x)


@activation
def softsign(x: Tensor) -> Tensor:
    """`x / (1 + |x|)`."""
    return F.softsign(x)


@activation
def soft_shrink(x: Tensor, threshold: float = 0.5) -> Tensor:
    """`x` moved to zero by `threshold`, zero within it."""
    return F.softshrink(x, threshold)


@activation
def hard_shrink(x: Tensor, threshold: float = 0.5) -> Tensor:
    """`x` where `|x| > threshold`, zero elsewhere."""
    return F.hardshrink(x, threshold)


@activation
def threshold(x: Tensor, threshold: float, default_value: float) -> Tensor:
    """`x` above `threshold`, `default_value` elsewhere."""
    return F.threshold(x, threshold, default_value)


@activation(op="Exp", module="keras.src.ops.numpy")
def exponential(x: Tensor) -> Tensor:
    """`exp(x)`."""
    return torch.exp(x)


@activation(module="keras.src.activations.activations")
def mish(x: Tensor) -> Tensor:
    """`x * tanh(softplus(x))` (arXiv:1908.08681)."""
    return F.mish(x)


@activation
def squareplus(x: Tensor, b: float = 4) -> Tensor:
    """`(x + sqrt(x**2 + b)) / 2` (arXiv:2112.11687)."""
    return (x + torch.sqrt(x * x + b)) / 2


@activation
def sparse_plus(x: Tensor) -> Tensor:
    """0 below -1, `(x + 1)**2 / 4` up to 1, `x` above."""
    return torch.where(x <= -1, torch.zeros_like(x), torch.where(x < 1, (x + 1) ** 2 / 4, x))


@activation
def sparse_sigmoid(x: Tensor) -> Tensor:
    """0 below -1, `(x + 1) / 2` up to 1, 1 above."""
    return torch.where(x <= -1, torch.zeros_like(x), torch.where(x >= 1, torch.ones_like(x), 0.5 * (x + 1)))


@activation
def sparsemax(x: Tensor, axis: int = -1) -> Tensor:
    """A sparse softmax along `axis` (arXiv:1602.02068), with Keras's threshold.

    Keras takes the sum of all partial sums over the support where the paper takes the last one, so that its result
    need not sum to one. Models trained with it need the same here.
    """
    ordered = torch.sort(x, dim=axis, descending=True).values
    shape = [1] * x.dim()
    shape[axis] = -1
    ranks = torch.arange(1, x.shape[axis] + 1, device=x.device, dtype=x.dtype).reshape(shape)
    sums = torch.cumsum(ordered, dim=axis)
    support = ordered - (sums - 1) / ranks > 0
    threshold = (torch.where(support, sums, 0).sum(dim=axis, keepdim=True) - 1) / support.sum(dim=axis, keepdim=True)
    return torch.clamp(x - threshold, min=0.0)
