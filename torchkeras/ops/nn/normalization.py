"""Means and variances, and tensors that are brought to given ones."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from torchkeras.core import settings
from torchkeras.core.operations.op import op
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.tensors.dtypes import promote
from torchkeras.core.torch_internals import mse_loss
from torchkeras.core.types import Axes
from torchkeras.core.user_warnings import warn_user

op = functools.partial(op, file_module="keras.src.ops.nn")


@op(dtype="float")
def moments(x: Tensor, axes: Axes | None, keepdims: bool = False, synchronized: bool = False) -> tuple[Tensor, Tensor]:
    """Compute mean and variance along axes.

    The variance is the mean squared distance from the mean, so it does not cancel where the mean is large. float16 is
    computed in float32.

    Args:
        x: tensor.
        axes: axis or axes; `None` for all.
        keepdims: whether reduced axes stay, with size 1. Default: `False`.
        synchronized: must be `False`: `BatchNormalization` synchronizes over ranks. Default: `False`.

    Returns:
        Mean and variance.

    Raises:
        NotImplementedError: `synchronized` is `True`.

    Example:
        >>> keras.ops.moments(np.array([1.0, 3.0]), axes=0)[1]
        tensor(1., dtype=torch.float64)
    """
    if synchronized:
        raise NotImplementedError("moments() is of one rank's tensor; received synchronized=True.")
    y = x.float() if x.dtype is torch.float16 else x
    mean = y.mean(axes, keepdim=True)
    apart = y.requires_grad and y.numel() > _MANY
    centre = mean.detach() if apart else mean
    variance = _squared_distances(y, centre).mean(axes, keepdim=keepdims)
    if not keepdims:
        mean = mean.reshape(variance.shape)
    if apart:  # no gradient went through the centre, of the first order rightly so; the second is in what is 0 here
        variance = variance - (mean - centre.reshape(variance.shape)).square()
    if x.dtype is torch.float16:
        most = torch.finfo(torch.float16).max
        return mean.clamp(-most, most).half(), variance.clamp(-most, most).half()
    return mean, variance


def _squared_distances(x: Tensor, mean: Tensor) -> Tensor:
    """`(x - mean)**2` in one kernel; with the means before and after, a tenth of `torch.var_mean`'s time on CPU."""
    if x.dim() > 2 and 1 < mean.shape[-1] < 32 and mean.shape[-2] == 1 and x.numel() > _MANY:
        # Few channels: torch is quicker over rows of pixels than over single pixels.
        mean = mean.expand(*mean.shape[:-2], *x.shape[-2:]).contiguous()
    return mse_loss(x, mean.expand(x.shape), 0)  # 0: not reduced


_MANY = 10_000  # elements from which one pass more over them costs more than a few calls


def _check_vectors(x: Tensor, axis: int, **vectors: Tensor | None) -> None:
    size = x.shape[axis]
    for name, vector in vectors.items():
        if vector is not None and tuple(vector.shape) not in ((size,), (None,)) and size is not None:
            raise ValueError(
                f"`{name}` must be a vector of length `x.shape[axis]`, ({size},). Received: {name}.shape="
                f"{tuple(vector.shape)}, x.shape={tuple(x.shape)}, axis={axis}"
            )


def _describe_normalized(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    offset: Tensor | None = None,
    scale: Tensor | None = None,
    *,
    axis: int,
    epsilon: float,
) -> KerasTensor:
    _check_vectors(x, axis, mean=mean, variance=variance, offset=offset, scale=scale)
    given = [t.dtype for t in (x, mean, variance, offset, scale) if t is not None]
    return KerasTensor(x.shape, promote(*given, float))


