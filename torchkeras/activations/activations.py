"""Activation functions, on tensors."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from torchkeras.core.op import op


def _activation(function: Any) -> Any:
    return op(function, module="keras.activations", file_module="keras.src.ops.nn")


@_activation
def linear(x: Tensor) -> Tensor:
    """`x`."""
    return x


@_activation
def relu(x: Tensor, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Tensor:
    """`x` above `threshold` (cut at `max_value`), `negative_slope * (x - threshold)` below."""
    if negative_slope == 0.0 and threshold == 0.0:
        if max_value is None:
            return torch.relu(x)
        return F.relu6(x) if max_value == 6 else torch.clamp(x, 0.0, max_value)
    if threshold != 0.0:
        positive = torch.where(x > threshold, x, 0)
    else:
        positive = torch.relu(x)
    if max_value is not None:
        positive = torch.clamp(positive, max=max_value)
    return positive - negative_slope * torch.relu(threshold - x) if negative_slope else positive


@_activation
def leaky_relu(x: Tensor, negative_slope: float = 0.2) -> Tensor:
    """`x` where positive, `negative_slope * x` elsewhere."""
    return F.leaky_relu(x, negative_slope)


@_activation
def relu6(x: Tensor) -> Tensor:
    """`min(max(x, 0), 6)`."""
    return F.relu6(x)


@_activation
def softmax(x: Tensor, axis: int = -1) -> Tensor:
    """`exp(x) / sum(exp(x))` along `axis`."""
    return torch.softmax(x, axis)


@_activation
def log_softmax(x: Tensor, axis: int = -1) -> Tensor:
    """`log(softmax(x))` along `axis`."""
    return torch.log_softmax(x, axis)


@_activation
def elu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """`x` where positive, `alpha * (exp(x) - 1)` elsewhere (arXiv:1511.07289)."""
    return F.elu(x, alpha)


@_activation
def selu(x: Tensor) -> Tensor:
    """The self-normalizing ELU (arXiv:1706.02515)."""
    return torch.selu(x)


@_activation
def celu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """`max(x, 0) + min(0, alpha * (exp(x / alpha) - 1))` (arXiv:1704.07483)."""
    return F.celu(x, alpha)


@_activation
def gelu(x: Tensor, approximate: bool = False) -> Tensor:
    """`x * P(X <= x)` for a standard normal `X`, or its tanh approximation (arXiv:1606.08415)."""
    return F.gelu(x, approximate="tanh" if approximate else "none")


@_activation
def glu(x: Tensor, axis: int = -1) -> Tensor:
    """The first half along `axis` times the sigmoid of the second (arXiv:1612.08083)."""
    return F.glu(x, axis)


@_activation
def sigmoid(x: Tensor) -> Tensor:
    """`1 / (1 + exp(-x))`."""
    return torch.sigmoid(x)


@_activation
def hard_sigmoid(x: Tensor) -> Tensor:
    """`clip(x / 6 + 1/2, 0, 1)`."""
    return F.hardsigmoid(x)


@_activation
def log_sigmoid(x: Tensor) -> Tensor:
    """`-log(1 + exp(-x))`."""
    return F.logsigmoid(x)


@_activation
def tanh(x: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    return torch.tanh(x)


@_activation
def hard_tanh(x: Tensor) -> Tensor:
    """`clip(x, -1, 1)`."""
    return F.hardtanh(x)


@_activation
def tanh_shrink(x: Tensor) -> Tensor:
    """`x - tanh(x)`."""
    return F.tanhshrink(x)


@_activation
def silu(x: Tensor) -> Tensor:
    """`x * sigmoid(x)` (arXiv:1710.05941)."""
    return F.silu(x)


@_activation
def hard_silu(x: Tensor) -> Tensor:
    """`x * hard_sigmoid(x)` (arXiv:1905.02244)."""
    return F.hardswish(x)


@_activation
def softplus(x: Tensor) -> Tensor:
    """`log(1 + exp(x))`."""
    return F.softplus(x)


@_activation
def softsign(x: Tensor) -> Tensor:
    """`x / (1 + |x|)`."""
    return F.softsign(x)


@_activation
def soft_shrink(x: Tensor, threshold: float = 0.5) -> Tensor:
    """`x` moved to zero by `threshold`, zero within it."""
    return F.softshrink(x, threshold)


@_activation
def hard_shrink(x: Tensor, threshold: float = 0.5) -> Tensor:
    """`x` where `|x| > threshold`, zero elsewhere."""
    return F.hardshrink(x, threshold)


@_activation
def threshold(x: Tensor, threshold: float, default_value: float) -> Tensor:
    """`x` above `threshold`, `default_value` elsewhere."""
    return F.threshold(x, threshold, default_value)


@_activation
def exponential(x: Tensor) -> Tensor:
    """`exp(x)`."""
    return torch.exp(x)


@_activation
def mish(x: Tensor) -> Tensor:
    """`x * tanh(softplus(x))` (arXiv:1908.08681)."""
    return F.mish(x)


@_activation
def squareplus(x: Tensor, b: float = 4) -> Tensor:
    """`(x + sqrt(x**2 + b)) / 2` (arXiv:2112.11687)."""
    return (x + torch.sqrt(x * x + b)) / 2


@_activation
def sparse_plus(x: Tensor) -> Tensor:
    """0 below -1, `(x + 1)**2 / 4` up to 1, `x` above."""
    return torch.where(x <= -1, torch.zeros_like(x), torch.where(x < 1, (x + 1) ** 2 / 4, x))


@_activation
def sparse_sigmoid(x: Tensor) -> Tensor:
    """0 below -1, `(x + 1) / 2` up to 1, 1 above."""
    return torch.where(x <= -1, torch.zeros_like(x), torch.where(x >= 1, torch.ones_like(x), 0.5 * (x + 1)))


@_activation
def sparsemax(x: Tensor, axis: int = -1) -> Tensor:
    """The point of the simplex nearest to `x` along `axis` (arXiv:1602.02068)."""
    ordered = torch.sort(x, dim=axis, descending=True).values
    shape = [1] * x.dim()
    shape[axis] = -1
    ranks = torch.arange(1, x.shape[axis] + 1, device=x.device, dtype=x.dtype).reshape(shape)
    sums = torch.cumsum(ordered, dim=axis)
    size = (1 + ranks * ordered > sums).sum(dim=axis, keepdim=True)
    tau = (torch.gather(sums, axis, size - 1) - 1) / size
    return torch.clamp(x - tau, min=0)


