"""Factors, eigenvalues and singular values of matrices `(..., M, N)`."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor

from torchkeras.core.operations.op import op
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.ops.linalg.matrix import require_matrices, require_square

op = functools.partial(op, file_module="keras.src.ops.linalg", dtype="float")


@op
def cholesky(x: Tensor, upper: bool = False) -> Tensor:
    """The triangular factor `L` of positive definite `L @ L.T` (or `U` of `U.T @ U`).

    Raises:
        ValueError: the matrices aren't square, or not positive definite.
    """
    require_square(x)
    try:
        return torch.linalg.cholesky(x, upper=upper)
    except RuntimeError as error:
        raise ValueError(f"Cholesky decomposition failed: {error}") from error


@op(check=require_square)
def cholesky_inverse(x: Tensor, upper: bool = False) -> Tensor:
    """The inverse of the matrix whose Cholesky factor is `x`."""
    return torch.cholesky_inverse(x, upper=upper)


@op(check=require_square)
def eig(x: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues `(..., M)` and eigenvectors (the columns) `(..., M, M)` of square matrices, complex."""
    return tuple(torch.linalg.eig(x))


@op(check=require_square)
def eigh(x: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues in ascending order and eigenvectors (the columns) of Hermitian matrices; reads the lower triangle."""
    return tuple(torch.linalg.eigh(x))


@op(check=require_matrices)
def lu_factor(x: Tensor) -> tuple[Tensor, Tensor]:
    """Both triangular factors in one matrix, and the row (from 0) that each row in turn was exchanged with."""
    factors, pivots = torch.linalg.lu_factor(x)
    return factors, pivots - 1


def _factors(x: Any, mode: str = "reduced") -> tuple[KerasTensor, KerasTensor]:
    if len(x.shape) < 2:
        raise ValueError(f"Input should have rank >= 2. Received: input.shape = {x.shape}.")
    *batch, rows, columns = x.shape
    if rows is None or columns is None:
        raise ValueError(f"Input should have its last 2 dimensions fully-defined. Received: input.shape = {x.shape}.")
    _require_mode(mode)
    inner = rows if mode == "complete" else min(rows, columns)
    return KerasTensor((*batch, rows, inner), x.dtype), KerasTensor((*batch, inner, columns), x.dtype)


def _require_mode(mode: str) -> None:
    if mode not in ("reduced", "complete"):
        raise ValueError(
            f"`mode` argument value not supported. Expected one of {{'reduced', 'complete'}}. Received: mode={mode}."
        )


@op(spec=_factors)
def qr(x: Tensor, mode: str = "reduced") -> tuple[Tensor, Tensor]:
    """Factors `Q` of orthonormal columns, `min(M, N)` of them or `M` if `mode="complete"`, and triangular `R`."""
    _require_mode(mode)
    return tuple(torch.linalg.qr(x, mode))


@op(name="SVD", check=require_matrices)
def svd(x: Tensor, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """Singular vectors, values in descending order, and vectors: `U, S, V` of `x = U @ diag(S) @ V`.

    Without `full_matrices` no more vectors than values; without `compute_uv` the values alone.
    """
    return tuple(torch.linalg.svd(x, full_matrices=full_matrices)) if compute_uv else torch.linalg.svdvals(x)
