"""Products of matrices and vectors, and sums of products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from torchkeras.core.operations.op import op
from torchkeras.core.symbolic.infer import broadcast_shapes, infer
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.tensors.promotion import FLOATS
from torchkeras.core.types import Axes
from torchkeras.ops.numpy.axes import positive_axis, shape_of, tuple_of


def multiplied(function: Callable[..., Tensor], *xs: Tensor) -> Tensor:
    """The product of tensors of one type.

    Integers are multiplied in float64, exact up to 2**53, for which there are fast kernels on all devices.
    """
    dtype = xs[0].dtype
    if dtype in FLOATS:
        return function(*xs)
    result = function(*(x.double() for x in xs))
    if dtype is torch.bool:
        return result.bool()
    return result.to(torch.int64).to(dtype)


def _agreeing(x1: Any, axes1: Any, x2: Any, axes2: Any) -> tuple[KerasTensor, KerasTensor]:
    """Two tensors over whose axes is summed: a size that one leaves open is the other's."""
    shape1, shape2 = list(x1.shape), list(x2.shape)
    for one, two in zip(axes1, axes2):
        size = shape1[one] if shape1[one] is not None else shape2[two]
        shape1[one] = size
        shape2[two] = size if shape2[two] is None else shape2[two]
    return KerasTensor(shape1, x1.dtype), KerasTensor(shape2, x2.dtype)


def _matmul_spec(x1: Any, x2: Any) -> KerasTensor:
    if not x1.shape or not x2.shape:
        raise ValueError(f"matmul() takes vectors, matrices or stacks of them; received {x1.shape} and {x2.shape}.")
    batch = broadcast_shapes(tuple(x1.shape[:-2]), tuple(x2.shape[:-2]))
    cores = KerasTensor(x1.shape[-2:], x1.dtype), KerasTensor(x2.shape[-2:], x2.dtype)
    core = infer(matmul, _agreeing(cores[0], [-1], cores[1], [-2 if len(x2.shape) > 1 else -1]), {})
    sparse = getattr(x1, "sparse", False) and getattr(x2, "sparse", False)
    return KerasTensor((*batch, *core.shape), core.dtype, sparse=sparse)


@op(dtype="narrow_product", spec=_matmul_spec)
def matmul(x1: Tensor, x2: Tensor) -> Tensor:
    """Multiply matrices over the last two axes; the other axes broadcast.

    Args:
        x1: tensor `(..., m, k)` or vector `(k,)`.
        x2: tensor `(..., k, n)` or vector `(k,)`.

    Returns:
        A tensor `(..., m, n)`.

    Example:
        >>> keras.ops.matmul([[1, 2], [3, 4]], [[1], [1]])
        tensor([[3],
                [7]], dtype=torch.int32)
    """
    return torch.matmul(x1, x2) if x1.dtype in FLOATS else multiplied(torch.matmul, x1, x2)


def _dot_spec(x1: Any, x2: Any) -> Any:
    if shape_of(x1) and shape_of(x2):
        x1, x2 = _agreeing(x1, [-1], x2, [-2 if len(x2.shape) > 1 else -1])
    return infer(dot, (x1, x2), {})


@op(dtype="narrow", spec=_dot_spec)
def dot(x1: Tensor, x2: Tensor) -> Tensor:
    """Sum products along the last axis of `x1` and the last but one of `x2`.

    Args:
        x1: tensor.
        x2: tensor.

    Returns:
        A tensor with the other axes of both; for two vectors, a number.

    Example:
        >>> keras.ops.dot([1, 2], [3, 4])
        tensor(11, dtype=torch.int32)
    """
    if x1.dtype in FLOATS and x1.dim() and 0 < x2.dim() <= 2:
        return torch.matmul(x1, x2)
    return multiplied(_dot, x1, x2)


def _dot(x1: Tensor, x2: Tensor) -> Tensor:
    if x1.dim() == 0 or x2.dim() == 0:
        return x1 * x2
    if x2.dim() <= 2:
        return torch.matmul(x1, x2)
    return torch.tensordot(x1, x2, dims=([-1], [-2]))


def _inner_spec(x1: Any, x2: Any) -> Any:
    if shape_of(x1) and shape_of(x2):
        x1, x2 = _agreeing(x1, [-1], x2, [-1])
    return infer(inner, (x1, x2), {})


@op(dtype="narrow", spec=_inner_spec)
def inner(x1: Tensor, x2: Tensor) -> Tensor:
    """Sum products along the last axes.

    Args:
        x1: tensor.
        x2: tensor.

    Returns:
        A tensor with the other axes of both.

    Example:
        >>> keras.ops.inner([1, 2], [3, 4])
        tensor(11, dtype=torch.int32)
    """
    return torch.inner(x1, x2) if x1.dtype in FLOATS else multiplied(torch.inner, x1, x2)


