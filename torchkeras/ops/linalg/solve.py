"""Systems of linear equations, inverses and determinants."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor

from torchkeras.core.operations.op import op
from torchkeras.ops.linalg.matrix import require_square

op = functools.partial(op, file_module="keras.src.ops.linalg")


def _require_fit(a: Tensor, b: Tensor, *_: Any, **__: Any) -> None:
    require_square(a)
    if b.dim() >= a.dim() and a.shape[-2] != b.shape[-2]:
        raise ValueError(
            "Incompatible shapes between `a` and `b`. Expected `a.shape[-2] == b.shape[-2]`. "
            f"Received: a.shape={tuple(a.shape)}, b.shape={tuple(b.shape)}."
        )


@op(dtype="float", check=require_square)
def inv(x: Tensor) -> Tensor:
    """Invert square matrices.

    Args:
        x: tensor `(..., M, M)`.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.inv([[2.0, 0.0], [0.0, 4.0]])
        tensor([[0.5000, 0.0000],
                [0.0000, 0.2500]])
    """
    return torch.linalg.inv(x)


@op(dtype="float")
def pinv(x: Tensor, rcond: float | None = None) -> Tensor:
    """Compute the pseudo-inverse of matrices (Moore and Penrose).

    Args:
        x: tensor `(..., M, N)`.
        rcond: singular values up to this fraction of the largest count as 0; `None`: the dtype's epsilon times the
            larger of `M` and `N`. Default: `None`.

    Returns:
        A tensor `(..., N, M)`.

    Example:
        >>> keras.ops.pinv([[2.0, 0.0], [0.0, 4.0]])
        tensor([[0.5000, 0.0000],
                [0.0000, 0.2500]])
    """
    return torch.linalg.pinv(x, rtol=rcond)


@op(dtype="common_float", check=_require_fit)
def solve(a: Tensor, b: Tensor) -> Tensor:
    """Solve linear systems `a @ x = b`.

    Args:
        a: tensor `(..., M, M)`.
        b: tensor `(..., M)` or `(..., M, K)`.

    Returns:
        A tensor of the shape of `b`.

    Example:
        >>> keras.ops.solve([[2.0, 0.0], [0.0, 4.0]], [2.0, 4.0])
        tensor([1., 1.])
    """
    return torch.linalg.solve(a, b)


@op(dtype="common_float", check=_require_fit)
def solve_triangular(a: Tensor, b: Tensor, lower: bool = False) -> Tensor:
    """Solve linear systems `a @ x = b` with triangular `a`.

    Args:
        a: tensor `(..., M, M)`; only one triangle is read.
        b: tensor `(..., M)` or `(..., M, K)`.
        lower: whether the lower triangle is read. Default: `False`.

    Returns:
        A tensor of the shape of `b`.

    Example:
        >>> keras.ops.solve_triangular([[2.0, 0.0], [0.0, 4.0]], [2.0, 4.0])
        tensor([1., 1.])
    """
    if b.dim() == a.dim() - 1:
        return torch.linalg.solve_triangular(a, b.unsqueeze(-1), upper=not lower).squeeze(-1)
    return torch.linalg.solve_triangular(a, b, upper=not lower)


@op(dtype="common_float")
def lstsq(a: Tensor, b: Tensor, rcond: float | None = None) -> Tensor:
    """Return the shortest `x` that minimizes the length of `a @ x - b`.

    Args:
        a: tensor `(M, N)`.
        b: tensor `(M,)` or `(M, K)`.
        rcond: singular values up to this fraction of the largest count as 0; `None`: as in `pinv`. Default: `None`.

    Returns:
        A tensor `(N,)` or `(N, K)`.

    Example:
        >>> keras.ops.lstsq([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]], [1.0, 2.0, 9.0])
        tensor([1., 1.])
    """
    if b.dim() == 1:
        return _least_squares(a, b.unsqueeze(-1), rcond).squeeze(-1)
    return _least_squares(a, b, rcond)


@op(dtype="float", check=require_square)
def det(x: Tensor) -> Tensor:
    """Compute determinants of square matrices.

    Args:
        x: tensor `(..., M, M)`.

    Returns:
        A tensor `(...)`.

    Example:
        >>> keras.ops.det([[2.0, 0.0], [0.0, 3.0]])
        tensor(6.)
    """
    return torch.linalg.det(x)


@op(dtype="float", file_module="keras.src.ops.math")
def logdet(x: Tensor) -> Tensor:
    """Compute the logarithm of determinants of square matrices; NaN for negative ones.

    Args:
        x: tensor `(..., M, M)`.

    Returns:
        A tensor `(...)`.

    Example:
        >>> keras.ops.logdet([[2.0, 0.0], [0.0, 3.0]])
        tensor(1.7918)
    """
    return torch.logdet(x)


def _least_squares(a: Tensor, b: Tensor, rcond: float | None) -> Tensor:
    # CUDA's solver takes full rank alone, and the compiler can't trace any: the pseudo-inverse serves there.
    if a.is_cpu and not torch.compiler.is_compiling():
        # Only the driver that computes singular values compares them with `rcond`; the quicker default estimates.
        return torch.linalg.lstsq(a, b, rcond, driver=None if rcond is None else "gelsd").solution
    return torch.linalg.pinv(a, rtol=rcond) @ b


@op(dtype="float", check=require_square)
def matrix_power(x: Tensor, n: int) -> Tensor:
    """Multiply square matrices `n` times by themselves; a negative `n` means their inverses. Keras: from 3.16 on.

    Args:
        x: tensor `(..., M, M)`.
        n: the exponent, an integer.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.matrix_power([[1.0, 1.0], [0.0, 1.0]], 3)
        tensor([[1., 3.],
                [0., 1.]])
    """
    return torch.linalg.matrix_power(x, n)
