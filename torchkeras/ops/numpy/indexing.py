"""Values picked by place, by condition, from the diagonal."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchkeras.core.operations.op import op
from torchkeras.core.symbolic.infer import broadcast_shapes, infer
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.tensors.promotion import FLOATS, common
from torchkeras.core.types import ArrayLike, Shape
from torchkeras.ops.numpy.axes import positive_axis, tuple_of
from torchkeras.ops.numpy.sums import SUMMED

_PLACES = frozenset((torch.int32, torch.int64))  # the types that torch takes for indices


@op(keep=("indices",))
def take(x: Tensor, indices: Tensor, axis: int | None = None) -> Tensor:
    """Take elements, or slices along an axis, at given indices.

    Args:
        x: tensor.
        indices: tensor of integers; negative ones count from the end.
        axis: the axis; `None` flattens `x`. Default: `None`.

    Returns:
        A tensor with the axes of `indices` in the place of the axis.

    Example:
        >>> keras.ops.take([10, 20, 30], [2, 0])
        tensor([30, 10], dtype=torch.int32)
    """
    if axis is None:
        x, axis = x.reshape(-1), 0
    elif not 0 <= axis < x.dim():
        axis = positive_axis(axis, x.dim())
    shape, vector = x.shape, indices.dim() == 1
    flat = indices if vector else indices.reshape(-1)
    flat = flat if flat.dtype in _PLACES else flat.long()
    flat = from_the_front(flat, shape[axis])
    picked = torch.index_select(x, axis, flat)
    return picked if vector else picked.reshape((*shape[:axis], *indices.shape, *shape[axis + 1 :]))


def from_the_front(indices: Tensor, size: int) -> Tensor:
    """Indices into an axis of `size` places, where negative ones counted from the end."""
    return indices.add(indices < 0, alpha=size)


def look_up(indices: Tensor, table: Tensor) -> Tensor:
    """Rows of a table; negative indices count from the end.

    On the CPU torch refuses negative indices, so that only those that have some are counted from the front. Other
    devices can't say so in time, nor can a graph.

    Args:
        indices: integers, in int32 or int64.
        table: `(rows, features)`.

    Returns:
        A tensor `(*indices.shape, features)`.

    Raises:
        IndexError: an index outside of the table, on the CPU.
    """
    if indices.is_cpu and not torch.compiler.is_compiling():
        try:
            return torch.embedding(table, indices)
        except IndexError:
            pass
    return torch.embedding(table, from_the_front(indices, table.shape[0]))


def _taken_along(x: Any, indices: Any, axis: int | None = None) -> KerasTensor:
    if axis is None:
        return KerasTensor(indices.shape if len(indices.shape) == 1 else (None,), x.dtype)
    axis = positive_axis(axis, len(x.shape))
    if len(indices.shape) != len(x.shape):
        raise ValueError(
            f"indices must have as many axes as x; received shapes {tuple(indices.shape)}, {tuple(x.shape)}."
        )
    shape = list(broadcast_shapes(_without(x.shape, axis), _without(indices.shape, axis)))
    shape.insert(axis, indices.shape[axis])
    return KerasTensor(shape, x.dtype)


def _without(shape: Shape, axis: int) -> tuple:
    return (*shape[:axis], *shape[axis + 1 :])


@op(keep=("indices",), spec=_taken_along)
def take_along_axis(x: Tensor, indices: Tensor, axis: int | None = None) -> Tensor:
    """Take for each place the element at its index along an axis.

    Args:
        x: tensor.
        indices: tensor of integers with as many axes as `x`; the other axes broadcast.
        axis: the axis; `None` flattens both. Default: `None`.

    Returns:
        A tensor.

    Example:
        >>> keras.ops.take_along_axis(np.array([[1, 2], [3, 4]]), np.array([[1], [0]]), axis=1)
        tensor([[2],
                [3]])
    """
    if axis is None:
        x, indices, axis = x.reshape(-1), indices.reshape(-1), 0
    indices = indices.long()
    return torch.take_along_dim(x, from_the_front(indices, x.shape[axis]), axis)


def _item(x: KerasTensor, key: Any) -> Any:
    """The inference of `get_item`: exact for numbers, slices, `None` and `...`, by a run on `meta` for other keys."""
    keys = _expanded(key, len(x.shape))
    if keys is None:
        return infer(get_item, (x, key), {})
    shape: list[int | None] = []
    sizes = iter(x.shape)
    for one in keys:
        if one is None:
            shape.append(1)
            continue
        size = next(sizes)
        if isinstance(one, int):
            if size is not None and not -size <= one < size:
                raise ValueError(f"The index {one} lies outside an axis of size {size}; received {key} for {x.shape}.")
        elif size is None:
            shape.append(None)
        else:
            shape.append(len(range(*one.indices(size))))
    return KerasTensor((*shape, *sizes), x.dtype)


def _expanded(key: Any, rank: int) -> list | None:
    """The key as a list of numbers, slices and `None`, `...` written out; `None` if it holds anything else."""
    keys = list(key) if isinstance(key, tuple) else [key]
    if not all(
        one is None or one is ... or isinstance(one, (int, slice)) and not isinstance(one, bool) for one in keys
    ):
        return None
    if any(isinstance(end, Tensor) for one in keys if isinstance(one, slice) for end in (one.start, one.stop)):
        return None
    named = sum(1 for one in keys if one is not None and one is not ...)
    if named > rank or keys.count(...) > 1:
        raise ValueError(f"An index may name {rank} axes and have one ...; received {key}.")
    if ... in keys:
        place = keys.index(...)
        keys[place : place + 1] = [slice(None)] * (rank - named)
    return keys


@op(call=("key",), spec=_item)
def get_item(x: Tensor, key: Any) -> Tensor:
    """Index a tensor: `x[key]`, also with the negative steps of NumPy.

    Args:
        x: tensor.
        key: index, slice, `None`, `...`, tensor, or tuple of these.

    Returns:
        A tensor.

    Example:
        >>> keras.ops.get_item(np.array([1, 2, 3]), slice(None, None, -1))
        tensor([3, 2, 1])
    """
    if isinstance(key, slice) and _backward(key) or isinstance(key, tuple) and any(map(_backward, key)):
        return _read_backward(x, key)
    return x[key]


def _backward(key: Any) -> bool:
    return isinstance(key, slice) and isinstance(key.step, int) and key.step < 0


def _read_backward(x: Tensor, key: Any) -> Tensor:
    keys = _expanded(key, x.dim())
    if keys is None:
        raise ValueError(f"A negative step goes with numbers, slices, None and ... alone; received {key}.")
    turned: list[int] = []
    axis = of_result = 0
    for place, one in enumerate(keys):
        if _backward(one):
            chosen = range(x.shape[axis])[one][::-1]
            keys[place] = slice(chosen.start, chosen.stop, chosen.step) if chosen else slice(0)
            turned.append(of_result)
        axis += one is not None
        of_result += not isinstance(one, int)
    return torch.flip(x[tuple(keys)], turned)


@op(spec=lambda x: tuple(KerasTensor((None,), "int32") for _ in x.shape))
def nonzero(x: Tensor) -> tuple[Tensor, ...]:
    """Return the indices of the elements that are not 0.

    Args:
        x: tensor.

    Returns:
        A tuple of int32 vectors, one for each axis.

    Example:
        >>> keras.ops.nonzero([0, 5, 0, 7])[0]
        tensor([1, 3], dtype=torch.int32)
    """
    return tuple(index.to(torch.int32) for index in torch.nonzero(x, as_tuple=True))


def _selected(condlist: Any, choicelist: Any, default: ArrayLike = 0) -> KerasTensor:
    shape = broadcast_shapes(*(getattr(x, "shape", ()) for x in (*condlist, *choicelist, default)))
    scalars = [[KerasTensor((), x.dtype) for x in xs] for xs in (condlist, choicelist)]
    default = KerasTensor((), default.dtype) if hasattr(default, "dtype") else default
    return KerasTensor(shape, infer(select, (*scalars, default), {}).dtype)


@op(call=("default",), spec=_selected)
def select(condlist: list[Tensor], choicelist: list[Tensor], default: ArrayLike = 0) -> Tensor:
    """Choose for each place the element of the first choice whose condition holds there.

    Args:
        condlist: boolean tensors.
        choicelist: tensors, one for each condition.
        default: value where no condition holds. Default: `0`.

    Returns:
        A tensor.

    Raises:
        ValueError: there are no conditions or no choices.

    Example:
        >>> keras.ops.select([np.array([True, False])], [np.array([1, 2])], 9)
        tensor([1, 9])
    """
    if not condlist or not choicelist:
        raise ValueError(f"select() needs conditions and choices; received {len(condlist)} and {len(choicelist)}.")
    result: Any = default
    for condition, choice in list(zip(condlist, choicelist))[::-1]:
        if isinstance(result, Tensor):
            fits = result.dtype is choice.dtype
        else:  # a number is weak beside floats
            fits = isinstance(result, (int, float)) and choice.dtype in FLOATS
        if not fits:
            choice, result = common((choice, result))
        result = torch.where(condition, choice, result)
    return result


def _diagonal(x: KerasTensor, offset: int = 0, axis1: int = 0, axis2: int = 1) -> KerasTensor:
    axes = {positive_axis(axis, len(x.shape)) for axis in (axis1, axis2)}
    others = [size for i, size in enumerate(x.shape) if i not in axes]
    rows, columns = x.shape[axis1], x.shape[axis2]
    if rows is None or columns is None:
        return KerasTensor((*others, None), x.dtype)
    return KerasTensor((*others, max(min(rows + min(offset, 0), columns - max(offset, 0)), 0)), x.dtype)


@op(spec=_diagonal)
def diagonal(x: Tensor, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """Return the diagonals of matrices.

    Args:
        x: tensor of at least two axes.
        offset: number of the diagonal: 0 for the main one, positive above it. Default: `0`.
        axis1: axis of the rows. Default: `0`.
        axis2: axis of the columns. Default: `1`.

    Returns:
        A tensor without the two axes, with the diagonal as the last axis.

    Raises:
        ValueError: the tensor has no such axis, or both are the same.

    Example:
        >>> keras.ops.diagonal([[1, 2], [3, 4]])
        tensor([1, 4], dtype=torch.int32)
    """
    first, second = positive_axis(axis1, x.dim()), positive_axis(axis2, x.dim())
    if first == second:
        raise ValueError(f"axis1 and axis2 must be different axes; received {axis1} and {axis2}.")
    return torch.diagonal(x, offset, first, second)


@op
def trace(x: Tensor, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """Sum the diagonals of matrices.

    Args:
        x: tensor of at least two axes.
        offset: number of the diagonal: 0 for the main one, positive above it. Default: `0`.
        axis1: axis of the rows. Default: `0`.
        axis2: axis of the columns. Default: `1`.

    Returns:
        A tensor without the two axes.

    Example:
        >>> keras.ops.trace([[1, 2], [3, 4]])
        tensor(5, dtype=torch.int32)
    """
    return torch.sum(torch.diagonal(x, offset, axis1, axis2), -1, dtype=SUMMED.get(x.dtype))


@op(spec=lambda indices, shape: tuple(KerasTensor(indices.shape, indices.dtype) for _ in tuple_of(shape)))
def unravel_index(indices: Tensor, shape: Shape) -> tuple[Tensor, ...]:
    """Convert indices into the flattened tensor to indices for each axis.

    Args:
        indices: tensor of integers.
        shape: shape of the tensor.

    Returns:
        A tuple of tensors, one for each axis.

    Example:
        >>> [int(i) for i in keras.ops.unravel_index(5, (2, 3))]
        [1, 2]
    """
    dtype = torch.int32 if indices.dtype is torch.int64 else indices.dtype
    result = []
    for size in reversed(tuple_of(shape)):
        result.append((indices % size).to(dtype))
        indices = indices // size
    return tuple(reversed(result))