@op(dtype="common")
def outer(x1: Tensor, x2: Tensor) -> Tensor:
    """Multiply each element of `x1` by each element of `x2`.

    Args:
        x1: tensor, flattened.
        x2: tensor, flattened.

    Returns:
        A matrix.

    Example:
        >>> keras.ops.outer([1, 2], [3, 4])
        tensor([[3, 4],
                [6, 8]], dtype=torch.int32)
    """
    return torch.outer(x1.reshape(-1), x2.reshape(-1))


@op(dtype="common")
def kron(x1: Tensor, x2: Tensor) -> Tensor:
    """Compute Kronecker's product: `x2` times each element of `x1`, in its place.

    Args:
        x1: tensor.
        x2: tensor.

    Returns:
        A tensor.

    Example:
        >>> keras.ops.kron([1, 2], [1, 10])
        tensor([ 1, 10,  2, 20], dtype=torch.int32)
    """
    return torch.kron(x1, x2)


def _vdot_spec(x1: Any, x2: Any) -> Any:
    return infer(vdot, (KerasTensor((1,), x1.dtype), KerasTensor((1,), x2.dtype)), {})


@op(dtype="narrow", spec=_vdot_spec)
def vdot(x1: Tensor, x2: Tensor) -> Tensor:
    """Sum the products of all elements; those of `x1` are conjugated.

    Args:
        x1: tensor.
        x2: tensor of as many elements.

    Returns:
        A number.

    Example:
        >>> keras.ops.vdot([1, 2], [3, 4])
        tensor(11, dtype=torch.int32)
    """
    return multiplied(torch.vdot, x1.reshape(-1), x2.reshape(-1))


def _summed_axes(axes: Axes, rank: int) -> tuple[list[int], list[int]]:
    """The axes of `tensordot` of each tensor; a number is the last ones of the first and the first of the second."""
    if isinstance(axes, int):
        return list(range(rank - axes, rank)), list(range(axes))
    first, second = axes
    return list(tuple_of(first)), list(tuple_of(second))


def _tensordot_spec(x1: Any, x2: Any, axes: Axes) -> Any:
    first, second = _summed_axes(axes, len(x1.shape))
    return infer(tensordot, _agreeing(x1, first, x2, second), {"axes": axes})


@op(dtype="narrow", spec=_tensordot_spec)
def tensordot(x1: Tensor, x2: Tensor, axes: Axes = 2) -> Tensor:
    """Sum products over chosen axes.

    Args:
        x1: tensor.
        x2: tensor.
        axes: number of last axes of `x1` and first axes of `x2`, or a pair of lists of axes. Default: `2`.

    Returns:
        A tensor with the other axes of both.

    Example:
        >>> keras.ops.tensordot([[1, 2], [3, 4]], [1, 1], axes=1)
        tensor([3, 7], dtype=torch.int32)
    """
    dims = axes if isinstance(axes, int) else _summed_axes(axes, x1.dim())
    if x1.dtype in FLOATS:
        return torch.tensordot(x1, x2, dims=dims)
    return multiplied(lambda a, b: torch.tensordot(a, b, dims=dims), x1, x2)


