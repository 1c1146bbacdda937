"""Several tensors made one, and one made several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from torchkeras.core.operations.op import op
from torchkeras.core.symbolic.infer import infer
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.ops.numpy.axes import positive_axis, tuple_of


def sizes_shared(xs: Any, free: int | None) -> list[KerasTensor]:
    """Tensors of one shape but for the axis `free`: a size that one leaves open is known from the others.

    Raises:
        ValueError: shapes that are known differ in another axis.
    """
    shapes = [tuple(x.shape) for x in xs]
    rank = len(shapes[0])
    free = None if free is None else positive_axis(free, rank)
    known: list[int | None] = []
    for axis in range(rank):
        found = {shape[axis] if len(shape) == rank else -1 for shape in shapes} - {None}
        if axis != free and len(found) > 1 or any(len(shape) != rank for shape in shapes):
            raise ValueError(f"Shapes must be equal but for the axis joined; received {shapes}.")
        known.append(found.pop() if found and axis != free else None)
    return [
        KerasTensor([s if s is not None else k for s, k in zip(shape, known)], x.dtype) for x, shape in zip(xs, shapes)
    ]


def _checked(axis: int | None) -> int:
    if axis is None:
        raise ValueError("concatenate() needs an axis; received axis=None. Flatten the tensors first.")
    return axis


def _concatenated(xs: Any, axis: int = 0) -> KerasTensor:
    result = infer(concatenate, (sizes_shared(xs, _checked(axis)), axis), {})
    return KerasTensor(result.shape, result.dtype, sparse=all(getattr(x, "sparse", False) for x in xs))


@op(dtype="common", spec=_concatenated)
def concatenate(xs: list[Tensor], axis: int = 0) -> Tensor:
    """Join tensors along an existing axis.

    Args:
        xs: tensors of equal shapes, but for the axis.
        axis: the axis. Default: `0`.

    Returns:
        A tensor.

    Example:
        >>> keras.ops.concatenate([[1, 2], [3]])
        tensor([1, 2, 3], dtype=torch.int32)
    """
    return torch.cat(xs, dim=_checked(axis))


def _stacked(x: Any, axis: int = 0) -> Any:
    return infer(stack, (sizes_shared(x, None), axis), {})


@op(dtype="common", spec=_stacked)
def stack(x: list[Tensor], axis: int = 0) -> Tensor:
    """Join tensors along a new axis.

    Args:
        x: tensors of equal shapes.
        axis: place of the new axis. Default: `0`.

    Returns:
        A tensor.

    Example:
        >>> keras.ops.stack([[1, 2], [3, 4]])
        tensor([[1, 2],
                [3, 4]], dtype=torch.int32)
    """
    return torch.stack(x, dim=axis)


def _hstacked(xs: Any) -> Any:
    return infer(hstack, (sizes_shared(xs, min(len(xs[0].shape) - 1, 1)),), {})


@op(dtype="common", spec=_hstacked)
def hstack(xs: list[Tensor]) -> Tensor:
    """Join tensors along the second axis; vectors along the first.

    Args:
        xs: tensors.

    Returns:
        A tensor.

    Example:
        >>> keras.ops.hstack([[1, 2], [3]])
        tensor([1, 2, 3], dtype=torch.int32)
    """
    return torch.hstack(xs)


def _vstacked(xs: Any) -> Any:
    return infer(vstack, (sizes_shared(xs, 0 if len(xs[0].shape) > 1 else None),), {})


@op(dtype="common", spec=_vstacked)
def vstack(xs: list[Tensor]) -> Tensor:
    """Join tensors along the first axis; vectors count as rows.

    Args:
        xs: tensors.

    Returns:
        A tensor.

    Example:
        >>> keras.ops.vstack([[1, 2], [3, 4]])
        tensor([[1, 2],
                [3, 4]], dtype=torch.int32)
    """
    return torch.vstack(xs)


def _dstacked(xs: Any) -> Any:
    return infer(dstack, (sizes_shared(xs, 2 if len(xs[0].shape) > 2 else None),), {})


@op(dtype="common", spec=_dstacked)
def dstack(xs: list[Tensor]) -> Tensor:
    """Join tensors along the third axis, which matrices and vectors get.

    Args:
        xs: tensors.

    Returns:
        A tensor.

    Example:
        >>> keras.ops.dstack([[1, 2], [3, 4]])
        tensor([[[1, 3],
                 [2, 4]]], dtype=torch.int32)
    """
    return torch.dstack(xs)


def _appended(x1: Any, x2: Any, axis: int | None = None) -> Any:
    given = (x1, x2) if axis is None else sizes_shared((x1, x2), axis)
    return infer(append, tuple(given), {"axis": axis})


@op(dtype="common", spec=_appended)
def append(x1: Tensor, x2: Tensor, axis: int | None = None) -> Tensor:
    """Join two tensors.

    Args:
        x1: first tensor.
        x2: second tensor.
        axis: the axis; `None` flattens both. Default: `None`.

    Returns:
        A tensor.

    Example:
        >>> keras.ops.append([1, 2], [3])
        tensor([1, 2, 3], dtype=torch.int32)
    """
    if axis is None:
        return torch.cat((x1.reshape(-1), x2.reshape(-1)))
    return torch.cat((x1, x2), axis)


def _parts(x: KerasTensor, sections: Any, axis: int) -> list[KerasTensor]:
    """The inference of `split`, where the size of the axis may be open."""
    axis = positive_axis(axis, len(x.shape))
    size = x.shape[axis]
    if size is not None:
        return infer(split, (x, sections, axis), {})
    if isinstance(sections, int):
        sizes: list[int | None] = [None] * sections
    else:
        cuts = [0, *tuple_of(sections)]
        sizes = [end - start for start, end in zip(cuts, cuts[1:])] + [None]
    return [KerasTensor((*x.shape[:axis], part, *x.shape[axis + 1 :]), x.dtype) for part in sizes]


@op(spec=lambda x, indices_or_sections, axis: _parts(x, indices_or_sections, axis))
def split(x: Tensor, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Tensor]:
    """Split a tensor along an axis.

    Args:
        x: tensor.
        indices_or_sections: number of equal parts, or the indices at which to cut.
        axis: the axis. Default: `0`.

    Returns:
        A list of tensors, which share the memory.

    Raises:
        ValueError: the axis does not make that many equal parts.

    Example:
        >>> keras.ops.split(np.arange(4), 2)[1]
        tensor([2, 3])
    """
    if isinstance(indices_or_sections, int):
        size = x.shape[axis]
        if size % indices_or_sections:
            raise ValueError(
                f"split() makes equal parts: axis {axis} of size {size} does not make {indices_or_sections}."
            )
        return list(torch.tensor_split(x, indices_or_sections, axis))
    return list(torch.tensor_split(x, tuple_of(indices_or_sections), axis))


@op
def array_split(x: Tensor, indices_or_sections: int, axis: int = 0) -> list[Tensor]:
    """Split a tensor along an axis into parts that differ by at most one in size.

    Args:
        x: tensor.
        indices_or_sections: number of parts.
        axis: the axis. Default: `0`.

    Returns:
        A list of tensors, which share the memory.

    Raises:
        TypeError: the number of parts is no integer.
        ValueError: the number of parts is not positive.

    Example:
        >>> [len(part) for part in keras.ops.array_split(np.arange(5), 2)]
        [3, 2]
    """
    if not isinstance(indices_or_sections, int):
        raise TypeError(f"indices_or_sections must be an integer; received {indices_or_sections!r}.")
    if indices_or_sections <= 0:
        raise ValueError(f"indices_or_sections must be positive; received {indices_or_sections}.")
    return list(torch.tensor_split(x, indices_or_sections, axis))


@op(spec=lambda x, indices_or_sections: _parts(x, indices_or_sections, 0 if len(x.shape) == 1 else 1))
def hsplit(x: Tensor, indices_or_sections: int | Sequence[int]) -> list[Tensor]:
    """Split a tensor along the second axis; vectors along the first.

    Args:
        x: tensor.
        indices_or_sections: number of equal parts, or the indices at which to cut.

    Returns:
        A list of tensors, which share the memory.

    Example:
        >>> keras.ops.hsplit(np.arange(4), 2)[1]
        tensor([2, 3])
    """
    return list(torch.hsplit(x, _sections(indices_or_sections)))


@op(spec=lambda x, indices_or_sections: _parts(x, indices_or_sections, 0))
def vsplit(x: Tensor, indices_or_sections: int | Sequence[int]) -> list[Tensor]:
    """Split a tensor along the first axis.

    Args:
        x: tensor.
        indices_or_sections: number of equal parts, or the indices at which to cut.

    Returns:
        A list of tensors, which share the memory.

    Example:
        >>> keras.ops.vsplit(np.arange(4).reshape(4, 1), 2)[1]
        tensor([[2],
                [3]])
    """
    return list(torch.vsplit(x, _sections(indices_or_sections)))


@op(spec=lambda x, indices_or_sections: _parts(x, indices_or_sections, 2))
def dsplit(x: Tensor, indices_or_sections: int | Sequence[int]) -> list[Tensor]:
    """Split a tensor along the third axis.

    Args:
        x: tensor.
        indices_or_sections: number of equal parts, or the indices at which to cut.

    Returns:
        A list of tensors, which share the memory.

    Example:
        >>> keras.ops.dsplit(np.arange(4).reshape(1, 1, 4), 2)[1]
        tensor([[[2, 3]]])
    """
    return list(torch.dsplit(x, _sections(indices_or_sections)))


def _sections(indices_or_sections: int | Sequence[int]) -> Any:
    return indices_or_sections if isinstance(indices_or_sections, int) else tuple_of(indices_or_sections)


def _columns(xs: Any) -> Any:
    matrices = [x if len(x.shape) > 1 else KerasTensor((*x.shape, 1), x.dtype) for x in xs]
    return infer(column_stack, (sizes_shared(matrices, 1),), {})


@op(dtype="common", spec=_columns)
def column_stack(xs: list[Tensor]) -> Tensor:
    """Join tensors along the second axis; vectors count as columns. Keras has it from 3.16 on.

    Args:
        xs: tensors.

    Returns:
        A tensor.

    Example:
        >>> keras.ops.column_stack([[1, 2], [3, 4]])
        tensor([[1, 3],
                [2, 4]], dtype=torch.int32)
    """
    return torch.cat([x if x.dim() > 1 else x.reshape(-1, 1) for x in xs], 1)
