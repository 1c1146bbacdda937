"""Values picked by place, by condition, from the diagonal."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchkeras.core.operations.op import op
from torchkeras.core.symbolic.infer import broadcast_shapes, infer
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.tensors.promotion import FLOATS, common
from torchkeras.ops.numpy.axes import positive_axis, tuple_of
from torchkeras.ops.numpy.sums import SUMMED

_PLACES = frozenset((torch.int32, torch.int64))  # the types that torch takes for indices


@op(keep=("indices",))
def take(x: Tensor, indices: Tensor, axis: int | None = None) -> Tensor:
    """The elements at `indices` along `axis` (default: of the flattened tensor); negative ones count from the end."""
    if axis is None:
        x, axis = x.reshape(-1), 0
    elif not 0 <= axis < x.dim():
        axis = positive_axis(axis, x.dim())
    shape, vector = x.shape, indices.dim() == 1
    flat = indices if vector else indices.reshape(-1)
    flat = flat if flat.dtype in _PLACES else flat.long()
    flat = torch.where(flat < 0, flat + shape[axis], flat)
    picked = torch.index_select(x, axis, flat)
    return picked if vector else picked.reshape((*shape[:axis], *indices.shape, *shape[axis + 1 :]))


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


def _without(shape: Any, axis: int) -> tuple:
    return (*shape[:axis], *shape[axis + 1 :])


@op(keep=("indices",), spec=_taken_along)
def take_along_axis(x: Tensor, indices: Tensor, axis: int | None = None) -> Tensor:
    """For each place the element at its index along `axis` (default: both flattened); the other axes broadcast."""
    if axis is None:
        x, indices, axis = x.reshape(-1), indices.reshape(-1), 0
    indices = indices.long()
    return torch.take_along_dim(x, torch.where(indices < 0, indices + x.shape[axis], indices), axis)


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
    """`x[key]`, with NumPy's negative steps."""
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
            chosen = range(*one.indices(x.shape[axis]))[::-1]
            keys[place] = slice(chosen.start, chosen.stop, chosen.step) if chosen else slice(0)
            turned.append(of_result)
        axis += one is not None
        of_result += not isinstance(one, int)
    return torch.flip(x[tuple(keys)], turned)


@op(spec=lambda x: tuple(KerasTensor((None,), "int32") for _ in x.shape))
def nonzero(x: Tensor) -> tuple[Tensor, ...]:
    """The indices of the values that are not 0, int32, one vector an axis."""
    return tuple(index.to(torch.int32) for index in torch.nonzero(x, as_tuple=True))


def _selected(condlist: Any, choicelist: Any, default: Any = 0) -> KerasTensor:
    shape = broadcast_shapes(*(getattr(x, "shape", ()) for x in (*condlist, *choicelist, default)))
    scalars = [[KerasTensor((), x.dtype) for x in xs] for xs in (condlist, choicelist)]
    default = KerasTensor((), default.dtype) if hasattr(default, "dtype") else default
    return KerasTensor(shape, infer(select, (*scalars, default), {}).dtype)


@op(call=("default",), spec=_selected)
def select(condlist: list[Tensor], choicelist: list[Tensor], default: Any = 0) -> Tensor:
    """For each place the value of the first choice whose condition holds there, else `default`.

    Raises:
        ValueError: no conditions or no choices.
    """
    if not condlist or not choicelist:
        raise ValueError(f"select() needs conditions and choices; received {len(condlist)} and {len(choicelist)}.")
    result = default
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
    """The diagonals of the matrices over two axes, as the last axis.

    Raises:
        ValueError: the tensor has no such axis, or they are the same.
    """
    first, second = positive_axis(axis1, x.dim()), positive_axis(axis2, x.dim())
    if first == second:
        raise ValueError(f"axis1 and axis2 must be different axes; received {axis1} and {axis2}.")
    return torch.diagonal(x, offset, first, second)


@op
def trace(x: Tensor, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The sum of the diagonals of the matrices over two axes."""
    return torch.sum(torch.diagonal(x, offset, axis1, axis2), -1, dtype=SUMMED.get(x.dtype))


@op(spec=lambda indices, shape: tuple(KerasTensor(indices.shape, indices.dtype) for _ in tuple_of(shape)))
def unravel_index(indices: Tensor, shape: Any) -> tuple[Tensor, ...]:
    """The index on each axis of a tensor of `shape`, of places counted in its flattened form."""
    dtype = torch.int32 if indices.dtype is torch.int64 else indices.dtype
    result = []
    for size in reversed(tuple_of(shape)):
        result.append((indices % size).to(dtype))
        indices = indices // size
    return tuple(reversed(result))
