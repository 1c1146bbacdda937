"""Order."""

from __future__ import annotations

import torch
from torch import Tensor

from torchkeras.core.op import op


@op
def sort(x: Tensor, axis: int | None = -1) -> Tensor:
    """The values along `axis` (`None`: of the flattened tensor) in rising order."""
    return torch.sort(x.reshape(-1) if axis is None else x, -1 if axis is None else axis).values


@op
def argsort(x: Tensor, axis: int | None = -1) -> Tensor:
    """The indices that sort along `axis` (`None`: the flattened tensor), equal values in their order; int32."""
    if axis is None:
        x, axis = x.reshape(-1), -1
    return torch.argsort(x, dim=axis, stable=True).to(torch.int32)


@op
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
    return torch.argsort(x, dim=axis).to(torch.int32)
