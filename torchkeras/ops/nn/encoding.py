"""Class numbers as rows of zeros and ones."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from torchkeras.core.operations.op import op
from torchkeras.core.symbolic.infer import infer
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.tensors.dtypes import torch_dtype

op = functools.partial(op, file_module="keras.src.ops.nn")


def hot_rows(x: Tensor, num_classes: int, axis: int, dtype: Any) -> Tensor:
    """1 at each class, 0 elsewhere (everywhere for a negative class), along a new axis."""
    classes = x.long().unsqueeze(-1)
    wanted = torch_dtype(dtype)
    rows = classes.expand(*x.shape, num_classes)  # the form of `x`: torch.vmap writes into nothing less
    rows = torch.zeros_like(rows, dtype=wanted, memory_format=torch.contiguous_format)
    rows.scatter_(-1, classes.clamp(0), (classes >= 0).to(wanted))
    return rows if axis == -1 else rows.movedim(-1, axis)


def hot_set(x: Tensor, num_classes: int, axis: int, dtype: Any) -> Tensor:
    """The rows of `hot_rows` of a sample as one; its class numbers stand along the second axis, or the only one."""
    return hot_rows(x, num_classes, axis, dtype).amax(1 if x.dim() > 1 else 0)


def _described(function: Callable, x: Any, num_classes: int, axis: int, dtype: Any, sparse: bool) -> KerasTensor:
    rows = infer(function, (x, num_classes, axis, dtype), {})
    return KerasTensor(rows.shape, rows.dtype, sparse=sparse)


def _described_set(
    inputs: Any, num_classes: int | None, axis: int, dtype: Any, sparse: bool, **kwargs: Any
) -> KerasTensor:
    return _described(hot_set, inputs, _number(num_classes, kwargs), axis, dtype, sparse)


def _number(num_classes: int | None, kwargs: dict[str, Any]) -> int:
    number = kwargs.get("num_tokens", num_classes)
    if number is None:
        raise ValueError("Argument `num_classes` must be specified. Received: num_classes=None")
    return number


def _refuse_sparse(sparse: bool) -> None:
    if sparse:
        raise ValueError("Sparse tensors are not supported: `sparse` must be False. Received: sparse=True")


@op(spec=functools.partial(_described, hot_rows))
def one_hot(x: Tensor, num_classes: int, axis: int = -1, dtype: Any = None, sparse: bool = False) -> Tensor:
    """Rows of `num_classes` with a 1 at the class `x` along a new axis; a negative class gives zeros.

    Args:
        dtype: of the result; default `floatx()`.

    Raises:
        ValueError: `sparse` is asked for.
        RuntimeError: a class is `num_classes` or more.
    """
    _refuse_sparse(sparse)
    return hot_rows(x, num_classes, axis, dtype)


@op(spec=_described_set)
def multi_hot(
    inputs: Tensor,
    num_classes: int | None = None,
    axis: int = -1,
    dtype: Any = None,
    sparse: bool = False,
    **kwargs: Any,
) -> Tensor:
    """A row of `num_classes` for each sample, with a 1 at every class among its numbers.

    Args:
        inputs: `(classes,)` or `(batch, classes, ...)`; negative ones count for nothing.
        kwargs: `num_tokens`, the former name of `num_classes`.

    Raises:
        ValueError: `num_classes` is missing, or `sparse` is asked for.
    """
    _refuse_sparse(sparse)
    return hot_set(inputs, _number(num_classes, kwargs), axis, dtype)