@op(dtype="common_float", name="BatchNorm", call=("offset", "scale"), spec=_describe_normalized)
def batch_normalization(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    axis: int,
    offset: Tensor | None = None,
    scale: Tensor | None = None,
    epsilon: float = 1e-3,
) -> Tensor:
    """Normalize by given statistics: `(x - mean) / sqrt(variance + epsilon) * scale + offset` (arXiv:1502.03167).

    Args:
        x: tensor.
        mean: vector along the axis.
        variance: vector along the axis.
        axis: the axis.
        offset: vector along the axis, or `None`. Default: `None`.
        scale: vector along the axis, or `None`. Default: `None`.
        epsilon: small number added to the variance. Default: `0.001`.

    Returns:
        A tensor of the shape of `x`.

    Raises:
        RuntimeError: a vector has another length than the axis.

    Example:
        >>> keras.ops.batch_normalization(np.array([[3.0]]), np.array([1.0]), np.array([4.0]), axis=-1, epsilon=0.0)
        tensor([[1.]], dtype=torch.float64)
    """
    if not (mean.requires_grad or variance.requires_grad):  # torch's kernel has no gradient for these
        shape = x.shape
        last = axis == -1 or axis % len(shape) == len(shape) - 1  # rows of channels are what it is fastest at
        flat = last and len(shape) == 2
        y = x if flat else x.reshape(-1, shape[-1]) if last else x.movedim(axis, 1)
        cudnn = x.is_cuda and torch.backends.cudnn.enabled
        y = torch.batch_norm(y, scale, offset, mean, variance, False, 0.0, epsilon, cudnn)
        return y if flat else y.view(shape) if last else y.movedim(1, axis)
    factor = torch.rsqrt(variance + epsilon)
    factor = factor if scale is None else factor * scale
    behind = x.dim() - 1 - axis % x.dim()
    if behind:
        shape = (-1, *(1,) * behind)
        mean, factor = mean.view(shape), factor.view(shape)
        offset = None if offset is None else offset.view(shape)
    return (x - mean) * factor if offset is None else torch.addcmul(offset, x - mean, factor)


def _as_x(x: Tensor, *args: Any, **kwargs: Any) -> KerasTensor:
    return KerasTensor(x.shape, x.dtype)


@op(name="LayerNorm", keep=("gamma", "beta"), call=("gamma", "beta"), spec=_as_x)
def layer_normalization(
    x: Tensor,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
    axis: Axes = -1,
    epsilon: float | None = None,
    **kwargs: Any,
) -> Tensor:
    """Normalize to mean 0 and variance 1 along axes (arXiv:1607.06450).

    `(x - mean) / sqrt(variance + epsilon) * gamma + beta`.

    Args:
        x: tensor.
        gamma: factor, of the axes' shape, or `None`. Default: `None`.
        beta: offset, of the axes' shape, or `None`. Default: `None`.
        axis: axis or axes. Default: `-1`.
        epsilon: small number added to the variance; `None`: `keras.config.epsilon()`. Default: `None`.
        **kwargs: `rms_scaling=True` for the retired form `x / sqrt(variance + epsilon) * gamma`.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.layer_normalization(np.array([1.0, 3.0]), epsilon=1e-12)
        tensor([-1.0000,  1.0000], dtype=torch.float64)
    """
    epsilon = settings.epsilon() if epsilon is None else epsilon
    if kwargs and kwargs.get("rms_scaling", False):
        return _divided_by_deviation(x, gamma, axis, epsilon)
    dtype = x.dtype
    if (
        axis == -1
        and dtype in _WIDE
        and (gamma is None or gamma.dtype is dtype)
        and (beta is None or beta.dtype is dtype)
    ):
        return torch.layer_norm(x, (x.shape[-1],), gamma, beta, epsilon)
    return _over_last_axes(torch.layer_norm, x, axis, epsilon, gamma, beta)


