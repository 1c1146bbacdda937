"""Shape ops and products."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchkeras.core.op import op


@op
def reshape(x: Tensor, newshape: Any) -> Tensor:
    """The same values in another shape; one size may be -1."""
    return torch.reshape(x, tuple(newshape) if not isinstance(newshape, int) else (newshape,))


@op
def transpose(x: Tensor, axes: Any = None) -> Tensor:
    """The axes in another order, default reversed."""
    return torch.permute(x, tuple(axes) if axes is not None else tuple(reversed(range(x.dim()))))


@op
def squeeze(x: Tensor, axis: Any = None) -> Tensor:
    """Without the axes of size 1 (or those named)."""
    return torch.squeeze(x) if axis is None else torch.squeeze(x, axis)


@op
def expand_dims(x: Tensor, axis: Any) -> Tensor:
    """With new axes of size 1 at the places `axis` of the result."""
    axes = (axis,) if isinstance(axis, int) else tuple(axis)
    rank = x.dim() + len(axes)
    for one in sorted(a % rank for a in axes):
        x = torch.unsqueeze(x, one)
    return x


@op
def broadcast_to(x: Tensor, shape: Any) -> Tensor:
    """Repeated along axes of size 1 up to `shape`."""
    return torch.broadcast_to(x, tuple(shape))


@op
def repeat(x: Tensor, repeats: Any, axis: int | None = None) -> Tensor:
    """Each element repeated along `axis` (default: of the flattened tensor)."""
    repeats = repeats if isinstance(repeats, int) else torch.as_tensor(repeats)
    return torch.repeat_interleave(x, repeats, dim=axis)


@op
def tile(x: Tensor, repeats: Any) -> Tensor:
    """The whole tensor repeated along each axis."""
    return torch.tile(x, (repeats,) if isinstance(repeats, int) else tuple(repeats))


@op
def flip(x: Tensor, axis: Any = None) -> Tensor:
    """In reversed order along `axis` (default all)."""
    axes = tuple(range(x.dim())) if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
    return torch.flip(x, axes)


@op
def swapaxes(x: Tensor, axis1: int, axis2: int) -> Tensor:
    """With two axes exchanged."""
    return torch.swapaxes(x, axis1, axis2)


@op
def ravel(x: Tensor) -> Tensor:
    """As one axis."""
    return torch.flatten(x)


@op(dtype="common")
def concatenate(xs: list[Tensor], axis: int = 0) -> Tensor:
    """The tensors one behind the other along `axis`."""
    return torch.cat(xs, dim=axis)


@op(dtype="common")
def stack(x: list[Tensor], axis: int = 0) -> Tensor:
    """The tensors along a new axis."""
    return torch.stack(x, dim=axis)


@op
def split(x: Tensor, indices_or_sections: Any, axis: int = 0) -> list[Tensor]:
    """Parts along `axis`: so many equal ones, or cut at the given indices."""
    if isinstance(indices_or_sections, int):
        if x.shape[axis] % indices_or_sections:
            raise ValueError(
                f"split(): axis {axis} of size {x.shape[axis]} does not make {indices_or_sections} equal parts."
            )
        return list(torch.split(x, x.shape[axis] // indices_or_sections, dim=axis))
    return list(torch.tensor_split(x, list(indices_or_sections), dim=axis))


@op
def take(x: Tensor, indices: Tensor, axis: int | None = None) -> Tensor:
    """The elements at `indices` along `axis` (default: of the flattened tensor)."""
    if axis is None:
        x, axis = x.flatten(), 0
    axis %= x.dim()
    size = x.shape[axis]
    flat = indices.flatten().long()
    flat = torch.where(flat < 0, flat + size, flat)
    return torch.index_select(x, axis, flat).reshape(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])


@op(call=("key",))
def get_item(x: Tensor, key: Any) -> Tensor:
    """`x[key]`."""
    return x[_index(key)]


@op(dtype="common")
def matmul(x1: Tensor, x2: Tensor) -> Tensor:
    """The matrix product over the last two axes."""
    return torch.matmul(x1, x2)


@op(dtype="common")
def dot(x1: Tensor, x2: Tensor) -> Tensor:
    """The product along the last axis of `x1` and the last but one of `x2`."""
    if x1.dim() == 0 or x2.dim() == 0:
        return x1 * x2
    return torch.tensordot(x1, x2, dims=([-1], [max(x2.dim() - 2, 0)]))


@op(dtype="common")
def einsum(subscripts: str, *operands: Tensor) -> Tensor:
    """Einstein's sum."""
    return torch.einsum(subscripts, *operands)


@op(call=("constant_values",))
def pad(x: Tensor, pad_width: Any, mode: str = "constant", constant_values: Any = None) -> Tensor:
    """With values put before and after along each axis."""
    widths = [pad_width] * x.dim() if isinstance(pad_width[0], int) else list(pad_width)
    flat = [size for before, after in reversed(widths) for size in (before, after)]
    if mode == "constant":
        return torch.nn.functional.pad(x, flat, value=constant_values or 0)
    return torch.nn.functional.pad(x, flat, mode={"symmetric": "replicate"}.get(mode, mode))


def shape(x: Any) -> tuple:
    """The shape, `None` where a symbolic tensor leaves a size open."""
    return tuple(x.shape)


def _index(key: Any) -> Any:
    """An index as torch takes it; a config holds slices as they are."""
    return tuple(key) if isinstance(key, list) else key
