"""Norms, distances and ranks."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor

from torchkeras.core.operations.op import op
from torchkeras.ops.linalg.matrix import require_matrices

op = functools.partial(op, file_module="keras.src.ops.linalg")


@op(dtype="narrow_float")
def norm(x: Tensor, ord: int | float | str | None = None, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The norm of vectors (along one axis) or matrices (along two), in float32 for float64 as Keras has it.

    Args:
        ord: of vectors `p` for `sum(abs(x) ** p) ** (1 / p)`, 0, infinities; of matrices `"fro"`, `"nuc"`, 1, 2,
            infinity and their negatives, as NumPy defines them. Default: the root of the sum of squares.
        axis: an axis, or a pair of them; default: the whole, of one or two axes if `ord` is given.
    """
    return torch.linalg.norm(x, ord, axis, keepdims)


@op(dtype="float", check=require_matrices)
def matrix_rank(x: Tensor, tol: float | None = None) -> Tensor:
    """How many singular values exceed `tol`; default: as `pinv`, a fraction of the greatest."""
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
    """Euclidean distances: `(..., m, size)` and `(..., n, size)` give `(..., m, n)`."""
    if x.dtype in _HALF:
        return _distances(x.float(), y.float()).to(x.dtype)
    return _distances(x, y)


_HALF = frozenset((torch.float16, torch.bfloat16))


def _distances(x: Tensor, y: Tensor) -> Tensor:
    # By differences: the faster way over products loses the small distances of points far from zero.
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