@op(name="RMSNorm", keep=("scale",), call=("scale",), spec=_as_x)
def rms_normalization(x: Tensor, scale: Tensor | None = None, axis: Axes = -1, epsilon: float | None = None) -> Tensor:
    """Divide by the root mean square along axes: `x / sqrt(mean(x**2) + epsilon) * scale` (arXiv:1910.07467).

    Args:
        x: tensor.
        scale: factor, of the axes' shape, or `None`. Default: `None`.
        axis: axis or axes. Default: `-1`.
        epsilon: small number added to the mean; `None`: `keras.config.epsilon()`. Default: `None`.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.rms_normalization(np.array([3.0, 3.0]), epsilon=1e-12)
        tensor([1.0000, 1.0000], dtype=torch.float64)
    """
    epsilon = settings.epsilon() if epsilon is None else epsilon
    if axis == -1 and x.dtype in _WIDE and (scale is None or scale.dtype is x.dtype):
        return torch.rms_norm(x, (x.shape[-1],), scale, epsilon)
    return _over_last_axes(torch.rms_norm, x, axis, epsilon, scale)


def _over_last_axes(function: Callable, x: Tensor, axis: Axes, epsilon: float, *weights: Tensor | None) -> Tensor:
    """A function of torch's that normalizes the last axes, along `axis`; in float32 at the least, then `x`'s type."""
    y = x if x.dtype in _WIDE else x.float()
    for w in weights:
        if w is not None and w.dtype is not y.dtype:
            weights = tuple(None if w is None else w.to(y.dtype) for w in weights)
    if axis == -1:
        y = function(y, (y.shape[-1],), *weights, epsilon)
    else:
        axes = sorted(one % x.dim() for one in ((axis,) if isinstance(axis, int) else axis))
        last = tuple(range(-len(axes), 0))
        y = y.movedim(axes, last)
        y = function(y, y.shape[last[0] :], *weights, epsilon).movedim(last, axes)
    return y if y.dtype is x.dtype else y.to(x.dtype)


_WIDE = (torch.float32, torch.float64)


def _divided_by_deviation(x: Tensor, gamma: Tensor | None, axis: Axes, epsilon: float) -> Tensor:
    warn_user(
        "You passed `rms_scaling=True`, which is deprecated: it divides by the standard deviation. Use "
        "`rms_normalization` instead."
    )
    y = x if x.dtype in _WIDE else x.float()
    y = y * torch.rsqrt(torch.var(y, axis, correction=0, keepdim=True) + epsilon)
    if gamma is not None:
        axes = [one % x.dim() for one in ((axis,) if isinstance(axis, int) else axis)]
        y = y * gamma.to(y.dtype).reshape([size if i in axes else 1 for i, size in enumerate(x.shape)])
    return y.to(x.dtype)


def unit_length(x: Tensor, axis: Axes | None, epsilon: float) -> Tensor:
    """`x` divided by its length along `axis`, or by `epsilon` where that is shorter."""
    largest = 1.0 / epsilon
    if x.dtype is torch.float16:
        largest = min(largest, torch.finfo(torch.float16).max)
    return x * torch.rsqrt(x.square().sum(axis, keepdim=True)).clamp(max=largest)


@op(dtype="float")
def normalize(x: Tensor, axis: Axes | None = -1, order: int = 2, epsilon: float | None = None) -> Tensor:
    """Divide by the norm along an axis, or by `epsilon` where that is larger.

    Args:
        x: tensor.
        axis: axis; two axes make a matrix norm, `None` takes all. Default: `-1`.
        order: order of the norm. Default: `2`.
        epsilon: smallest divisor; `None`: `keras.config.epsilon()`. Default: `None`.

    Returns:
        A tensor of the shape of `x`.

    Raises:
        ValueError: `order` is no positive integer.

    Example:
        >>> keras.ops.normalize(np.array([3.0, 4.0]))
        tensor([0.6000, 0.8000], dtype=torch.float64)
    """
    if not isinstance(order, int) or order < 1:
        raise ValueError(f"Argument `order` must be an int >= 1. Received: order={order}")
    epsilon = settings.epsilon() if epsilon is None else epsilon
    x = x if x.dim() else x.reshape(1)
    if order == 2:
        return unit_length(x, axis, epsilon)
    return x / torch.linalg.norm(x, order, axis, keepdim=True).clamp(min=epsilon)
