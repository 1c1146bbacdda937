"""Values put where indices say."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from torchkeras.core.operations.op import op
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.types import Shape

_REDUCTIONS = {"max": "amax", "min": "amin", "mul": "prod"}


def _scatter_spec(indices: Any, values: Any, shape: Shape) -> KerasTensor:
    return KerasTensor(shape, values.dtype)


@op(spec=_scatter_spec, file_module="keras.src.ops.core")
def scatter(indices: Tensor, values: Tensor, shape: Shape) -> Tensor:
    """Add values to a tensor of zeros at given indices.

    Args:
        indices: tensor of integers `(..., k)`: places along the first `k` axes.
        values: tensor of the values.
        shape: shape of the result.

    Returns:
        A tensor of that shape.

    Example:
        >>> keras.ops.scatter([[0], [2]], [1.0, 5.0], (3,))
        tensor([1., 0., 5.])
    """
    zeros = torch.zeros(tuple(shape), dtype=values.dtype, device=values.device)
    return zeros.index_put(_places(indices), values, accumulate=True)


def _scatter_update_spec(inputs: Any, indices: Any, updates: Any, reduction: str | None = None) -> KerasTensor:
    return KerasTensor(inputs.shape, inputs.dtype)


@op(spec=_scatter_update_spec, file_module="keras.src.ops.core")
def scatter_update(inputs: Tensor, indices: Tensor, updates: Tensor, reduction: str | None = None) -> Tensor:
    """Return a copy of a tensor with elements replaced at given indices.

    Args:
        inputs: tensor.
        indices: tensor of integers `(..., k)`: places along the first `k` axes.
        updates: tensor of the new elements.
        reduction: combine old and new elements by `"add"`, `"max"`, `"min"` or `"mul"`; `None`: the last one counts.
            Default: `None`.

    Returns:
        A tensor of the shape of `inputs`.

    Raises:
        ValueError: there is no such reduction.

    Example:
        >>> keras.ops.scatter_update(np.zeros(3), [[1]], np.array([5.0]))
        tensor([0., 5., 0.], dtype=torch.float64)
    """
    if updates.dtype is not inputs.dtype:
        updates = updates.to(inputs.dtype)
    if reduction is None or reduction == "add":
        return inputs.index_put(_places(indices), updates, accumulate=reduction is not None)
    if reduction not in _REDUCTIONS:
        raise ValueError(f"reduction must be None, 'add', 'max', 'min' or 'mul'; received {reduction!r}.")
    shape, (*leading, depth) = inputs.shape, indices.shape
    sizes, rest = shape[:depth], shape[depth:]
    rows = None
    for size, place, negative in zip(sizes, _places(indices), (indices < 0).unbind(-1)):
        rows = torch.add(place if rows is None else rows * size + place, negative, alpha=size)
    flat = inputs.clone(memory_format=torch.contiguous_format).view(math.prod(sizes), *rest)
    rows = rows.reshape(-1, *[1] * len(rest)).expand(-1, *rest)
    updates = updates.expand(*leading, *rest).reshape(rows.shape)
    # In place on a copy: the form that makes its own copy goes over the memory twice.
    return flat.scatter_reduce_(0, rows, updates, _REDUCTIONS[reduction]).view(shape)


def _places(indices: Tensor) -> tuple[Tensor, ...]:
    return (indices if indices.is_floating_point() else indices.long()).unbind(-1)  # torch refuses floats