def _cross_spec(x1: Any, x2: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Any:
    axisa, axisb, axisc = (axisa, axisb, axisc) if axis is None else (axis, axis, axis)
    shapes = [list(x1.shape), list(x2.shape)]
    sizes = [shape.pop(a) for shape, a in zip(shapes, (axisa, axisb))]
    result = list(broadcast_shapes(*map(tuple, shapes)))
    if any(size not in (2, 3, None) for size in sizes):
        raise ValueError(f"cross() takes vectors of 2 or 3 numbers; received shapes {x1.shape} and {x2.shape}.")
    if sizes != [2, 2]:
        result.insert(positive_axis(axisc, len(result) + 1), 3)
    vectors = [KerasTensor((3,), x.dtype) for x in (x1, x2)]
    return KerasTensor(result, infer(cross, tuple(vectors), {}).dtype)


@op(dtype="narrow", spec=_cross_spec)
def cross(x1: Tensor, x2: Tensor, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Tensor:
    """Compute the cross product of vectors of 2 or 3 elements.

    Args:
        x1: tensor.
        x2: tensor whose other axes broadcast against those of `x1`.
        axisa: axis of the vectors in `x1`. Default: `-1`.
        axisb: axis of the vectors in `x2`. Default: `-1`.
        axisc: axis of the vectors in the result. Default: `-1`.
        axis: one number for all three; `None`: see there. Default: `None`.

    Returns:
        A tensor; vectors of 2 elements give one number, the third component.

    Raises:
        ValueError: the vectors have another length.

    Example:
        >>> keras.ops.cross([1, 0, 0], [0, 1, 0])
        tensor([0, 0, 1], dtype=torch.int32)
    """
    if axis is not None:
        axisa = axisb = axisc = axis
    if not x1.ndim or not x2.ndim:
        raise ValueError(
            f"cross() takes vectors of 2 or 3 numbers; received shapes {tuple(x1.shape)} and {tuple(x2.shape)}."
        )
    x1 = x1 if axisa == -1 else x1.movedim(axisa, -1)
    x2 = x2 if axisb == -1 else x2.movedim(axisb, -1)
    shape, other = x1.shape, x2.shape
    if shape[-1] == 3 == other[-1] and len(shape) == len(other):  # sizes that differ broadcast in the product itself
        result = torch.linalg.cross(x1, x2)
        return result if axisc == -1 else result.movedim(-1, axisc)
    sizes = shape[-1], other[-1]
    if sizes != (3, 3):
        if not {*sizes} <= {2, 3}:
            raise ValueError(f"cross() takes vectors of 2 or 3 numbers; received {sizes[0]} and {sizes[1]}.")
        if sizes == (2, 2):
            return x1[..., 0] * x2[..., 1] - x1[..., 1] * x2[..., 0]
        x1, x2 = (x if x.shape[-1] == 3 else torch.nn.functional.pad(x, (0, 1)) for x in (x1, x2))
    result = torch.linalg.cross(*torch.broadcast_tensors(x1, x2))
    return result if axisc == -1 else result.movedim(-1, axisc)


def _correlate_spec(x1: Any, x2: Any, mode: str = "valid") -> Any:
    known = infer(correlate, tuple(KerasTensor((1,), x.dtype) for x in (x1, x2)), {"mode": mode})
    if len(x1.shape) == len(x2.shape) == 1 and None in (*x1.shape, *x2.shape):
        return KerasTensor((None,), known.dtype)
    return infer(correlate, (x1, x2), {"mode": mode})


@op(dtype="narrow_float", spec=_correlate_spec)
def correlate(x1: Tensor, x2: Tensor, mode: str = "valid") -> Tensor:
    """Correlate two vectors: sum products of `x1` and shifted `x2`.

    Args:
        x1: vector.
        x2: vector.
        mode: `"valid"`, `"same"` or `"full"`, as in NumPy. Default: `"valid"`.

    Returns:
        A vector.

    Raises:
        ValueError: the tensors are no vectors, or there is no such mode.

    Example:
        >>> keras.ops.correlate([1.0, 2.0, 3.0], [0.0, 1.0])
        tensor([2., 3.])
    """
    if x1.dim() != 1 or x2.dim() != 1:
        raise ValueError(f"correlate() takes vectors; received shapes {tuple(x1.shape)} and {tuple(x2.shape)}.")
    n1, n2 = x1.shape[0], x2.shape[0]
    if n1 >= n2:
        first = {"valid": 0, "same": -(n2 // 2), "full": 1 - n2}
    else:
        first = {"valid": n1 - n2, "same": n1 // 2 + 1 - n2, "full": 1 - n2}
    if mode not in first:
        raise ValueError(f"mode must be one of {list(first)}; received {mode!r}.")
    length = {"valid": abs(n1 - n2) + 1, "same": max(n1, n2), "full": n1 + n2 - 1}[mode]
    start = first[mode]  # of the shifts of x2; beyond the ends of x1 there are zeros
    padded = torch.nn.functional.pad(x1, (-start, start + length - 1 + n2 - n1))
    return torch.nn.functional.conv1d(padded.reshape(1, 1, -1), x2.conj().reshape(1, 1, -1)).reshape(-1)


def _slogdet_spec(x: Any) -> Any:
    if len(x.shape) < 2 or len({*x.shape[-2:]} - {None}) > 1:
        raise ValueError(f"slogdet() takes square matrices (..., n, n); received the shape {x.shape}.")
    return infer(slogdet, (KerasTensor((*x.shape[:-2], 1, 1), x.dtype),), {})


@op(dtype="float", spec=_slogdet_spec)
def slogdet(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the sign of determinants and the logarithm of their absolute values.

    Args:
        x: tensor `(..., n, n)`.

    Returns:
        A pair of tensors `(...)`.

    Example:
        >>> keras.ops.slogdet([[2.0, 0.0], [0.0, 3.0]])[0]
        tensor(1.)
    """
    return tuple(torch.linalg.slogdet(x))
