"""Tensors made anew, and what takes its form from a tensor."""

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


def zeros(shape: Any, dtype: Any = None) -> Tensor:
    """Zeros, by default of `floatx()`."""
    return torch.zeros(_sizes(shape), dtype=torch_dtype(dtype), device=current_device())


def ones(shape: Any, dtype: Any = None) -> Tensor:
    """Ones, by default of `floatx()`."""
    return torch.ones(_sizes(shape), dtype=torch_dtype(dtype), device=current_device())


def empty(shape: Any, dtype: Any = None) -> Tensor:
    """Whatever lies in memory, by default as `floatx()`."""
    return torch.empty(_sizes(shape), dtype=torch_dtype(dtype), device=current_device())


def _sizes(shape: Any) -> Any:
    return shape if isinstance(shape, (tuple, list)) else (shape,)


@op(call=("fill_value",), spec=lambda fill_value, shape, dtype: KerasTensor(shape, dtype))
def full(shape: Any, fill_value: Any, dtype: Any = None) -> Tensor:
    """`fill_value`, a number or what broadcasts to `shape`, by default as `floatx()`."""
    if isinstance(fill_value, (bool, int, float)):
        return torch.full(_sizes(shape), fill_value, dtype=torch_dtype(dtype), device=current_device())
    return convert_to_tensor(fill_value, torch_dtype(dtype)).expand(_sizes(shape)).clone()


@op(elementwise=True)
def zeros_like(x: Tensor, dtype: Any = None) -> Tensor:
    """Zeros in the form of `x`."""
    return torch.zeros_like(x, dtype=None if dtype is None else torch_dtype(dtype))


@op(elementwise=True)
def ones_like(x: Tensor, dtype: Any = None) -> Tensor:
    """Ones in the form of `x`."""
    return torch.ones_like(x, dtype=None if dtype is None else torch_dtype(dtype))


@op(elementwise=True)
def empty_like(x: Tensor, dtype: Any = None) -> Tensor:
    """Whatever lies in memory, in the form of `x`."""
    return torch.empty_like(x, dtype=None if dtype is None else torch_dtype(dtype))


@op(elementwise=True, call=("fill_value",))
def full_like(x: Tensor, fill_value: Any, dtype: Any = None) -> Tensor:
    """`fill_value`, a number or what broadcasts to it, in the form of `x`."""
    wanted = x.dtype if dtype is None else torch_dtype(dtype)
    if isinstance(fill_value, (bool, int, float)):
        return torch.full_like(x, fill_value, dtype=wanted)
    return convert_to_tensor(fill_value, wanted, x.device).expand(x.shape).clone()


@op(call=("x",))
def array(x: Any, dtype: Any = None) -> Tensor:
    """`x` as a tensor."""
    return convert_to_tensor(x, dtype)


def eye(N: Any, M: Any = None, k: int = 0, dtype: Any = None) -> Tensor:
    """Ones on the diagonal `k` above the main one, zeros elsewhere: `(N, M)`, `M` being `N` by default.

    Raises:
        TypeError: a size is not an integer.
    """
    sizes = _integer(N, "N"), _integer(N if M is None else M, "M")
    if k == 0:
        return torch.eye(*sizes, dtype=torch_dtype(dtype), device=current_device())
    result = zeros(sizes, dtype)
    result.diagonal(k).fill_(1)
    return result


def identity(n: int, dtype: Any = None) -> Tensor:
    """The identity matrix `(n, n)`."""
    return eye(n, dtype=dtype)


def tri(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Tensor:
    """Ones on the diagonal `k` above the main one and below it: `(N, M)`, `M` being `N` by default."""
    return ones((N, N if M is None else M), dtype).tril(k)


@op
def tril(x: Tensor, k: int = 0) -> Tensor:
    """The lower triangles of matrices, up to the diagonal `k` above the main one."""
    return torch.tril(x, k)


@op
def triu(x: Tensor, k: int = 0) -> Tensor:
    """The upper triangles of matrices, from the diagonal `k` above the main one."""
    return torch.triu(x, k)


def _diag_spec(x: KerasTensor, k: int) -> Any:
    if len(x.shape) == 2 and None in x.shape:  # the lesser of two sizes, of which one is not known
        return KerasTensor((None,), x.dtype)
    return infer(diag, (x,), {"k": k})


@op(spec=_diag_spec)
def diag(x: Tensor, k: int = 0) -> Tensor:
    """A matrix with the vector `x` on the diagonal `k`; of a matrix, that diagonal."""
    return torch.diag(x, k)


@op
def diagflat(x: Tensor, k: int = 0) -> Tensor:
    """A matrix with the flattened `x` on the diagonal `k`."""
    return torch.diagflat(x, k)


@op(dtype="narrow")
def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    """The first `N` powers (default: as many as elements) of a vector's elements, falling unless `increasing`.

    Raises:
        TypeError: `N` is no integer.
        ValueError: `N` is negative, or `x` is no vector.
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
def view(x: Tensor, dtype: Any = None) -> Tensor:
    """The same memory read as another type; the last axis grows or shrinks by the ratio of the sizes."""
    if dtype is None:
        return x
    return x.view(_IN_MEMORY.get(dtype) or _IN_MEMORY[standardize_dtype(dtype)])


_IN_MEMORY: dict[Any, torch.dtype] = {name: getattr(torch, name) for name in TORCH_DTYPES}


@op
def meshgrid(*x: Tensor, indexing: str = "xy") -> list[Tensor]:
    """For each vector, its elements along its own axis of a grid (`"xy"`: the first two axes change places).

    Raises:
        ValueError: `indexing` is neither `"xy"` nor `"ij"`.
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


def _integer(size: Any, name: str) -> int:
    if isinstance(size, float) or not hasattr(size, "__index__"):
        raise TypeError(f"`{name}` must be an integer (or an integer tensor); received {size!r}.")
    return operator.index(size)
