"""Reductions over the rows that share a segment's number."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor

from torchkeras.core.operations.op import op
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.types import ArrayLike


def _segments(data: Any, segment_ids: Any, num_segments: int | None = None, sorted: bool = False) -> KerasTensor:
    """A row a segment; how many there are without `num_segments`, only the values say."""
    return KerasTensor((num_segments, *data.shape[1:]), data.dtype)


op = functools.partial(op, file_module="keras.src.ops.math", spec=_segments)


@op
def segment_sum(data: Tensor, segment_ids: Tensor, num_segments: int | None = None, sorted: bool = False) -> Tensor:
    """Sum the rows of each segment; a segment without rows gives 0.

    Args:
        data: tensor `(rows, ...)`.
        segment_ids: segment of each row, `(rows,)`; rows of a segment that does not exist (-1) are left out.
        num_segments: number of segments; `None`: up to the largest id, which has to be read from the device. Default:
            `None`.
        sorted: whether the ids ascend; the result is the same. Default: `False`.

    Returns:
        A tensor `(num_segments, ...)`.

    Example:
        >>> keras.ops.segment_sum(np.array([1.0, 2.0, 4.0]), np.array([0, 0, 1]), num_segments=2)
        tensor([3., 4.], dtype=torch.float64)
    """
    shape = data.shape
    rows, count = _rows(shape, segment_ids, num_segments)
    return data.new_zeros((count + 2, *shape[1:])).index_add(0, rows, data)[1:-1]


@op
def segment_prod(data: Tensor, segment_ids: Tensor, num_segments: int | None = None, sorted: bool = False) -> Tensor:
    """Multiply the rows of each segment; a segment without rows gives 1.

    Args:
        data: tensor `(rows, ...)`.
        segment_ids: segment of each row, `(rows,)`; rows of a segment that does not exist (-1) are left out.
        num_segments: number of segments; `None`: up to the largest id, which has to be read from the device. Default:
            `None`.
        sorted: whether the ids ascend; the result is the same. Default: `False`.

    Returns:
        A tensor `(num_segments, ...)`.

    Example:
        >>> keras.ops.segment_prod(np.array([1.0, 2.0, 4.0]), np.array([0, 0, 1]), num_segments=2)
        tensor([2., 4.], dtype=torch.float64)
    """
    return _reduced(data, segment_ids, num_segments, "prod", 1)


@op
def segment_max(data: Tensor, segment_ids: Tensor, num_segments: int | None = None, sorted: bool = False) -> Tensor:
    """Return the largest elements of the rows of each segment; one without rows gives the smallest number of the dtype.

    Args:
        data: tensor `(rows, ...)`.
        segment_ids: segment of each row, `(rows,)`; rows of a segment that does not exist (-1) are left out.
        num_segments: number of segments; `None`: up to the largest id, which has to be read from the device. Default:
            `None`.
        sorted: whether the ids ascend; the result is the same. Default: `False`.

    Returns:
        A tensor `(num_segments, ...)`.

    Example:
        >>> keras.ops.segment_max(np.array([1.0, 2.0, 4.0]), np.array([0, 0, 1]), num_segments=2)
        tensor([2., 4.], dtype=torch.float64)
    """
    return _reduced(data, segment_ids, num_segments, "amax", _limits(data.dtype)[0])


@op
def segment_min(data: Tensor, segment_ids: Tensor, num_segments: int | None = None, sorted: bool = False) -> Tensor:
    """Return the smallest elements of the rows of each segment; one without rows gives the largest number of the dtype.

    Args:
        data: tensor `(rows, ...)`.
        segment_ids: segment of each row, `(rows,)`; rows of a segment that does not exist (-1) are left out.
        num_segments: number of segments; `None`: up to the largest id, which has to be read from the device. Default:
            `None`.
        sorted: whether the ids ascend; the result is the same. Default: `False`.

    Returns:
        A tensor `(num_segments, ...)`.

    Example:
        >>> keras.ops.segment_min(np.array([1.0, 2.0, 4.0]), np.array([0, 0, 1]), num_segments=2)
        tensor([1., 4.], dtype=torch.float64)
    """
    return _reduced(data, segment_ids, num_segments, "amin", _limits(data.dtype)[1])


def _reduced(data: Tensor, segment_ids: Tensor, num_segments: int | None, reduce: str, start: ArrayLike) -> Tensor:
    shape = data.shape
    rows, count = _rows(shape, segment_ids, num_segments)
    rows = rows.view(-1, *[1] * (len(shape) - 1)).expand(shape)
    return data.new_full((count + 2, *shape[1:]), start).scatter_reduce(0, rows, data, reduce)[1:-1]  # type: ignore[arg-type]


def _rows(shape: torch.Size, segment_ids: Tensor, num_segments: int | None) -> tuple[Tensor, int]:
    """The row of the result that each row of the data goes to, and the number of segments.

    There is a row more before and after those of the segments, for ids that do not exist.

    Raises:
        ValueError: the ids aren't one a row.
    """
    if segment_ids.ndim != 1:
        raise ValueError(
            "Argument `segment_ids` should be an 1-D vector, one id for each row of `data`; flatten both first. "
            f"Received: segment_ids.shape={tuple(segment_ids.shape)}."
        )
    if segment_ids.shape[0] != shape[0]:
        raise ValueError(
            "Argument `segment_ids` and `data` should have same leading dimension. "
            f"Received: {tuple(segment_ids.shape)} and {tuple(shape)}."
        )
    ids = segment_ids.long()
    if num_segments is None:
        num_segments = int(ids.max()) + 1 if len(ids) else 0
    return ids.clamp(-1, num_segments) + 1, num_segments


def _limits(dtype: torch.dtype) -> tuple[Any, Any]:
    if dtype.is_floating_point:
        return float("-inf"), float("inf")
    return (False, True) if dtype == torch.bool else (torch.iinfo(dtype).min, torch.iinfo(dtype).max)
