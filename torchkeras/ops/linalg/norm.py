"""Norms, distances and ranks."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from torchkeras.core.operations.op import op
from torchkeras.core.types import Axes
from torchkeras.ops.linalg.matrix import require_matrices

op = functools.partial(op, file_module="keras.src.ops.linalg")


@op(dtype="narrow_float")
def norm(x: Tensor, ord: int | float | str | None = None, axis: Axes | None = None, keepdims: bool = False) -> Tensor:
    """Compute norms of vectors or matrices.

    Args:
        x: tensor.
        ord: of vectors `p` of `sum(abs(x) ** p) ** (1 / p)`, 0 or infinity; of matrices `"fro"`, `"nuc"`, 1, 2,
            infinity or their negatives, as in NumPy; `None`: the root of the sum of squares. Default: `None`.
        axis: axis of the vectors, or pair of axes of the matrices; `None` for the whole tensor. Default: `None`.
        keepdims: whether reduced axes stay, with size 1. Default: `False`.

    Returns:
        A tensor without the axes.

    Example:
        >>> keras.ops.norm([3.0, 4.0])
        tensor(5.)
    """
    return torch.linalg.norm(x, ord, axis, keepdims)


@op(dtype="float", check=require_matrices)
def matrix_rank(x: Tensor, tol: float | None = None) -> Tensor:
    """Compute the rank of matrices: the number of singular values above a tolerance.

    Args:
        x: tensor `(..., M, N)`.
        tol: the tolerance; `None`: a fraction of the largest singular value, as in `pinv`. Default: `None`.

    Returns:
        A tensor of integers `(...)`.

    Example:
        >>> int(keras.ops.matrix_rank([[1.0, 1.0], [1.0, 1.0]]))
        1
    """
    return torch.linalg.matrix_rank(x, atol=tol).int()


def _require_rows(x: Tensor, y: Tensor) -> None:
    if x.dim() < 2 or y.dim() < 2:
        raise ValueError(f"`cdist` inputs must have rank >= 2. Received: {tuple(x.shape)} and {tuple(y.shape)}.")
    if x.shape[-1] != y.shape[-1]:
        raise ValueError(
            f"Last dimension of inputs to `cdist` must match. Received: {tuple(x.shape)} and {tuple(y.shape)}."
        )


@op(dtype="common_float", name="CDist", file_module="keras.src.ops.math", check=_require_rows)
def cdist(x: Tensor, y: Tensor) -> Tensor:
    """Compute Euclidean distances between all pairs of vectors.

    Args:
        x: tensor `(..., m, size)`.
        y: tensor `(..., n, size)`.

    Returns:
        A tensor `(..., m, n)`.

    Example:
        >>> keras.ops.cdist([[0.0, 0.0]], [[3.0, 4.0]])
        tensor([[5.]])
    """
    if x.dtype in _HALF:
        return _distances(x.float(), y.float()).to(x.dtype)
    return _distances(x, y)


_HALF = frozenset((torch.float16, torch.bfloat16))


def _distances(x: Tensor, y: Tensor) -> Tensor:
    # By differences: the faster way over products loses the small distances of points far from zero.
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
