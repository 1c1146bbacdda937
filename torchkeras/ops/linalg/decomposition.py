"""Factors, eigenvalues and singular values of matrices `(..., M, N)`."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor

from torchkeras.core.operations.op import op
from torchkeras.core.symbolic.infer import infer
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.ops.linalg.matrix import require_matrices, require_square

op = functools.partial(op, file_module="keras.src.ops.linalg", dtype="float")


@op
def cholesky(x: Tensor, upper: bool = False) -> Tensor:
    """Factor positive definite matrices: `x = L @ L.T` with a lower triangular `L`.

    Args:
        x: tensor `(..., M, M)`.
        upper: whether to return `U` of `x = U.T @ U` instead. Default: `False`.

    Returns:
        A tensor of the shape of `x`.

    Raises:
        ValueError: the matrices are not square, or not positive definite.

    Example:
        >>> keras.ops.cholesky([[4.0, 0.0], [0.0, 9.0]])
        tensor([[2., 0.],
                [0., 3.]])
    """
    require_square(x)
    try:
        return torch.linalg.cholesky(x, upper=upper)
    except RuntimeError as error:
        raise ValueError(f"Cholesky decomposition failed: {error}") from error


@op(check=require_square)
def cholesky_inverse(x: Tensor, upper: bool = False) -> Tensor:
    """Invert matrices given by their Cholesky factors.

    Args:
        x: triangular tensor `(..., M, M)`.
        upper: whether the factors are upper triangular. Default: `False`.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.cholesky_inverse([[2.0, 0.0], [0.0, 1.0]])
        tensor([[0.2500, -0.0000],
                [-0.0000, 1.0000]])
    """
    return torch.cholesky_inverse(x, upper=upper)


@op(check=require_square)
def eig(x: Tensor) -> tuple[Tensor, Tensor]:
    """Compute eigenvalues and eigenvectors of square matrices.

    Args:
        x: tensor `(..., M, M)`.

    Returns:
        Complex eigenvalues `(..., M)` and eigenvectors `(..., M, M)`, in columns.

    Example:
        >>> keras.ops.eig([[2.0, 0.0], [0.0, 3.0]])[0].real
        tensor([2., 3.])
    """
    return tuple(torch.linalg.eig(x))


@op(check=require_square)
def eigh(x: Tensor) -> tuple[Tensor, Tensor]:
    """Compute eigenvalues and eigenvectors of Hermitian matrices.

    Args:
        x: tensor `(..., M, M)`; only the lower triangle is read.

    Returns:
        Eigenvalues `(..., M)` in ascending order and eigenvectors `(..., M, M)`, in columns.

    Example:
        >>> keras.ops.eigh([[2.0, 0.0], [0.0, 3.0]])[0]
        tensor([2., 3.])
    """
    return tuple(torch.linalg.eigh(x))


@op(check=require_matrices)
def lu_factor(x: Tensor) -> tuple[Tensor, Tensor]:
    """Factor matrices by Gaussian elimination with pivots.

    Args:
        x: tensor `(..., M, N)`.

    Returns:
        Both triangular factors in one tensor, and for each row the row (from 0) that it was exchanged with.

    Example:
        >>> keras.ops.lu_factor([[4.0, 3.0], [2.0, 1.0]])[0]
        tensor([[ 4.0000,  3.0000],
                [ 0.5000, -0.5000]])
    """
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
    dtype = infer(qr, (KerasTensor((1, 1), x.dtype),), {})[0].dtype
    return KerasTensor((*batch, rows, inner), dtype), KerasTensor((*batch, inner, columns), dtype)


def _require_mode(mode: str) -> None:
    if mode not in ("reduced", "complete"):
        raise ValueError(
            f"`mode` argument value not supported. Expected one of {{'reduced', 'complete'}}. Received: mode={mode}."
        )


@op(spec=_factors)
def qr(x: Tensor, mode: str = "reduced") -> tuple[Tensor, Tensor]:
    """Factor matrices into orthonormal columns and an upper triangle: `x = Q @ R`.

    Args:
        x: tensor `(..., M, N)`.
        mode: `"reduced"` for `min(M, N)` columns, `"complete"` for `M`. Default: `"reduced"`.

    Returns:
        `Q` and `R`.

    Example:
        >>> keras.ops.qr(np.eye(2))[0].abs()
        tensor([[1., 0.],
                [0., 1.]], dtype=torch.float64)
    """
    _require_mode(mode)
    return tuple(torch.linalg.qr(x, mode))


@op(name="SVD", check=require_matrices)
def svd(x: Tensor, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """Compute the singular value decomposition `x = U @ diag(S) @ V`.

    Args:
        x: tensor `(..., M, N)`.
        full_matrices: whether `U` and `V` are square, instead of as many vectors as values. Default: `True`.
        compute_uv: whether to compute the vectors. Default: `True`.

    Returns:
        `U`, `S` (in descending order) and `V`; without the vectors `S` alone.

    Example:
        >>> keras.ops.svd([[2.0, 0.0], [0.0, 3.0]], compute_uv=False)
        tensor([3., 2.])
    """
    return tuple(torch.linalg.svd(x, full_matrices=full_matrices)) if compute_uv else torch.linalg.svdvals(x)
