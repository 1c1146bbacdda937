"""The activation functions: ops, and the few that differ from the op of their name."""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from torch import Tensor

from torchkeras.core.fast_paths import overwriting
from torchkeras.core.operations.op import op
from torchkeras.core.registry import register_public
from torchkeras.core.types import ArrayLike
from torchkeras.ops.nn import activation as of_ops
from torchkeras.ops.numpy.trigonometry import tanh

activation = functools.partial(op, module="keras.activations")


def linear(x: ArrayLike) -> ArrayLike:
    """Return the input as it is: the activation that layers use for `None`.

    Args:
        x: tensor.

    Returns:
        `x` itself.

    Example:
        >>> keras.activations.linear(torch.tensor([-1.0, 2.0])).tolist()
        [-1.0, 2.0]
    """
    return x


register_public(linear, "keras.activations")
register_public(tanh, "keras.activations")
register_public(of_ops.silu, "keras.activations", aliases=("swish",))
register_public(of_ops.hard_silu, "keras.activations", aliases=("hard_swish",))
for _name in (
    "celu elu glu hard_shrink hard_sigmoid hard_tanh leaky_relu log_sigmoid log_softmax relu6 selu sigmoid "
    "soft_shrink softmax softplus softsign sparse_plus sparse_sigmoid sparsemax squareplus tanh_shrink threshold"
).split():
    register_public(getattr(of_ops, _name), "keras.activations")


@activation(name="ReLU", file_module="keras.src.activations.activations")
def relu(x: Tensor, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Tensor:
    """Apply the rectified linear unit: `max(x, 0)` with the default arguments.

    In general: `max_value` where `x >= max_value`; `x` where `threshold <= x < max_value`;
    `negative_slope * (x - threshold)` below.

    Args:
        x: tensor.
        negative_slope: slope below the threshold. Default: `0.0`.
        max_value: largest output; `None` sets no limit. Default: `None`.
        threshold: inputs below it count as negative. Default: `0.0`.

    Returns:
        A tensor of the shape and dtype of `x`.

    Example:
        >>> x = torch.tensor([-2.0, 1.0, 8.0])
        >>> keras.activations.relu(x).tolist()
        [0.0, 1.0, 8.0]
        >>> keras.activations.relu(x, negative_slope=0.5, max_value=6.0).tolist()
        [-1.0, 1.0, 6.0]
    """
    if negative_slope == 0.0 and threshold == 0.0 and max_value is None:
        return torch.relu(x)
    if max_value is None and threshold == 0.0:
        return F.leaky_relu(x, negative_slope)
    if max_value == 6 and threshold == 0.0 and negative_slope == 0.0:
        return F.relu6(x)
    positive = torch.relu(x) if threshold == 0.0 else torch.where(x > threshold, x, 0)
    if max_value is not None:
        positive = torch.clamp(positive, 0.0, max_value)
    return positive - negative_slope * torch.relu(threshold - x) if negative_slope else positive


overwriting.overwrites(relu, overwriting.RELU)
overwriting.overwrites(of_ops.relu6, overwriting.RELU6)
overwriting.overwrites(of_ops.sigmoid, overwriting.SIGMOID)
overwriting.overwrites(of_ops.silu, overwriting.SILU)
overwriting.overwrites(of_ops.hard_silu, overwriting.HARD_SILU)
overwriting.overwrites(tanh, overwriting.TANH)


@activation(file_module="keras.src.ops.nn")
def gelu(x: Tensor, approximate: bool = False) -> Tensor:
    """Apply the Gaussian error linear unit: `x * P(X <= x)` for a standard normal `X` (arXiv:1606.08415).

    Args:
        x: tensor.
        approximate: whether to use the approximation by `tanh`. Default: `False`.

    Returns:
        A tensor of the shape and dtype of `x`.

    Example:
        >>> keras.activations.gelu(torch.tensor([-1.0, 0.0, 1.0]))
        tensor([-0.1587,  0.0000,  0.8413])
    """
    return F.gelu(x, approximate="tanh" if approximate else "none")


@activation(name="Exp", file_module="keras.src.ops.numpy")
def exponential(x: Tensor) -> Tensor:
    """Apply the exponential function: `exp(x)`.

    Args:
        x: tensor.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.activations.exponential(torch.tensor([0.0, 1.0]))
        tensor([1.0000, 2.7183])
    """
    return torch.exp(x)


@activation(file_module="keras.src.activations.activations")
def mish(x: Tensor) -> Tensor:
    """Apply the mish function: `x * tanh(softplus(x))` (arXiv:1908.08681).

    Args:
        x: tensor.

    Returns:
        A tensor of the shape and dtype of `x`.

    Example:
        >>> keras.activations.mish(torch.tensor([-1.0, 0.0, 1.0]))
        tensor([-0.3034,  0.0000,  0.8651])
    """
    return F.mish(x)
