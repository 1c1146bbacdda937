"""Activation functions."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from torchkeras.core.operations.op import op
from torchkeras.core.user_warnings import warn_user

op = functools.partial(op, file_module="keras.src.ops.nn")


@op
def relu(x: Tensor) -> Tensor:
    """Apply the rectified linear unit: `max(x, 0)`.

    Args:
        x: tensor.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.relu([-1.0, 2.0])
        tensor([0., 2.])
    """
    return torch.relu(x)


@op(dtype="float")
def gelu(x: Tensor, approximate: bool = True) -> Tensor:
    """Apply the Gaussian error linear unit: `x * P(X <= x)` for a standard normal `X` (arXiv:1606.08415).

    Args:
        x: tensor.
        approximate: whether to use the approximation by `tanh`. Default: `True`.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.gelu(np.array([-1.0, 1.0]), approximate=False)
        tensor([-0.1587,  0.8413], dtype=torch.float64)
    """
    return F.gelu(x, approximate="tanh" if approximate else "none")


@op
def leaky_relu(x: Tensor, negative_slope: float = 0.2) -> Tensor:
    """Return `x` where it is positive, and `negative_slope * x` elsewhere.

    Args:
        x: tensor.
        negative_slope: slope below 0. Default: `0.2`.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.leaky_relu(np.array([-1.0, 2.0]))
        tensor([-0.2000,  2.0000], dtype=torch.float64)
    """
    return F.leaky_relu(x, negative_slope)


@op
def relu6(x: Tensor) -> Tensor:
    """Limit each element to [0, 6].

    Args:
        x: tensor.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.relu6(np.array([-1.0, 8.0]))
        tensor([0., 6.], dtype=torch.float64)
    """
    return F.relu6(x)


@op
def softmax(x: Tensor, axis: int | tuple[int, ...] | None = -1) -> Tensor:
    """Compute `exp(x) / sum(exp(x))` along an axis. Warns where the axis has a single element.

    Args:
        x: tensor.
        axis: axis; several axes count as one, `None` stands for all. Default: `-1`.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.softmax(np.array([0.0, 0.0]))
        tensor([0.5000, 0.5000], dtype=torch.float64)
    """
    if not isinstance(axis, int):
        return _over_axes(torch.softmax, x, axis)
    if _size(x, axis) == 1 and not torch.compiler.is_compiling():
        warn_user(
            f"You are using a softmax over axis {axis} of a tensor of shape {tuple(x.shape)}. This axis has size 1. "
            "The softmax operation will always return the value 1, which is likely not what you intended. Did you "
            "mean to use a sigmoid instead?"
        )
    return torch.softmax(x, axis)


@op
def log_softmax(x: Tensor, axis: int | tuple[int, ...] | None = -1) -> Tensor:
    """Compute the logarithm of `softmax` along an axis.

    Args:
        x: tensor.
        axis: axis; several axes count as one, `None` stands for all. Default: `-1`.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.log_softmax(np.array([0.0, 0.0]))
        tensor([-0.6931, -0.6931], dtype=torch.float64)
    """
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
    """Return `x` where it is positive, and `alpha * (exp(x) - 1)` elsewhere (arXiv:1511.07289).

    Args:
        x: tensor.
        alpha: negative limit. Default: `1.0`.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.elu(np.array([-1.0, 2.0]))
        tensor([-0.6321,  2.0000], dtype=torch.float64)
    """
    return F.elu(x, alpha)


@op
def selu(x: Tensor) -> Tensor:
    """Apply the self-normalizing exponential linear unit (arXiv:1706.02515).

    Args:
        x: tensor.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.selu(np.array([-1.0, 1.0]))
        tensor([-1.1113,  1.0507], dtype=torch.float64)
    """
    return torch.selu(x)


@op
def celu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """Compute `max(x, 0) + min(0, alpha * (exp(x / alpha) - 1))` (arXiv:1704.07483).

    Args:
        x: tensor.
        alpha: negative limit. Default: `1.0`.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.celu(np.array([-1.0, 2.0]))
        tensor([-0.6321,  2.0000], dtype=torch.float64)
    """
    return F.celu(x, alpha)


@op
def glu(x: Tensor, axis: int = -1) -> Tensor:
    """Multiply the first half along an axis by the sigmoid of the second (arXiv:1612.08083).

    Args:
        x: tensor of even size along the axis.
        axis: the axis. Default: `-1`.

    Returns:
        A tensor of half the size along the axis.

    Example:
        >>> keras.ops.glu(np.array([2.0, 0.0]))
        tensor([1.], dtype=torch.float64)
    """
    return F.glu(x, axis)


@op
def sigmoid(x: Tensor) -> Tensor:
    """Compute `1 / (1 + exp(-x))` of each element.

    Args:
        x: tensor.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.sigmoid(np.array([0.0, 2.0]))
        tensor([0.5000, 0.8808], dtype=torch.float64)
    """
    return torch.sigmoid(x)


@op
def hard_sigmoid(x: Tensor) -> Tensor:
    """Compute `clip(x / 6 + 1/2, 0, 1)` of each element.

    Args:
        x: tensor.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.hard_sigmoid(np.array([-4.0, 0.0, 4.0]))
        tensor([0.0000, 0.5000, 1.0000], dtype=torch.float64)
    """
    return F.hardsigmoid(x)


@op
def log_sigmoid(x: Tensor) -> Tensor:
    """Compute `-log(1 + exp(-x))` of each element.

    Args:
        x: tensor.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.log_sigmoid(np.array([0.0]))
        tensor([-0.6931], dtype=torch.float64)
    """
    return F.logsigmoid(x)


@op
def hard_tanh(x: Tensor) -> Tensor:
    """Limit each element to [-1, 1].

    Args:
        x: tensor.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.hard_tanh(np.array([-3.0, 0.5]))
        tensor([-1.0000,  0.5000], dtype=torch.float64)
    """
    return F.hardtanh(x)


@op
def tanh_shrink(x: Tensor) -> Tensor:
    """Compute `x - tanh(x)` of each element.

    Args:
        x: tensor.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.tanh_shrink(np.array([0.0, 1.0]))
        tensor([0.0000, 0.2384], dtype=torch.float64)
    """
    return F.tanhshrink(x)


@op
def silu(x: Tensor) -> Tensor:
    """Compute `x * sigmoid(x)` of each element (arXiv:1710.05941). Also called `swish`.

    Args:
        x: tensor.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.silu(np.array([0.0, 1.0]))
        tensor([0.0000, 0.7311], dtype=torch.float64)
    """
    return F.silu(x)


@op
def hard_silu(x: Tensor) -> Tensor:
    """Compute `x * hard_sigmoid(x)` of each element (arXiv:1905.02244). Also called `hard_swish`.

    Args:
        x: tensor.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.hard_silu(np.array([0.0, 3.0]))
        tensor([0., 3.], dtype=torch.float64)
    """
    return F.hardswish(x)


@op
def softplus(x: Tensor) -> Tensor:
    """Compute `log(1 + exp(x))` of each element.

    Args:
        x: tensor.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.softplus(np.array([0.0]))
        tensor([0.6931], dtype=torch.float64)
    """
    return F.softplus(x)


@op
def softsign(x: Tensor) -> Tensor:
    """Compute `x / (1 + |x|)` of each element.

    Args:
        x: tensor.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.softsign(np.array([1.0, -3.0]))
        tensor([ 0.5000, -0.7500], dtype=torch.float64)
    """
    return F.softsign(x)


@op
def soft_shrink(x: Tensor, threshold: float = 0.5) -> Tensor:
    """Move each element towards 0 by a threshold; smaller ones become 0.

    Args:
        x: tensor.
        threshold: distance to move. Default: `0.5`.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.soft_shrink(np.array([-1.0, 0.2, 2.0]))
        tensor([-0.5000,  0.0000,  1.5000], dtype=torch.float64)
    """
    return F.softshrink(x, threshold)


@op
def hard_shrink(x: Tensor, threshold: float = 0.5) -> Tensor:
    """Set elements to 0 whose absolute value does not exceed a threshold.

    Args:
        x: tensor.
        threshold: the threshold. Default: `0.5`.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.hard_shrink(np.array([-1.0, 0.2, 2.0]))
        tensor([-1.,  0.,  2.], dtype=torch.float64)
    """
    return F.hardshrink(x, threshold)


@op
def threshold(x: Tensor, threshold: float, default_value: float) -> Tensor:
    """Replace elements that do not exceed a threshold.

    Args:
        x: tensor.
        threshold: the threshold.
        default_value: value in their place.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.threshold(np.array([-1.0, 2.0]), 0.0, 9.0)
        tensor([9., 2.], dtype=torch.float64)
    """
    return F.threshold(x, threshold, default_value)


@op
def squareplus(x: Tensor, b: float = 4) -> Tensor:
    """Compute `(x + sqrt(x**2 + b)) / 2` of each element (arXiv:2112.11687).

    Args:
        x: tensor.
        b: smoothness: larger is smoother. Default: `4`.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.squareplus(np.array([0.0, 3.0]))
        tensor([1.0000, 3.3028], dtype=torch.float64)
    """
    return (x + torch.sqrt(x * x + b)) / 2


@op
def sparse_plus(x: Tensor) -> Tensor:
    """Return 0 below -1, `(x + 1)**2 / 4` up to 1, and `x` above.

    Args:
        x: tensor.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.sparse_plus(np.array([-2.0, 0.0, 3.0]))
        tensor([0.0000, 0.2500, 3.0000], dtype=torch.float64)
    """
    return torch.where(x < 1, (x + 1).clamp(min=0).square() / 4, x)


@op
def sparse_sigmoid(x: Tensor) -> Tensor:
    """Return 0 below -1, `(x + 1) / 2` up to 1, and 1 above.

    Args:
        x: tensor.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.sparse_sigmoid(np.array([-2.0, 0.0, 3.0]))
        tensor([0.0000, 0.5000, 1.0000], dtype=torch.float64)
    """
    x = x if x.is_floating_point() else x * 1.0
    return 0.5 * F.hardtanh(x) + 0.5  # whose gradient is 0 at both ends, as Keras's; clamp's is not


@op
def sparsemax(x: Tensor, axis: int = -1) -> Tensor:
    """Apply a softmax whose small elements are exactly 0 (arXiv:1602.02068), with Keras's threshold.

    Keras's threshold sums all partial sums over the support where the paper takes the last one, so the result need not
    sum to 1. Models that were trained with it need the same here.

    Args:
        x: tensor.
        axis: the axis. Default: `-1`.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.sparsemax(np.array([3.0, 1.0]))
        tensor([1., 0.], dtype=torch.float64)
    """
    ordered = torch.sort(x, dim=axis, descending=True).values
    ranks = torch.arange(1, x.size(axis) + 1, device=x.device, dtype=x.dtype)
    if axis != -1:
        ranks = ranks.view(-1, *(1,) * (x.dim() - 1 - axis % x.dim()))
    sums = torch.cumsum(ordered, dim=axis)
    support = ordered - (sums - 1) / ranks > 0
    threshold = (torch.where(support, sums, 0).sum(dim=axis, keepdim=True) - 1) / support.sum(dim=axis, keepdim=True)
    return torch.clamp(x - threshold, min=0.0)
