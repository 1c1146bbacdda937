"""Order."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from torchkeras.core.operations.op import op
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.ops.numpy.axes import positive_axis

_FEW = 4096  # so many values are sorted as fast as they are parted


@op
def sort(x: Tensor, axis: int | None = -1) -> Tensor:
    """Sort the elements along an axis in ascending order.

    Args:
        x: tensor.
        axis: axis; `None` for the flattened tensor. Default: `-1`.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.sort([3.0, 1.0, 2.0])
        tensor([1., 2., 3.])
    """
    if axis is None:
        x, axis = x.reshape(-1), 0
    return torch.sort(x, positive_axis(axis, x.dim()) if x.dim() else axis).values


@op
def argsort(x: Tensor, axis: int | None = -1) -> Tensor:
    """Return the indices that sort the elements along an axis; equal elements keep their order.

    Args:
        x: tensor.
        axis: axis; `None` for the flattened tensor. Default: `-1`.

    Returns:
        An int32 tensor of the shape of `x`.

    Example:
        >>> keras.ops.argsort([3.0, 1.0, 2.0])
        tensor([1, 2, 0], dtype=torch.int32)
    """
    if axis is None:
        x, axis = x.reshape(-1), -1
    axis = positive_axis(axis, x.dim()) if x.dim() else axis  # not all of torch's devices check it
    return torch.argsort(x, dim=axis, stable=True).to(torch.int32)


def _parted(x: KerasTensor, kth: int, axis: int | None = -1) -> KerasTensor:
    if not isinstance(kth, int):
        raise ValueError(f"kth must be an integer; received {kth!r}.")
    shape = (None if None in x.shape else math.prod(x.shape),) if axis is None else x.shape
    return KerasTensor(shape, "int32")


@op(spec=_parted)
def argpartition(x: Tensor, kth: int, axis: int | None = -1) -> Tensor:
    """Return indices that put the `kth` element where sorting would put it, smaller ones before and larger ones behind.

    Args:
        x: tensor.
        kth: index of the element.
        axis: axis; `None` for the flattened tensor. Default: `-1`.

    Returns:
        An int32 tensor of the shape of `x`.

    Raises:
        ValueError: there is no `kth` element.

    Example:
        >>> int(keras.ops.argpartition([3.0, 1.0, 2.0], 0)[0])
        1
    """
    if axis is None:
        x, axis = x.reshape(-1), -1
    size = x.shape[axis]
    if not -size <= kth < size:
        raise ValueError(f"kth must be in [{-size}, {size}), for so many values are on axis {axis}; received {kth}.")
    if size < _FEW:
        return torch.argsort(x, dim=axis).to(torch.int32)
    least = torch.topk(x, kth % size + 1, axis, largest=False, sorted=False)
    middle = torch.gather(least.indices, axis, torch.argmax(least.values, axis, keepdim=True))
    side = torch.ones_like(x, dtype=torch.int8).scatter(axis, least.indices, -1).scatter(axis, middle, 0)
    return torch.argsort(side, dim=axis).to(torch.int32)
