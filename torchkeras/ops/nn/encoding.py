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
from torchkeras.core.types import DTypeLike

op = functools.partial(op, file_module="keras.src.ops.nn")


def hot_rows(x: Tensor, num_classes: int, axis: int, dtype: DTypeLike) -> Tensor:
    """1 at each class, 0 elsewhere (everywhere for a negative class), along a new axis."""
    if num_classes < 0:
        raise ValueError(f"num_classes must not be negative; received {num_classes}.")
    classes = x.long().unsqueeze(-1)
    wanted = torch_dtype(dtype)
    rows = classes.expand(*x.shape, num_classes)  # the form of `x`: torch.vmap writes into nothing less
    rows = torch.zeros_like(rows, dtype=wanted, memory_format=torch.contiguous_format)
    rows.scatter_(-1, classes.clamp(0), (classes >= 0).to(wanted))
    return rows if axis == -1 else rows.movedim(-1, axis)


def hot_set(x: Tensor, num_classes: int, axis: int, dtype: DTypeLike) -> Tensor:
    """The rows of `hot_rows` of a sample as one; its class numbers stand along the second axis, or the only one."""
    return hot_rows(x, num_classes, axis, dtype).amax(1 if x.dim() > 1 else 0)


def _described(function: Callable, x: Any, num_classes: int, axis: int, dtype: DTypeLike, sparse: bool) -> KerasTensor:
    rows = infer(function, (x, num_classes, axis, dtype), {})
    return KerasTensor(rows.shape, rows.dtype, sparse=sparse)


def _described_set(
    inputs: Any, num_classes: int | None, axis: int, dtype: DTypeLike, sparse: bool, **kwargs: Any
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
def one_hot(
    x: Tensor, num_classes: int, axis: int = -1, dtype: DTypeLike | None = None, sparse: bool = False
) -> Tensor:
    """Encode class numbers as rows with a single 1.

    Args:
        x: tensor of class numbers; a negative one gives zeros.
        num_classes: number of classes.
        axis: place of the new axis. Default: `-1`.
        dtype: dtype of the result; `None`: `keras.config.floatx()`. Default: `None`.
        sparse: must be `False`. Default: `False`.

    Returns:
        A tensor with the new axis.

    Raises:
        ValueError: `sparse` is `True`.
        RuntimeError: a class number is `num_classes` or more.

    Example:
        >>> keras.ops.one_hot([0, 2], 3)
        tensor([[1., 0., 0.],
                [0., 0., 1.]])
    """
    _refuse_sparse(sparse)
    return hot_rows(x, num_classes, axis, dtype)


@op(spec=_described_set)
def multi_hot(
    inputs: Tensor,
    num_classes: int | None = None,
    axis: int = -1,
    dtype: DTypeLike | None = None,
    sparse: bool = False,
    **kwargs: Any,
) -> Tensor:
    """Encode sets of class numbers as rows of zeros and ones.

    Args:
        inputs: tensor of class numbers `(classes,)` or `(batch, classes, ...)`; negative ones do not count.
        num_classes: number of classes. Default: `None`.
        axis: place of the axis of the classes. Default: `-1`.
        dtype: dtype of the result; `None`: `keras.config.floatx()`. Default: `None`.
        sparse: must be `False`. Default: `False`.
        **kwargs: `num_tokens`, the former name of `num_classes`.

    Returns:
        A tensor with `num_classes` elements for each sample.

    Raises:
        ValueError: `num_classes` is missing, or `sparse` is `True`.

    Example:
        >>> keras.ops.multi_hot([0, 2], 3)
        tensor([1., 0., 1.])
    """
    _refuse_sparse(sparse)
    return hot_set(inputs, _number(num_classes, kwargs), axis, dtype)
