"""New tensors, and tensors in the form of another one."""

from __future__ import annotations

import operator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from torchkeras.core.operations.op import op
from torchkeras.core.symbolic.infer import infer
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.core.tensors.devices import current_device
from torchkeras.core.tensors.dtypes import TORCH_DTYPES, standardize_dtype, torch_dtype
from torchkeras.core.types import ArrayLike, DTypeLike, Shape, Sizes


def zeros(shape: Shape, dtype: DTypeLike | None = None) -> Tensor:
    """Make a tensor of zeros.

    Args:
        shape: sizes of the axes.
        dtype: dtype of the result; `None`: `keras.config.floatx()`. Default: `None`.

    Returns:
        A tensor of that shape.

    Example:
        >>> keras.ops.zeros((2,))
        tensor([0., 0.])
    """
    return torch.zeros(_sizes(shape), dtype=torch_dtype(dtype), device=current_device())


def ones(shape: Shape, dtype: DTypeLike | None = None) -> Tensor:
    """Make a tensor of ones.

    Args:
        shape: sizes of the axes.
        dtype: dtype of the result; `None`: `keras.config.floatx()`. Default: `None`.

    Returns:
        A tensor of that shape.

    Example:
        >>> keras.ops.ones((2,))
        tensor([1., 1.])
    """
    return torch.ones(_sizes(shape), dtype=torch_dtype(dtype), device=current_device())


def empty(shape: Shape, dtype: DTypeLike | None = None) -> Tensor:
    """Make a tensor without setting its elements.

    Args:
        shape: sizes of the axes.
        dtype: dtype of the result; `None`: `keras.config.floatx()`. Default: `None`.

    Returns:
        A tensor of that shape.

    Example:
        >>> keras.ops.empty((2, 3)).shape
        torch.Size([2, 3])
    """
    return torch.empty(_sizes(shape), dtype=torch_dtype(dtype), device=current_device())


def _sizes(shape: Shape) -> Any:
    return shape if isinstance(shape, (tuple, list)) else (shape,)


@op(call=("fill_value",), spec=lambda fill_value, shape, dtype: KerasTensor(shape, dtype))
def full(shape: Shape, fill_value: ArrayLike, dtype: DTypeLike | None = None) -> Tensor:
    """Make a tensor filled with a value.

    Args:
        shape: sizes of the axes.
        fill_value: number, or tensor that broadcasts to `shape`.
        dtype: dtype of the result; `None`: `keras.config.floatx()`. Default: `None`.

    Returns:
        A tensor of that shape.

    Example:
        >>> keras.ops.full((2,), 3.0)
        tensor([3., 3.])
    """
    if isinstance(fill_value, (bool, int, float)):
        return torch.full(_sizes(shape), fill_value, dtype=torch_dtype(dtype), device=current_device())
    return convert_to_tensor(fill_value, torch_dtype(dtype)).expand(_sizes(shape)).clone()


@op(elementwise=True)
def zeros_like(x: Tensor, dtype: DTypeLike | None = None) -> Tensor:
    """Make a tensor of zeros in the shape of another tensor.

    Args:
        x: tensor.
        dtype: dtype of the result; `None`: that of `x`. Default: `None`.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.zeros_like([1.0, 2.0])
        tensor([0., 0.])
    """
    return torch.zeros_like(x, dtype=None if dtype is None else torch_dtype(dtype))


@op(elementwise=True)
def ones_like(x: Tensor, dtype: DTypeLike | None = None) -> Tensor:
    """Make a tensor of ones in the shape of another tensor.

    Args:
        x: tensor.
        dtype: dtype of the result; `None`: that of `x`. Default: `None`.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.ones_like([3.0, 2.0])
        tensor([1., 1.])
    """
    return torch.ones_like(x, dtype=None if dtype is None else torch_dtype(dtype))


@op(elementwise=True)
def empty_like(x: Tensor, dtype: DTypeLike | None = None) -> Tensor:
    """Make a tensor in the shape of another one without setting its elements.

    Args:
        x: tensor.
        dtype: dtype of the result; `None`: that of `x`. Default: `None`.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.empty_like(np.ones((2, 3))).shape
        torch.Size([2, 3])
    """
    return torch.empty_like(x, dtype=None if dtype is None else torch_dtype(dtype))


