"""The same values under another shape: axes merged, added, dropped, moved."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from torchkeras.core.operations.op import op
from torchkeras.core.symbolic.infer import broadcast_shapes
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.tensors.convert import constant
from torchkeras.core.types import Axes, Shape
from torchkeras.ops.numpy.axes import positive_axis, shape_of, tuple_of


def _check_sizes(newshape: tuple) -> None:
    known = [size for size in newshape if isinstance(size, int)]
    if any(size < -1 for size in known):
        raise ValueError(f"Sizes are each a non-negative integer, or -1; received newshape={newshape}.")
    if known.count(-1) > 1:
        raise ValueError(f"A shape has at most one unknown dimension (-1); received newshape={newshape}.")


def _sizes(newshape: Shape) -> tuple:
    """The sizes of a shape, `None` where they are symbols."""
    if not isinstance(newshape, KerasTensor):
        return tuple(None if isinstance(size, KerasTensor) else size for size in tuple_of(newshape))
    if len(newshape.shape) != 1 or newshape.shape[0] is None:
        raise ValueError(f"A symbolic shape is a vector of known length; received newshape={newshape}.")
    return (None,) * newshape.shape[0]


def _reshaped(x: Any, newshape: Shape) -> KerasTensor:
    given = _sizes(newshape)
    _check_sizes(given)
    sizes = tuple(None if size == -1 else size for size in given)
    shape = shape_of(x)
    if None not in shape and None not in given:
        total, known = math.prod(shape), math.prod(size for size in sizes if size is not None)
        fits = total == known if None not in sizes else known and total % known == 0
        if not fits:
            raise ValueError(f"reshape() keeps the number of values; received the shape {shape} for {newshape}.")
        sizes = tuple(total // known if size is None else size for size in sizes)
    return KerasTensor(sizes, x.dtype)


@op(spec=_reshaped)
def reshape(x: Tensor, newshape: Shape) -> Tensor:
    """Give the elements another shape.

    Args:
        x: tensor.
        newshape: sizes of the axes; one may be -1, for what remains. Sizes may be tensors.

    Returns:
        A tensor of that shape.

    Raises:
        ValueError: a size is below -1, or several are -1.

    Example:
        >>> keras.ops.reshape([1, 2, 3, 4], (2, -1))
        tensor([[1, 2],
                [3, 4]], dtype=torch.int32)
    """
    sizes = newshape if newshape.__class__ is tuple else tuple_of(newshape)
    try:
        return torch.reshape(x, sizes)
    except RuntimeError:
        _check_sizes(sizes)
        raise


@op
def ravel(x: Tensor) -> Tensor:
    """Flatten a tensor to one axis.

    Args:
        x: tensor.

    Returns:
        A vector.

    Example:
        >>> keras.ops.ravel([[1, 2], [3, 4]])
        tensor([1, 2, 3, 4], dtype=torch.int32)
    """
    return torch.flatten(x)


def _transposed(x: KerasTensor, axes: Sequence[int] | None = None) -> KerasTensor:
    rank = len(x.shape)
    if axes is None:
        return KerasTensor(x.shape[::-1], x.dtype)
    if len(axes) != rank:
        raise ValueError(f"axes must be a list of the same length as the input shape {x.shape}; received axes={axes}.")
    if not all(isinstance(axis, int) and -rank <= axis < rank for axis in axes):
        raise ValueError(f"Each axis in `axes` must be an integer in [{-rank}, {rank}); received axes={axes}.")
    if len({axis % rank for axis in axes}) != rank:
        raise ValueError(f"axes must be a valid permutation of the {rank} axes; received axes={axes}.")
    return KerasTensor([x.shape[axis] for axis in axes], x.dtype)


@op(spec=_transposed)
def transpose(x: Tensor, axes: Sequence[int] | None = None) -> Tensor:
    """Change the order of the axes.

    Args:
        x: tensor.
        axes: the axes in their new order; `None` reverses them. Default: `None`.

    Returns:
        A tensor, which shares the memory.

    Example:
        >>> keras.ops.transpose([[1, 2], [3, 4]])
        tensor([[1, 3],
                [2, 4]], dtype=torch.int32)
    """
    return torch.permute(x, tuple(axes) if axes is not None else tuple(range(x.dim() - 1, -1, -1)))


@op
def moveaxis(x: Tensor, source: Axes, destination: Axes) -> Tensor:
    """Move axes to other places; the others keep their order.

    Args:
        x: tensor.
        source: axis or axes to move.
        destination: their new places.

    Returns:
        A tensor, which shares the memory.

    Example:
        >>> keras.ops.moveaxis(np.zeros((2, 3, 4)), 0, -1).shape
        torch.Size([3, 4, 2])
    """
    count = len(source) if isinstance(source, (list, tuple)) else 1
    if count != (len(destination) if isinstance(destination, (list, tuple)) else 1):
        raise ValueError(
            "`source` and `destination` arguments must have the same number of elements, but received "
            f"`source={source}` and `destination={destination}`."
        )
    return torch.movedim(x, source, destination)  # type: ignore[arg-type]


@op
def swapaxes(x: Tensor, axis1: int, axis2: int) -> Tensor:
    """Exchange two axes.

    Args:
        x: tensor.
        axis1: one axis.
        axis2: the other axis.

    Returns:
        A tensor, which shares the memory.

    Example:
        >>> keras.ops.swapaxes(np.zeros((2, 3, 4)), 0, 2).shape
        torch.Size([4, 3, 2])
    """
    return torch.swapaxes(x, axis1, axis2)


def _squeezed(x: KerasTensor, axis: Axes | None = None) -> KerasTensor:
    rank = len(x.shape)
    if axis is None:
        return KerasTensor([size for size in x.shape if size != 1], x.dtype)
    axes = {positive_axis(one, rank) for one in tuple_of(axis)}
    if any(x.shape[one] != 1 for one in axes):
        raise ValueError(f"squeeze() drops axes of size 1; received axis={axis} for the shape {x.shape}.")
    return KerasTensor([size for i, size in enumerate(x.shape) if i not in axes], x.dtype)


@op(spec=_squeezed)
def squeeze(x: Tensor, axis: Axes | None = None) -> Tensor:
    """Remove axes of size 1.

    Args:
        x: tensor.
        axis: axis or axes to remove; `None`: all of size 1. Default: `None`.

    Returns:
        A tensor, which shares the memory.

    Example:
        >>> keras.ops.squeeze(np.zeros((2, 1, 3))).shape
        torch.Size([2, 3])
    """
    return torch.squeeze(x) if axis is None else torch.squeeze(x, tuple_of(axis))


@op
def expand_dims(x: Tensor, axis: Axes) -> Tensor:
    """Insert axes of size 1.

    Args:
        x: tensor.
        axis: place or places of the new axes in the result.

    Returns:
        A tensor, which shares the memory.

    Raises:
        ValueError: the result has no such axis.

    Example:
        >>> keras.ops.expand_dims([1, 2], 0)
        tensor([[1, 2]], dtype=torch.int32)
    """
    if axis.__class__ is int and -x.dim() - 1 <= axis <= x.dim():
        return torch.unsqueeze(x, axis)
    axes = tuple_of(axis)
    rank = x.dim() + len(axes)
    for one in sorted(positive_axis(a, rank) for a in axes):
        x = torch.unsqueeze(x, one)
    return x


def _broadcast(x: KerasTensor, shape: Shape) -> KerasTensor:
    if broadcast_shapes(x.shape, tuple_of(shape)) != tuple_of(shape):
        raise ValueError(f"broadcast_to() repeats axes of size 1; received the shape {x.shape} for {shape}.")
    return KerasTensor(tuple_of(shape), x.dtype)


@op(spec=_broadcast)
def broadcast_to(x: Tensor, shape: Shape) -> Tensor:
    """Repeat a tensor along axes of size 1, and along new axes in front, up to a shape.

    Args:
        x: tensor.
        shape: the shape.

    Returns:
        A tensor of that shape, which shares the memory.

    Example:
        >>> keras.ops.broadcast_to([1, 2], (2, 2))
        tensor([[1, 2],
                [1, 2]], dtype=torch.int32)
    """
    return torch.broadcast_to(x, tuple_of(shape))


@op(spec=lambda x: KerasTensor((), "int32"))
def size(x: Tensor) -> Tensor:
    """Return the number of elements.

    Args:
        x: tensor.

    Returns:
        An integer.

    Example:
        >>> int(keras.ops.size([[1, 2], [3, 4]]))
        4
    """
    return constant(x.numel(), torch.int64, x.device)


@op(spec=lambda x: KerasTensor((len(x.shape),), x.dtype))
def ndim(x: Tensor) -> int:
    """Return the number of axes.

    Args:
        x: tensor.

    Returns:
        An integer.

    Example:
        >>> int(keras.ops.ndim([[1, 2], [3, 4]]))
        2
    """
    return x.dim()


def shape(x: Any) -> tuple:
    """Return the shape of a tensor.

    Args:
        x: tensor, array or KerasTensor.

    Returns:
        A tuple of ints; `None` where the size of a KerasTensor's axis is not known.

    Example:
        >>> keras.ops.shape(np.zeros((2, 3)))
        (2, 3)
    """
    return tuple(x.shape)
