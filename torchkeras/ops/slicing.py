"""Blocks of a tensor: read, replaced, taken apart."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from torchkeras.core.operations.op import op
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.core.types import ArrayLike, Shape


def _like_inputs(inputs: Any, *_: Any, **__: Any) -> KerasTensor:
    return KerasTensor(inputs.shape, inputs.dtype)


def _slice_spec(inputs: Any, start_indices: Sequence[int], shape: Shape) -> KerasTensor:
    rank = len(inputs.shape)
    if len(shape) != rank:
        raise ValueError(
            f"slice(): the number of dimensions in `inputs` must match the number of dimensions in `shape`; received "
            f"inputs of shape {tuple(inputs.shape)} and shape={shape}."
        )
    symbolic = isinstance(start_indices, KerasTensor)
    count = start_indices.shape[0] if hasattr(start_indices, "shape") else len(start_indices)
    if count not in (rank, None):
        raise ValueError(
            f"slice(): the number of dimensions in `start_indices` must match the number of dimensions in `inputs`; "
            f"received inputs of shape {tuple(inputs.shape)} and start_indices={start_indices}."
        )
    sizes: list[int | None] = []
    for axis, size in enumerate(shape):
        if size != -1:
            sizes.append(size)
            continue
        whole = inputs.shape[axis]
        start = None if symbolic or isinstance(start_indices[axis], KerasTensor) else int(start_indices[axis])
        sizes.append(None if whole is None or start is None else -start if start < 0 else max(whole - start, 0))
    return KerasTensor(tuple(sizes), inputs.dtype)


@op(call=("start_indices",), spec=_slice_spec, file_module="keras.src.ops.core")
def slice(inputs: Tensor, start_indices: Sequence[int], shape: Shape) -> Tensor:
    """Take a block of a tensor.

    Args:
        inputs: tensor.
        start_indices: index of the block's first element on each axis.
        shape: sizes of the block; -1 for all that is left.

    Returns:
        A tensor of that shape.

    Example:
        >>> keras.ops.slice(np.arange(5), [1], [3])
        tensor([1, 2, 3])
    """
    block = _block(start_indices, shape)
    if block is not None:
        return inputs[block]
    for axis, size in enumerate(shape):
        inputs = torch.index_select(inputs, axis, _places(start_indices[axis], inputs.shape[axis], size))
    return inputs


@op(call=("start_indices",), spec=_like_inputs, file_module="keras.src.ops.core")
def slice_update(inputs: Tensor, start_indices: Sequence[int], updates: Tensor) -> Tensor:
    """Return a copy of a tensor with a block replaced.

    Args:
        inputs: tensor.
        start_indices: index of the block's first element on each axis.
        updates: tensor of the block's shape.

    Returns:
        A tensor of the shape of `inputs`.

    Example:
        >>> keras.ops.slice_update(np.zeros(3), [1], np.array([5.0]))
        tensor([0., 5., 0.], dtype=torch.float64)
    """
    result = inputs.clone()
    block = _block(start_indices, updates.shape)
    if block is not None:
        result[block] = updates  # cast by torch
        return result
    places = [_places(start_indices[axis], inputs.shape[axis], size) for axis, size in enumerate(updates.shape)]
    grid = [torch.reshape(p, [-1 if i == axis else 1 for i in range(len(places))]) for axis, p in enumerate(places)]
    return result.index_put(tuple(grid), updates.to(inputs.dtype))


def _block(starts: Any, sizes: Sequence[int]) -> tuple | None:
    """The block as slices; `None` where reading an index would wait for a device (or can't be: in a graph)."""
    if starts.__class__ is not tuple:
        if isinstance(starts, Tensor) and _on_device(starts):
            return None
        starts = starts.tolist() if hasattr(starts, "tolist") else starts
    block = []
    for start, size in zip(starts, sizes):
        if start.__class__ is not int:
            if isinstance(start, Tensor) and _on_device(start):
                return None
            start = int(start)
        block.append(builtins.slice(start, None if size == -1 or start < 0 <= start + size else start + size))
    return tuple(block)


def _on_device(index: Tensor) -> bool:
    """Whether the index isn't at hand, on `meta` or in a graph least of all."""
    return not index.is_cpu or torch.compiler.is_compiling()


def _places(start: ArrayLike, whole: int, size: int) -> Tensor:
    """The indices of a block, moved inside where it would stick out: a tensor's size can't depend on values."""
    start = convert_to_tensor(start).long()
    size = whole if size == -1 else size
    start = torch.clamp(torch.where(start < 0, start + whole, start), 0, max(whole - size, 0))
    return start + torch.arange(size, device=start.device)


def _unstack_spec(x: Any, num: int | None = None, axis: int = 0) -> list[KerasTensor]:
    rank = len(x.shape)
    if not -rank <= axis < rank:
        raise ValueError(f"unstack(): axis {axis} is out of bounds for a tensor of {rank} dimensions.")
    axis %= rank
    if num is None and x.shape[axis] is None:
        raise ValueError(
            f"Cannot infer argument `num` from shape {tuple(x.shape)}: its axis {axis} has no known size. Pass `num`."
        )
    shape = (*x.shape[:axis], *x.shape[axis + 1 :])
    return [KerasTensor(shape, x.dtype) for _ in range(x.shape[axis] if num is None else num)]


@op(spec=_unstack_spec, file_module="keras.src.ops.core")
def unstack(x: Tensor, num: int | None = None, axis: int = 0) -> Any:
    """Split a tensor into its slices along an axis, which they do not have.

    Args:
        x: tensor.
        num: number of slices, needed where a KerasTensor's size is not known; `None`: as many as there are. Default:
            `None`.
        axis: the axis. Default: `0`.

    Returns:
        A list of tensors.

    Example:
        >>> keras.ops.unstack(np.array([[1, 2], [3, 4]]))[1]
        tensor([3, 4])
    """
    return torch.unbind(x, axis)