@op(elementwise=True, call=("fill_value",))
def full_like(x: Tensor, fill_value: ArrayLike, dtype: DTypeLike | None = None) -> Tensor:
    """Make a tensor filled with a value, in the shape of another tensor.

    Args:
        x: tensor.
        fill_value: number, or tensor that broadcasts to the shape of `x`.
        dtype: dtype of the result; `None`: that of `x`. Default: `None`.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.full_like([1.0, 2.0], 7)
        tensor([7., 7.])
    """
    wanted = x.dtype if dtype is None else torch_dtype(dtype)
    if isinstance(fill_value, (bool, int, float)):
        return torch.full_like(x, fill_value, dtype=wanted)
    return convert_to_tensor(fill_value, wanted, x.device).expand(x.shape).clone()


@op(call=("x",))
def array(x: Any, dtype: DTypeLike | None = None) -> Tensor:
    """Make a tensor of an array, a number or nested lists.

    Args:
        x: array, number, tensor or nested lists of them.
        dtype: dtype of the result; `None`: the one that fits the values. Default: `None`.

    Returns:
        A tensor.

    Example:
        >>> keras.ops.array([1.0, 2.0])
        tensor([1., 2.])
    """
    return convert_to_tensor(x, dtype)


def eye(N: Any, M: Any = None, k: int = 0, dtype: DTypeLike | None = None) -> Tensor:
    """Make a matrix with ones on a diagonal and zeros elsewhere.

    Args:
        N: number of rows.
        M: number of columns; `None`: `N`. Default: `None`.
        k: number of the diagonal: 0 for the main one, positive above it. Default: `0`.
        dtype: dtype of the result; `None`: `keras.config.floatx()`. Default: `None`.

    Returns:
        A tensor `(N, M)`.

    Raises:
        TypeError: a size is no integer.

    Example:
        >>> keras.ops.eye(2)
        tensor([[1., 0.],
                [0., 1.]])
    """
    sizes = _integer(N, "N"), _integer(N if M is None else M, "M")
    if k == 0:
        return torch.eye(*sizes, dtype=torch_dtype(dtype), device=current_device())
    result = zeros(sizes, dtype)
    result.diagonal(k).fill_(1)
    return result


def identity(n: int, dtype: DTypeLike | None = None) -> Tensor:
    """Make an identity matrix.

    Args:
        n: number of rows and columns.
        dtype: dtype of the result; `None`: `keras.config.floatx()`. Default: `None`.

    Returns:
        A tensor `(n, n)`.

    Example:
        >>> keras.ops.identity(2)
        tensor([[1., 0.],
                [0., 1.]])
    """
    return eye(n, dtype=dtype)


def tri(N: int, M: int | None = None, k: int = 0, dtype: DTypeLike | None = None) -> Tensor:
    """Make a matrix with ones on and below a diagonal, and zeros elsewhere.

    Args:
        N: number of rows.
        M: number of columns; `None`: `N`. Default: `None`.
        k: number of the diagonal: 0 for the main one, positive above it. Default: `0`.
        dtype: dtype of the result; `None`: `keras.config.floatx()`. Default: `None`.

    Returns:
        A tensor `(N, M)`.

    Example:
        >>> keras.ops.tri(2)
        tensor([[1., 0.],
                [1., 1.]])
    """
    return ones((N, N if M is None else M), dtype).tril(k)


@op
def tril(x: Tensor, k: int = 0) -> Tensor:
    """Keep the lower triangles of matrices, and set the other elements to 0.

    Args:
        x: tensor `(..., M, N)`.
        k: number of the diagonal: 0 for the main one, positive above it. Default: `0`.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.tril([[1, 2], [3, 4]])
        tensor([[1, 0],
                [3, 4]], dtype=torch.int32)
    """
    return torch.tril(x, k)


@op
def triu(x: Tensor, k: int = 0) -> Tensor:
    """Keep the upper triangles of matrices, and set the other elements to 0.

    Args:
        x: tensor `(..., M, N)`.
        k: number of the diagonal: 0 for the main one, positive above it. Default: `0`.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.triu([[1, 2], [3, 4]])
        tensor([[1, 2],
                [0, 4]], dtype=torch.int32)
    """
    return torch.triu(x, k)


def _diag_spec(x: KerasTensor, k: int) -> Any:
    if len(x.shape) == 2 and None in x.shape:  # the lesser of two sizes, of which one is not known
        return KerasTensor((None,), x.dtype)
    return infer(diag, (x,), {"k": k})


