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
    """The values along `axis` (`None`: of the flattened tensor) in rising order."""
    if axis is None:
        x, axis = x.reshape(-1), 0
    return torch.sort(x, positive_axis(axis, x.dim()) if x.dim() else axis).values


@op
def argsort(x: Tensor, axis: int | None = -1) -> Tensor:
    """The indices that sort along `axis` (`None`: the flattened tensor), equal values in their order; int32."""
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
    """Indices along `axis` that put the `kth` value where sorting would, none greater before, none less behind; int32.

    Raises:
        ValueError: there is no `kth` value.
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
