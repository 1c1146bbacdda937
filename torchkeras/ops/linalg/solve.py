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
    """The inverse of square matrices."""
    return torch.linalg.inv(x)


@op(dtype="float")
def pinv(x: Tensor, rcond: float | None = None) -> Tensor:
    """The pseudo-inverse (Moore and Penrose); singular values up to `rcond` times the greatest count as zero.

    By default `rcond` is the type's epsilon times the greater of the matrix's sizes.
    """
    return torch.linalg.pinv(x, rtol=rcond)


@op(dtype="common_float", check=_require_fit)
def solve(a: Tensor, b: Tensor) -> Tensor:
    """`x` of `a @ x = b`, for square `a` `(..., M, M)` and `b` `(..., M)` or `(..., M, K)`."""
    return torch.linalg.solve(a, b)


@op(dtype="common_float", check=_require_fit)
def solve_triangular(a: Tensor, b: Tensor, lower: bool = False) -> Tensor:
    """`solve` where `a` is triangular; its other half is not read."""
    if b.dim() == a.dim() - 1:
        return torch.linalg.solve_triangular(a, b.unsqueeze(-1), upper=not lower).squeeze(-1)
    return torch.linalg.solve_triangular(a, b, upper=not lower)


@op(dtype="common_float")
def lstsq(a: Tensor, b: Tensor, rcond: float | None = None) -> Tensor:
    """The least-squares solution `x` of `a @ x = b`, the shortest where there are several.

    Args:
        a: `(M, N)`.
        b: `(M,)` or `(M, K)`.
        rcond: singular values up to that fraction of the greatest count as zero; default: see `pinv`.
    """
    if b.dim() == 1:
        return _least_squares(a, b.unsqueeze(-1), rcond).squeeze(-1)
    return _least_squares(a, b, rcond)


@op(dtype="float", check=require_square)
def det(x: Tensor) -> Tensor:
    """The determinant of square matrices."""
    return torch.linalg.det(x)


@op(dtype="float", file_module="keras.src.ops.math")
def logdet(x: Tensor) -> Tensor:
    """The logarithm of the determinant of square matrices; NaN where that is negative."""
    return torch.logdet(x)


def _least_squares(a: Tensor, b: Tensor, rcond: float | None) -> Tensor:
    # CUDA's solver takes full rank alone, and the compiler can't trace any: the pseudo-inverse serves there.
    if a.is_cpu and not torch.compiler.is_compiling():
        return torch.linalg.lstsq(a, b, rcond).solution
    return torch.linalg.pinv(a, rtol=rcond) @ b