@op(spec=_diag_spec)
def diag(x: Tensor, k: int = 0) -> Tensor:
    """Make a matrix with a vector on a diagonal, or take the diagonal of a matrix.

    Args:
        x: vector or matrix.
        k: number of the diagonal: 0 for the main one, positive above it. Default: `0`.

    Returns:
        A matrix or a vector.

    Example:
        >>> keras.ops.diag([1, 2])
        tensor([[1, 0],
                [0, 2]], dtype=torch.int32)
    """
    return torch.diag(x, k)


@op
def diagflat(x: Tensor, k: int = 0) -> Tensor:
    """Make a matrix with the flattened tensor on a diagonal.

    Args:
        x: tensor.
        k: number of the diagonal: 0 for the main one, positive above it. Default: `0`.

    Returns:
        A matrix.

    Example:
        >>> keras.ops.diagflat([[1, 2]])
        tensor([[1, 0],
                [0, 2]], dtype=torch.int32)
    """
    return torch.diagflat(x, k)


@op(dtype="narrow")
def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    """Make the matrix of powers of a vector (Vandermonde's matrix).

    Args:
        x: vector.
        N: number of powers; `None`: as many as elements. Default: `None`.
        increasing: whether the powers ascend from 0 on, instead of descending to 0. Default: `False`.

    Returns:
        A tensor `(elements, N)`.

    Raises:
        TypeError: `N` is no integer.
        ValueError: `N` is negative, or `x` is no vector.

    Example:
        >>> keras.ops.vander([1, 2, 3])
        tensor([[1, 1, 1],
                [4, 2, 1],
                [9, 3, 1]], dtype=torch.int32)
    """
    if N is not None and not isinstance(N, int):
        raise TypeError(f"vander() takes N, the number of powers, as an integer; received {N!r}.")
    if N is not None and N < 0:
        raise ValueError(f"vander() takes N, the number of powers, of at least 0; received {N}.")
    if x.dim() != 1:
        raise ValueError(f"vander() takes a vector; received x of shape {tuple(x.shape)}.")
    count = len(x) if N is None else N
    if count < 2:
        return x.new_ones(len(x), count)
    factors = F.pad(x.unsqueeze(-1).expand(-1, count - 1), (1, 0), value=1)
    powers = torch.cumprod(factors, 1)  # for which torch has faster kernels than for pow
    powers = powers if increasing else torch.flip(powers, (1,))
    return powers if powers.dtype is x.dtype else powers.to(x.dtype)


@op
def view(x: Tensor, dtype: DTypeLike | None = None) -> Tensor:
    """Read the same memory as another dtype.

    Args:
        x: tensor.
        dtype: the other dtype; `None`: that of `x`. Default: `None`.

    Returns:
        A tensor; its last axis grows or shrinks by the ratio of the sizes.

    Example:
        >>> keras.ops.view(np.array([1], "int32"), "uint8")
        tensor([1, 0, 0, 0], dtype=torch.uint8)
    """
    if dtype is None:
        return x
    return x.view(_IN_MEMORY.get(dtype) or _IN_MEMORY[standardize_dtype(dtype)])


_IN_MEMORY: dict[Any, torch.dtype] = {name: getattr(torch, name) for name in TORCH_DTYPES}


@op
def meshgrid(*x: Tensor, indexing: str = "xy") -> list[Tensor]:
    """Make coordinate matrices of vectors.

    Args:
        *x: vectors.
        indexing: `"xy"` (the first two axes change places) or `"ij"`. Default: `"xy"`.

    Returns:
        A list of tensors, one for each vector, which varies along its own axis.

    Raises:
        ValueError: `indexing` is neither of the two.

    Example:
        >>> keras.ops.meshgrid([1, 2], [3, 4])[0]
        tensor([[1, 2],
                [1, 2]], dtype=torch.int32)
    """
    if indexing not in ("xy", "ij"):
        raise ValueError(f"meshgrid() takes indexing='xy' or 'ij'; received {indexing!r}.")
    swapped = indexing == "xy" and len(x) > 1
    views, after = [], len(x)
    for vector in (x[1], x[0], *x[2:]) if swapped else x:
        after -= 1
        views.append(vector.reshape(-1, *(1,) * after))
    grids = list(torch.broadcast_tensors(*views))
    if swapped:
        grids[0], grids[1] = grids[1], grids[0]
    return grids


def _integer(size: Sizes, name: str) -> int:
    if isinstance(size, float) or not hasattr(size, "__index__"):
        raise TypeError(f"`{name}` must be an integer (or an integer tensor); received {size!r}.")
    return operator.index(size)  # type: ignore[arg-type]
